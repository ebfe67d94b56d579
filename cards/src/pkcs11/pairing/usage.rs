//! What a key may be used for (PKCS#11 3.1, sections 4.8 and 4.9).

use claviger_keys::{CurveKind, PublicKey};

use crate::pkcs11::facts::{KeyKind, Usage};
use crate::pkcs11::wire::KeyObject;

/// What a key is for: as the private key says, else as the public key says for the other side, else what such keys can do.
pub(super) fn usage(kind: &KeyKind, private: Option<&KeyObject>, public: Option<&KeyObject>) -> Usage {
    let can = match kind {
        KeyKind::Known(PublicKey::Rsa(_), _) => Usage { sign: true, decrypt: true, derive: false },
        KeyKind::Known(PublicKey::Ecc(key), _) => match key.curve().kind() {
            CurveKind::Weierstrass => Usage { sign: true, decrypt: false, derive: true },
            CurveKind::Edwards => Usage { sign: true, decrypt: false, derive: false },
            CurveKind::Montgomery => Usage { sign: false, decrypt: false, derive: true },
        },
        KeyKind::Other(_) => Usage::default(),
    };
    let Some(object) = private.or(public) else { return Usage { derive: can.derive && !can.sign, ..can } };
    let derive = match (private, object.derive) {
        (Some(_), Some(derive)) => derive,
        // A public key's CKA_DERIVE says little: tokens leave it unset.
        (None, Some(true)) => true,
        (None, _) => object.sign == Some(false) || !can.sign,
        (Some(_), None) => true,
    };
    Usage {
        sign: can.sign && object.sign.unwrap_or(true),
        decrypt: can.decrypt && (object.decrypt.unwrap_or(true) || object.unwrap == Some(true)),
        derive: can.derive && derive,
    }
}
