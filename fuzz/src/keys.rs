//! Keys as others write them: S-expressions in both forms, and the keys in them.

use claviger_keys::sexp::MAX_LEN;
use claviger_keys::{Curve, EcdhParams, OpenPgpAlgorithm, PublicKey, SecretKey, SecretMaterial, Sexp};

/// S-expressions: what is read is written back; what is written is read back; the keys in them have all their forms.
pub fn sexp(data: &[u8]) {
    if let Ok(sexp) = Sexp::from_canonical(data) {
        assert_eq!(sexp.to_canonical(), data);
        check_advanced(&sexp);
    }
    if let Ok(sexp) = Sexp::from_advanced(data) {
        let canonical = sexp.to_canonical();
        assert_eq!(Sexp::from_canonical(&canonical).as_ref(), Ok(&sexp));
        check_advanced(&sexp);
        keys(&canonical);
    }
    keys(data);
}

fn check_advanced(sexp: &Sexp<'_>) {
    let advanced = sexp.to_advanced();
    // The advanced form is longer, and may leave the limit of what is read.
    if advanced.len() <= MAX_LEN {
        assert_eq!(Sexp::from_advanced(&advanced).as_ref(), Ok(sexp));
    }
}

fn keys(canonical: &[u8]) {
    if let Ok(key) = PublicKey::from_sexp(canonical) {
        public(&key);
    }
    if let Ok(key) = SecretKey::from_keydata(canonical) {
        public(&key.public());
        if let SecretMaterial::Rsa(rsa) = key.material() {
            // Without inverses there is an error, and nothing worse.
            let _ = rsa.crt();
        }
    }
}

fn public(key: &PublicKey) {
    assert_eq!(PublicKey::from_sexp(&key.to_sexp()).as_ref(), Ok(key));
    assert_eq!(key.keygrip().to_string().parse(), Ok(key.keygrip()));
    assert_eq!(key.ssh_blob().is_some(), key.ssh_line("").is_some());
    let ecdh = EcdhParams::default_for(key.curve().unwrap_or(Curve::Curve25519));
    let fingerprint = |params| key.fingerprint(0, OpenPgpAlgorithm::Ecdh, params);
    assert_eq!(fingerprint(None), fingerprint(Some(ecdh)));
    assert!(key.spki_der().len() > key.bits() / 8);
}
