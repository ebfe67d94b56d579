//! What is in a file: where its certificates stand, and which keys they have.
//!
//! A file is a keybox (`pubring.kbx`), packets one behind the other (`pubring.gpg`, what `gpg --export` writes, a file
//! of a certificate directory), or the same armored. Which one, its octets tell.

use std::borrow::Cow;
use std::ops::Range;

use claviger_keys::keybox;

use crate::armor;
use crate::block::Block;
use crate::packet::{PacketError, Packets, tag};
use crate::stores::{Trouble, Wanted};
use crate::{BlockError, Key};

/// The most certificates that are read of a file.
pub const MAX_CERTIFICATES: usize = 100_000;

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
        match first {
            _ if file.get(KEYBOX_MAGIC_AT..).is_some_and(|rest| rest.starts_with(KEYBOX_MAGIC)) => {
                Some(Self::Keybox)
            }
            0x80.. => Some(Self::Packets),
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
}

/// The certificates of a file, and the first thing that could not be read.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) places: Vec<Place>,
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
    /// in which they stand is not known: its revocation may be what is broken.
    fn read_packets(&mut self, ring: &[u8]) {
        let (starts, end) = match starts(ring) {
            Ok(starts) => (starts, Some(ring.len())),
            Err((starts, error)) => {
                self.note(Trouble::Block(error));
                (starts, None)
            }
        };
        let ends = starts.iter().skip(1).copied().chain(end);
        for (start, end) in starts.iter().copied().zip(ends) {
            self.add(ring, Some(start..end));
        }
    }

    fn add(&mut self, octets: &[u8], range: Option<Range<usize>>) {
        if self.places.len() >= MAX_CERTIFICATES {
            return self.note(Trouble::TooManyCertificates);
        }
        let Some((range, block)) = range.and_then(|range| Some((range.clone(), octets.get(range)?))) else {
            return;
        };
        match Block::read(block) {
            Ok(block) => self.places.push(Place { range, keys: block.keys() }),
            Err(error) => self.note(Trouble::Block(error)),
        }
    }

    /// Only the first trouble is kept: it is what a person can mend first.
    fn note(&mut self, trouble: Trouble) {
        self.trouble.get_or_insert(trouble);
    }
}

/// Where certificates begin, as far as packets go. A secret key anywhere makes the whole file one that does not belong
/// here.
fn starts(ring: &[u8]) -> Result<Vec<usize>, (Vec<usize>, BlockError)> {
    let (mut starts, mut at) = (Vec::new(), 0_usize);
    for packet in Packets::new(ring) {
        let packet = match packet {
            Ok(packet) => packet,
            Err(error) => return Err((starts, broken(error))),
        };
        match packet.tag {
            tag::SECRET_KEY | tag::SECRET_SUBKEY => return Err((Vec::new(), BlockError::SecretKey)),
            tag::PUBLIC_KEY => starts.push(at),
            _ => {}
        }
        at = at.saturating_add(packet.raw.len());
    }
    Ok(starts)
}

fn broken(error: PacketError) -> BlockError {
    error.into()
}

/// Where a part of some octets stands in them.
fn range_of(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    Some(start..start.checked_add(part.len())?)
}
