//! How a client names a key of a PKCS#11 token, and the token that has it.
//!
//! | name | means |
//! |---|---|
//! | `SoftHSM\x20project/…/tls/01` | as LEARN gives it; or as gnupg-pkcs11-scd, or Fedora's, gave it: stubs of old have that |
//! | `pkcs11:token=tls;id=%01` | the one key that the URI fits (RFC 7512) |
//! | `<serialno>` | the key in the place of an OpenPGP card's that the operation takes |
//! | `<serialno>/<hex>` | the key with that keygrip or that `CKA_ID` |
//! | `OPENPGP.1` | on the session's token, the key in that place |
//!
//! What is no keygrip and no OpenPGP card's comes here.

use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::pkcs11::{Facts, Key, KeyNumber};
use claviger_cards::token::Slot;
use claviger_keys::pkcs11::uri::{ObjectType, Uri, Whereabouts};
use claviger_keys::{Keygrip, pkcs11::key_id::KeyId};

use super::errors::scd;
use super::holders::{Holder, Place};
use super::session::Session;
use super::token_keys;
use crate::hex;

/// What a URI begins with.
pub(super) const SCHEME: &str = "pkcs11:";

/// The key of that name, on the session's token or else on the first that has one. `None` if none here has.
///
/// # Errors
/// INV_ID for what is no name; AMBIGUOUS_NAME for a URI that fits several keys.
pub(super) async fn find(session: &Session, text: &str) -> Result<Option<Holder>, Error> {
    let name = Name::parse(text)?;
    if let Some(found) = name.look_up(session, text).await? {
        return Ok(Some(found));
    }
    // Its token may have come this moment. A reader layer that fails has no token either.
    if session.hub.deck.scan_anew().await.is_err() {
        return Ok(None);
    }
    name.look_up(session, text).await
}

/// The key that stands in the place of an OpenPGP card's on the session's token; on a card the slot itself.
///
/// # Errors
/// NO_OBJ if no key of the token is for that.
pub(super) fn in_place_of(session: &Session, token: &TokenHandle, slot: Slot) -> Result<Place, Error> {
    let Some(keys) = session.hub.tokens.keys_of(token) else { return Ok(Place::Slot(slot)) };
    keys.in_place_of(slot).map(|key| Place::Key(key.key.number)).ok_or(scd(Code::NO_OBJ))
}

/// The PKCS#11 token that answers to a serial number.
pub(super) fn with_serial(session: &Session, serial: &str) -> Option<TokenHandle> {
    let answers = |token: &TokenHandle| {
        token
            .pkcs11()
            .is_some_and(|facts| facts.serial.eq_ignore_ascii_case(serial) || facts.id.answers_to(serial))
    };
    session.token().ok().into_iter().chain(session.hub.deck.tokens()).find(answers)
}

/// The key that is meant by what follows a token's serial number: nothing, or a keygrip or `CKA_ID` behind a slash.
pub(super) fn behind_serial(
    session: &Session,
    token: &TokenHandle,
    rest: &str,
    slot: Slot,
) -> Result<Place, Error> {
    let Some(digits) = rest.strip_prefix('/') else { return in_place_of(session, token, slot) };
    let facts = token.pkcs11().ok_or(scd(Code::CARD_REMOVED))?;
    let octets = hex::read(digits.as_bytes()).ok_or(scd(Code::INV_ID))?;
    let key = with_id(&facts, &octets)?.or_else(|| facts.key_of(&Keygrip(octets.try_into().ok()?)));
    key.map(|key| Place::Key(key.number)).ok_or(scd(Code::WRONG_SECKEY))
}

/// A name, parsed but not looked up.
enum Name {
    Uri(Box<Uri>),
    /// One of gnupg-pkcs11-scd's form.
    Id,
}

impl Name {
    fn parse(text: &str) -> Result<Self, Error> {
        // One of Fedora's stubs is a URI, too; what it says is meant in either case.
        if text.starts_with(SCHEME) {
            let uri: Uri = text.parse().map_err(|error| {
                tracing::info!(%error, "the URI is refused");
                scd(Code::INV_ID)
            })?;
            return Ok(Self::Uri(Box::new(of_key(uri))));
        }
        text.parse::<KeyId>().map(|_| Self::Id).map_err(|_| scd(Code::INV_ID))
    }

    async fn look_up(&self, session: &Session, text: &str) -> Result<Option<Holder>, Error> {
        match self {
            Self::Id => Ok(token_keys::find(session, text).await.map(holder)),
            Self::Uri(uri) => match fitting(session.hub.deck.tokens(), uri)? {
                None => fitting(session.hub.all_tokens().await, uri),
                found => Ok(found),
            },
        }
    }
}

/// Private key, public key and certificate are one key here, whichever of them a URI speaks of.
fn of_key(mut uri: Uri) -> Uri {
    uri.kind = uri.kind.filter(|kind| !matches!(kind, ObjectType::Public | ObjectType::Certificate));
    uri
}

fn holder((token, number): (TokenHandle, KeyNumber)) -> Holder {
    Holder { token, place: Place::Key(number) }
}

/// The key that a URI fits, if it fits one alone.
fn fitting(tokens: Vec<TokenHandle>, uri: &Uri) -> Result<Option<Holder>, Error> {
    let mut found = tokens.into_iter().flat_map(|token| {
        let facts = token.pkcs11().filter(|facts| uri.matches_token(&facts.id, &whereabouts(facts)));
        let keys = facts.iter().flat_map(|facts| &facts.keys);
        let fits = |key: &&Key| uri.matches_object(&key.id, &key.label, ObjectType::Private);
        let numbers: Vec<_> = keys.filter(fits).map(|key| key.number).collect();
        numbers.into_iter().map(move |number| holder((token.clone(), number)))
    });
    match (found.next(), found.count()) {
        (first, 0) => Ok(first),
        (_, others) => {
            let text = format!("{} keys fit; say more of the one that is meant", others.saturating_add(1));
            Err(scd(Code::AMBIGUOUS_NAME).with_text(text))
        }
    }
}

/// Where a token is, for URIs that speak of that.
pub(super) fn whereabouts(facts: &Facts) -> Whereabouts<'_> {
    Whereabouts {
        slot: Some(facts.slot),
        slot_description: Some(&facts.slot_description),
        ..Whereabouts::default()
    }
}

/// The key with this `CKA_ID`.
fn with_id<'f>(facts: &'f Facts, id: &[u8]) -> Result<Option<&'f Key>, Error> {
    let mut keys = facts.keys.iter().filter(|key| key.id == id);
    match (keys.next(), keys.next()) {
        (Some(_), Some(_)) => {
            Err(scd(Code::AMBIGUOUS_NAME).with_text("several keys have this id; name the one by its keygrip"))
        }
        (first, _) => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_token::{DERIVE, Office, SERIAL, SIGN, grip, token};

    const KEY: &str = r"SoftHSM\x20project/SoftHSM\x20v2/4dd5289f1942f77a/tls";

    /// What is said to an operation with a key of that name. These tokens are gone when they are to do something.
    async fn said(command: &str, name: &str) -> String {
        let keys = token().with_key(&[1], "leaf", SIGN).labelled("mail");
        let keys = keys.with_key(&[2], "ed25519", SIGN).with_key(&[3], "x25519", DERIVE);
        let mut other = token().with_key(&[1], "P-384", SIGN);
        other.0.id.label = "other".to_owned();
        other.0.serial = other.0.id.gnupg_serial();
        let office = Office::new([keys, other], &[]);
        let said = office
            .says(&["SETDATA 0707070707070707070707070707070707070707", &format!("{command} {name}")])
            .await;
        said[1].clone()
    }

    const FOUND: &str = "ERR 100663406 Card removed <SCD>";
    const NO_KEY: &str = "ERR 100663313 No secret key <SCD>";
    const NO_NAME: &str = "ERR 100663414 Invalid ID <SCD>";

    #[tokio::test(start_paused = true)]
    async fn a_key_has_many_names() {
        let names = [
            grip("leaf"),
            format!("{KEY}/01"),
            "pkcs11:token=tls;object=mail".to_owned(),
            "pkcs11:token=tls;id=%01;type=cert".to_owned(),
            SERIAL.to_owned(),
            format!("{SERIAL}/02"),
            format!("{SERIAL}/{}", grip("leaf")),
        ];
        for name in names {
            let said = said("PKSIGN", &name).await;
            assert!(said.starts_with(FOUND), "{name}: {said}");
        }
        assert!(said("PKSIGN", "OPENPGP.1").await.starts_with(FOUND), "of the newest token");
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_fit_no_key_or_several_are_told_apart_from_what_is_none() {
        for (name, error) in [
            (format!("{KEY}/09"), NO_KEY),
            ("pkcs11:object=nothing".to_owned(), NO_KEY),
            ("pkcs11:id=%01".to_owned(), "ERR 100663403 Ambiguous name <SCD> - 2 keys fit"),
            ("pkcs11:token=tls;type=data".to_owned(), NO_KEY),
            ("pkcs11:id=%0".to_owned(), NO_NAME),
            ("mail".to_owned(), NO_NAME),
            (format!("{SERIAL}/09"), "ERR 100663314 Wrong secret key used <SCD>"),
            (format!("{SERIAL}/0"), NO_NAME),
        ] {
            let said = said("PKSIGN", &name).await;
            assert!(said.starts_with(error), "{name}: {said}");
        }
        assert!(said("PKDECRYPT", "OPENPGP.2").await.starts_with("ERR 100663364 "), "of the newest token");
        assert!(said("PKSIGN", "OPENPGP.2").await.starts_with(NO_NAME));
    }
}
