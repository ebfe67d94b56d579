//! What PKCS#11 modules, their users and other programs say of tokens and keys; and RSA blocks that are padded in software.

use claviger_keys::pkcs11::attributes::{CurveSpelling, Described, KeyAttributes};
use claviger_keys::pkcs11::key_id::KeyId;
use claviger_keys::pkcs11::template::{Attribute, Value, public_key};
use claviger_keys::pkcs11::token_id::{MAX_SERIALIZED, TokenId};
use claviger_keys::pkcs11::uri::{MAX_URI, ObjectType, Uri, Whereabouts};
use claviger_keys::x509::{MAX_CERTIFICATE, unpack};
use claviger_keys::{Hash, PublicKey, padding};
use claviger_secret::Secret;

/// A URI: what is read is written and read back; what it says of a token is true of that token.
pub fn uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let plain = text.parse::<Uri>();
    let Ok((uri, pin)) = Uri::with_pin(text) else {
        assert!(plain.is_err());
        return;
    };
    assert_eq!(plain.as_ref().ok(), Some(&uri).filter(|_| pin.is_none()));
    let written = uri.to_string();
    assert!(written.len() > MAX_URI || written.parse().as_ref() == Ok(&uri));
    let own = |word: &Option<String>| word.clone().unwrap_or_default();
    let token = TokenId {
        manufacturer: own(&uri.manufacturer),
        model: own(&uri.model),
        serial: own(&uri.serial),
        label: own(&uri.token),
    };
    let known = uri.others.is_empty();
    assert_eq!(uri.matches_token(&token, &Whereabouts::default()), known);
    let kind = uri.kind.unwrap_or(ObjectType::Data);
    assert_eq!(uri.matches_object(uri.id.as_deref().unwrap_or_default(), &own(&uri.object), kind), known);
}

/// A key's id, and a token's: what is read is written and read back.
pub fn key_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(id) = text.parse::<TokenId>() {
        token(&id);
    }
    if let Ok(id) = text.parse::<KeyId>() {
        token(&id.token);
        let written = id.to_string();
        // What C takes for a string's end is not written.
        assert!(written.len() > MAX_SERIALIZED || has_zero(&id.token) || written.parse() == Ok(id));
    }
}

fn token(id: &TokenId) {
    let written = id.serialized();
    assert!(written.bytes().all(|octet| octet.is_ascii_graphic()));
    assert!(written.len() > MAX_SERIALIZED || has_zero(id) || written.parse().as_ref() == Ok(id));
    assert!(id.answers_to(&id.gnupg_serial()));
}

fn has_zero(id: &TokenId) -> bool {
    [&id.manufacturer, &id.model, &id.serial, &id.label].iter().any(|part| part.contains('\0'))
}

/// A key's attributes: first the key type, then the others, each behind its length. What describes a key is written and
/// describes it again.
pub fn key_attributes(data: &[u8]) {
    let Some((key_type, mut rest)) = data.split_first() else { return };
    let mut next = || {
        let (length, behind) = rest.split_first_chunk().unwrap_or((&[0; 2], &[]));
        let (attribute, behind) = behind.split_at(behind.len().min(u16::from_be_bytes(*length).into()));
        rest = behind;
        attribute
    };
    let [modulus, exponent, ec_params, ec_point, public_key_info] = [(); 5].map(|()| next());
    let attributes = KeyAttributes {
        key_type: (*key_type).into(),
        modulus,
        exponent,
        ec_params,
        ec_point,
        public_key_info,
        parameter_set: next().first().map(|set| u64::from(*set)),
    };
    if let Ok(Described::Key(key)) = attributes.describe() {
        for spelling in CurveSpelling::ALL {
            described_again(&key, &public_key(&key, spelling, |_| true));
        }
    }
}

fn described_again(key: &PublicKey, written: &[Attribute]) {
    let mut attributes = KeyAttributes::default();
    for Attribute { kind, value } in written {
        match (kind, value) {
            (0x100, Value::Number(key_type)) => attributes.key_type = *key_type,
            (0x120, Value::Octets(octets)) => attributes.modulus = octets,
            (0x122, Value::Octets(octets)) => attributes.exponent = octets,
            (0x180, Value::Octets(octets)) => attributes.ec_params = octets,
            (0x181, Value::Octets(octets)) => attributes.ec_point = octets,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(attributes.describe(), Ok(Described::Key(key.clone())));
}

/// A decrypted RSA block; and blocks made of the same octets, for a key of as many octets as the first says eight times.
pub fn rsa_padding(data: &[u8]) {
    let block = Secret::copy_of(data);
    if let Ok(message) = padding::eme_pkcs1_v1_5(&block) {
        assert!(data.ends_with(message.as_bytes()) && message.len() + 11 <= data.len());
    }
    let size = usize::from(data.first().copied().unwrap_or_default()) * 8;
    if let Ok(padded) = padding::emsa_pkcs1_v1_5(data, size) {
        assert!(padded.len() == size && padded.ends_with(data));
    }
    for hash in Hash::ALL {
        if let Ok(message) = padding::eme_oaep(&block, hash) {
            assert!(message.len() + 2 * hash.digest_len() + 2 <= data.len());
        }
        let Some((digest, salt)) = data.split_at_checked(hash.digest_len()) else { continue };
        for bits in [size * 8, size * 8 + 1, size * 8 + 7] {
            if let Ok(padded) = padding::emsa_pss(hash, digest, salt, bits) {
                assert!(padded.len() == bits.div_ceil(8) && padded.last() == Some(&0xbc));
            }
        }
    }
}

/// A certificate that may be stored compressed.
pub fn packed_certificate(data: &[u8]) {
    if let Ok(octets) = unpack(data) {
        assert!(octets.len() <= MAX_CERTIFICATE || *octets == *data);
    }
}
