//! Lists of cards and applications, as GETINFO and SWITCHAPP give them.

use claviger_cards::deck::TokenHandle;

use super::token_status;

/// The application of an OpenPGP card.
pub(super) const OPENPGP: &str = "openpgp";

/// The names that applications have: GnuPG's, in its order, and behind them that of PKCS#11 tokens, as which we serve the
/// cards of all but the first.
pub(super) const APPLICATIONS: [&str; 8] =
    [OPENPGP, "piv", "nks", "p15", "geldkarte", "dinsig", "sc-hsm", token_status::APPLICATION];

/// The application on a card or token.
pub(super) fn application(token: &TokenHandle) -> &'static str {
    if token.pkcs11().is_some() { token_status::APPLICATION } else { OPENPGP }
}

/// `SERIALNO` with the card's applications behind it.
pub(super) fn with_applications(token: &TokenHandle) -> String {
    format!("{} {}", token.serial(), application(token))
}
