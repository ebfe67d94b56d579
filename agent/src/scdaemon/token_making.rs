//! GENKEY and WRITEKEY on PKCS#11 tokens: how a new key is called there, and what it is for.
//!
//! | the client says | `CKA_ID` | `CKA_LABEL` | for |
//! |---|---|---|---|
//! | `1`, `OPENPGP.1` | 01 | `Signature key` | signatures |
//! | `2`, `OPENPGP.2` | 02 | `Encryption key` | decryption, or key agreement |
//! | `3`, `OPENPGP.3` | 03 | `Authentication key` | signatures |
//! | `pkcs11:id=%0A;object=mail` | as it says, else the first free one | as it says | what its algorithm can |
//! | `SoftHSM\x20project/…/tls/0A` | as it says | none | " |
//! | `0A` (hexadecimal digits) | these | none | " |
//! | `mail` | the first free one | this | " |
//!
//! A key that is there is never replaced: what is lost on a token is lost for good, so its own tools are for that.

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::pkcs11::{self, Facts, NewKey, ObjectName, Usage};
use claviger_cards::token::{Reply, Request, Slot};
use claviger_keys::pkcs11::key_id::{KeyId, ObjectId};
use claviger_keys::pkcs11::uri::Uri;
use claviger_keys::{Curve, CurveKind, PublicKey, SecretKey};

use super::errors::scd;
use super::generate::{self, Made};
use super::key_reference::slot_or_number;
use super::perform::unexpected;
use super::session::Session;
use super::{parse, token_reference, token_status};
use crate::hex;

/// The longest `CKA_ID` that is given to a key, in octets: a status line has to hold it.
const MAX_ID: usize = 128;

/// The sizes of RSA keys that may be asked for, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 1024..=8192;

/// What is made where no algorithm is named: what every token has.
const DEFAULT: NewKey = NewKey::Rsa(2048);

/// The place of a key that is not there yet.
#[derive(Debug)]
pub(super) struct NewPlace {
    name: ObjectName,
    wanted: Wanted,
}

/// What a new key is to be for; all its algorithm can, if nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    signs: bool,
    encrypts: bool,
}

impl Wanted {
    /// Of the letters in `--usage`: s, c and a for signatures, e for decryption and key agreement.
    ///
    /// # Errors
    /// INV_VALUE for any other letter.
    pub(super) fn of_letters(letters: &[u8]) -> Result<Self, Error> {
        if !letters.iter().all(|letter| b"scae".contains(letter)) {
            return Err(scd(Code::INV_VALUE).with_text("letters of --usage are s, c, a and e"));
        }
        let encrypts = letters.contains(&b'e');
        Ok(Self { signs: letters.iter().any(|letter| *letter != b'e'), encrypts })
    }

    fn of_slot(slot: Slot) -> Self {
        let encrypts = slot == Slot::Decrypt;
        Self { signs: !encrypts, encrypts }
    }

    /// What a key on a curve, or an RSA key, is made for.
    fn usage(self, curve: Option<CurveKind>) -> Result<Usage, Error> {
        let Self { signs, encrypts } = match (self, curve) {
            (Self { signs: false, encrypts: false }, None) => Self { signs: true, encrypts: true },
            (Self { signs: false, encrypts: false }, Some(CurveKind::Montgomery)) => {
                Self::of_slot(Slot::Decrypt)
            }
            (Self { signs: false, encrypts: false }, Some(_)) => Self::of_slot(Slot::Sign),
            (Self { signs: true, .. }, Some(CurveKind::Montgomery))
            | (Self { encrypts: true, .. }, Some(CurveKind::Edwards)) => {
                return Err(scd(Code::WRONG_PUBKEY_ALGO));
            }
            (wanted, _) => wanted,
        };
        Ok(Usage { sign: signs, decrypt: encrypts && curve.is_none(), derive: encrypts && curve.is_some() })
    }
}

/// The place on a token that `text` names for a new key; its token serves the command. `None` if an OpenPGP card's is meant.
///
/// # Errors
/// EEXIST where a key is; NOT_SUPPORTED if it is to be replaced by `force`.
pub(super) fn place(
    session: &mut Session,
    text: &str,
    force: bool,
    usage: Option<Wanted>,
) -> Result<Option<NewPlace>, Error> {
    let own = session.token()?;
    let Some(name) = Name::parse(text, own.pkcs11().is_some())? else { return Ok(None) };
    let tokens = std::iter::once(own.clone()).chain(session.hub.deck.tokens());
    let token = tokens.into_iter().find(|token| name.is_on(token)).ok_or(scd(Code::ENODEV))?;
    let facts = token.pkcs11().ok_or(scd(Code::CARD_REMOVED))?;
    if own.insertion() != token.insertion() {
        session.borrow(token);
    }
    let wanted = usage.unwrap_or_else(|| name.slot.map(Wanted::of_slot).unwrap_or_default());
    let name = name.on(&facts)?;
    if facts.keys.iter().any(|key| key.id == name.id) {
        return Err(occupied(force));
    }
    Ok(Some(NewPlace { name, wanted }))
}

/// What a client calls a key that is not there yet.
#[derive(Debug, Default, PartialEq, Eq)]
struct Name {
    /// Which token, where it says so.
    token: Option<Uri>,
    id: Option<Vec<u8>>,
    label: String,
    slot: Option<Slot>,
}

impl Name {
    /// Parses a name; `bare` says that names which tell of no token are of one, too. `None` if none is of a token.
    fn parse(text: &str, bare: bool) -> Result<Option<Self>, Error> {
        if text.starts_with(token_reference::SCHEME) {
            let uri: Uri = text.parse().map_err(|_| scd(Code::INV_ID))?;
            let (id, label) = (uri.id.clone(), uri.object.clone().unwrap_or_default());
            return Ok(Some(Self { token: Some(uri), id, label, slot: None }));
        }
        if let Ok(KeyId { token, object: ObjectId::Octets(id) }) = text.parse() {
            return Ok(Some(Self { token: Some(Uri::of_token(&token)), id: Some(id), ..Self::default() }));
        }
        if !bare {
            return Ok(None);
        }
        if let Some(slot) = slot_or_number(text) {
            let (number, label) = match slot {
                Slot::Sign => (1, "Signature key"),
                Slot::Decrypt => (2, "Encryption key"),
                Slot::Authenticate => (3, "Authentication key"),
            };
            let slot = Some(slot);
            return Ok(Some(Self { id: Some(vec![number]), label: label.to_owned(), slot, token: None }));
        }
        Ok(Some(match hex::read(text.as_bytes()) {
            Some(id) => Self { id: Some(id), ..Self::default() },
            None => Self { label: text.to_owned(), ..Self::default() },
        }))
    }

    fn is_on(&self, token: &TokenHandle) -> bool {
        let Some(facts) = token.pkcs11() else { return false };
        let fits = |uri: &Uri| uri.matches_token(&facts.id, &token_reference::whereabouts(&facts));
        self.token.as_ref().is_none_or(fits)
    }

    fn on(self, facts: &Facts) -> Result<ObjectName, Error> {
        let id = self.id.or_else(|| free_id(facts)).ok_or(scd(Code::TOO_MANY))?;
        if (1..=MAX_ID).contains(&id.len()) {
            Ok(ObjectName { id, label: self.label })
        } else {
            Err(scd(Code::INV_ID))
        }
    }
}

/// The first `CKA_ID` of one octet, else of two, that neither a key nor a certificate has.
fn free_id(facts: &Facts) -> Option<Vec<u8>> {
    let taken = |id: &[u8]| {
        facts.keys.iter().any(|key| key.id == id) || facts.certificates.iter().any(|held| held.id == id)
    };
    let short = (1..=u8::MAX).map(|number| vec![number]);
    let long = (0..=u16::MAX).map(|number| number.to_be_bytes().to_vec());
    short.chain(long).find(|id| !taken(id))
}

fn occupied(force: bool) -> Error {
    if force {
        let text = "keys of a token are not replaced; remove it with a tool of the token, or name another id";
        scd(Code::NOT_SUPPORTED).with_text(text)
    } else {
        scd(Code::EEXIST)
    }
}

/// Has the session's token make a key, and tells of it.
///
/// # Errors
/// INV_DATA for an algorithm that is not known; those of the token.
pub(super) async fn generate(
    session: &mut Session,
    NewPlace { name, wanted }: NewPlace,
    (algorithm, created): (Option<&str>, u32),
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let kind = algorithm.map_or(Ok(DEFAULT), kind)?;
    let curve = match kind {
        NewKey::Rsa(_) => None,
        NewKey::Ecc(curve) => Some(curve),
    };
    let usage = wanted.usage(curve.map(Curve::kind))?;
    let request = Request::Pkcs11(pkcs11::Request::Generate { kind, name, usage });
    let key = match session.perform(request, talk).await? {
        Reply::PublicKey(key) => key,
        other => return Err(unexpected(&other)),
    };
    let decrypts = !usage.sign;
    let ecdh = curve.filter(|_| decrypts).map(|curve| generate::ecdh_of(curve, session.speaks_24));
    generate::report(&Made { key: &key, decrypts, created, ecdh }, talk);
    report_name(session, &key, created, talk)
}

/// KEYPAIRINFO of a key that was made just now: how it is called.
fn report_name(
    session: &Session,
    key: &PublicKey,
    created: u32,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let token = session.token()?;
    let keys = session.hub.tokens.keys_of(&token).ok_or(scd(Code::CARD_REMOVED))?;
    let number = keys.facts().key_of(&key.keygrip()).map(|key| key.number);
    if let Some(shown) = number.and_then(|number| keys.numbered(number)) {
        talk.status("KEYPAIRINFO", token_status::key_pair(shown, Some(created)).as_bytes());
    }
    Ok(())
}

/// Writes a key to the session's token.
///
/// # Errors
/// EEXIST if the token has it already; those of the token.
pub(super) async fn import(
    session: &mut Session,
    NewPlace { name, wanted }: NewPlace,
    key: SecretKey,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let public = key.public();
    let facts = session.token()?.pkcs11().ok_or(scd(Code::CARD_REMOVED))?;
    if facts.key_of(&public.keygrip()).is_some() {
        return Err(scd(Code::EEXIST).with_text("the token has this key already"));
    }
    let usage = wanted.usage(public.curve().map(Curve::kind))?;
    let import = pkcs11::Request::Import { key: Box::new(key), name, usage };
    session.perform(Request::Pkcs11(import), talk).await.map(drop)
}

/// The kind of key of a name as in `--algo`: `rsa3072`, `nistp256`, `ed25519`.
fn kind(name: &str) -> Result<NewKey, Error> {
    let lower = name.to_ascii_lowercase();
    let Some(digits) = lower.strip_prefix("rsa") else {
        return Curve::from_name(name).map(NewKey::Ecc).ok_or(scd(Code::INV_DATA));
    };
    match parse::leading_number(digits.as_bytes()) {
        bits if bits < *RSA_BITS.start() => Err(scd(Code::TOO_SHORT)),
        bits if bits > *RSA_BITS.end() => Err(scd(Code::TOO_LARGE)),
        bits => Ok(NewKey::Rsa(bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_token::{SIGN, token};
    use super::*;

    fn named(text: &str) -> ObjectName {
        let facts = token().with_key(&[1], "leaf", SIGN).with_certificate(&[2], "middle").0;
        Name::parse(text, true).unwrap().unwrap().on(&facts).unwrap()
    }

    fn name(id: &[u8], label: &str) -> ObjectName {
        ObjectName { id: id.to_vec(), label: label.to_owned() }
    }

    #[test]
    fn a_new_key_is_called_as_the_client_says() {
        assert_eq!(named("2"), name(&[2], "Encryption key"));
        assert_eq!(named("OPENPGP.3"), name(&[3], "Authentication key"));
        assert_eq!(named("0aFF"), name(&[10, 255], ""));
        assert_eq!(named("mail"), name(&[3], "mail"), "the first id that neither key nor certificate has");
        assert_eq!(named("pkcs11:object=my%20mail"), name(&[3], "my mail"));
        assert_eq!(named("pkcs11:token=tls;id=%0a;object=a"), name(&[10], "a"));
        assert_eq!(named(r"SoftHSM\x20project/SoftHSM\x20v2/4dd5289f1942f77a/tls/0B"), name(&[11], ""));
    }

    #[test]
    fn names_without_a_token_are_a_card_s_where_the_session_has_one() {
        assert_eq!(Name::parse("1", false).unwrap(), None);
        assert_eq!(Name::parse("mail", false).unwrap(), None);
        assert!(Name::parse("pkcs11:token=tls;object=a", false).unwrap().is_some());
        assert_eq!(Name::parse("pkcs11:id", true).unwrap_err().code(), Code::INV_ID);
    }

    #[test]
    fn an_id_is_neither_empty_nor_longer_than_a_status_line_holds() {
        let facts = token().0;
        for id in [String::new(), "01".repeat(MAX_ID + 1)] {
            let uri = format!("pkcs11:id={}", id.replace("01", "%01"));
            let name = Name::parse(&uri, true).unwrap().unwrap();
            assert_eq!(name.on(&facts).unwrap_err().code(), Code::INV_ID, "{uri}");
        }
    }

    #[test]
    fn the_two_hundred_and_fifty_sixth_id_has_two_octets() {
        let full = (1..=u8::MAX).fold(token(), |sample, id| {
            sample.with_key_of_kind(&[id], pkcs11::KeyKind::Other("ml-dsa-65".to_owned()), SIGN)
        });
        assert_eq!(free_id(&full.0), Some(vec![0, 0]));
    }

    fn usage(letters: &str, curve: Option<CurveKind>) -> Result<(bool, bool, bool), Code> {
        let usage = Wanted::of_letters(letters.as_bytes()).and_then(|wanted| wanted.usage(curve));
        usage.map(|usage| (usage.sign, usage.decrypt, usage.derive)).map_err(|error| error.code())
    }

    #[test]
    fn a_key_is_made_for_what_is_wanted_and_its_algorithm_can() {
        use CurveKind::{Edwards, Montgomery, Weierstrass};
        assert_eq!(usage("", None), Ok((true, true, false)));
        assert_eq!(usage("e", None), Ok((false, true, false)));
        assert_eq!(usage("", Some(Weierstrass)), Ok((true, false, false)));
        assert_eq!(usage("se", Some(Weierstrass)), Ok((true, false, true)));
        assert_eq!(usage("a", Some(Edwards)), Ok((true, false, false)));
        assert_eq!(usage("", Some(Montgomery)), Ok((false, false, true)));
        assert_eq!(usage("s", Some(Montgomery)), Err(Code::WRONG_PUBKEY_ALGO));
        assert_eq!(usage("se", Some(Edwards)), Err(Code::WRONG_PUBKEY_ALGO));
        assert_eq!(usage("x", None), Err(Code::INV_VALUE));
    }

    #[test]
    fn algorithms_are_called_as_on_cards() {
        assert_eq!(kind("RSA3072"), Ok(NewKey::Rsa(3072)));
        assert_eq!(kind("nistp256"), Ok(NewKey::Ecc(Curve::NistP256)));
        assert_eq!(kind("cv25519"), Ok(NewKey::Ecc(Curve::Curve25519)));
        for (name, code) in
            [("rsa512", Code::TOO_SHORT), ("rsa99999", Code::TOO_LARGE), ("dsa", Code::INV_DATA)]
        {
            assert_eq!(kind(name).unwrap_err().code(), code);
        }
    }
}
