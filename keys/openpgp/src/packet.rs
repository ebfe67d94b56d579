//! Cutting octets into packets (RFC 9580, section 4).
//!
//! Only the boundaries are found here, so that a stored packet can be handed out as it stands. Packets whose length is
//! not said in front (partial and indeterminate lengths) are refused: they are for data, and no program writes keys so.

/// Tags of the packets that a certificate consists of, or that must never be in one (RFC 9580, section 5).
pub(crate) mod tag {
    pub(crate) const SIGNATURE: u8 = 2;
    pub(crate) const SECRET_KEY: u8 = 5;
    pub(crate) const PUBLIC_KEY: u8 = 6;
    pub(crate) const SECRET_SUBKEY: u8 = 7;
    pub(crate) const USER_ID: u8 = 13;
    pub(crate) const PUBLIC_SUBKEY: u8 = 14;
    pub(crate) const USER_ATTRIBUTE: u8 = 17;
}

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    /// Its tag.
    pub(crate) tag: u8,
    /// All its octets.
    pub(crate) raw: &'a [u8],
    /// Those behind the length.
    pub(crate) body: &'a [u8],
}

/// Why octets are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The first octet does not begin a packet.
    #[error("octet {octet:02X} does not begin a packet")]
    NotPacket {
        /// That octet.
        octet: u8,
    },
    /// The length is partial or indeterminate.
    #[error("a packet that does not say its length")]
    NoLength,
    /// Fewer octets are there than the packet says it has.
    #[error("a packet is cut off")]
    CutOff,
}

/// The packets of some octets, in their order. After an error there is no further one.
#[derive(Debug, Clone)]
pub(crate) struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Packets<'a> {
    pub(crate) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = cut(self.rest);
        self.rest = packet.ok().and_then(|packet| self.rest.get(packet.raw.len()..)).unwrap_or_default();
        Some(packet)
    }
}

/// The packet at the beginning.
fn cut(octets: &[u8]) -> Result<Packet<'_>, PacketError> {
    let (tag, header, len) = header(octets)?;
    let end = header.checked_add(len).ok_or(PacketError::CutOff)?;
    let raw = octets.get(..end).ok_or(PacketError::CutOff)?;
    let body = raw.get(header..).ok_or(PacketError::CutOff)?;
    Ok(Packet { tag, raw, body })
}

/// Tag, octets of the header, octets of the body.
fn header(octets: &[u8]) -> Result<(u8, usize, usize), PacketError> {
    let (first, rest) = octets.split_first().ok_or(PacketError::CutOff)?;
    match first >> 6 {
        0b11 => new_length(rest).map(|(field, len)| (first & 0x3f, field + 1, len)),
        0b10 => old_length(first & 3, rest).map(|(field, len)| ((first >> 2) & 0xf, field + 1, len)),
        _ => Err(PacketError::NotPacket { octet: *first }),
    }
}

/// The length field of section 4.2.1: its own size, and what it says.
fn new_length(field: &[u8]) -> Result<(usize, usize), PacketError> {
    match field {
        [224..=254, ..] => Err(PacketError::NoLength),
        _ => subpacket_length(field).ok_or(PacketError::CutOff),
    }
}

/// The same for subpackets, which have no partial lengths (section 5.2.3.7).
pub(crate) fn subpacket_length(field: &[u8]) -> Option<(usize, usize)> {
    match field {
        [len @ 0..=191, ..] => Some((1, usize::from(*len))),
        [255, a, b, c, d, ..] => {
            usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok().map(|len| (5, len))
        }
        [high @ 192..=254, low, ..] => Some((2, ((usize::from(*high) - 192) << 8) + usize::from(*low) + 192)),
        _ => None,
    }
}

/// The length field of section 4.2.2.
fn old_length(kind: u8, field: &[u8]) -> Result<(usize, usize), PacketError> {
    let size = match kind {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => return Err(PacketError::NoLength),
    };
    let octets = field.get(..size).ok_or(PacketError::CutOff)?;
    Ok((size, octets.iter().fold(0, |len, octet| len << 8 | usize::from(*octet))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_all(octets: &[u8]) -> Vec<Result<(u8, usize), PacketError>> {
        Packets::new(octets).map(|packet| packet.map(|packet| (packet.tag, packet.body.len()))).collect()
    }

    /// A header, and as many octets of body.
    fn packet(header: &[u8], body: usize) -> Vec<u8> {
        [header, &vec![0x99; body]].concat()
    }

    #[test]
    fn every_form_of_length_is_read() {
        let forms: [(&[u8], u8, usize); 8] = [
            (b"\x98\x03", 6, 3),
            (b"\x99\x01\x02", 6, 0x102),
            (b"\x9a\0\x01\0\x02", 6, 0x1_0002),
            (b"\xc6\0", 6, 0),
            (b"\xc6\xbf", 6, 191),
            (b"\xc6\xc0\0", 6, 192),
            (b"\xc6\xdf\xff", 6, 8383),
            (b"\xff\xff\0\0\x20\xc0", 63, 8384),
        ];
        for (header, tag, len) in forms {
            let two = packet(header, len).repeat(2);
            assert_eq!(cut_all(&two), [Ok((tag, len)), Ok((tag, len))], "{header:02x?}");
            assert_eq!(Packets::new(&two).next().unwrap().unwrap().raw, packet(header, len));
        }
    }

    #[test]
    fn what_is_cut_off_is_said_and_ends_the_packets() {
        let whole = packet(b"\x98\x03", 3);
        for end in 1..whole.len() {
            assert_eq!(cut_all(&whole[..end]), [Err(PacketError::CutOff)]);
            let behind = [&whole, &whole[..end]].concat();
            assert_eq!(cut_all(&behind), [Ok((6, 3)), Err(PacketError::CutOff)]);
        }
        assert_eq!(cut_all(b"\xc6\xff\xff\xff\xff\xff"), [Err(PacketError::CutOff)]);
        assert_eq!(cut_all(b""), []);
    }

    #[test]
    fn packets_without_a_length_are_refused() {
        for octets in [b"\x9b\0\0", b"\xc6\xe0\0", b"\xc6\xfe\0"] {
            assert_eq!(cut_all(octets), [Err(PacketError::NoLength)]);
        }
        assert_eq!(cut_all(b"\x7f\0"), [Err(PacketError::NotPacket { octet: 0x7f })]);
    }
}
