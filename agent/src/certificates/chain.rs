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
    use openssl::asn1::Asn1Time;
    use openssl::hash::MessageDigest;
    use openssl::pkey::{PKey, Private};
    use openssl::x509::X509Name;

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

    #[test]
    fn of_a_renewed_issuer_the_valid_certificate_is_taken() {
        let [root_key, middle_key, leaf_key] = keys();
        let root = made("Root", &root_key, "Root", &root_key, VALID);
        let [expired, valid] =
            [1_500_000_000, VALID].map(|end| made("Middle", &middle_key, "Root", &root_key, end));
        let leaf = made("Leaf", &leaf_key, "Middle", &middle_key, VALID);
        for order in [[&expired, &valid], [&valid, &expired]] {
            let candidates = [order[0].clone(), order[1].clone(), root.clone()];
            assert_eq!(from(&leaf, &candidates, NOW), [leaf.clone(), valid.clone(), root.clone()]);
        }
        let candidates = [expired.clone(), root.clone()];
        assert_eq!(from(&leaf, &candidates, NOW), [leaf, expired, root], "better than nothing");
    }

    #[test]
    fn authorities_that_signed_each_other_end_the_chain() {
        let [one_key, other_key, leaf_key] = keys();
        let one = made("One", &one_key, "Other", &other_key, VALID);
        let other = made("Other", &other_key, "One", &one_key, VALID);
        let leaf = made("Leaf", &leaf_key, "One", &one_key, VALID);
        let candidates = [other.clone(), one.clone(), leaf.clone()];
        assert_eq!(from(&leaf, &candidates, NOW), [leaf.clone(), one.clone(), other.clone()]);
        let root = made("Other", &other_key, "Other", &other_key, VALID);
        let candidates = [other, one.clone(), root.clone()];
        assert_eq!(from(&leaf, &candidates, NOW), [leaf, one, root], "where one has a root, that is found");
    }

    /// The end of a validity that includes [`NOW`].
    const VALID: i64 = 2_000_000_000;

    fn keys() -> [PKey<Private>; 3] {
        [(); 3].map(|()| PKey::generate_ed25519().unwrap())
    }

    fn made(name: &str, key: &PKey<Private>, by: &str, by_key: &PKey<Private>, end: i64) -> Certificate {
        let mut builder = X509::builder().unwrap();
        builder.set_subject_name(&named(name)).unwrap();
        builder.set_issuer_name(&named(by)).unwrap();
        builder.set_pubkey(key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(1_000_000_000).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(end).unwrap()).unwrap();
        builder.sign(by_key, MessageDigest::null()).unwrap();
        Certificate::new(builder.build().to_der().unwrap())
    }

    fn named(name: &str) -> X509Name {
        let mut builder = X509Name::builder().unwrap();
        builder.append_entry_by_text("CN", name).unwrap();
        builder.build()
    }
}
