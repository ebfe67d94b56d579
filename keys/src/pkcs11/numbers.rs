//! Numbers of PKCS#11 that name attributes, kinds of keys and mechanisms, as far as keys are described with them; under
//! the names that the standard gives them (PKCS#11 3.2, pkcs11t.h).

/// `CKO_CERTIFICATE`.
pub const CKO_CERTIFICATE: u64 = 0x01;
/// `CKC_X_509`.
pub const CKC_X_509: u64 = 0x00;

/// `CKK_RSA`.
pub const CKK_RSA: u64 = 0x00;
/// `CKK_DSA`.
pub const CKK_DSA: u64 = 0x01;
/// `CKK_DH`.
pub const CKK_DH: u64 = 0x02;
/// `CKK_EC`.
pub const CKK_EC: u64 = 0x03;
/// `CKK_EC_EDWARDS`.
pub const CKK_EC_EDWARDS: u64 = 0x40;
/// `CKK_EC_MONTGOMERY`.
pub const CKK_EC_MONTGOMERY: u64 = 0x41;
/// `CKK_ML_KEM`.
pub const CKK_ML_KEM: u64 = 0x49;
/// `CKK_ML_DSA`.
pub const CKK_ML_DSA: u64 = 0x4a;
/// `CKK_SLH_DSA`.
pub const CKK_SLH_DSA: u64 = 0x4b;

/// `CKA_CLASS`.
pub const CKA_CLASS: u64 = 0x000;
/// `CKA_VALUE`.
pub const CKA_VALUE: u64 = 0x011;
/// `CKA_CERTIFICATE_TYPE`.
pub const CKA_CERTIFICATE_TYPE: u64 = 0x080;
/// `CKA_ISSUER`.
pub const CKA_ISSUER: u64 = 0x081;
/// `CKA_SERIAL_NUMBER`.
pub const CKA_SERIAL_NUMBER: u64 = 0x082;
/// `CKA_KEY_TYPE`.
pub const CKA_KEY_TYPE: u64 = 0x100;
/// `CKA_SUBJECT`.
pub const CKA_SUBJECT: u64 = 0x101;
/// `CKA_MODULUS`.
pub const CKA_MODULUS: u64 = 0x120;
/// `CKA_MODULUS_BITS`.
pub const CKA_MODULUS_BITS: u64 = 0x121;
/// `CKA_PUBLIC_EXPONENT`.
pub const CKA_PUBLIC_EXPONENT: u64 = 0x122;
/// `CKA_PRIVATE_EXPONENT`.
pub const CKA_PRIVATE_EXPONENT: u64 = 0x123;
/// `CKA_PRIME_1`.
pub const CKA_PRIME_1: u64 = 0x124;
/// `CKA_PRIME_2`.
pub const CKA_PRIME_2: u64 = 0x125;
/// `CKA_EXPONENT_1`.
pub const CKA_EXPONENT_1: u64 = 0x126;
/// `CKA_EXPONENT_2`.
pub const CKA_EXPONENT_2: u64 = 0x127;
/// `CKA_COEFFICIENT`.
pub const CKA_COEFFICIENT: u64 = 0x128;
/// `CKA_EC_PARAMS`.
pub const CKA_EC_PARAMS: u64 = 0x180;
/// `CKA_EC_POINT`.
pub const CKA_EC_POINT: u64 = 0x181;

/// `CKM_RSA_PKCS_KEY_PAIR_GEN`.
pub const CKM_RSA_PKCS_KEY_PAIR_GEN: u64 = 0x0000;
/// `CKM_EC_KEY_PAIR_GEN`.
pub const CKM_EC_KEY_PAIR_GEN: u64 = 0x1040;
/// `CKM_EC_EDWARDS_KEY_PAIR_GEN`.
pub const CKM_EC_EDWARDS_KEY_PAIR_GEN: u64 = 0x1055;
/// `CKM_EC_MONTGOMERY_KEY_PAIR_GEN`.
pub const CKM_EC_MONTGOMERY_KEY_PAIR_GEN: u64 = 0x1056;
