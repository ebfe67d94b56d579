//! From a certificate to its issuers, across cards and shelf. A step counts if the signature is right; OpenSSL checks it.

use claviger_keys::x509::{self, Certificate};
use openssl::x509::X509;

/// The chain from `leaf` upwards, leaf first, as far as `candidates` lead. Of two issuers that fit alike (one was renewed),
/// the one that is valid `now`, in seconds since 1970, is preferred.
pub(crate) fn from(leaf: &Certificate, candidates: &[Certificate], now: i64) -> Vec<Certificate> {
    let (valid, others): (Vec<_>, _) = candidates.iter().partition(|candidate| is_valid(candidate, now));
    let candidates = [valid, others].concat();
    x509::chain::build(leaf, &candidates, is_signed_by).into_iter().cloned().collect()
}

fn is_valid(certificate: &Certificate, now: i64) -> bool {
    certificate.fields().is_ok_and(|fields| (fields.not_before()..=fields.not_after()).contains(&now))
}

/// Whether the key of `issuer` made the signature of `certificate`.
fn is_signed_by(certificate: &Certificate, issuer: &Certificate) -> bool {
    let signed = || -> Result<bool, openssl::error::ErrorStack> {
        let key = X509::from_der(issuer.bare())?.public_key()?;
        X509::from_der(certificate.bare())?.verify(&key)
    };
    // What OpenSSL cannot read leads nowhere.
    signed().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::super::samples::certificate;
    use super::*;

    /// In 2030.
    const NOW: i64 = 1_900_000_000;

    #[test]
    fn a_chain_leads_from_the_leaf_to_its_root() {
        let [root, middle, leaf, other] = ["root", "middle", "leaf", "same-name"].map(certificate);
        let candidates = [other, root.clone(), leaf.clone(), middle.clone()];
        assert_eq!(from(&leaf, &candidates, NOW), [leaf, middle, root]);
    }

    #[test]
    fn a_chain_ends_where_an_issuer_is_missing_or_has_another_key() {
        let [other, middle, leaf] = ["same-name", "middle", "leaf"].map(certificate);
        assert_eq!(from(&leaf, &[other, middle.clone()], NOW), [leaf.clone(), middle]);
        assert_eq!(from(&leaf, &[], NOW), [leaf]);
    }

    #[test]
    fn what_is_no_certificate_is_a_chain_of_one() {
        let none = Certificate::new(&b"hello"[..]);
        assert_eq!(from(&none, &[certificate("root"), none.clone()], NOW), [none]);
    }
}
