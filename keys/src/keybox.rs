//! Keybox files, in which gpg and gpgsm keep public keys and certificates (`pubring.kbx`): what is in them, octet for
//! octet. The format has no document but the description at the head of GnuPG's `kbx/keybox-blob.c`.
//!
//! A keybox is blobs one behind the other: a header, then one for each OpenPGP keyblock or X.509 certificate. Of what
//! a blob says beside (fingerprints, names, checksums) nothing is used: it can all be had from the certificate.
//! Reading only; a keybox that changes under the reader looks like a broken one.

/// The longest keybox.
pub const MAX_KEYBOX: usize = 256 * 1024 * 1024;

/// The longest blob: GnuPG's own limit.
pub const MAX_BLOB: usize = 5 * 1024 * 1024;

const MAGIC: &[u8] = b"KBXf";
const MAGIC_OFFSET: usize = 8;

/// Length and type: what every blob has.
const SHORTEST_BLOB: usize = 5;
const TYPE_OFFSET: usize = 4;
const VERSION_OFFSET: usize = 5;
const FLAGS_OFFSET: usize = 7;
const CONTENT_OFFSET: usize = 8;
const CONTENT_LENGTH_OFFSET: usize = 12;

const HEADER: u8 = 1;
const OPENPGP: u8 = 2;
const X509: u8 = 3;

/// Version 2, of GnuPG 2.4, has longer fingerprints; the fields that are read here are the same.
const VERSIONS: [u8; 2] = [1, 2];

/// The flag of blobs that gpgsm keeps for itself.
const EPHEMERAL: u8 = 2;

/// What a blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// An OpenPGP keyblock, with the trust packets that gpg keeps for itself.
    OpenPgp(&'a [u8]),
    /// An X.509 certificate.
    X509(&'a [u8]),
    /// A certificate that gpgsm looked up and does not list; it may be one of a chain.
    EphemeralX509(&'a [u8]),
    /// The header, a blob that was deleted, or one of a kind or version that we do not know.
    Other,
}

/// What is wrong with a keybox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyboxError {
    /// It is longer than [`MAX_KEYBOX`]. Nothing is read.
    #[error("a keybox of {octets} octets; at most {MAX_KEYBOX} are read")]
    TooLong {
        /// How long it is.
        octets: usize,
    },
    /// It does not begin with a header. Nothing is read.
    #[error("no keybox")]
    NotKeybox,
    /// A blob has a length that cannot be, or ends behind the file. Nothing behind it can be read.
    #[error("the keybox is broken at octet {at}")]
    Broken {
        /// Where the blob begins.
        at: usize,
    },
    /// A blob is longer than [`MAX_BLOB`]. It is passed over.
    #[error("a blob of {octets} octets at octet {at} of the keybox; at most {MAX_BLOB} are read")]
    BlobTooLong {
        /// Where the blob begins.
        at: usize,
        /// How long it is.
        octets: usize,
    },
    /// What a blob holds would lie outside of it. It is passed over.
    #[error("the blob at octet {at} of the keybox holds nothing")]
    NoContent {
        /// Where the blob begins.
        at: usize,
    },
}

/// What the blobs of a keybox hold, in order. An empty file is a keybox without blobs, as for GnuPG.
pub fn entries(keybox: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, KeyboxError>> {
    Blobs { keybox, at: 0 }
}

struct Blobs<'a> {
    keybox: &'a [u8],
    at: usize,
}

impl<'a> Blobs<'a> {
    fn entry(&mut self) -> Result<Entry<'a>, KeyboxError> {
        let at = self.at;
        if at == 0 {
            check(self.keybox)?;
        }
        let broken = KeyboxError::Broken { at };
        let rest = self.keybox.get(at..).unwrap_or_default();
        let length = number(rest, 0).filter(|length| *length >= SHORTEST_BLOB).ok_or(broken)?;
        let blob = rest.get(..length).ok_or(broken)?;
        self.at += length;
        if length > MAX_BLOB && blob.get(TYPE_OFFSET) != Some(&0) {
            return Err(KeyboxError::BlobTooLong { at, octets: length });
        }
        entry(blob).ok_or(KeyboxError::NoContent { at })
    }
}

impl<'a> Iterator for Blobs<'a> {
    type Item = Result<Entry<'a>, KeyboxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let before = self.at;
        let entry = (before < self.keybox.len()).then(|| self.entry())?;
        if self.at == before {
            self.at = self.keybox.len();
        }
        Some(entry)
    }
}

fn check(keybox: &[u8]) -> Result<(), KeyboxError> {
    if keybox.len() > MAX_KEYBOX {
        return Err(KeyboxError::TooLong { octets: keybox.len() });
    }
    let magic = keybox.get(MAGIC_OFFSET..).is_some_and(|rest| rest.starts_with(MAGIC));
    let is_header = keybox.get(TYPE_OFFSET) == Some(&HEADER);
    if magic && is_header { Ok(()) } else { Err(KeyboxError::NotKeybox) }
}

/// What a whole blob holds; `None` if that lies outside of it.
fn entry(blob: &[u8]) -> Option<Entry<'_>> {
    let kind = *blob.get(TYPE_OFFSET)?;
    let known = blob.get(VERSION_OFFSET).is_some_and(|version| VERSIONS.contains(version));
    if !known || !matches!(kind, OPENPGP | X509) {
        return Some(Entry::Other);
    }
    let (start, length) = (number(blob, CONTENT_OFFSET)?, number(blob, CONTENT_LENGTH_OFFSET)?);
    let content = blob.get(start..start.checked_add(length)?)?;
    let is_ephemeral = blob.get(FLAGS_OFFSET)? & EPHEMERAL != 0;
    Some(match kind {
        OPENPGP => Entry::OpenPgp(content),
        _ if is_ephemeral => Entry::EphemeralX509(content),
        _ => Entry::X509(content),
    })
}

fn number(octets: &[u8], offset: usize) -> Option<usize> {
    let number = octets.get(offset..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"\0\0\0\x20\x01\x01\0\x02KBXf\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0";

    fn blob(kind: u8, version: u8, flags: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(20 + content.len()).unwrap();
        let content_length = u32::try_from(content.len()).unwrap();
        let mut blob = length.to_be_bytes().to_vec();
        blob.extend([kind, version, 0, flags, 0, 0, 0, 20]);
        blob.extend(content_length.to_be_bytes());
        blob.extend([0; 4]);
        blob.extend(content);
        blob
    }

    fn read(keybox: &[u8]) -> Vec<Result<Entry<'_>, KeyboxError>> {
        entries(keybox).collect()
    }

    #[test]
    fn every_kind_of_blob_is_told_apart() {
        let keybox = [
            FIRST,
            &blob(2, 1, 0, b"keyblock"),
            &blob(2, 2, 0, b"keyblock of 2.4"),
            &blob(3, 1, 0, b"certificate"),
            &blob(3, 1, 2, b"ephemeral"),
            &blob(0, 1, 0, b"deleted"),
            &blob(3, 3, 0, b"version 3"),
            &blob(9, 1, 0, b"kind 9"),
            b"\0\0\0\x05\0",
        ]
        .concat();
        let expected = [
            Entry::Other,
            Entry::OpenPgp(b"keyblock"),
            Entry::OpenPgp(b"keyblock of 2.4"),
            Entry::X509(b"certificate"),
            Entry::EphemeralX509(b"ephemeral"),
            Entry::Other,
            Entry::Other,
            Entry::Other,
            Entry::Other,
        ];
        assert_eq!(read(&keybox), expected.map(Ok));
    }

    #[test]
    fn an_empty_file_has_no_blobs() {
        assert_eq!(read(b""), []);
        assert_eq!(read(FIRST), [Ok(Entry::Other)]);
    }

    #[test]
    fn another_file_is_no_keybox() {
        for file in [b"\x99\x01\x0d\x04".as_slice(), b"\0\0\0\x20\x01\x01\0\x02", &blob(3, 1, 0, b"KBXf")] {
            assert_eq!(read(file), [Err(KeyboxError::NotKeybox)]);
        }
    }

    #[test]
    fn a_length_that_cannot_be_ends_it() {
        for bad in [b"\0\0\0\x04\0".as_slice(), b"\0\0\0\x06\x03", b"\xff\xff\xff\xff\x03\x01", b"\0\0\0"] {
            let keybox = [FIRST, bad].concat();
            assert_eq!(read(&keybox), [Ok(Entry::Other), Err(KeyboxError::Broken { at: FIRST.len() })]);
        }
    }

    #[test]
    fn a_blob_whose_content_lies_outside_is_passed_over() {
        let mut outside = blob(3, 1, 0, b"certificate");
        outside[15] += 1;
        let mut far = blob(3, 1, 0, b"certificate");
        far[8..16].fill(0xff);
        let keybox = [FIRST, &outside, &far, b"\0\0\0\x08\x03\x01\0\0", &blob(3, 1, 0, b"good")].concat();
        let at = [FIRST.len(), FIRST.len() + outside.len(), FIRST.len() + 2 * outside.len()];
        let [first, second, third] = at.map(|at| Err(KeyboxError::NoContent { at }));
        assert_eq!(read(&keybox), [Ok(Entry::Other), first, second, third, Ok(Entry::X509(b"good"))]);
    }

    #[test]
    fn a_blob_that_is_too_long_is_passed_over_unless_it_was_deleted() {
        let long = |kind| blob(kind, 1, 0, &vec![0; MAX_BLOB]);
        let keybox = [FIRST, &long(3), &long(0), &blob(3, 1, 0, b"good")].concat();
        let error = KeyboxError::BlobTooLong { at: FIRST.len(), octets: MAX_BLOB + 20 };
        assert_eq!(read(&keybox), [Ok(Entry::Other), Err(error), Ok(Entry::Other), Ok(Entry::X509(b"good"))]);
    }
}
