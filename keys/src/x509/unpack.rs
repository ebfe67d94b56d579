//! Certificates that are stored compressed: PIV cards keep them gzip'ed (NIST SP 800-73-4, part 1, section 3.1 and table
//! 10: `CertInfo`), some with zlib's header instead, and not every PKCS#11 module unpacks them.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::read::{GzDecoder, ZlibDecoder};

use super::MAX_CERTIFICATE;

const GZIP: &[u8] = &[0x1f, 0x8b];

/// The octets are compressed, and cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    /// They are broken or cut.
    #[error("a compressed certificate that cannot be unpacked")]
    Broken,
    /// There would be more than [`MAX_CERTIFICATE`] of them.
    #[error("a compressed certificate of more than {MAX_CERTIFICATE} octets")]
    TooLong,
}

/// What is stored, unpacked if it is compressed.
///
/// # Errors
/// [`PackedError`] if it looks compressed and is not, or is too long.
pub fn unpack(stored: &[u8]) -> Result<Cow<'_, [u8]>, PackedError> {
    match stored {
        _ if stored.starts_with(GZIP) => whole(GzDecoder::new(stored)).map(Cow::Owned),
        // The two octets of a zlib header are a multiple of 31; DER begins in another way.
        [0x78, flags, ..] if (0x7800 + u16::from(*flags)) % 31 == 0 => {
            whole(ZlibDecoder::new(stored)).map(Cow::Owned)
        }
        _ => Ok(Cow::Borrowed(stored)),
    }
}

fn whole(packed: impl Read) -> Result<Vec<u8>, PackedError> {
    let mut octets = Vec::new();
    let most = MAX_CERTIFICATE as u64 + 1;
    let read: io::Result<_> = packed.take(most).read_to_end(&mut octets);
    match read {
        Err(_) => Err(PackedError::Broken),
        Ok(size) if size > MAX_CERTIFICATE => Err(PackedError::TooLong),
        Ok(_) => Ok(octets),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(octets: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(octets).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_compressed_is_unpacked_and_the_rest_is_as_it_is() {
        let octets = b"\x30\x03\x02\x01\x07".repeat(100);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&octets).unwrap();
        for stored in [gzip(&octets), zlib.finish().unwrap(), octets.clone()] {
            assert_eq!(unpack(&stored).as_deref(), Ok(octets.as_slice()));
            // A card may pad.
            assert!(unpack(&[stored.as_slice(), &[0; 3]].concat()).unwrap().starts_with(&octets));
        }
        assert_eq!(unpack(b"").as_deref(), Ok(b"".as_slice()));
    }

    #[test]
    fn what_is_cut_is_broken() {
        let stored = gzip(b"certificate");
        for cut in 2..stored.len() {
            assert_eq!(unpack(&stored[..cut]), Err(PackedError::Broken), "{cut}");
        }
    }

    #[test]
    fn what_grows_too_long_is_refused() {
        assert!(unpack(&gzip(&vec![0; MAX_CERTIFICATE])).is_ok());
        let bomb = gzip(&vec![0; 64 * MAX_CERTIFICATE]);
        assert!(bomb.len() < MAX_CERTIFICATE);
        assert_eq!(unpack(&bomb), Err(PackedError::TooLong));
    }
}
