//! Hash algorithms by name, and the DigestInfo in which a digest travels with its algorithm (RFC 8017, section 9.2).

/// A hash algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// RIPEMD-160.
    Rmd160,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Md5, Self::Sha1, Self::Rmd160, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The algorithm of a name as in `--hash=sha256`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.name() == name)
    }

    /// The name as in `--hash=sha256`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// How many octets a digest has.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        self.row().1
    }

    /// What stands before the digest in a DigestInfo.
    #[must_use]
    pub const fn prefix(self) -> &'static [u8] {
        self.row().2
    }

    const fn row(self) -> (&'static str, usize, &'static [u8]) {
        match self {
            Self::Md5 => {
                ("md5", 16, b"\x30\x20\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00\x04\x10")
            }
            Self::Sha1 => ("sha1", 20, b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"),
            Self::Rmd160 => ("rmd160", 20, b"\x30\x21\x30\x09\x06\x05\x2b\x24\x03\x02\x01\x05\x00\x04\x14"),
            Self::Sha224 => (
                "sha224",
                28,
                b"\x30\x2d\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04\x05\x00\x04\x1c",
            ),
            Self::Sha256 => (
                "sha256",
                32,
                b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
            ),
            Self::Sha384 => (
                "sha384",
                48,
                b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
            ),
            Self::Sha512 => (
                "sha512",
                64,
                b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
            ),
        }
    }
}

/// A DigestInfo taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestInfo<'a> {
    /// The algorithm.
    pub hash: Hash,
    /// What follows the prefix: the digest, if [`is_whole`](Self::is_whole).
    pub digest: &'a [u8],
}

impl<'a> DigestInfo<'a> {
    /// Takes octets apart that begin like a DigestInfo.
    ///
    /// The length is not looked at: GnuPG's agent sends ssh's Ed25519 messages, of any length, behind SHA-1's prefix.
    #[must_use]
    pub fn split(octets: &'a [u8]) -> Option<Self> {
        Hash::ALL
            .into_iter()
            .find_map(|hash| Some(Self { hash, digest: octets.strip_prefix(hash.prefix())? }))
    }

    /// Whether the digest has the length that its algorithm gives.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.digest.len() == self.hash.digest_len()
    }

    /// The octets of the DigestInfo.
    #[must_use]
    pub fn join(&self) -> Vec<u8> {
        [self.hash.prefix(), self.digest].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_der_that_announces_the_digest() {
        for hash in Hash::ALL {
            let prefix = hash.prefix();
            assert_eq!(usize::from(prefix[1]), prefix.len() - 2 + hash.digest_len(), "{hash:?}");
            assert_eq!(usize::from(prefix[3]), prefix.len() - 6, "{hash:?}");
            assert_eq!(usize::from(prefix[prefix.len() - 1]), hash.digest_len(), "{hash:?}");
            assert_eq!(Hash::from_name(hash.name()), Some(hash));
        }
    }

    #[test]
    fn split_and_join_are_inverse() {
        for hash in Hash::ALL {
            let octets = [hash.prefix(), &vec![7; hash.digest_len()]].concat();
            let info = DigestInfo::split(&octets).unwrap();
            assert_eq!((info.hash, info.is_whole()), (hash, true));
            assert_eq!(info.join(), octets);
        }
    }

    #[test]
    fn a_message_behind_the_prefix_of_sha1_is_not_whole() {
        for message in [b"a longer message of ssh".as_slice(), b"a short one", b""] {
            let octets = [Hash::Sha1.prefix(), message].concat();
            let info = DigestInfo::split(&octets).unwrap();
            assert!(!info.is_whole());
            assert_eq!(info.digest, message);
        }
    }

    #[test]
    fn other_octets_are_no_digest_info() {
        assert_eq!(DigestInfo::split(&[0; 36]), None);
        assert_eq!(DigestInfo::split(&Hash::Sha256.prefix()[..18]), None);
        assert_eq!(Hash::from_name("SHA256"), None);
    }
}
