//! Kinds of key, and what each program does with them: the table of `docs/tokens.md`, and what the tests of `matrix` expect.

use std::fs;

use crate::world::repository;

/// A kind of key.
pub(crate) struct Kind {
    /// Its file in `testdata/tokens/`.
    pub(crate) file: &'static str,
    /// What people call it.
    title: &'static str,
    /// How it goes, in the order of [`COLUMNS`].
    goes: [Goes; COLUMNS.len()],
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// `gpg --detach-sign`.
    GpgSigns,
    /// `gpg --decrypt`.
    GpgDecrypts,
    /// `ssh`.
    SshLogsIn,
    /// `gpgsm --detach-sign`.
    GpgsmSigns,
    /// `gpgsm --decrypt`.
    GpgsmDecrypts,
}

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goes {
    /// It works.
    Well,
    /// It works from GnuPG 2.4 on; the program of 2.2 says this.
    Since24(&'static str),
    /// It works, but the program of 2.2 says this when it is to verify what it made.
    Unverified(&'static str),
    /// The program cannot do it, and says this.
    Not(&'static str),
    /// No such key does that.
    Never,
}

/// The table's columns.
pub(crate) const COLUMNS: [(Job, &str); 5] = [
    (Job::GpgSigns, "gpg signs"),
    (Job::GpgDecrypts, "gpg decrypts"),
    (Job::SshLogsIn, "ssh logs in"),
    (Job::GpgsmSigns, "gpgsm signs"),
    (Job::GpgsmDecrypts, "gpgsm decrypts"),
];

/// gpgsm 2.2 knows no certificates of curves as recipients.
const NO_CURVES: &str = "ksba_cms_set_enc_val failed: Invalid S-expression";
/// gpgsm has no name for Ed25519 in a signature.
const NO_EDDSA: &str = "Invalid OID string";
/// gpgsm 2.2 wants a hash as long as the group's order.
const NO_521_BITS: &str = "DSA requires the hash length to be a multiple of 8 bits";

use Goes::{Never, Not, Since24, Unverified, Well};

/// The table's rows.
pub(crate) const KINDS: [Kind; 9] = [
    Kind { file: "rsa2048", title: "RSA-2048", goes: [Well, Well, Well, Well, Well] },
    Kind { file: "rsa3072", title: "RSA-3072", goes: [Well, Well, Well, Well, Well] },
    Kind { file: "rsa4096", title: "RSA-4096", goes: [Well, Well, Well, Well, Well] },
    Kind { file: "p256", title: "P-256", goes: [Well, Well, Well, Well, Since24(NO_CURVES)] },
    Kind { file: "p384", title: "P-384", goes: [Well, Well, Well, Well, Since24(NO_CURVES)] },
    Kind {
        file: "p521",
        title: "P-521",
        goes: [Well, Well, Well, Unverified(NO_521_BITS), Since24(NO_CURVES)],
    },
    Kind {
        file: "p256-ecdh",
        title: "P-256, for ECDH only",
        goes: [Never, Well, Never, Never, Since24(NO_CURVES)],
    },
    Kind { file: "ed25519", title: "Ed25519", goes: [Well, Never, Well, Not(NO_EDDSA), Never] },
    Kind { file: "x25519", title: "X25519", goes: [Never, Well, Never, Never, Since24(NO_CURVES)] },
];

impl Kind {
    /// How a job goes with it.
    pub(crate) fn goes(&self, job: Job) -> Goes {
        let at = COLUMNS.iter().position(|(column, _)| *column == job).expect("each job is a column");
        self.goes[at]
    }

    /// The words of a recipe that make one.
    pub(crate) fn recipe(&self, more: &str) -> String {
        let usage = if self.file == "p256-ecdh" { "usage=derive" } else { "" };
        format!("token office\nkey {} id=01 {usage} {more}\n", self.file)
    }
}

const PAGE: &str = "docs/tokens.md";
const BEGIN: &str = "<!-- made by `make docs` from agent/tests/tokens/kinds.rs -->\n";
const END: &str = "<!-- end -->\n";

fn table() -> String {
    let mut table = format!("| key | {} |\n", COLUMNS.map(|(_, title)| title).join(" | "));
    table += &format!("|---|{}\n", "---|".repeat(COLUMNS.len()));
    for kind in &KINDS {
        table += &format!("| {} | {} |\n", kind.title, kind.goes.map(cell).join(" | "));
    }
    table
}

fn cell(goes: Goes) -> String {
    match goes {
        Well => "yes".to_owned(),
        Since24(_) => "from GnuPG 2.4 on".to_owned(),
        Unverified(_) => "yes, but GnuPG 2.2 cannot verify it".to_owned(),
        Not(says) => format!("no: “{says}”"),
        Never => "–".to_owned(),
    }
}

/// The page with the table as it is to be.
fn page(found: &str) -> String {
    let (before, rest) = found.split_once(BEGIN).expect("the page has a place for the table");
    let (_, after) = rest.split_once(END).expect("the place ends");
    format!("{before}{BEGIN}{}{END}{after}", table())
}

#[test]
fn the_page_of_tokens_is_not_stale() {
    let found = fs::read_to_string(repository(PAGE)).expect("the page is there");
    assert!(found == page(&found), "{PAGE} is stale: run `make docs`");
}

#[test]
#[ignore = "a tool: `make docs` writes the table with it"]
fn write_the_documents() {
    let found = fs::read_to_string(repository(PAGE)).expect("the page is there");
    fs::write(repository(PAGE), page(&found)).expect("docs/ is writable");
}
