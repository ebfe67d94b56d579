//! Mechanisms with their parameters as the module takes them (PKCS#11, 6: mechanisms).

use std::ptr;

use cryptoki_sys::*;

/// A mechanism.
#[derive(Debug, Clone, Copy)]
pub(in crate::pkcs11::helper) enum Mechanism<'a> {
    /// One without a parameter.
    Plain(CK_MECHANISM_TYPE),
    /// `CKM_RSA_PKCS_PSS`, MGF1 with the same hash.
    Pss {
        /// `CKM_` of the hash.
        hash: CK_MECHANISM_TYPE,
        /// Octets of salt.
        salt: CK_ULONG,
    },
    /// `CKM_RSA_PKCS_OAEP`, MGF1 with the same hash, no label.
    Oaep {
        /// `CKM_` of the hash.
        hash: CK_MECHANISM_TYPE,
    },
    /// `CKM_ECDH1_DERIVE` with the other side's point and no KDF.
    Ecdh(&'a [u8]),
}

/// MGF1 with a hash, for hashes that have one.
const MASKS: [(CK_MECHANISM_TYPE, CK_RSA_PKCS_MGF_TYPE); 5] = [
    (CKM_SHA_1, CKG_MGF1_SHA1),
    (CKM_SHA224, CKG_MGF1_SHA224),
    (CKM_SHA256, CKG_MGF1_SHA256),
    (CKM_SHA384, CKG_MGF1_SHA384),
    (CKM_SHA512, CKG_MGF1_SHA512),
];

impl Mechanism<'_> {
    /// Calls `with` with the mechanism; its pointers are good within.
    pub(super) fn with<T>(self, with: impl FnOnce(*mut CK_MECHANISM) -> T) -> T {
        match self {
            Self::Plain(mechanism) => raw(mechanism, ptr::null_mut::<u8>(), 0, with),
            Self::Pss { hash, salt } => sized(
                CKM_RSA_PKCS_PSS,
                CK_RSA_PKCS_PSS_PARAMS { hashAlg: hash, mgf: mask(hash), sLen: salt },
                with,
            ),
            Self::Oaep { hash } => sized(CKM_RSA_PKCS_OAEP, oaep(hash), with),
            Self::Ecdh(point) => sized(CKM_ECDH1_DERIVE, ecdh(point), with),
        }
    }
}

/// A hash that we do not know has no mask, and the module refuses it.
fn mask(hash: CK_MECHANISM_TYPE) -> CK_RSA_PKCS_MGF_TYPE {
    MASKS.iter().find(|(known, _)| *known == hash).map_or(0, |(_, mask)| *mask)
}

fn oaep(hash: CK_MECHANISM_TYPE) -> CK_RSA_PKCS_OAEP_PARAMS {
    CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: hash,
        mgf: mask(hash),
        source: CKZ_DATA_SPECIFIED,
        pSourceData: ptr::null_mut(),
        ulSourceDataLen: 0,
    }
}

fn ecdh(point: &[u8]) -> CK_ECDH1_DERIVE_PARAMS {
    CK_ECDH1_DERIVE_PARAMS {
        kdf: CKD_NULL,
        ulSharedDataLen: 0,
        pSharedData: ptr::null_mut(),
        ulPublicDataLen: point.len() as CK_ULONG,
        pPublicData: point.as_ptr().cast_mut(),
    }
}

fn sized<P, T>(
    mechanism: CK_MECHANISM_TYPE,
    mut parameter: P,
    with: impl FnOnce(*mut CK_MECHANISM) -> T,
) -> T {
    raw(mechanism, &raw mut parameter, size_of::<P>(), with)
}

fn raw<P, T>(
    mechanism: CK_MECHANISM_TYPE,
    parameter: *mut P,
    length: usize,
    with: impl FnOnce(*mut CK_MECHANISM) -> T,
) -> T {
    let mut mechanism =
        CK_MECHANISM { mechanism, pParameter: parameter.cast(), ulParameterLen: length as CK_ULONG };
    with(&raw mut mechanism)
}
