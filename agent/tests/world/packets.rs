//! The few numbers of OpenPGP packets and of gpg-agent's key files that a scripted card must recite (RFC 9580, sections
//! 4.2, 5.1 and 5.2). gpg wrote these files a moment ago: what is not as expected fails the test.

use std::fs;

use super::Home;

/// A key on disk, with all that a card would need to be it.
pub(crate) struct SoftKey {
    /// Its OpenPGP fingerprint.
    pub(crate) fingerprint: [u8; 20],
    /// When it was made, in seconds since 1970.
    pub(crate) created: u32,
    /// The public point.
    pub(crate) point: Vec<u8>,
    /// The secret number, in hexadecimal.
    pub(crate) secret: String,
}

/// The elliptic keys in the home, the primary one first.
pub(crate) fn soft_keys(home: &Home) -> Vec<SoftKey> {
    let listing = home.gpg(&["--with-colons", "--with-keygrip", "--list-keys"]).ok().text();
    let column = |kinds: &[&str], number: usize| -> Vec<String> {
        let lines = listing.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines.filter(|fields| kinds.contains(&fields[0])).map(|fields| fields[number].to_owned()).collect()
    };
    let [created, fingerprints, keygrips] =
        [column(&["pub", "sub"], 5), column(&["fpr"], 9), column(&["grp"], 9)];
    let key = |((created, fingerprint), keygrip): ((&String, &String), &String)| SoftKey {
        fingerprint: octets(fingerprint).try_into().expect("20 octets"),
        created: created.parse().expect("a time"),
        point: octets(&value_in_key_file(home, keygrip, "q")),
        secret: value_in_key_file(home, keygrip, "d"),
    };
    created.iter().zip(&fingerprints).zip(&keygrips).map(key).collect()
}

/// A value, in hexadecimal, of gpg-agent's file of an unprotected key: `… (d #00C3…#) …` with line breaks anywhere.
pub(crate) fn value_in_key_file(home: &Home, keygrip: &str, name: &str) -> String {
    let file =
        fs::read_to_string(home.path(&format!("private-keys-v1.d/{keygrip}.key"))).expect("it is there");
    let squeezed: String = file.split_whitespace().collect();
    let (_, value) = squeezed.split_once(&format!("({name}#")).expect("a key without passphrase");
    value.split('#').next().expect("a value").to_owned()
}

/// The two numbers of a signature with ECDSA.
pub(crate) fn signature_numbers(packet: &[u8]) -> [Vec<u8>; 2] {
    let body = body(packet);
    // Version, type, two algorithms; hashed and other subpackets; two octets of the hash.
    let hashed = 6 + length(&body[4..]);
    let (r, rest) = number(&body[hashed + 2 + length(&body[hashed..]) + 2..]);
    [r, number(rest).0]
}

/// The sender's point in a message that is encrypted with ECDH to one key.
pub(crate) fn session_point(message: &[u8]) -> Vec<u8> {
    // Version, key id, algorithm.
    number(&body(message)[10..]).0
}

/// Behind the header of the first packet, which gpg writes in the old form.
fn body(packet: &[u8]) -> &[u8] {
    &packet[if packet[0] & 3 == 0 { 2 } else { 3 }..]
}

/// A multiprecision integer, and what follows it.
fn number(octets: &[u8]) -> (Vec<u8>, &[u8]) {
    let (number, rest) = octets[2..].split_at(length(octets).div_ceil(8));
    (number.to_vec(), rest)
}

fn length(octets: &[u8]) -> usize {
    usize::from(octets[0]) << 8 | usize::from(octets[1])
}

/// The octets behind hexadecimal digits.
pub(crate) fn octets(hex: &str) -> Vec<u8> {
    let octet = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(octet).collect()
}
