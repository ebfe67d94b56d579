//! What a token is recognised by, wherever it is plugged in: manufacturer, model, serial number and label; and the forms in
//! which GnuPG hears of it.

/// The identity of a token (PKCS#11, `CK_TOKEN_INFO`), without padding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TokenId {
    /// `manufacturerID`.
    pub manufacturer: String,
    /// `model`.
    pub model: String,
    /// `serialNumber`.
    pub serial: String,
    /// `label`.
    pub label: String,
}
