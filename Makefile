# The words of this project; `make help` lists them.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
VIRTUAL_CARD := cards/virtual/Cargo.toml
# Whose programs `check` uses: here, debian13.
SYSTEMS ?= here

# OpenSSL becomes part of our program where libcrypto.a is there and needs the C library only: loading the shared library
# takes longer than everything else between start and greeting. So it is on Debian 12; 13's also wants zlib and zstd.
# `make OPENSSL=shared build` links the shared one, for packagers.
ifneq ($(OPENSSL),shared)
OPENSSL_LIBDIR := $(shell pkg-config --variable=libdir libcrypto 2>/dev/null)
OPENSSL_NEEDS := $(filter-out -L% -lcrypto -ldl -pthread,$(shell pkg-config --static --libs libcrypto 2>/dev/null))
ifeq ($(OPENSSL_NEEDS),)
ifneq ($(wildcard $(OPENSSL_LIBDIR)/libcrypto.a),)
export OPENSSL_STATIC := 1
export OPENSSL_LIB_DIR := $(OPENSSL_LIBDIR)
export OPENSSL_INCLUDE_DIR := $(shell pkg-config --variable=includedir libcrypto)
endif
endif
endif

.DEFAULT_GOAL := help
.PHONY: help deps build virtual-card demo check check-debian13 checked docs bench benched install clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1 - /p' $(MAKEFILE_LIST) | awk -F ' - ' '{ printf "make %-15s %s\n", $$1, $$2 }'

deps: ## install what building and the demo need from Debian, where it is missing (12 or 13; root or sudo)
	@.ci/deps build demo

build: ## target/release/claviger, and claviger-scdaemon: the name for gpg-agent.conf
	$(CARGO) build --release --locked -p claviger
	ln -sf claviger target/release/claviger-scdaemon

virtual-card: ## an OpenPGP card in software: cards/virtual/target/release/claviger-virtual-card
	$(CARGO) build --release --locked --manifest-path $(VIRTUAL_CARD)

demo: deps ## build, then see gpg and ssh at work on a virtual card; touches nothing of yours
	@$(MAKE) --no-print-directory build virtual-card
	@agent/demo/run

check: ## everything that can be checked, with real gpg, ssh and pcscd; totals at the end
	@.ci/deps build demo check $(SYSTEMS)
	@$(MAKE) --no-print-directory checked

check-debian13: ## the same with GnuPG 2.4 and OpenSSH 10, in a folder with Debian 13 (DEBIAN13=DIR; root or sudo)
	@$(MAKE) --no-print-directory SYSTEMS=debian13 check

# As `check`, once its packages are there.
checked:
	@.ci/check $(SYSTEMS)

docs: ## write docs/protocol.md, the manual page and the table of docs/tokens.md anew, from tables, transcripts and tests
	$(CARGO) test --locked -p claviger --test protocol --test tokens -- --ignored write_the_documents

bench: ## APDUs and times beside GnuPG's own scdaemon, and beside gnupg-pkcs11-scd with tokens, as tables
	@.ci/deps build demo check
	@$(MAKE) --no-print-directory virtual-card benched

# As `bench`, once its packages are there.
benched:
	$(CARGO) bench --locked -p claviger --bench beside_stock --bench tokens

install: build ## copy both programs and the manual page to $(PREFIX)
	install -D -m 755 target/release/claviger $(DESTDIR)$(PREFIX)/bin/claviger
	ln -sf claviger $(DESTDIR)$(PREFIX)/bin/claviger-scdaemon
	install -D -m 644 docs/claviger-scdaemon.1 $(DESTDIR)$(PREFIX)/share/man/man1/claviger-scdaemon.1

clean: ## remove what was built
	$(CARGO) clean
	$(CARGO) clean --manifest-path $(VIRTUAL_CARD)
