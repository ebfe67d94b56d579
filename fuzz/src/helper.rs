//! What the process that loads a PKCS#11 module may send: a compromised one too.

use claviger_cards::pkcs11::wire::FromHelper;
use claviger_cards::pkcs11::wire::frame::{MAX_SECRET, MAX_SECRETS, Reader, encode};

/// Octets that come at once; small, so that messages come in pieces.
const PIECE: usize = 61;

/// Any octets are messages up to the first that is none; and what was read is written as it was, or shorter.
pub fn from_helper(data: &[u8]) {
    let mut reader = Reader::<FromHelper>::new();
    for piece in data.chunks(PIECE) {
        let room = reader.room();
        assert!(room.len() >= piece.len(), "no room for {} octets", piece.len());
        room[..piece.len()].copy_from_slice(piece);
        reader.filled(piece.len());
        loop {
            match reader.next() {
                Ok(Some((message, secrets))) => {
                    assert!(secrets.len() <= MAX_SECRETS && secrets.iter().all(|it| it.len() <= MAX_SECRET));
                    again(&message, &secrets);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// A message that was read can be written, and is the same when it is read again.
fn again(message: &FromHelper, secrets: &[claviger_secret::Secret]) {
    let encoded = encode(message, secrets).expect("what was read is within the limits");
    let mut reader = Reader::<FromHelper>::new();
    for piece in encoded.head.chunks(PIECE).chain(encoded.secrets.as_bytes().chunks(PIECE)) {
        assert!(matches!(reader.next(), Ok(None)), "a part is no message");
        reader.room()[..piece.len()].copy_from_slice(piece);
        reader.filled(piece.len());
    }
    let (read, its) = reader.next().expect("what was written").expect("all of it");
    assert_eq!(read, *message);
    assert!(its.iter().map(|secret| secret.as_bytes()).eq(secrets.iter().map(|secret| secret.as_bytes())));
}
