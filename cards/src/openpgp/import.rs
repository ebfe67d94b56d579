//! Putting a key onto the card: the extended header list, DO 4D (OpenPGP card 3.4, section 4.4.3.12).
//!
//! The template is put together here and not by openpgp-card, whose flow copies the key into ordinary memory and writes
//! the algorithm attributes every time; what goes to the card is the same.

use openpgp_card::ocard::algorithm::{AlgorithmAttributes, RsaAttributes};

use claviger_keys::{CurveKind, EccSecret, EcdhParams, RsaCrt, RsaSecret, SecretKey, SecretMaterial};
use claviger_secret::Secret;

use crate::openpgp::commands::{self, name};
use crate::openpgp::pins::{Step, Unlocked};
use crate::openpgp::session::Session;
use crate::openpgp::tlv;
use crate::token::{PinRef, Progress, Reply, Slot, TokenError};

/// GnuPG rounds the size of a modulus up to a multiple of this.
const SIZE_STEP: usize = 32;

/// The length of e, in bits, that a slot gets which had no RSA key before.
const DEFAULT_E: [u8; 2] = [0, 32];

/// The manufacturer whose import format octet says nothing (Yubico).
const YUBICO: u16 = 0x0006;

impl Session<'_> {
    /// Imports a key, then writes its fingerprint and time.
    pub(crate) fn import(
        &mut self,
        progress: &mut Progress,
        slot: Slot,
        force: bool,
        created: u32,
        key: &SecretKey,
    ) -> Result<Step, TokenError> {
        self.check_free(progress, slot, force)?;
        let wanted = attributes_for(slot, key, &self.card.facts.algorithms[slot.index()])?;
        if let Some(question) = self.change_attributes(progress, slot, Some(&wanted))? {
            return Ok(question);
        }
        if let Unlocked::Not(question) = self.unlock(progress, PinRef::Admin, false)? {
            return Ok(Step::Ask(question));
        }
        self.probe()?;
        self.check_free(progress, slot, force)?;
        if !self.card.is_verified(PinRef::Admin) {
            return self.question(PinRef::Admin, false).map(Step::Ask);
        }
        let header_list = self.header_list(slot, key)?;
        self.card.forget_key(slot);
        let response = self.probe()?.send(&commands::import(header_list))?;
        response.done(name::IMPORT)?;
        self.describe_key(slot, &key.public(), created, ecdh_of(key))?;
        Ok(Step::Done(Reply::Done))
    }

    fn header_list(&self, slot: Slot, key: &SecretKey) -> Result<Secret, TokenError> {
        let yubikey = self.card.facts.manufacturer() == YUBICO;
        match (key.material(), self.card.facts.algorithm(slot)) {
            (SecretMaterial::Rsa(key), Some(AlgorithmAttributes::Rsa(attributes))) => {
                rsa(slot, key, &attributes)
            }
            (SecretMaterial::Ecc(key), Some(AlgorithmAttributes::Ecc(attributes))) => {
                Ok(ecc(slot, key, attributes.import_format() == Some(0xff) && !yubikey))
            }
            _ => Err(TokenError::BadKey("the slot is for another kind of key")),
        }
    }
}

/// An agent of gpg 2.2 says nothing of the key's ECDH parameters, and has its own idea of them.
fn ecdh_of(key: &SecretKey) -> Option<EcdhParams> {
    key.ecdh().or_else(|| key.public().curve().map(EcdhParams::of_gpg_2_2))
}

/// The algorithm attributes that a slot must have for a key; as GnuPG does, what is not the key's own is left as it is.
fn attributes_for(slot: Slot, key: &SecretKey, current: &[u8]) -> Result<Vec<u8>, TokenError> {
    match key.material() {
        SecretMaterial::Rsa(key) => {
            let bits = key.public().bits().next_multiple_of(SIZE_STEP);
            let [high, low] =
                u16::try_from(bits).map_err(|_| TokenError::BadKey("it is too large"))?.to_be_bytes();
            Ok(match current {
                [1, _, _, rest @ ..] if rest.len() >= 2 => [&[1, high, low], rest].concat(),
                _ => [&[1, high, low][..], &DEFAULT_E, &[0]].concat(),
            })
        }
        SecretMaterial::Ecc(_) => {
            let algorithm = key.public().openpgp_algorithm(slot == Slot::Decrypt);
            let curve = key.public().curve().ok_or(TokenError::BadKey("it has no curve"))?;
            match curve.kind() {
                CurveKind::Montgomery if slot != Slot::Decrypt => {
                    return Err(TokenError::BadKey("it only decrypts"));
                }
                CurveKind::Edwards if slot == Slot::Decrypt => {
                    return Err(TokenError::BadKey("it only signs"));
                }
                _ => {}
            }
            Ok([&[algorithm.number()], curve.oid()].concat())
        }
    }
}

/// One number of a key: its tag in the template 7F48, and its octets in 5F48.
struct Part<'a> {
    tag: u8,
    octets: &'a [u8],
}

const fn part(tag: u8, octets: &[u8]) -> Part<'_> {
    Part { tag, octets }
}

/// The formats of 4.4.3.9: standard, with n, for the Chinese remainder theorem, and that with n.
fn rsa(slot: Slot, key: &RsaSecret, attributes: &RsaAttributes) -> Result<Secret, TokenError> {
    let (with_crt, with_n) = match attributes.import_format() {
        0 => (false, false),
        1 => (false, true),
        2 => (true, false),
        3 => (true, true),
        _ => return Err(TokenError::NotSupported("its import format for RSA keys is unknown")),
    };
    let public = key.public();
    let half = usize::from(attributes.len_n()) / 2;
    if public.bits() != usize::from(attributes.len_n()) {
        return Err(TokenError::BadKey("its modulus has not the size that the slot has"));
    }
    if [key.p(), key.q()].into_iter().any(|prime| bits(prime.as_bytes()) != half) {
        return Err(TokenError::BadKey("its primes have not half the size of the modulus"));
    }
    let e = padded(public.e(), usize::from(attributes.len_e()).div_ceil(8))?;
    let crt = with_crt.then(|| key.crt()).transpose();
    let crt = crt.map_err(|_| TokenError::BadKey("its primes do not fit"))?;
    let mut parts = vec![part(0x91, &e), part(0x92, key.p().as_bytes()), part(0x93, key.q().as_bytes())];
    if let Some(RsaCrt { u, dp, dq }) = &crt {
        let more = [(0x94, u), (0x95, dp), (0x96, dq)];
        parts.extend(more.map(|(tag, number)| part(tag, number.as_bytes())));
    }
    if with_n {
        parts.push(part(0x97, public.n()));
    }
    Ok(assembled(slot, &parts))
}

fn ecc(slot: Slot, key: &EccSecret, with_public: bool) -> Secret {
    let q = key.public().q();
    let mut parts = vec![part(0x92, key.d().as_bytes())];
    if with_public {
        parts.push(part(0x99, &q));
    }
    assembled(slot, &parts)
}

/// 4D { control reference template, 7F48 { tags and lengths }, 5F48 numbers }.
fn assembled(slot: Slot, parts: &[Part<'_>]) -> Secret {
    let template: Vec<u8> =
        parts.iter().flat_map(|part| tlv::header(&[part.tag], part.octets.len())).collect();
    let length = parts.iter().map(|part| part.octets.len()).sum();
    let mut front = vec![commands::control_reference(slot), 0];
    front.extend(tlv::write(&[0x7f, 0x48], &template));
    front.extend(tlv::header(&[0x5f, 0x48], length));
    let outer = tlv::header(&[0x4d], front.len() + length);
    let mut list = Secret::with_capacity(outer.len() + front.len() + length);
    let pieces = [outer.as_slice(), &front];
    for octets in pieces.into_iter().chain(parts.iter().map(|part| part.octets)) {
        // It was made to hold them all.
        let _ = list.extend(octets);
    }
    list
}

fn padded(number: &[u8], size: usize) -> Result<Vec<u8>, TokenError> {
    let zeros =
        size.checked_sub(number.len()).ok_or(TokenError::BadKey("its public exponent is too long"))?;
    Ok([vec![0; zeros].as_slice(), number].concat())
}

/// The size of a number without zeros in front.
fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_on_a_curve_is_its_number_in_a_template() {
        let parts = [part(0x92, &[7; 32])];
        let list = assembled(Slot::Decrypt, &parts);
        let front = b"\x4d\x2a\xb8\x00\x7f\x48\x02\x92\x20\x5f\x48\x20";
        assert_eq!(list.as_bytes(), [&front[..], &[7; 32]].concat());
    }

    #[test]
    fn an_exponent_is_padded_to_what_the_card_wants() {
        assert_eq!(padded(&[1, 0, 1], 4).unwrap(), [0, 1, 0, 1]);
        assert!(matches!(padded(&[1, 0, 1], 2), Err(TokenError::BadKey(_))));
    }

    #[test]
    fn lengths_over_127_are_written_long_as_gnupg_does() {
        let (e, prime) = ([0, 1, 0, 1], [0xc1; 128]);
        let list = assembled(Slot::Sign, &[part(0x91, &e), part(0x92, &prime), part(0x93, &prime)]);
        let front =
            b"\x4d\x82\x01\x16\xb6\x00\x7f\x48\x08\x91\x04\x92\x81\x80\x93\x81\x80\x5f\x48\x82\x01\x04";
        assert_eq!(list.as_bytes()[..front.len()], front[..]);
    }
}
