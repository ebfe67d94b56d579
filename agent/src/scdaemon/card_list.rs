//! Lists of cards and applications, as GETINFO and SWITCHAPP give them.

use claviger_cards::deck::TokenHandle;

/// The names that GnuPG has for applications, in its order. Only the first is driven here; the others' cards are to be
/// used as PKCS#11 tokens.
pub(super) const APPLICATIONS: [&str; 7] = ["openpgp", "piv", "nks", "p15", "geldkarte", "dinsig", "sc-hsm"];

/// `SERIALNO` with the card's applications behind it.
pub(super) fn with_applications(token: &TokenHandle) -> String {
    format!("{} openpgp", token.serial())
}
