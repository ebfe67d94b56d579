//! A key that a command works with: where it is, and what is known of it. The same for OpenPGP cards and PKCS#11 tokens, so
//! that what depends on the kind of key is decided once for both.

use std::sync::Arc;

use claviger_assuan::error::{Code, Error};
use claviger_cards::facts::Facts;
use claviger_cards::pkcs11::{self, SignScheme};
use claviger_keys::{CurveKind, PublicKey};

use super::errors::scd;
use super::holders::Place;
use super::key_reference::load_key;
use super::session::Session;

/// A key in its place.
pub(super) struct LocatedKey {
    pub(super) place: Place,
    known: Known,
}

/// What is known of the token that has it.
enum Known {
    Card(Arc<Facts>),
    Token(Arc<pkcs11::Facts>),
}

impl LocatedKey {
    /// The key in this place of the session's token. On an OpenPGP card its public key is read, if it was not yet.
    pub(super) async fn load(session: &mut Session, place: Place) -> Result<Self, Error> {
        let known = match place {
            Place::Slot(slot) => {
                load_key(session, slot).await?;
                Known::Card(session.facts()?)
            }
            Place::Key(_) => Known::Token(session.token()?.pkcs11().ok_or(scd(Code::CARD_REMOVED))?),
        };
        Ok(Self { place, known })
    }

    /// The public key, if there is one that we know.
    pub(super) fn public(&self) -> Option<&PublicKey> {
        match (&self.known, self.place) {
            (Known::Card(facts), Place::Slot(slot)) => facts.public_key(slot),
            (Known::Token(facts), Place::Key(number)) => facts.key(number)?.public(),
            _ => None,
        }
    }

    /// How it signs, unless something else is asked for.
    pub(super) fn scheme(&self) -> Result<SignScheme, Error> {
        let curve = match (self.public(), self.place) {
            (Some(PublicKey::Rsa(_)), _) => return Ok(SignScheme::RsaPkcs1),
            (Some(PublicKey::Ecc(key)), _) => key.curve().kind(),
            (None, Place::Slot(_)) => return Err(scd(Code::NO_OBJ)),
            (None, Place::Key(_)) => {
                return Err(
                    scd(Code::UNSUPPORTED_ALGORITHM).with_text("GnuPG has no name for keys of this kind")
                );
            }
        };
        match curve {
            CurveKind::Weierstrass => Ok(SignScheme::Ecdsa),
            CurveKind::Edwards => Ok(SignScheme::EdDsa),
            CurveKind::Montgomery => Err(scd(Code::WRONG_PUBKEY_ALGO)),
        }
    }
}
