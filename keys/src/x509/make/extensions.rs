//! The extensions of a certificate that a client of TLS shows (RFC 5280, section 4.2).

use sha1::{Digest as _, Sha1};

use super::subject::{Subject, SubjectError};
use crate::ber::{BIT_STRING, BOOLEAN, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET, element};
use crate::public::PublicKey;

const SUBJECT_KEY_ID: &[u8] = b"\x55\x1d\x0e";
const KEY_USAGE: &[u8] = b"\x55\x1d\x0f";
const SUBJECT_ALT_NAME: &[u8] = b"\x55\x1d\x11";
const BASIC_CONSTRAINTS: &[u8] = b"\x55\x1d\x13";
const EXTENDED_KEY_USAGE: &[u8] = b"\x55\x1d\x25";

/// 1.3.6.1.5.5.7.3.2.
const CLIENT_AUTH: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x02";

/// 1.2.840.113549.1.9.14: the attribute of a request that holds extensions (RFC 2985, section 5.4.2).
const EXTENSION_REQUEST: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e";

const TRUE: &[u8] = &[0xff];

/// Bits of key usage, behind the number of unused ones: digitalSignature, and with keyEncipherment, which TLS before 1.3
/// may want of RSA.
const SIGNS: &[u8] = &[7, 0x80];
const SIGNS_AND_ENCIPHERS: &[u8] = &[5, 0xa0];

/// The extensions: not a certification authority, for signatures of clients, with an identifier of the key and the
/// alternative names.
pub(super) fn of_tls_client(key: &PublicKey, subject: &Subject) -> Result<Vec<u8>, SubjectError> {
    let usage = if key.curve().is_none() { SIGNS_AND_ENCIPHERS } else { SIGNS };
    let client_auth = element(SEQUENCE, &element(OBJECT_IDENTIFIER, CLIENT_AUTH));
    let mut extensions = vec![
        // Whoever is no authority has nothing to say here: CA is FALSE by default.
        critical(BASIC_CONSTRAINTS, &element(SEQUENCE, b"")),
        critical(KEY_USAGE, &element(BIT_STRING, usage)),
        extension(EXTENDED_KEY_USAGE, &client_auth),
        extension(SUBJECT_KEY_ID, &element(OCTET_STRING, &key_id(key))),
    ];
    extensions.extend(subject.alt_names()?.map(|names| extension(SUBJECT_ALT_NAME, &names)));
    Ok(element(SEQUENCE, &extensions.concat()))
}

/// The attribute by which a request asks for extensions.
pub(super) fn asked_for(extensions: &[u8]) -> Vec<u8> {
    let values = element(SET, extensions);
    element(SEQUENCE, &[element(OBJECT_IDENTIFIER, EXTENSION_REQUEST), values].concat())
}

fn critical(identifier: &[u8], value: &[u8]) -> Vec<u8> {
    let value = element(OCTET_STRING, value);
    element(SEQUENCE, &[element(OBJECT_IDENTIFIER, identifier), element(BOOLEAN, TRUE), value].concat())
}

fn extension(identifier: &[u8], value: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[element(OBJECT_IDENTIFIER, identifier), element(OCTET_STRING, value)].concat())
}

/// SHA-1 over the bits of the key (RFC 5280, section 4.2.1.2, method 1).
fn key_id(key: &PublicKey) -> [u8; 20] {
    let spki = key.spki_der();
    let bits = Reader::new(&spki)
        .expect(SEQUENCE)
        .ok()
        .and_then(|info| info.inside().find(|field| field.tag == BIT_STRING))
        .and_then(|bits| bits.content.get(1..));
    Sha1::digest(bits.unwrap_or_default()).into()
}
