//! The keys of `claviger.toml` as documents show them: `docs/claviger.toml.md` is made from this.

use super::schema::{Key, OPENPGP_KEYS, PROVIDER, TOP};

/// A key as a document shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyText {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// The keys above all tables.
pub fn top() -> impl Iterator<Item = KeyText> {
    TOP.iter().map(KeyText::from)
}

/// The keys of `[[provider]]`.
pub fn provider() -> impl Iterator<Item = KeyText> {
    PROVIDER.iter().map(KeyText::from)
}

/// The keys of `[openpgp-keys]`.
pub fn openpgp_keys() -> impl Iterator<Item = KeyText> {
    OPENPGP_KEYS.iter().map(KeyText::from)
}

/// What is wrong with the text of a `claviger.toml`, a line each.
#[must_use]
pub fn complaints(text: &str) -> Vec<String> {
    let parsed = super::file::parse("claviger.toml".as_ref(), text);
    parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

impl<T> From<&Key<T>> for KeyText {
    fn from(key: &Key<T>) -> Self {
        Self { name: key.name, takes: key.takes, help: key.help }
    }
}
