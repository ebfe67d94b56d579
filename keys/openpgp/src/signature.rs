//! What is read of signature packets without checking them: may they leave, and who says to have made them
//! (RFC 9580, sections 5.2.2 to 5.2.4).
//!
//! Whether a signature is good is for sequoia-openpgp to find out.

use crate::packet::subpacket_length;

const DIRECT_KEY: u8 = 0x1f;
const REVOCATION_KEY_SIZE: usize = 22;

/// The types of subpackets that matter here.
mod subpacket {
    pub(super) const EXPORTABLE: u8 = 4;
    pub(super) const REVOCATION_KEY: u8 = 12;
    pub(super) const ISSUER: u8 = 16;
    pub(super) const ISSUER_FINGERPRINT: u8 = 33;
}

/// A signature. What cannot be read has no subpackets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature<'a> {
    kind: u8,
    hashed: &'a [u8],
    unhashed: &'a [u8],
}

impl<'a> Signature<'a> {
    /// Reads the body of a signature packet.
    pub(crate) fn read(body: &'a [u8]) -> Self {
        let version = body.first().copied().unwrap_or_default();
        // Version, type, two algorithms; then the two areas.
        let kind = body.get(1).copied().unwrap_or_default();
        let (hashed, unhashed) = body.get(4..).and_then(|areas| areas_of(version, areas)).unwrap_or_default();
        Self { kind, hashed, unhashed }
    }

    /// Whether gpg exports it: not if it is said to be local, nor if it names a revoker in confidence.
    pub(crate) fn may_leave(&self) -> bool {
        !self.is_local() && !self.is_sensitive()
    }

    /// Whether it may be one that the owner of this key made: it says so, or does not say who made it.
    pub(crate) fn may_be_of(&self, fingerprint: &[u8]) -> bool {
        let mut issuers = self.subpackets().filter_map(|(kind, value)| issuer(kind, value)).peekable();
        issuers.peek().is_none() || issuers.any(|issuer| is_id_of(issuer, fingerprint))
    }

    fn is_local(&self) -> bool {
        self.subpackets().any(|(kind, value)| kind == subpacket::EXPORTABLE && value.first() == Some(&0))
    }

    fn is_sensitive(&self) -> bool {
        self.kind == DIRECT_KEY
            && Subpackets(self.hashed).any(|(kind, value)| {
                kind == subpacket::REVOCATION_KEY
                    && value.len() == REVOCATION_KEY_SIZE
                    && value.first().is_some_and(|class| class & 0xc0 == 0xc0)
            })
    }

    fn subpackets(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        Subpackets(self.hashed).chain(Subpackets(self.unhashed))
    }
}

fn issuer(kind: u8, value: &[u8]) -> Option<&[u8]> {
    match kind {
        subpacket::ISSUER => Some(value),
        subpacket::ISSUER_FINGERPRINT => value.get(1..), // the key's version is before it
        _ => None,
    }
}

/// Whether these octets are the fingerprint, or the key id that belongs to it: the end of short fingerprints, the
/// beginning of long ones.
fn is_id_of(id: &[u8], fingerprint: &[u8]) -> bool {
    id == fingerprint
        || (id.len() == 8
            && match fingerprint.len() {
                20 => fingerprint.ends_with(id),
                _ => fingerprint.starts_with(id),
            })
}

/// The hashed and the unhashed area.
fn areas_of(version: u8, octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let area = match version {
        4 | 5 => short_area,
        6 => long_area,
        _ => return None,
    };
    let (hashed, behind) = area(octets)?;
    Some((hashed, area(behind)?.0))
}

fn short_area(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, behind) = octets.split_first_chunk()?;
    behind.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

fn long_area(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, behind) = octets.split_first_chunk()?;
    behind.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)
}

/// The subpackets of an area: type without the critical bit, and value.
struct Subpackets<'a>(&'a [u8]);

impl<'a> Iterator for Subpackets<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (field, len) = subpacket_length(self.0)?;
        let (subpacket, behind) = self.0.get(field..)?.split_at_checked(len)?;
        self.0 = behind;
        let (kind, value) = subpacket.split_first()?;
        Some((kind & 0x7f, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 4 signature of a type, with its two areas.
    fn signature(kind: u8, hashed: &[u8], unhashed: &[u8]) -> Vec<u8> {
        let area = |octets: &[u8]| [&[0, octets.len() as u8], octets].concat();
        [&[4, kind, 22, 8], &*area(hashed), &*area(unhashed), b"numbers"].concat()
    }

    fn may_leave(body: &[u8]) -> bool {
        Signature::read(body).may_leave()
    }

    #[test]
    fn local_signatures_stay() {
        assert!(!may_leave(&signature(0x10, b"\x02\x04\0", b"")));
        assert!(!may_leave(&signature(0x10, b"\x02\x84\0", b"")), "the critical bit does not matter");
        assert!(!may_leave(&signature(0x10, b"\x02\x1b\x01\x02\x04\0", b"")));
        assert!(!may_leave(&signature(0x10, b"", b"\x02\x04\0")));
        assert!(may_leave(&signature(0x10, b"\x02\x04\x01", b"")));
        assert!(may_leave(&signature(0x10, b"", b"")));
    }

    #[test]
    fn signatures_of_version_6_have_longer_counts() {
        assert!(!may_leave(b"\x06\x10\x1b\x08\0\0\0\x03\x02\x04\0\0\0\0\0salt"));
        assert!(may_leave(b"\x06\x10\x1b\x08\0\0\0\x03\x02\x04\x01\0\0\0\0salt"));
    }

    #[test]
    fn revokers_named_in_confidence_stay() {
        let names = |class: u8| [&[23, 12, class, 1], [0xaa; 20].as_slice()].concat();
        assert!(!may_leave(&signature(DIRECT_KEY, &names(0xc0), b"")));
        assert!(may_leave(&signature(DIRECT_KEY, &names(0x80), b"")));
        assert!(
            may_leave(&signature(0x10, &names(0xc0), b"")),
            "gpg reads it in direct-key signatures alone"
        );
    }

    #[test]
    fn makers_are_known_by_fingerprint_or_key_id() {
        let long = [0xee; 32];
        let v4: Vec<u8> = (0..20).collect();
        let by_id = signature(0x10, b"", &[&[9, 16], &v4[12..]].concat());
        assert!(Signature::read(&by_id).may_be_of(&v4));
        assert!(!Signature::read(&by_id).may_be_of(&long));
        let by_fingerprint = signature(0x10, &[&[22, 33, 4], &v4[..]].concat(), b"");
        assert!(Signature::read(&by_fingerprint).may_be_of(&v4));
        let by_v6 = signature(0x10, &[&[9, 16], &long[..8]].concat(), b"");
        assert!(Signature::read(&by_v6).may_be_of(&long) && !Signature::read(&by_v6).may_be_of(&v4));
        assert!(Signature::read(&signature(0x10, b"", b"")).may_be_of(&v4), "nobody is named");
    }

    #[test]
    fn broken_areas_are_read_as_far_as_they_go() {
        assert!(!may_leave(&signature(0x10, b"\x02\x04\0\xff\xff", b"")));
        assert!(may_leave(&signature(0x10, b"\0\x02\x04\0", b"")), "a subpacket without type ends the area");
        for body in [b"".as_slice(), b"\x04", b"\x04\x10\x16\x08\xff\xff\x02\x04\0", b"\x03\x05\x10"] {
            assert!(may_leave(body));
        }
    }
}
