//! SETATTR: writes an attribute of the card.

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_assuan::escape::unescape_percent_plus;
use claviger_cards::facts::Facts;
use claviger_cards::token::{DataObject, Request as CardRequest, Slot};
use claviger_keys::{Curve, CurveKind, OpenPgpAlgorithm};
use zeroize::Zeroizing;

use super::errors::scd;
use super::session::Session;
use super::{Command, parse, row};
use crate::certificates::slot_called;

/// The longest value that comes by inquiry, in octets (GnuPG's MAXLEN_SETATTR).
const MAX_VALUE: usize = 16_384;

/// The sizes of RSA keys that may be asked for, in bits, and the step that sizes are rounded up to.
const RSA_BITS: std::ops::RangeInclusive<usize> = 1024..=4096;
const RSA_STEP: usize = 32;

/// The lengths of a KDF object: off, three salts (OpenPGP card 3.4, 4.3.2).
const KDF_LENGTHS: [usize; 2] = [3, 110];

/// With one salt for all PINs. Nobody sets the PINs for that; a card that does not do it itself could not be opened any more.
const KDF_WITH_ONE_SALT: usize = 90;

pub(super) static COMMANDS: &[Command] = &[row!("SETATTR", WithCard, request, setattr, HELP)];

const HELP: &str = "\
SETATTR [--inquire] <name> [<value>]

Write an attribute of the card. The value is percent-plus escaped; with
--inquire it is asked for, unescaped, by INQUIRE VALUE. The PIN that
writing takes is asked for: the PIN for PRIVATE-DO-1 and PRIVATE-DO-3,
the Admin PIN for all others.

  DISP-NAME       Surname<<Given<Names
  DISP-LANG       two letters for each language
  DISP-SEX        1 male, 2 female, 9 not announced
  LOGIN-DATA, PUBKEY-URL, PRIVATE-DO-1 ... PRIVATE-DO-4
  CHV-STATUS-1    %00: a PIN for each signature; %01: one for several
  CA-FPR-1 ... CA-FPR-3, CERT-1 ... CERT-3
  KEY-ATTR        --force <slot> <openpgp algorithm> <name>
                  (the key in that slot is lost)
  KDF             how PINs are hashed
  UIF-1 ... UIF-3 whether a key waits for a touch
  GEN-ATTST       a key's name: the card's word that it made the key,
                  in the place of the certificate (YubiKeys)
  SM-KEY-ENC, SM-KEY-MAC, AESKEY";

/// What writing an attribute means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writable {
    Object(DataObject),
    Certificate(Slot),
    Attestation,
    KeyAttributes,
}

static WRITABLE: &[(&str, Writable)] = &[
    ("DISP-NAME", Writable::Object(DataObject::Name)),
    ("DISP-LANG", Writable::Object(DataObject::Language)),
    ("DISP-SEX", Writable::Object(DataObject::Sex)),
    ("LOGIN-DATA", Writable::Object(DataObject::Login)),
    ("PUBKEY-URL", Writable::Object(DataObject::Url)),
    ("CHV-STATUS-1", Writable::Object(DataObject::PinStatus)),
    ("CA-FPR-1", Writable::Object(DataObject::CaFingerprint(1))),
    ("CA-FPR-2", Writable::Object(DataObject::CaFingerprint(2))),
    ("CA-FPR-3", Writable::Object(DataObject::CaFingerprint(3))),
    ("PRIVATE-DO-1", Writable::Object(DataObject::Private(1))),
    ("PRIVATE-DO-2", Writable::Object(DataObject::Private(2))),
    ("PRIVATE-DO-3", Writable::Object(DataObject::Private(3))),
    ("PRIVATE-DO-4", Writable::Object(DataObject::Private(4))),
    ("CERT-1", Writable::Certificate(Slot::Sign)),
    ("CERT-2", Writable::Certificate(Slot::Decrypt)),
    ("CERT-3", Writable::Certificate(Slot::Authenticate)),
    ("GEN-ATTST", Writable::Attestation),
    ("KEY-ATTR", Writable::KeyAttributes),
    ("KDF", Writable::Object(DataObject::Kdf)),
    ("UIF-1", Writable::Object(DataObject::UserInteraction(Slot::Sign))),
    ("UIF-2", Writable::Object(DataObject::UserInteraction(Slot::Decrypt))),
    ("UIF-3", Writable::Object(DataObject::UserInteraction(Slot::Authenticate))),
    ("SM-KEY-ENC", Writable::Object(DataObject::SmKeyEnc)),
    ("SM-KEY-MAC", Writable::Object(DataObject::SmKeyMac)),
    ("AESKEY", Writable::Object(DataObject::AesKey)),
];

/// What SETATTR is asked for.
struct Request {
    name: String,
    /// `None` if it is to be asked for.
    value: Option<Zeroizing<Vec<u8>>>,
}

fn request(mut arguments: Args<'_>) -> Result<Request, Error> {
    let inquire = arguments.flag("--inquire");
    let name = String::from_utf8_lossy(arguments.word()).into_owned();
    let value = (!inquire).then(|| unescape_percent_plus(arguments.rest()));
    Ok(Request { name, value })
}

async fn setattr(session: &mut Session, request: Request, talk: &mut dyn Conversation) -> Result<(), Error> {
    let value = match request.value {
        Some(value) => value,
        None => {
            let answer = talk.inquire("VALUE", b"", MAX_VALUE).await.map_err(|error| scd(error.code()))?;
            Zeroizing::new(answer.as_bytes().to_vec())
        }
    };
    if request.name.is_empty() {
        return Err(scd(Code::INV_VALUE));
    }
    session.refuse_if_admin_is_denied()?;
    let writable = WRITABLE.iter().find(|(known, _)| *known == request.name).ok_or(scd(Code::INV_NAME))?.1;
    let facts = session.facts()?;
    let card_request = match writable {
        Writable::Object(object) => {
            check_value(&facts, object, &value)?;
            CardRequest::Put(object, value.to_vec())
        }
        Writable::Certificate(slot) => CardRequest::PutCertificate(slot, value.to_vec()),
        Writable::Attestation => {
            let slot = slot_called(&String::from_utf8_lossy(&value));
            CardRequest::Attest(slot.ok_or(scd(Code::INV_ID))?)
        }
        Writable::KeyAttributes => {
            let (slot, attributes) = key_attributes(&facts, &String::from_utf8_lossy(&value))?;
            CardRequest::SetAlgorithm(slot, attributes)
        }
    };
    session.perform(card_request, talk).await?;
    if writable == Writable::Object(DataObject::Kdf) {
        // With the derivation the card's PINs have changed.
        session.hub.pins.forget(session.token()?.insertion());
    }
    Ok(())
}

fn check_value(facts: &Facts, object: DataObject, value: &[u8]) -> Result<(), Error> {
    let fits = match object {
        DataObject::Kdf => {
            KDF_LENGTHS.contains(&value.len()) || value.len() == KDF_WITH_ONE_SALT && facts.sets_pins_by_kdf()
        }
        DataObject::UserInteraction(_) => facts.has_button,
        _ => true,
    };
    if fits { Ok(()) } else { Err(scd(Code::INV_OBJ)) }
}

/// The algorithm attributes (4.4.3.9) for `--force <slot> <algorithm> <name>`.
fn key_attributes(facts: &Facts, value: &str) -> Result<(Slot, Vec<u8>), Error> {
    let mut words = value.split_ascii_whitespace();
    let (Some("--force"), Some(slot), Some(algorithm), Some(_)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(scd(Code::INV_DATA));
    };
    let number: usize = slot.parse().map_err(|_| scd(Code::INV_DATA))?;
    let index = number.checked_sub(1).ok_or(scd(Code::INV_ID))?;
    let slot = *Slot::ALL.get(index).ok_or(scd(Code::INV_ID))?;
    let algorithm: u8 = algorithm.parse().map_err(|_| scd(Code::INV_DATA))?;
    // The name is all that is left, since libgcrypt's names of curves have blanks.
    let name = value.splitn(4, ' ').last().unwrap_or_default().trim();
    let attributes = match OpenPgpAlgorithm::from_number(algorithm) {
        Some(OpenPgpAlgorithm::Rsa) => rsa_attributes(facts, slot, name)?,
        Some(algorithm) => ecc_attributes(slot, algorithm, name)?,
        None => return Err(scd(Code::PUBKEY_ALGO)),
    };
    Ok((slot, attributes))
}

fn rsa_attributes(facts: &Facts, slot: Slot, name: &str) -> Result<Vec<u8>, Error> {
    let bits = name.get(3..).map_or(0, |digits| parse::leading_number(digits.as_bytes()));
    match bits {
        _ if bits < *RSA_BITS.start() => Err(scd(Code::TOO_SHORT)),
        _ if bits > *RSA_BITS.end() => Err(scd(Code::TOO_LARGE)),
        _ => Ok(resized_rsa(&facts.algorithms[slot.index()], bits)),
    }
}

/// RSA attributes of another size: the rest stays as the card has it, or 32 bits of e and the standard import format.
pub(super) fn resized_rsa(now: &[u8], bits: usize) -> Vec<u8> {
    let rounded = u16::try_from(bits.next_multiple_of(RSA_STEP)).unwrap_or(u16::MAX);
    let [high, low] = rounded.to_be_bytes();
    match now {
        [1, _, _, rest @ ..] if rest.len() >= 3 => [&[1, high, low], rest].concat(),
        _ => vec![1, high, low, 0, 32, 0],
    }
}

fn ecc_attributes(slot: Slot, algorithm: OpenPgpAlgorithm, name: &str) -> Result<Vec<u8>, Error> {
    let curve = Curve::from_name(name).ok_or(scd(Code::INV_DATA))?;
    let for_agreement = algorithm == OpenPgpAlgorithm::Ecdh;
    if for_agreement != (slot == Slot::Decrypt) {
        return Err(scd(Code::WRONG_PUBKEY_ALGO));
    }
    Ok([&[algorithm.number()], curve.oid()].concat())
}

/// The attributes that a key of that name (`rsa2048`, `nistp256`, `ed25519` …) has in a slot.
pub(super) fn attributes_by_name(facts: &Facts, slot: Slot, name: &str) -> Result<Vec<u8>, Error> {
    if name.to_ascii_lowercase().starts_with("rsa") {
        return rsa_attributes(facts, slot, name);
    }
    let curve = Curve::from_name(name).ok_or(scd(Code::INV_DATA))?;
    let algorithm = match (slot, curve.kind()) {
        (Slot::Decrypt, CurveKind::Edwards) => return Err(scd(Code::WRONG_PUBKEY_ALGO)),
        (Slot::Decrypt, _) => OpenPgpAlgorithm::Ecdh,
        (_, CurveKind::Edwards) => OpenPgpAlgorithm::Eddsa,
        (_, CurveKind::Weierstrass) => OpenPgpAlgorithm::Ecdsa,
        (_, CurveKind::Montgomery) => return Err(scd(Code::WRONG_PUBKEY_ALGO)),
    };
    Ok([&[algorithm.number()], curve.oid()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let mut facts = Facts::unknown(String::new(), vec![]);
        facts.algorithms = [vec![1, 8, 0, 0, 17, 2], vec![18, 1], vec![22, 1]];
        facts
    }

    fn attributes(value: &str) -> Result<(Slot, Vec<u8>), Code> {
        key_attributes(&facts(), value).map_err(|error| error.code())
    }

    #[test]
    fn key_attributes_are_made_of_gpg_s_lines() {
        let ed25519 = [&[22], Curve::Ed25519.oid()].concat();
        assert_eq!(attributes("--force 1 22 ed25519"), Ok((Slot::Sign, ed25519.clone())));
        assert_eq!(attributes("--force 3 22 Ed25519"), Ok((Slot::Authenticate, ed25519)));
        let p256 = [&[18], Curve::NistP256.oid()].concat();
        assert_eq!(attributes("--force 2 18 NIST P-256"), Ok((Slot::Decrypt, p256)));
    }

    #[test]
    fn rsa_keeps_what_the_card_has_said_of_e_and_import() {
        assert_eq!(attributes("--force 1 1 rsa4096"), Ok((Slot::Sign, vec![1, 16, 0, 0, 17, 2])));
        assert_eq!(attributes("--force 2 1 rsa2047"), Ok((Slot::Decrypt, vec![1, 8, 0, 0, 32, 0])));
    }

    #[test]
    fn what_a_slot_cannot_have_is_refused() {
        for (value, code) in [
            ("1 22 ed25519", Code::INV_DATA),
            ("--force 1 22", Code::INV_DATA),
            ("--force 1 22 nonsense", Code::INV_DATA),
            ("--force 4 22 ed25519", Code::INV_ID),
            ("--force 0 22 ed25519", Code::INV_ID),
            ("--force 1 17 dsa2048", Code::PUBKEY_ALGO),
            ("--force 1 1 rsa1023", Code::TOO_SHORT),
            ("--force 1 1 rsa4097", Code::TOO_LARGE),
            ("--force 1 18 cv25519", Code::WRONG_PUBKEY_ALGO),
            ("--force 2 22 ed25519", Code::WRONG_PUBKEY_ALGO),
        ] {
            assert_eq!(attributes(value), Err(code), "{value}");
        }
    }

    #[test]
    fn one_salt_is_for_cards_that_set_their_pins_themselves() {
        let mut facts = facts();
        let fits = |facts: &Facts, length| check_value(facts, DataObject::Kdf, &vec![0; length]).is_ok();
        assert!(fits(&facts, 3) && fits(&facts, 110) && !fits(&facts, 90) && !fits(&facts, 91));
        facts.aid[8..10].copy_from_slice(&[0x00, 0x06]);
        assert!(fits(&facts, 90));
    }

    #[test]
    fn help_names_each_attribute() {
        for (name, _) in WRITABLE.iter().filter(|(name, _)| !name.ends_with(['2'])) {
            assert!(HELP.contains(name), "{name}");
        }
    }
}
