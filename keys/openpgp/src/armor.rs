//! Octets as text (RFC 9580, section 6): reading what anybody wrote, writing as gpg does.

pub(crate) use read::{is_armored, read};
pub(crate) use write::write;

const BEGIN: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &[u8] = b"-----END PGP PUBLIC KEY BLOCK-----";

/// A checksum over the octets (section 6.1). Readers ignore it, as the section demands.
fn checksum(octets: &[u8]) -> [u8; 3] {
    let crc = octets.iter().fold(0x00b7_04ce_u32, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet) << 16, |crc, _| {
            if crc & 0x80_0000 == 0 { crc << 1 } else { crc << 1 ^ 0x0186_4cfb }
        })
    });
    let [_, checksum @ ..] = crc.to_be_bytes();
    checksum
}

mod read {
    use base64::Engine as _;
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

    use super::{BEGIN, END};

    /// Why a text is no armored public key.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    pub enum ArmorError {
        /// No line begins a public key block.
        #[error("a text without a line BEGIN PGP PUBLIC KEY BLOCK")]
        NoBegin,
        /// There are private keys in it, which are nobody's business here.
        #[error("private keys; export the public ones and store those")]
        PrivateKey,
        /// A block has no END line.
        #[error("an armored block without its END line")]
        NoEnd,
        /// A block is not in base64.
        #[error("an armored block that is not in base64")]
        NotBase64,
    }

    const PRIVATE: &[u8] = b"-----BEGIN PGP PRIVATE KEY BLOCK-----";

    /// How far into a file a BEGIN line is looked for, to tell text from packets.
    const MAX_PROLOGUE: usize = 4096;

    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );

    /// Whether this is text rather than packets, whose first octet has its top bit set.
    pub(crate) fn is_armored(octets: &[u8]) -> bool {
        octets.first().is_some_and(u8::is_ascii)
            && octets.get(..octets.len().min(MAX_PROLOGUE)).is_some_and(|start| {
                start.split(|octet| *octet == b'\n').any(|line| line.starts_with(b"-----BEGIN PGP"))
            })
    }

    /// The octets of all public key blocks of a text, one behind the other.
    pub(crate) fn read(text: &[u8]) -> Result<Vec<u8>, ArmorError> {
        let mut lines = text.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii_end);
        if lines.clone().any(|line| line == PRIVATE) {
            return Err(ArmorError::PrivateKey);
        }
        let mut octets = Vec::with_capacity(text.len() / 4 * 3);
        let mut blocks = 0_usize;
        while lines.any(|line| line == BEGIN) {
            block(&mut lines, &mut octets)?;
            blocks = blocks.saturating_add(1);
        }
        if blocks == 0 { Err(ArmorError::NoBegin) } else { Ok(octets) }
    }

    /// Reads up to the END line: headers as far as there are, base64, a checksum or none.
    fn block<'a>(lines: &mut impl Iterator<Item = &'a [u8]>, octets: &mut Vec<u8>) -> Result<(), ArmorError> {
        let mut base64 = Vec::new();
        for line in lines {
            match line {
                _ if line == END => {
                    return BASE64.decode_vec(&base64, octets).map_err(|_| ArmorError::NotBase64);
                }
                [b'=', ..] => {}                // the checksum
                _ if line.contains(&b':') => {} // a header
                _ => base64.extend(line.trim_ascii_start()),
            }
        }
        Err(ArmorError::NoEnd)
    }
}

mod write {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::{BEGIN, END, checksum};

    /// Octets of base64 on a line, as gpg has it.
    const LINE: usize = 64;

    /// The text, with a checksum if wanted. Versions of OpenPGP before 6 have one; the section forbids it for version 6.
    pub(crate) fn write(octets: &[u8], with_checksum: bool) -> Vec<u8> {
        let mut text = [BEGIN, b"\n\n"].concat();
        for line in STANDARD.encode(octets).as_bytes().chunks(LINE) {
            text.extend(line);
            text.push(b'\n');
        }
        if with_checksum {
            text.push(b'=');
            text.extend(STANDARD.encode(checksum(octets)).as_bytes());
            text.push(b'\n');
        }
        text.extend(END);
        text.push(b'\n');
        text
    }
}

pub use read::ArmorError;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nSGVsbG8=\n=nd/6\n-----END PGP PUBLIC KEY BLOCK-----\n";

    #[test]
    fn what_is_written_is_read_again() {
        for len in [0, 1, 2, 3, 47, 48, 49, 5000] {
            let octets: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            for with_checksum in [true, false] {
                let text = write(&octets, with_checksum);
                assert!(is_armored(&text));
                assert_eq!(read(&text), Ok(octets.clone()));
            }
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(checksum(b"123456789"), [0x21, 0xcf, 0x02]);
    }

    #[test]
    fn headers_prose_line_ends_and_further_blocks_are_read() {
        let with = TEXT.replace("\n\n", "\nVersion: 1\nComment: two words\n\n");
        assert_eq!(read(with.as_bytes()), Ok(b"Hello".to_vec()));
        let dos = TEXT.replace('\n', "\r\n");
        assert_eq!(read(dos.as_bytes()), Ok(b"Hello".to_vec()));
        let two = format!("Dear John,\n\n{TEXT}\nand\n{TEXT}Mary\n");
        assert!(is_armored(two.as_bytes()));
        assert_eq!(read(two.as_bytes()), Ok(b"HelloHello".to_vec()));
        assert_eq!(read(TEXT.replace('=', "").replace("nd/6\n", "").as_bytes()), Ok(b"Hello".to_vec()));
    }

    #[test]
    fn private_keys_are_refused_even_behind_public_ones() {
        let private = TEXT.replace("PUBLIC", "PRIVATE");
        assert_eq!(read(private.as_bytes()), Err(ArmorError::PrivateKey));
        assert_eq!(read(format!("{TEXT}{private}").as_bytes()), Err(ArmorError::PrivateKey));
    }

    #[test]
    fn broken_texts_are_refused() {
        assert_eq!(read(b"-----BEGIN PGP MESSAGE-----\n"), Err(ArmorError::NoBegin));
        let end = TEXT.find("-----END").unwrap();
        assert_eq!(read(&TEXT.as_bytes()[..end]), Err(ArmorError::NoEnd));
        assert_eq!(read(TEXT.replace("SGVs", "S_Vs").as_bytes()), Err(ArmorError::NotBase64));
        assert!(!is_armored(b"\x99\x01-----BEGIN PGP") && !is_armored(b"") && !is_armored(b"hello"));
    }
}
