//! URIs of PKCS#11 objects (RFC 7512).

/// A `pkcs11:` URI, or a part of one: what it says of tokens, objects and modules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uri {
    /// `token`: the token's label.
    pub token: Option<String>,
}
