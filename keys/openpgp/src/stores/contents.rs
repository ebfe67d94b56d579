//! What is in a file: where its certificates stand, and which keys they have.
//!
//! A file is a keybox (`pubring.kbx`), packets one behind the other (`pubring.gpg`, what `gpg --export` writes, a file
//! of a certificate directory), or the same armored. Which one, its octets tell.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use claviger_keys::keybox;

use crate::armor;
use crate::block::Block;
use crate::packet::{Packets, tag};
use crate::stores::{Trouble, Wanted};
use crate::{BlockError, Found, Key};

/// The most certificates that are read of a file.
pub const MAX_CERTIFICATES: usize = 100_000;

/// The most keys that are known of one file, and of all: what they take stays within 32 MiB.
pub(super) const MAX_KNOWN_KEYS: usize = 400_000;

const KEYBOX_MAGIC: &[u8] = b"KBXf";
const KEYBOX_MAGIC_AT: usize = 8;

/// The forms of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Packets,
    Armored,
    Keybox,
}

impl Form {
    /// The form of a file, nothing if it is none of ours. An empty one has no certificates in any form.
    pub(super) fn of(file: &[u8]) -> Option<Self> {
        let Some(first) = file.first() else { return Some(Self::Packets) };
        let is_keybox = || file.get(KEYBOX_MAGIC_AT..).is_some_and(|rest| rest.starts_with(KEYBOX_MAGIC));
        match first {
            0x80.. => Some(Self::Packets),
            _ if is_keybox() => Some(Self::Keybox),
            _ => armor::is_armored(file).then_some(Self::Armored),
        }
    }

    /// The octets that places are counted in.
    pub(super) fn octets(self, file: &[u8]) -> Result<Cow<'_, [u8]>, Trouble> {
        match self {
            Self::Armored => Ok(Cow::Owned(armor::read(file)?)),
            Self::Packets | Self::Keybox => Ok(Cow::Borrowed(file)),
        }
    }
}

/// A certificate: where it stands, and its keys.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) range: Range<usize>,
    keys: Vec<Key>,
}

impl Place {
    /// Whether it has the key.
    pub(super) fn has(&self, wanted: Wanted) -> bool {
        self.keys.iter().any(|key| wanted.is(key))
    }

    /// The certificate, asked for by its first key.
    pub(super) fn found(&self, octets: &[u8], path: &Path) -> Option<Found> {
        let first = self.keys.first()?.fingerprint().into();
        Found::new(octets.get(self.range.clone())?.to_vec(), path, first).ok()
    }
}

/// The certificates of a file, and the first thing that could not be read.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) places: Vec<Place>,
    pub(super) keys: usize,
    pub(super) trouble: Option<Trouble>,
}

impl Contents {
    /// Reads octets of a form, as [`Form::octets`] gives them.
    pub(super) fn read(form: Form, octets: &[u8]) -> Self {
        let mut contents = Self::default();
        match form {
            Form::Keybox => contents.read_keybox(octets),
            Form::Packets | Form::Armored => contents.read_packets(octets),
        }
        contents
    }

    fn read_keybox(&mut self, file: &[u8]) {
        for entry in keybox::entries(file) {
            match entry {
                Ok(keybox::Entry::OpenPgp(block)) => self.add(file, range_of(file, block)),
                Ok(_) => {}
                Err(error) => self.note(error.into()),
            }
        }
    }

    /// Each public key packet begins a certificate. After broken octets nothing is read any more, and the certificate
    /// in which they stand is not known: its revocation may be what is broken. A secret key anywhere makes the whole file
    /// one that does not belong here.
    fn read_packets(&mut self, ring: &[u8]) {
        let (mut start, mut at) = (None, 0_usize);
        for packet in Packets::new(ring) {
            match packet {
                Err(error) => return self.note(Trouble::Block(error.into())),
                Ok(packet) => match packet.tag {
                    tag::SECRET_KEY | tag::SECRET_SUBKEY => return *self = Self::of_secret_keys(),
                    tag::PUBLIC_KEY => self.add(ring, start.replace(at).map(|start| start..at)),
                    _ => {}
                },
            }
            at = at.saturating_add(packet.map_or(0, |packet| packet.raw.len()));
        }
        self.add(ring, start.map(|start| start..at));
    }

    fn of_secret_keys() -> Self {
        Self { trouble: Some(Trouble::Block(BlockError::SecretKey)), ..Self::default() }
    }

    fn add(&mut self, octets: &[u8], range: Option<Range<usize>>) {
        if self.places.len() >= MAX_CERTIFICATES || self.keys >= MAX_KNOWN_KEYS {
            return self.note(Trouble::TooManyCertificates);
        }
        let Some((range, block)) = range.and_then(|range| Some((range.clone(), octets.get(range)?))) else {
            return;
        };
        match Block::read(block) {
            Ok(block) => {
                let keys = block.keys();
                self.keys = self.keys.saturating_add(keys.len());
                self.places.push(Place { range, keys });
            }
            Err(error) => self.note(Trouble::Block(error)),
        }
    }

    /// Only the first trouble is kept: it is what a person can mend first.
    fn note(&mut self, trouble: Trouble) {
        self.trouble.get_or_insert(trouble);
    }
}

/// Where a part of some octets stands in them.
fn range_of(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    Some(start..start.checked_add(part.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fingerprint, PacketError};

    fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[0xc0 | tag, body.len() as u8], body].concat()
    }

    fn certificate(number: u8) -> Vec<u8> {
        [packet(tag::PUBLIC_KEY, &[4, 0, 0, 0, number, 22]), packet(tag::USER_ID, &[number])].concat()
    }

    fn ring(numbers: impl IntoIterator<Item = u8>) -> Vec<u8> {
        numbers.into_iter().flat_map(certificate).collect()
    }

    fn read(ring: &[u8]) -> (Vec<Range<usize>>, Option<Trouble>) {
        let contents = Contents::read(Form::Packets, ring);
        (contents.places.into_iter().map(|place| place.range).collect(), contents.trouble)
    }

    #[test]
    fn every_certificate_has_its_place_and_keys() {
        let ring = [packet(12, b"trust"), ring(0..3), packet(12, b"trust")].concat();
        let contents = Contents::read(Form::of(&ring).unwrap(), &ring);
        assert_eq!(
            contents.places.iter().map(|place| place.range.clone()).collect::<Vec<_>>(),
            [7..18, 18..29, 29..47]
        );
        for (number, place) in contents.places.iter().enumerate() {
            let key = Fingerprint::of_key(&[4, 0, 0, 0, number as u8, 22]).unwrap();
            assert!(place.has(key.into()));
            assert!(!place.has(Fingerprint::of_key(&[4, 0, 0, 0, 9, 22]).unwrap().into()));
        }
    }

    #[test]
    fn a_certificate_that_is_cut_off_is_not_known_nor_is_what_follows() {
        let ring = ring(0..3);
        assert_eq!(read(&ring), (vec![0..11, 11..22, 22..33], None));
        let cut_off = Some(Trouble::Block(BlockError::Packet(PacketError::CutOff)));
        assert_eq!(read(&ring[..32]), (vec![0..11, 11..22], cut_off.clone()));
        let broken = [&ring[..21], b"\x00", &ring[21..]].concat();
        assert_eq!(read(&broken).0, vec![0..11]);
        assert_eq!(read(b""), (vec![], None));
    }

    #[test]
    fn a_secret_key_spoils_the_whole_file() {
        for secret in [tag::SECRET_KEY, tag::SECRET_SUBKEY] {
            let ring = [ring(0..3), packet(secret, b"\x04"), certificate(3)].concat();
            assert_eq!(read(&ring), (vec![], Some(Trouble::Block(BlockError::SecretKey))));
        }
    }

    #[test]
    fn certificates_beyond_the_limit_are_told() {
        let ring = certificate(0).repeat(MAX_CERTIFICATES + 1);
        let (places, trouble) = read(&ring);
        assert_eq!((places.len(), trouble), (MAX_CERTIFICATES, Some(Trouble::TooManyCertificates)));
    }

    #[test]
    fn the_octets_tell_the_form() {
        assert_eq!(Form::of(b"\0\0\0\x20\x01\x01\0\0KBXf"), Some(Form::Keybox));
        assert_eq!(Form::of(&certificate(0)), Some(Form::Packets));
        assert_eq!(Form::of(b"\x98\x33\x04\0\0\0\0\x16KBXf"), Some(Form::Packets), "a key may look so");
        assert_eq!(Form::of(b"Hello,\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n"), Some(Form::Armored));
        assert_eq!(Form::of(b"Hello,\n"), None);
        assert_eq!(Form::of(b""), Some(Form::Packets), "an empty keyring is one");
    }
}
