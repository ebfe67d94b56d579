//! PKDECRYPT: deciphers with a card's key.
//!
//! GnuPG sends cryptograms as multi-precision integers, which lose leading zeros or gain one, and points with its own
//! prefixes. This room turns them into what a card takes, and the answer back into what GnuPG expects (GnuPG's scd,
//! `app-openpgp.c`; OpenPGP card 3.4, 7.2.11).

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::token::{Cryptogram, Reply, Request as CardRequest, Slot};
use claviger_keys::{Curve, CurveKind, PublicKey};
use claviger_secret::Secret;

use super::errors::scd;
use super::key_reference::{self, load_key};
use super::perform::unexpected;
use super::session::Session;
use super::{Command, parse, row};

/// How many leading zeros an RSA cryptogram may lack.
const MAX_LOST_ZEROS: usize = 16;

/// The padding indicator of a cryptogram for the card's AES key, and the lengths that may follow it.
const AES_INDICATOR: u8 = 0x02;
const AES_LENGTHS: [usize; 2] = [16, 32];

/// GnuPG's prefixes of a shared point: little-endian x of a Montgomery curve; x alone of another.
const PREFIX_MONTGOMERY: u8 = 0x40;
const PREFIX_X_ONLY: u8 = 0x41;

pub(super) static COMMANDS: &[Command] = &[row!("PKDECRYPT", WithCard, parse::text, pkdecrypt, HELP)];

const HELP: &str = "\
PKDECRYPT <keyid>

Decipher what SETDATA has set: an RSA cryptogram, or the other side's
point for ECDH. KEYID is a keygrip, OPENPGP.2, or a card's serial
number. The status line

  S PADDING 0

says that the plaintext has no padding any more. The result of ECDH is
the shared point: behind 40 for X25519, behind 41 if it is x alone.";

async fn pkdecrypt(session: &mut Session, id: String, talk: &mut dyn Conversation) -> Result<(), Error> {
    if id.is_empty() || session.data.is_empty() {
        return Err(scd(Code::INV_VALUE));
    }
    let place = key_reference::find(session, &id, Slot::Decrypt, &[], Code::NO_SECKEY).await?;
    let slot = place.slot().ok_or(scd(Code::NOT_SUPPORTED))?;
    load_key(session, slot).await?;
    let facts = session.facts()?;
    let key = facts.public_key(slot);
    let cryptogram = cryptogram(key, &session.data)?;
    let plaintext = match session.perform(CardRequest::Decipher(cryptogram), talk).await? {
        Reply::Plaintext(plaintext) => plaintext,
        other => return Err(unexpected(&other)),
    };
    talk.status("PADDING", b"0");
    if let Some(prefix) = key.and_then(PublicKey::curve).and_then(|curve| prefix(curve, &plaintext)) {
        talk.data(&[prefix]);
    }
    talk.data(plaintext.as_bytes());
    Ok(())
}

/// What the card is given for this data. Without a key only AES can be meant.
fn cryptogram(key: Option<&PublicKey>, data: &[u8]) -> Result<Cryptogram, Error> {
    match (data, key) {
        ([AES_INDICATOR, rest @ ..], _) if AES_LENGTHS.contains(&rest.len()) => {
            Ok(Cryptogram::Aes(rest.to_vec()))
        }
        (_, Some(PublicKey::Rsa(rsa))) => rsa_cryptogram(rsa.bits().div_ceil(8), data).map(Cryptogram::Rsa),
        (_, Some(PublicKey::Ecc(ecc))) => Ok(Cryptogram::Ecdh(point(ecc.curve(), data))),
        (_, None) => Err(scd(Code::NO_OBJ)),
    }
}

/// Exactly as many octets as the modulus.
fn rsa_cryptogram(modulus: usize, data: &[u8]) -> Result<Vec<u8>, Error> {
    match (modulus.checked_sub(data.len()), data) {
        (Some(lost @ 0..=MAX_LOST_ZEROS), _) => Ok([vec![0; lost].as_slice(), data].concat()),
        (None, [0, rest @ ..]) if rest.len() == modulus => Ok(rest.to_vec()),
        _ => Err(scd(Code::INV_VALUE)),
    }
}

/// The point without GnuPG's prefix, with the zeros that it lost.
fn point(curve: Curve, data: &[u8]) -> Vec<u8> {
    if curve.kind() != CurveKind::Montgomery {
        return data.to_vec();
    }
    let size = curve.field_size();
    match data {
        [_, rest @ ..] if data.len() > size && !data.len().is_multiple_of(2) => rest.to_vec(),
        _ => [vec![0; size.saturating_sub(data.len())].as_slice(), data].concat(),
    }
}

fn prefix(curve: Curve, plaintext: &Secret) -> Option<u8> {
    match curve {
        Curve::Curve25519 => Some(PREFIX_MONTGOMERY),
        Curve::X448 => None,
        _ => plaintext.len().is_multiple_of(2).then_some(PREFIX_X_ONLY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rsa_cryptogram_gets_its_zeros_back() {
        assert_eq!(rsa_cryptogram(256, &[7; 256]), Ok(vec![7; 256]));
        assert_eq!(rsa_cryptogram(256, &[7; 254]).unwrap(), [&[0, 0][..], &[7; 254]].concat());
        assert_eq!(rsa_cryptogram(256, &[&[0][..], &[7; 256]].concat()), Ok(vec![7; 256]));
        for wrong in [239, 257, 300] {
            assert_eq!(rsa_cryptogram(256, &vec![7; wrong]).unwrap_err().code(), Code::INV_VALUE, "{wrong}");
        }
    }

    #[test]
    fn a_montgomery_point_comes_with_or_without_a_prefix() {
        let bare = [7; 32];
        assert_eq!(point(Curve::Curve25519, &[&[0x40][..], &bare].concat()), bare);
        assert_eq!(point(Curve::Curve25519, &bare), bare);
        assert_eq!(point(Curve::Curve25519, &bare[2..]), [&[0, 0][..], &[7; 30]].concat());
        assert_eq!(point(Curve::NistP256, &[4; 65]), [4; 65]);
        assert_eq!(point(Curve::X448, &[7; 56]), [7; 56]);
    }

    #[test]
    fn a_shared_point_goes_behind_gnupg_s_prefix() {
        assert_eq!(prefix(Curve::Curve25519, &Secret::copy_of(&[7; 32])), Some(0x40));
        assert_eq!(prefix(Curve::NistP256, &Secret::copy_of(&[7; 32])), Some(0x41));
        assert_eq!(prefix(Curve::NistP256, &Secret::copy_of(&[4; 65])), None);
        assert_eq!(prefix(Curve::X448, &Secret::copy_of(&[7; 56])), None);
    }

    #[test]
    fn aes_needs_no_key_pair() {
        let data = [&[2][..], &[7; 16]].concat();
        assert!(matches!(cryptogram(None, &data), Ok(Cryptogram::Aes(block)) if block == [7; 16]));
        assert_eq!(cryptogram(None, &[7; 33]).unwrap_err().code(), Code::NO_OBJ);
    }
}
