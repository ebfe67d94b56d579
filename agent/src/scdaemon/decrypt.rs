//! PKDECRYPT: deciphers with the key of a card or a token.
//!
//! GnuPG sends cryptograms as multi-precision integers, which lose leading zeros or gain one, and points with its own
//! prefixes. This room turns them into what a card takes, and the answer back into what GnuPG expects (GnuPG's scd,
//! `app-openpgp.c`; OpenPGP card 3.4, 7.2.11).

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::pkcs11::{self, KeyNumber};
use claviger_cards::token::{Cryptogram, Reply, Request as CardRequest, Slot};
use claviger_keys::{Curve, CurveKind, Hash, PublicKey};
use claviger_secret::Secret;

use super::errors::{parameter, scd};
use super::holders::Place;
use super::key_reference;
use super::located_key::LocatedKey;
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

/// What stands before x and y of a point.
const UNCOMPRESSED: u8 = 0x04;

pub(super) static COMMANDS: &[Command] = &[row!("PKDECRYPT", WithCard, pkdecrypt_request, pkdecrypt, HELP)];

const HELP: &str = "\
PKDECRYPT [--oaep=sha1|sha224|sha256|sha384|sha512] <keyid>

Decipher what SETDATA has set: an RSA cryptogram, or the other side's
point for ECDH. KEYID is a keygrip, OPENPGP.2, or a card's serial
number; for a key on a PKCS#11 token also its name as LEARN gives it,
<serialno>/<CKA_ID>, or a pkcs11: URI. The status line

  S PADDING 0

says that the plaintext has no padding any more. The result of ECDH is
the shared point: behind 40 for X25519, behind 41 if it is x alone.

With --oaep (claviger's own) an RSA key on a PKCS#11 token takes OAEP
padding off instead (RFC 8017, 7.1): MGF1 with the same hash, no label.
OpenPGP cards cannot.";

/// What PKDECRYPT is asked for.
struct PkdecryptRequest {
    /// The hash of OAEP padding; `None` for PKCS#1 v1.5.
    oaep: Option<Hash>,
    id: String,
}

fn pkdecrypt_request(arguments: Args<'_>) -> Result<PkdecryptRequest, Error> {
    let known = |name: &[u8]| std::str::from_utf8(name).ok().and_then(Hash::from_name);
    let oaep = match arguments.value("--oaep") {
        Given::Absent => None,
        Given::Bare => return Err(parameter("missing value for option")),
        Given::Value(name) => match known(name) {
            None | Some(Hash::Md5 | Hash::Rmd160) => return Err(parameter("invalid hash algorithm")),
            hash => hash,
        },
    };
    Ok(PkdecryptRequest { oaep, id: parse::text(arguments)? })
}

async fn pkdecrypt(
    session: &mut Session,
    request: PkdecryptRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    if request.id.is_empty() || session.data.is_empty() {
        return Err(scd(Code::INV_VALUE));
    }
    let place = key_reference::find(session, &request.id, Slot::Decrypt, &[], Code::NO_SECKEY).await?;
    let key = LocatedKey::load(session, place).await?;
    let decipher = match place {
        Place::Slot(_) if request.oaep.is_some() => {
            return Err(scd(Code::NOT_SUPPORTED).with_text("an OpenPGP card takes no OAEP padding off"));
        }
        Place::Slot(_) => CardRequest::Decipher(cryptogram(key.public(), &session.data)?),
        Place::Key(number) => on_token(number, key.public(), request.oaep, &session.data)?,
    };
    let plaintext = match session.perform(decipher, talk).await? {
        Reply::Plaintext(plaintext) => plaintext,
        other => return Err(unexpected(&other)),
    };
    talk.status("PADDING", b"0");
    if let Some(prefix) = key.public().and_then(PublicKey::curve).and_then(|curve| prefix(curve, &plaintext))
    {
        talk.data(&[prefix]);
    }
    talk.data(plaintext.as_bytes());
    Ok(())
}

/// What a token is given for this data.
fn on_token(
    key: KeyNumber,
    public: Option<&PublicKey>,
    oaep: Option<Hash>,
    data: &[u8],
) -> Result<CardRequest, Error> {
    let cryptogram = match (public, oaep) {
        (Some(PublicKey::Rsa(rsa)), oaep) => {
            let octets = rsa_cryptogram(rsa.bits().div_ceil(8), data)?;
            match oaep {
                Some(hash) => pkcs11::Cryptogram::RsaOaep { octets, hash },
                None => pkcs11::Cryptogram::RsaPkcs1(octets),
            }
        }
        (Some(PublicKey::Ecc(ecc)), None) => agreement(ecc.curve(), data)?,
        (Some(PublicKey::Ecc(_)), Some(_)) => return Err(scd(Code::WRONG_PUBKEY_ALGO)),
        (None, _) => return Err(scd(Code::UNSUPPORTED_ALGORITHM)),
    };
    Ok(CardRequest::Pkcs11(pkcs11::Request::Decipher { key, cryptogram }))
}

/// The other side's point, if it can be one on the curve.
fn agreement(curve: Curve, data: &[u8]) -> Result<pkcs11::Cryptogram, Error> {
    let point = point(curve, data);
    let fits = match curve.kind() {
        CurveKind::Montgomery => point.len() == curve.field_size(),
        CurveKind::Weierstrass => {
            point.first() == Some(&UNCOMPRESSED)
                && point.len() / 2 == curve.field_size()
                && point.len() % 2 == 1
        }
        CurveKind::Edwards => return Err(scd(Code::WRONG_PUBKEY_ALGO)),
    };
    if fits { Ok(pkcs11::Cryptogram::Ecdh(point)) } else { Err(scd(Code::INV_VALUE)) }
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
