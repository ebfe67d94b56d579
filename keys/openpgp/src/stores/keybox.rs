//! The entries of a keybox, as far as certificates of OpenPGP need it (GnuPG's kbx/keybox-blob.c).

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// A certificate of OpenPGP.
    OpenPgp(&'a [u8]),
    /// Something else.
    Other,
}

/// An entry is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a broken keybox")]
pub struct KeyboxError;

const OPENPGP: u8 = 2;

/// The entries of a file, up to the first broken one.
pub(super) fn entries(mut rest: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, KeyboxError>> {
    std::iter::from_fn(move || {
        let blob = (!rest.is_empty())
            .then(|| word(rest, 0).filter(|len| *len >= 5).and_then(|len| rest.get(..len)))?;
        rest = blob.and_then(|blob| rest.get(blob.len()..)).unwrap_or_default();
        Some(blob.and_then(entry).ok_or(KeyboxError))
    })
}

fn entry(blob: &[u8]) -> Option<Entry<'_>> {
    match blob.get(4)? {
        &OPENPGP => {
            let (start, len) = (word(blob, 8)?, word(blob, 12)?);
            blob.get(start..start.checked_add(len)?).map(Entry::OpenPgp)
        }
        _ => Some(Entry::Other),
    }
}

fn word(octets: &[u8], at: usize) -> Option<usize> {
    let word = octets.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*word)).ok()
}
