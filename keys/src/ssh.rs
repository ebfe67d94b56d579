//! Public keys as ssh has them: blobs, lines and fingerprints (RFC 4253, section 6.6; RFC 5656; RFC 8709).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::curve::Curve;
use crate::public::{PublicKey, signed};

impl PublicKey {
    /// The name of the key type; `None` where ssh has none for the curve (brainpool, secp256k1, key agreement).
    #[must_use]
    pub const fn ssh_type(&self) -> Option<&'static str> {
        match self {
            Self::Rsa(_) => Some("ssh-rsa"),
            Self::Ecc(key) => match key.curve() {
                Curve::NistP256 => Some("ecdsa-sha2-nistp256"),
                Curve::NistP384 => Some("ecdsa-sha2-nistp384"),
                Curve::NistP521 => Some("ecdsa-sha2-nistp521"),
                Curve::Ed25519 => Some("ssh-ed25519"),
                Curve::Ed448 => Some("ssh-ed448"),
                _ => None,
            },
        }
    }

    /// The blob; `None` where there is no [`ssh_type`](Self::ssh_type).
    #[must_use]
    pub fn ssh_blob(&self) -> Option<Vec<u8>> {
        let name = self.ssh_type()?;
        let mut blob = Vec::new();
        append_string(name.as_bytes(), &mut blob);
        match self {
            Self::Rsa(key) => {
                append_string(&signed(key.e()), &mut blob);
                append_string(&signed(key.n()), &mut blob);
            }
            Self::Ecc(key) => {
                if let Some(curve) = name.strip_prefix("ecdsa-sha2-") {
                    append_string(curve.as_bytes(), &mut blob);
                }
                append_string(key.point(), &mut blob);
            }
        }
        Some(blob)
    }

    /// The line of an `authorized_keys` file, without line end; `None` where there is no [`ssh_type`](Self::ssh_type).
    #[must_use]
    pub fn ssh_line(&self, comment: &str) -> Option<String> {
        Some(format!("{} {} {comment}", self.ssh_type()?, STANDARD.encode(self.ssh_blob()?)))
    }

    /// The fingerprint, as `ssh-keygen -l` prints it: `SHA256:` and base64.
    #[must_use]
    pub fn ssh_fingerprint(&self) -> Option<String> {
        Some(format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(self.ssh_blob()?))))
    }
}

/// A string of RFC 4251, section 5. No part of a key is longer than a few kilobytes.
fn append_string(octets: &[u8], blob: &mut Vec<u8>) {
    blob.extend(u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes());
    blob.extend(octets);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_that_ssh_does_not_know_have_no_form() {
        for curve in Curve::ALL {
            let point = vec![4; curve.point_size()];
            let key = PublicKey::ecc(curve, &point).unwrap();
            let known =
                ["nistp256", "nistp384", "nistp521", "ed25519", "ed448"].contains(&curve.openpgp_name());
            assert_eq!(key.ssh_blob().is_some(), known, "{curve:?}");
            assert_eq!(key.ssh_line("").is_some(), known, "{curve:?}");
            assert_eq!(key.ssh_fingerprint().is_some(), known, "{curve:?}");
        }
    }

    #[test]
    fn numbers_with_the_top_bit_set_begin_with_zero() {
        let key = PublicKey::rsa(&[0xff; 128], b"\x81").unwrap();
        let expected = [b"\0\0\0\x07ssh-rsa\0\0\0\x02\0\x81\0\0\0\x81\0".as_slice(), &[0xff; 128]].concat();
        assert_eq!(key.ssh_blob().unwrap(), expected);
    }

    /// RFC 8709, section 4; OpenSSH has no Ed448.
    #[test]
    fn an_ed448_blob_is_name_and_native_point() {
        let key = PublicKey::ecc(Curve::Ed448, &[7; 57]).unwrap();
        let expected = [b"\0\0\0\x09ssh-ed448\0\0\0\x39".as_slice(), &[7; 57]].concat();
        assert_eq!(key.ssh_blob().unwrap(), expected);
    }
}
