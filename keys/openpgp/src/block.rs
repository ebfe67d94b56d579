//! A certificate as it is stored: its packets, uncut (RFC 9580, section 10.1; GnuPG calls it a keyblock).
//!
//! What is handed out are stored packets, octet for octet. Nothing here is checked, and nothing is written anew.

use crate::Key;
use crate::packet::{Packet, PacketError, Packets, tag};
use crate::signature::Signature;

/// The largest certificate: 5 MiB, as in GnuPG, with room for ten thousand signatures.
pub const MAX_CERTIFICATE: usize = 5 << 20;

/// The most packets a certificate may have.
pub const MAX_PACKETS: usize = 20_000;

/// The most keys a certificate may have.
pub const MAX_KEYS: usize = 200;

/// Why a stored certificate cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The octets are no packets.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The first packet is not a public key.
    #[error("a certificate that does not begin with a public key")]
    NoKey,
    /// There is more than one primary key.
    #[error("two certificates where one is expected")]
    TwoKeys,
    /// It has not the key that it is listed with.
    #[error("a certificate that has other keys than it is listed with")]
    OtherKeys,
    /// There are secret keys in it, which are nobody's business here.
    #[error("secret keys; export the public ones and store those")]
    SecretKey,
    /// It has more than [`MAX_CERTIFICATE`] octets.
    #[error("a certificate of {octets} octets; at most {MAX_CERTIFICATE} are read")]
    TooLarge {
        /// How many it has.
        octets: usize,
    },
    /// It has more than [`MAX_PACKETS`] packets.
    #[error("a certificate of more than {MAX_PACKETS} packets")]
    TooManyPackets,
    /// It has more than [`MAX_KEYS`] keys.
    #[error("a certificate of more than {MAX_KEYS} keys")]
    TooManyKeys,
}

/// The packets of one certificate.
#[derive(Debug, Clone)]
pub(crate) struct Block<'a> {
    packets: Vec<Packet<'a>>,
}

impl<'a> Block<'a> {
    /// Cuts the octets of one certificate.
    pub(crate) fn read(octets: &'a [u8]) -> Result<Self, BlockError> {
        if octets.len() > MAX_CERTIFICATE {
            return Err(BlockError::TooLarge { octets: octets.len() });
        }
        let packets: Vec<_> = Packets::new(octets).take(MAX_PACKETS + 1).collect::<Result<_, _>>()?;
        if packets.len() > MAX_PACKETS {
            return Err(BlockError::TooManyPackets);
        }
        let block = Self { packets };
        block.check_tags()?;
        Ok(block)
    }

    fn check_tags(&self) -> Result<(), BlockError> {
        let count = |wanted: &[u8]| self.packets.iter().filter(|packet| wanted.contains(&packet.tag)).count();
        if count(&[tag::SECRET_KEY, tag::SECRET_SUBKEY]) > 0 {
            return Err(BlockError::SecretKey);
        }
        if self.packets.first().is_none_or(|packet| packet.tag != tag::PUBLIC_KEY) {
            return Err(BlockError::NoKey);
        }
        if count(&[tag::PUBLIC_KEY]) > 1 {
            return Err(BlockError::TwoKeys);
        }
        if count(&[tag::PUBLIC_SUBKEY]) >= MAX_KEYS {
            return Err(BlockError::TooManyKeys);
        }
        Ok(())
    }

    /// Its keys whose version is known, the primary key first; none if that one's is not.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let keys =
            self.packets.iter().filter(|packet| is_key(packet.tag)).map(|packet| Key::read(packet.body));
        let keys: Vec<_> = keys.collect();
        match keys.first() {
            Some(Some(_)) => keys.into_iter().flatten().collect(),
            _ => Vec::new(),
        }
    }

    /// The packets that may leave: what `gpg --export` exports. Left out are local signatures, those that name a
    /// revoker in confidence, and packets that are not part of a certificate, such as a keyring's trust packets.
    pub(crate) fn exportable(&self) -> impl Iterator<Item = Packet<'a>> {
        self.packets.iter().copied().filter(|packet| match packet.tag {
            tag::SIGNATURE => Signature::read(packet.body).may_leave(),
            tag::USER_ID | tag::USER_ATTRIBUTE => true,
            other => is_key(other),
        })
    }

    /// Whether it is of version 6.
    pub(crate) fn is_v6(&self) -> bool {
        self.packets.first().is_some_and(|key| key.body.first() == Some(&6))
    }

    /// The octets of all packets that may leave.
    pub(crate) fn full(&self) -> Vec<u8> {
        self.exportable().flat_map(|packet| packet.raw).copied().collect()
    }
}

/// Whether a tag is that of a public key, primary or not.
pub(crate) const fn is_key(tag: u8) -> bool {
    matches!(tag, tag::PUBLIC_KEY | tag::PUBLIC_SUBKEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[0xc0 | tag, body.len() as u8], body].concat()
    }

    fn read(packets: &[(u8, &[u8])]) -> Result<Vec<u8>, BlockError> {
        let octets: Vec<u8> = packets.iter().flat_map(|(tag, body)| packet(*tag, body)).collect();
        Block::read(&octets).map(|block| block.full())
    }

    const KEY: (u8, &[u8]) = (tag::PUBLIC_KEY, b"\x04\0\0\0\0\x16");
    const SUBKEY: (u8, &[u8]) = (tag::PUBLIC_SUBKEY, b"\x04\0\0\0\x01\x16");
    const LOCAL: (u8, &[u8]) = (tag::SIGNATURE, b"\x04\x10\x16\x08\0\x03\x02\x04\0\0\0");
    const TRUST: (u8, &[u8]) = (12, b"\0\0");
    const USER: (u8, &[u8]) = (tag::USER_ID, b"Mary");

    #[test]
    fn what_stays_is_left_out_and_the_rest_untouched() {
        let full = read(&[KEY, TRUST, USER, LOCAL, TRUST, SUBKEY, (21, b"padding")]).unwrap();
        assert_eq!(full, read(&[KEY, USER, SUBKEY]).unwrap());
        assert_eq!(full, [packet(KEY.0, KEY.1), packet(USER.0, USER.1), packet(SUBKEY.0, SUBKEY.1)].concat());
    }

    #[test]
    fn secret_keys_are_refused_wherever_they_stand() {
        for secret in [tag::SECRET_KEY, tag::SECRET_SUBKEY] {
            assert_eq!(read(&[(secret, KEY.1), USER]), Err(BlockError::SecretKey));
            assert_eq!(read(&[KEY, USER, (secret, KEY.1)]), Err(BlockError::SecretKey));
        }
    }

    #[test]
    fn one_certificate_is_wanted() {
        assert_eq!(read(&[]), Err(BlockError::NoKey));
        assert_eq!(read(&[USER, KEY]), Err(BlockError::NoKey));
        assert_eq!(read(&[KEY, USER, KEY]), Err(BlockError::TwoKeys));
        assert_eq!(Block::read(b"\xc6\x06").unwrap_err(), BlockError::Packet(PacketError::CutOff));
    }

    #[test]
    fn sizes_have_limits() {
        let many = |count: usize, what: (u8, &'static [u8])| {
            read(&[vec![KEY], vec![what; count]].concat()).map(|full| full.len())
        };
        assert!(many(MAX_PACKETS - 1, USER).is_ok());
        assert_eq!(many(MAX_PACKETS, USER), Err(BlockError::TooManyPackets));
        assert!(many(MAX_KEYS - 1, SUBKEY).is_ok());
        assert_eq!(many(MAX_KEYS, SUBKEY), Err(BlockError::TooManyKeys));
        let octets = MAX_CERTIFICATE + 1;
        assert_eq!(Block::read(&vec![0; octets]).unwrap_err(), BlockError::TooLarge { octets });
    }

    #[test]
    fn keys_are_listed_with_the_primary_key_first() {
        let octets = [packet(KEY.0, KEY.1), packet(USER.0, USER.1), packet(SUBKEY.0, SUBKEY.1)].concat();
        let keys = Block::read(&octets).unwrap().keys();
        let expected = [KEY, SUBKEY].map(|(_, body)| crate::Fingerprint::of_key(body).unwrap());
        assert_eq!(keys.iter().map(Key::fingerprint).collect::<Vec<_>>(), expected);
        let unknown = [packet(tag::PUBLIC_KEY, b"\x03"), packet(SUBKEY.0, SUBKEY.1)].concat();
        assert_eq!(Block::read(&unknown).unwrap().keys(), []);
    }
}
