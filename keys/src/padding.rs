//! Padding of RSA blocks in software (RFC 8017, sections 7 and 9), for tokens that have RSA but not the padding that is
//! asked for: the block goes through raw RSA there.
//!
//! What was decrypted is a secret, and so is what is wrong with it: whoever learns whether a padding was good, and where it
//! was not, can decrypt by asking often enough (Bleichenbacher, Manger). So the look at it takes the same steps whatever is
//! found, and every fault is the same error. The length of a good message is not hidden.

use claviger_secret::Secret;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _, ConstantTimeGreater as _};
use zeroize::Zeroizing;

use crate::digest::Hash;

/// The least octets of random padding in PKCS#1 v1.5.
const MIN_PADDING: usize = 8;

/// Why a block cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PaddingError {
    /// The key is too small for what is to be signed.
    #[error("an RSA key of {octets} octets is too small for it")]
    TooSmall {
        /// The size of its modulus.
        octets: usize,
    },
    /// The digest has not the length of its hash.
    #[error("{octets} octets are no digest of {}", hash.name())]
    DigestSize {
        /// The hash.
        hash: Hash,
        /// How many there are.
        octets: usize,
    },
    /// A hash that we cannot compute.
    #[error("no padding with {}", .0.name())]
    Hash(Hash),
}

/// The block was not made with this padding, or not for this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not encrypted for this key")]
pub struct BadPadding;

/// EMSA-PKCS1-v1_5 (section 9.2): 00 01 FF…FF 00 and a DigestInfo, as long as the modulus.
///
/// # Errors
/// [`PaddingError::TooSmall`] if it does not fit.
pub fn emsa_pkcs1_v1_5(digest_info: &[u8], modulus: usize) -> Result<Vec<u8>, PaddingError> {
    let padding = modulus.checked_sub(digest_info.len() + 3).filter(|padding| *padding >= MIN_PADDING);
    let padding = padding.ok_or(PaddingError::TooSmall { octets: modulus })?;
    Ok([&[0, 1], vec![0xff; padding].as_slice(), &[0], digest_info].concat())
}

/// EMSA-PSS (section 9.1.1) with MGF1 of the same hash, as long as a modulus of so many bits.
///
/// # Errors
/// [`PaddingError`] if it does not fit, or if it is no digest of a hash that we have.
pub fn emsa_pss(
    hash: Hash,
    digest: &[u8],
    salt: &[u8],
    modulus_bits: usize,
) -> Result<Vec<u8>, PaddingError> {
    if digest.len() != hash.digest_len() {
        return Err(PaddingError::DigestSize { hash, octets: digest.len() });
    }
    let octets = modulus_bits.div_ceil(8);
    // The block has one bit less than the modulus.
    let bits = modulus_bits.saturating_sub(1);
    let block = bits.div_ceil(8);
    let padding = block.checked_sub(hash.digest_len() + salt.len() + 2);
    let padding = padding.ok_or(PaddingError::TooSmall { octets })?;
    let seal = hashed(hash, &[&[0; 8], digest, salt])?;
    let mut masked = [vec![0; padding].as_slice(), &[1], salt].concat();
    mask(hash, &seal, &mut masked)?;
    if let Some(first) = masked.first_mut() {
        *first &= 0xff >> (8 * block - bits);
    }
    Ok([vec![0; octets - block].as_slice(), &masked, &seal, &[0xbc]].concat())
}

/// EME-PKCS1-v1_5 (section 7.2.2): the message in a block as long as the modulus.
///
/// # Errors
/// [`BadPadding`], whatever is wrong.
pub fn eme_pkcs1_v1_5(block: &Secret) -> Result<Secret, BadPadding> {
    let octets = block.as_bytes();
    let [first, second, rest @ ..] = octets else { return Err(BadPadding) };
    let (found, padding) = first_of(rest, |octet| octet.ct_eq(&0), |_| Choice::from(1));
    let enough = !(MIN_PADDING as u64).ct_gt(&padding);
    let good = first.ct_eq(&0) & second.ct_eq(&2) & found & enough;
    behind(rest, padding, good)
}

/// EME-OAEP (section 7.1.2) with MGF1 of the same hash and no label: the message in a block as long as the modulus.
///
/// # Errors
/// [`BadPadding`], whatever is wrong.
pub fn eme_oaep(block: &Secret, hash: Hash) -> Result<Secret, BadPadding> {
    let size = hash.digest_len();
    let label = hashed(hash, &[]).map_err(|_| BadPadding)?;
    let (first, masked) = block.as_bytes().split_first().ok_or(BadPadding)?;
    let (seed, data) = masked.split_at_checked(size).ok_or(BadPadding)?;
    let (mut seed, mut data) = (Zeroizing::new(seed.to_vec()), Zeroizing::new(data.to_vec()));
    mask(hash, &data, &mut seed).map_err(|_| BadPadding)?;
    mask(hash, &seed, &mut data).map_err(|_| BadPadding)?;
    let (theirs, rest) = data.split_at_checked(size).ok_or(BadPadding)?;
    let (found, padding) = first_of(rest, |octet| octet.ct_eq(&1), |octet| octet.ct_eq(&0));
    let good = first.ct_eq(&0) & theirs.ct_eq(label.as_slice()) & found;
    behind(rest, padding, good)
}

/// Whether an octet that ends the padding comes behind octets that may be padding, and behind how many.
fn first_of(octets: &[u8], is_end: fn(&u8) -> Choice, is_padding: fn(&u8) -> Choice) -> (Choice, u64) {
    let (mut found, mut whole, mut count) = (Choice::from(0), Choice::from(1), 0_u64);
    for octet in octets {
        let end = is_end(octet);
        found |= end;
        whole &= found | is_padding(octet);
        count = u64::conditional_select(&(count.wrapping_add(1)), &count, found);
    }
    (found & whole, count)
}

/// What is behind the padding and the octet that ends it.
fn behind(octets: &[u8], padding: u64, good: Choice) -> Result<Secret, BadPadding> {
    if !bool::from(good) {
        return Err(BadPadding);
    }
    let start = usize::try_from(padding).unwrap_or(usize::MAX).saturating_add(1);
    octets.get(start..).map(Secret::copy_of).ok_or(BadPadding)
}

/// MGF1 (appendix B.2.1) over `octets`.
fn mask(hash: Hash, seed: &[u8], octets: &mut [u8]) -> Result<(), PaddingError> {
    for (counter, part) in (0_u32..).zip(octets.chunks_mut(hash.digest_len())) {
        let mask = hashed(hash, &[seed, &counter.to_be_bytes()])?;
        part.iter_mut().zip(mask.iter()).for_each(|(octet, mask)| *octet ^= mask);
    }
    Ok(())
}

fn hashed(hash: Hash, parts: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>, PaddingError> {
    fn of<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
        parts.iter().fold(D::new(), |hash, part| hash.chain_update(part)).finalize().to_vec()
    }
    let digest = match hash {
        Hash::Sha1 => of::<Sha1>(parts),
        Hash::Sha224 => of::<Sha224>(parts),
        Hash::Sha256 => of::<Sha256>(parts),
        Hash::Sha384 => of::<Sha384>(parts),
        Hash::Sha512 => of::<Sha512>(parts),
        Hash::Md5 | Hash::Rmd160 => return Err(PaddingError::Hash(hash)),
    };
    Ok(Zeroizing::new(digest))
}
