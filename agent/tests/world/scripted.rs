//! Cards that opcard cannot be: scripts of cards with two ready-made keys and ready-made answers.
//!
//! Who writes such a script knows the signature, or the shared secret, before it is asked for; the card only recites. What
//! is not in the script is answered 6F00 and remembered: [`Card::control`](super::Card::control) `verdict` tells.

use std::fmt::Write as _;

/// A key of the card, as others see it.
pub(crate) struct CardKey {
    /// Algorithm attributes (OpenPGP card 3.4, 4.4.3.9).
    pub(crate) attributes: Vec<u8>,
    /// The public point, in the card's form; empty where there is no key yet.
    pub(crate) point: Vec<u8>,
    /// Its OpenPGP fingerprint.
    pub(crate) fingerprint: [u8; 20],
    /// When it was made, in seconds since 1970.
    pub(crate) created: u32,
}

/// Something that the card can do with one of its keys.
pub(crate) enum Answer {
    /// PSO:COMPUTE DIGITAL SIGNATURE of any `digest` octets gives `signature`.
    Signature {
        /// How many octets are signed.
        digest: usize,
        /// What comes of it.
        signature: Vec<u8>,
    },
    /// PSO:DECIPHER with the other side's `point` gives `shared`.
    Shared {
        /// The other side's.
        point: Vec<u8>,
        /// The x coordinate (or what stands for it).
        shared: Vec<u8>,
    },
}

/// The script of a card with a key to sign and one to decrypt, user PIN 123456, no forced signature PIN.
pub(crate) fn script(sign: &CardKey, decrypt: &CardKey, answers: &[Answer]) -> String {
    let mut script = "always\n".to_owned();
    let mut say = |command: &str, answer: &[u8], status: &str| {
        writeln!(script, "> {command}\n< {} {status}", hex(answer)).expect("a string takes everything");
    };
    let related = application_related_data(sign, decrypt);
    // SELECT of the master file, with which stock begins; of SmartCard-HSM, which it may try in between; then of OpenPGP.
    say("00A4000C 3F00", &[], "6A82");
    say("00A4040C E82B0601040181C31F0201", &[], "6A82");
    say("00A40400 D27600012401", &[], "9000");
    say("00CA004F", &AID, "9000");
    say("00CA5F52", &HISTORICAL, "9000");
    say("00CA006E", &related, "9000");
    say("00CA00C4", &PIN_STATUS, "9000");
    say("00CA0065", &NOBODY, "9000");
    say("00CA007A", &[0x7A, 5, 0x93, 3, 0, 0, 7], "9000");
    // Stock 2.2.40 ends LEARN where one of these is refused.
    for empty in ["005E", "5F50", "0101", "0102", "0103", "0104"] {
        say(&format!("00CA{empty}"), &[], "9000");
    }
    for absent in ["7F74", "00F9", "00D6", "00D7", "00D8", "7F21"] {
        say(&format!("00CA{absent}"), &[], "6A88");
    }
    // There is one place for a certificate, and nothing in it.
    say("00A50104 60045C027F21", &[], "6A88");
    for (crt, key) in [("B600", Some(sign)), ("B800", Some(decrypt)), ("A400", None)] {
        match key {
            Some(key) if !key.point.is_empty() => {
                say(&format!("00478100 {crt}"), &tlv(&[0x7F, 0x49], &tlv(&[0x86], &key.point)), "9000")
            }
            _ => say(&format!("00478100 {crt}"), &[], "6A88"),
        }
    }
    for reference in ["81", "82"] {
        say(&format!("002000{reference} \"123456\""), &[], "9000");
    }
    for answer in answers {
        match answer {
            Answer::Signature { digest, signature } => {
                say(&format!("002A9E9A {{digest:{digest}}}"), signature, "9000");
            }
            Answer::Shared { point, shared } => {
                let template = tlv(&[0xA6], &tlv(&[0x7F, 0x49], &tlv(&[0x86], point)));
                say(&format!("002A8086 {}", hex(&template)), shared, "9000");
            }
        }
    }
    script + "end\n"
}

/// A key that the card is to be given.
pub(crate) struct Import {
    /// Which key it becomes, from 1.
    pub(crate) number: u8,
    /// The secret number, as long as the curve has it.
    pub(crate) secret: Vec<u8>,
    /// Its OpenPGP fingerprint.
    pub(crate) fingerprint: [u8; 20],
    /// When it was made, in seconds since 1970.
    pub(crate) created: u32,
}

/// The script of a card without keys, for keys with these attributes, that must be given these two; admin PIN 12345678.
pub(crate) fn script_of_imports(attributes: [Vec<u8>; 2], imports: &[Import]) -> String {
    let [sign, decrypt] = attributes.map(|attributes| CardKey {
        attributes,
        point: Vec::new(),
        fingerprint: [0; 20],
        created: 0,
    });
    let mut script = script(&sign, &decrypt, &[]);
    script += "always\n> 00200083 \"12345678\"\n< 9000\nend\nany-order\n";
    for Import { number, secret, fingerprint, created } in imports {
        let crt = [0xB6, 0xB8][usize::from(*number) - 1];
        let lengths = tlv(&[0x7F, 0x48], &[0x92, u8::try_from(secret.len()).expect("curves are small")]);
        let template = [&[crt, 0][..], &lengths, &tlv(&[0x5F, 0x48], secret)].concat();
        let [fingerprint_at, time_at] = [0xC6 + number, 0xCD + number];
        for (command, data) in [
            ("00DB3FFF".to_owned(), tlv(&[0x4D], &template)),
            (format!("00DA00{fingerprint_at:02X}"), fingerprint.to_vec()),
            (format!("00DA00{time_at:02X}"), created.to_be_bytes().to_vec()),
        ] {
            writeln!(script, "> {command} {}\n< 9000", hex(&data)).expect("a string takes everything");
        }
    }
    script + "end\n"
}

const AID: [u8; 16] = [0xD2, 0x76, 0, 1, 0x24, 1, 3, 4, 0xFF, 0xFE, 0, 0, 0, 0x2A, 0, 0];
const HISTORICAL: [u8; 10] = [0, 0x31, 0xC5, 0x73, 0xC0, 1, 0x40, 5, 0x90, 0];
/// PW1 for several signatures; lengths; tries.
const PIN_STATUS: [u8; 7] = [1, 64, 64, 64, 3, 0, 3];
/// No name, no language, no sex said.
const NOBODY: [u8; 11] = [0x65, 9, 0x5B, 0, 0x5F, 0x2D, 0, 0x5F, 0x35, 1, b'0'];
/// Key import, PIN status changeable, private objects, algorithm attributes changeable; 2048 octets for anything.
const CAPABILITIES: [u8; 10] = [0x3C, 0, 0, 0, 8, 0, 8, 0, 0, 0];
const RSA_2048: [u8; 6] = [1, 8, 0, 0, 32, 0];

fn application_related_data(sign: &CardKey, decrypt: &CardKey) -> Vec<u8> {
    let discretionary = [
        tlv(&[0xC0], &CAPABILITIES),
        tlv(&[0xC1], &sign.attributes),
        tlv(&[0xC2], &decrypt.attributes),
        tlv(&[0xC3], &RSA_2048),
        tlv(&[0xC4], &PIN_STATUS),
        tlv(&[0xC5], &[sign.fingerprint, decrypt.fingerprint, [0; 20]].concat()),
        tlv(&[0xC6], &[0; 60]),
        tlv(&[0xCD], &[sign.created, decrypt.created, 0].map(u32::to_be_bytes).concat()),
    ];
    let content =
        [tlv(&[0x4F], &AID), tlv(&[0x5F, 0x52], &HISTORICAL), tlv(&[0x73], &discretionary.concat())];
    tlv(&[0x6E], &content.concat())
}

/// A TLV object with a definite length in the shortest form.
fn tlv(tag: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("cards are small").to_be_bytes();
    let length = match value.len() {
        0..0x80 => vec![length[1]],
        0x80..0x100 => vec![0x81, length[1]],
        _ => vec![0x82, length[0], length[1]],
    };
    [tag, &length, value].concat()
}

/// Upper-case hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}
