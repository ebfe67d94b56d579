//! Lists of cards and applications, as GETINFO and SWITCHAPP give them.

use claviger_cards::deck::TokenHandle;

use super::token_status;

/// The application of an OpenPGP card.
pub(super) const OPENPGP: &str = "openpgp";

/// Not an application: the card as it is, for raw commands.
pub(super) const UNDEFINED: &str = "undefined";

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

/// What a client can ask for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Application {
    /// An OpenPGP card.
    OpenPgp,
    /// A PKCS#11 token.
    Pkcs11,
    /// A card for raw commands.
    Undefined,
    /// One that nothing here has.
    Other,
}

impl Application {
    /// What is called so, in any case.
    pub(super) fn called(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            OPENPGP => Self::OpenPgp,
            token_status::APPLICATION => Self::Pkcs11,
            UNDEFINED => Self::Undefined,
            _ => Self::Other,
        }
    }

    /// Whether a card or token has it. Raw commands go to cards only.
    pub(super) fn is_on(self, token: &TokenHandle) -> bool {
        match self {
            Self::OpenPgp | Self::Undefined => token.card().is_some(),
            Self::Pkcs11 => token.pkcs11().is_some(),
            Self::Other => false,
        }
    }
}
