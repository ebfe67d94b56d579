//! The keys of `claviger.toml`: one row each, from which the file is read and documented and
//! suggestions are made.

use std::path::PathBuf;

use claviger_cards::pkcs11::ProviderConfig;
use claviger_keys::Keygrip;

use super::value::{self, Value, Wrong};

/// A key of a table that is read into a `T`.
pub(super) struct Key<T: 'static> {
    /// The key.
    pub(super) name: &'static str,
    /// What it takes, for complaints and documentation.
    pub(super) takes: &'static str,
    /// What it means, in a sentence for the documentation.
    pub(super) help: &'static str,
    /// Reads it.
    pub(super) read: fn(&mut T, &Value<'_>) -> Result<(), Wrong>,
}

/// What stands above all tables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Top {
    /// Whether modules that p11-kit has registered are used.
    pub(super) p11_kit: Option<bool>,
    /// Modules of p11-kit's that are not.
    pub(super) exclude: Vec<String>,
}

/// A provider as it is written, perhaps not all of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Draft {
    /// All but the module; the name is empty where there is none.
    pub(super) config: ProviderConfig,
    /// The module as it is written.
    pub(super) module: Option<PathBuf>,
    /// Whether it is used at all.
    pub(super) enabled: bool,
}

impl Default for Draft {
    fn default() -> Self {
        Self { config: ProviderConfig::new("", ""), module: None, enabled: true }
    }
}

/// The keys that serve where GnuPG asks for a card's key for one purpose (`$SIGNKEYID` and its like).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OpenPgpKeys {
    /// For signatures.
    pub(crate) sign: Option<Keygrip>,
    /// For decryption.
    pub(crate) encrypt: Option<Keygrip>,
    /// For authentication.
    pub(crate) authenticate: Option<Keygrip>,
}

impl OpenPgpKeys {
    /// For signatures, decryption and authentication.
    pub(crate) fn all(&self) -> [Option<Keygrip>; 3] {
        [self.sign, self.encrypt, self.authenticate]
    }

    /// These keys, and those of `other` where there are none.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            sign: self.sign.or(other.sign),
            encrypt: self.encrypt.or(other.encrypt),
            authenticate: self.authenticate.or(other.authenticate),
        }
    }
}

/// Rows of fields that one function of [`value`] reads.
macro_rules! keys {
    ($($name:literal $takes:literal $help:literal $($field:ident).+ = $read:ident $($wrap:ident)?;)*) => {
        &[$(Key {
            name: $name,
            takes: $takes,
            help: $help,
            read: |into, value| {
                into.$($field).+ = keys!(@ $($wrap)? value::$read(value)?);
                Ok(())
            },
        }),*]
    };
    (@ Some $value:expr) => { Some($value) };
    (@ $value:expr) => { $value };
}

/// Above all tables.
pub(super) static TOP: &[Key<Top>] = keys! {
    "p11-kit" "true or false"
        "whether modules that p11-kit has registered are used, too; unless said, if no file names a provider"
        p11_kit = flag Some;
    "exclude" "a list of names"
        "modules of p11-kit's that are not used, by the names of their `.module` files without the ending, or of their shared objects"
        exclude = texts;
};

/// In `[[provider]]`.
pub(super) static PROVIDER: &[Key<Draft>] = keys! {
    "name" "letters, digits, dots, dashes and underscores (64 at most)"
        "what it is called in logs and errors; needed, and no other provider may have it"
        config.name = name;
    "module" "a path"
        "the shared object; without a path it is looked for in p11-kit's folders, and `~/` is your home; needed"
        module = path Some;
    "enabled" "true or false"
        "whether it is used: `false` also switches off a provider of the system's file, or p11-kit's module of that name"
        enabled = flag;
    "tokens" "a list of pkcs11: URIs"
        "only tokens that one of them fits"
        config.tokens = uris;
    "without-tokens" "a list of pkcs11: URIs"
        "no token that one of them fits"
        config.without_tokens = uris;
    "slots" "a list of numbers"
        "only these slots"
        config.slots = numbers;
    "environment" "a table of variables: texts, or false"
        "changes to the environment in which the module runs; `\"\"` empties a variable, `false` removes it"
        config.environment = environment;
    "keys" "a list of pkcs11: URIs"
        "only private keys that one of them fits"
        config.keys = uris;
    "certificates" "a list of pkcs11: URIs"
        "only certificates that one of them fits"
        config.certificates = uris;
    "login" "\"when-needed\", \"always\" or \"never\""
        "when the PIN is given: when the token asks for it, before every private operation, or never"
        config.login = login;
    "threads" "a number from 1 to 64"
        "how many operations may run at the same time, where the module allows threads; 8 unless said"
        config.threads = threads Some;
    "start" "a time (seconds, or \"250ms\", \"30s\", \"5m\"; at most a day)"
        "how long is waited for loading and the first look at the tokens: 10 seconds unless said"
        config.limits.start = time;
    "operation" "a time (seconds, or \"250ms\", \"30s\", \"5m\"; at most a day)"
        "how long an operation may take, also one that waits for a touch: 30 seconds unless said"
        config.limits.operation = time;
    "patience" "a time (seconds, or \"250ms\", \"30s\", \"5m\"; at most a day)"
        "how long making a key may take, or a PIN typed at the token: 300 seconds unless said"
        config.limits.patience = time;
    "poll" "a time (seconds, or \"250ms\", \"30s\", \"5m\"; at most a day)"
        "how often a module without events is asked for its tokens: every second unless said"
        config.limits.poll = time;
    "memory" "an amount of memory (octets, or \"512M\", \"1G\"; at least 16M)"
        "how much memory the module's process may have before it is replaced: 1G unless said"
        config.limits.memory = memory;
};

/// In `[openpgp-keys]`.
pub(super) static OPENPGP_KEYS: &[Key<OpenPgpKeys>] = keys! {
    "sign" "a keygrip (40 hexadecimal digits)"
        "the key that a token offers to GnuPG for signatures"
        sign = keygrip Some;
    "encrypt" "a keygrip (40 hexadecimal digits)"
        "the key that a token offers to GnuPG for decryption"
        encrypt = keygrip Some;
    "authenticate" "a keygrip (40 hexadecimal digits)"
        "the key that a token offers to GnuPG and ssh for authentication"
        authenticate = keygrip Some;
};

/// The names of the tables, which stand beside the keys of [`TOP`].
pub(super) const TABLES: [&str; 2] = ["provider", "openpgp-keys"];
