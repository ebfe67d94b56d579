//! The commands and their options: one table feeds the command line and all help.

use std::ops::RangeInclusive;

use super::command_line::Given;
use super::failure::Failure;
use super::{change, import, key, list, make, read};

/// A command.
pub(super) struct Command {
    /// Its family and its name.
    pub(super) words: [&'static str; 2],
    /// What stands behind the name, in help.
    pub(super) arguments: &'static str,
    /// How many operands it takes.
    pub(super) operands: RangeInclusive<usize>,
    /// One line, for lists.
    pub(super) help: &'static str,
    /// What else is to be said.
    pub(super) more: &'static str,
    /// Its options, besides [`COMMON`].
    pub(super) options: &'static [&'static Opt],
    /// Does it.
    pub(super) run: fn(&Given) -> Result<(), Failure>,
}

/// An option.
pub(super) struct Opt {
    /// Its name, without dashes.
    pub(super) name: &'static str,
    /// The name of its value, if it takes one.
    pub(super) value: Option<&'static str>,
    /// One line.
    pub(super) help: &'static str,
}

const fn flag(name: &'static str, help: &'static str) -> Opt {
    Opt { name, value: None, help }
}

const fn valued(name: &'static str, value: &'static str, help: &'static str) -> Opt {
    Opt { name, value: Some(value), help }
}

/// What every command takes.
pub(super) const COMMON: &[&Opt] = &[
    &valued("homedir", "DIR", "GnuPG's home, instead of GNUPGHOME or ~/.gnupg"),
    &flag("help", "show this text"),
];

const JSON: Opt = flag("json", "write JSON, for programs");
const TOKEN: Opt = valued("token", "SERIALNO", "only those of this card; \"store\" for the local store");
const AUTHORITIES: Opt = flag("ca", "only certificates of certification authorities");
const NO_AUTHORITIES: Opt = flag("no-ca", "only certificates of others");
const PEM: Opt = flag("pem", "write PEM, which is text (unless told otherwise)");
const DER: Opt = flag("der", "write DER, which is binary");
const CHAIN: Opt = flag("chain", "also the issuers' certificates, as far as they are here");
const OUTPUT: Opt = valued("output", "FILE", "write to FILE instead of standard output");
const FORCE: Opt = flag("force", "even what is no certificate of the key in that slot");
const YES: Opt = flag("yes", "do not ask");
const USER_ID: Opt = valued("user-id", "USER-ID", "whose it is: \"Name <mail address>\"");
const DAYS: Opt = valued("days", "N", "valid for N days from now on (730)");
const WRITE: Opt = flag("write", "also put it on the card, beside its key");

/// What a person may write for a certificate.
const REFERENCES: &str = "\
REF is an id that claviger cert list shows, OPENPGP.1 to OPENPGP.3 for a slot of
the card, a keygrip, fpr:FINGERPRINT of the OpenPGP key, sha1: or sha256: with
the certificate's own fingerprint, or #SERIAL/ISSUER as gpgsm writes it.";

/// What a person may write for a key.
const KEYS: &str = "\
KEY is OPENPGP.1 to OPENPGP.3 for a slot of the card, SERIALNO/OPENPGP.n, a
keygrip, or fpr:FINGERPRINT of the OpenPGP key.";

/// What is said where something is signed.
const MADE: &str = "\
It is for a client of TLS. The subject is made of the OpenPGP user id, which is
given, or found in the local stores by the key's fingerprint; else of name and
login data on the card. Where it is from is said. The fingerprint is among its
other names (openpgp4fpr:). The PIN is asked for.

KEY is OPENPGP.1 or OPENPGP.3 for a slot of the card, SERIALNO/OPENPGP.n, a
keygrip, or fpr:FINGERPRINT of the OpenPGP key.";

/// All commands, in the order of help.
pub(super) static COMMANDS: &[Command] = &[
    Command {
        words: ["cert", "list"],
        arguments: "[REF]",
        operands: 0..=1,
        help: "list certificates on all cards and in the local store",
        more: REFERENCES,
        options: &[&TOKEN, &AUTHORITIES, &NO_AUTHORITIES, &JSON],
        run: list::list,
    },
    Command {
        words: ["cert", "show"],
        arguments: "REF",
        operands: 1..=1,
        help: "show what a certificate says",
        more: REFERENCES,
        options: &[&JSON],
        run: read::show,
    },
    Command {
        words: ["cert", "import"],
        arguments: "FILE...",
        operands: 1..=usize::MAX,
        help: "put certificates (PEM or DER) into the local store",
        more: "\
The store is the folder claviger-certs.d in GnuPG's home. Its certificates are
listed and served as if they were on a card: for keys whose card has no room,
and for chains. What gpgsm has in its keybox need not be imported.",
        options: &[],
        run: import::import,
    },
    Command {
        words: ["cert", "export"],
        arguments: "REF",
        operands: 1..=1,
        help: "write a certificate to standard output or a file",
        more: REFERENCES,
        options: &[&PEM, &DER, &CHAIN, &OUTPUT],
        run: read::export,
    },
    Command {
        words: ["cert", "write"],
        arguments: "REF FILE",
        operands: 2..=2,
        help: "put the certificate in FILE (PEM or DER) on a card",
        more: "\
REF is the slot: OPENPGP.1 to OPENPGP.3, SERIALNO/OPENPGP.n, a keygrip or
fpr:FINGERPRINT of its OpenPGP key. The card's Admin PIN is asked for.",
        options: &[&FORCE],
        run: change::write,
    },
    Command {
        words: ["cert", "delete"],
        arguments: "REF",
        operands: 1..=1,
        help: "remove a certificate from its card or the local store",
        more: REFERENCES,
        options: &[&YES],
        run: change::delete,
    },
    Command {
        words: ["cert", "self-sign"],
        arguments: "KEY",
        operands: 1..=1,
        help: "make a certificate that a card's key signs itself",
        more: MADE,
        options: &[&USER_ID, &DAYS, &WRITE, &PEM, &DER, &OUTPUT],
        run: make::self_sign,
    },
    Command {
        words: ["cert", "csr"],
        arguments: "KEY",
        operands: 1..=1,
        help: "make a request to a certification authority (PKCS#10)",
        more: MADE,
        options: &[&USER_ID, &PEM, &DER, &OUTPUT],
        run: make::csr,
    },
    Command {
        words: ["key", "spki"],
        arguments: "KEY",
        operands: 1..=1,
        help: "write a card's public key (SubjectPublicKeyInfo)",
        more: KEYS,
        options: &[&PEM, &DER, &OUTPUT],
        run: key::spki,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_once_and_everything_has_help() {
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.words).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COMMANDS.len());
        for command in COMMANDS {
            let options = command.options.iter().chain(COMMON);
            let mut names: Vec<_> = options.clone().map(|option| option.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), command.options.len() + COMMON.len(), "{:?}", command.words);
            assert!(!command.help.is_empty() && options.clone().all(|option| !option.help.is_empty()));
        }
    }
}
