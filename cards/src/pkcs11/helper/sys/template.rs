//! Attributes as the module takes them (PKCS#11, 4: objects).

use std::ptr;

use cryptoki_sys::{CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_BBOOL, CK_FALSE, CK_TRUE, CK_ULONG};

/// An attribute with its value.
#[derive(Debug)]
pub(in crate::pkcs11::helper) struct Pair<'a> {
    kind: CK_ATTRIBUTE_TYPE,
    value: Value<'a>,
}

#[derive(Debug)]
enum Value<'a> {
    Bool(CK_BBOOL),
    Ulong(CK_ULONG),
    Octets(&'a [u8]),
}

impl<'a> Pair<'a> {
    /// A `CK_BBOOL`.
    pub(in crate::pkcs11::helper) fn bool(kind: CK_ATTRIBUTE_TYPE, value: bool) -> Self {
        Self { kind, value: Value::Bool(if value { CK_TRUE } else { CK_FALSE }) }
    }

    /// A `CK_ULONG`.
    pub(in crate::pkcs11::helper) fn ulong(kind: CK_ATTRIBUTE_TYPE, value: CK_ULONG) -> Self {
        Self { kind, value: Value::Ulong(value) }
    }

    /// Octets.
    pub(in crate::pkcs11::helper) fn octets(kind: CK_ATTRIBUTE_TYPE, value: &'a [u8]) -> Self {
        Self { kind, value: Value::Octets(value) }
    }

    /// It holds pointers into `self`. The module reads them and writes nothing there, as the standard has it.
    fn raw(&self) -> CK_ATTRIBUTE {
        let (value, length): (*const u8, usize) = match &self.value {
            Value::Bool(value) => (value, size_of::<CK_BBOOL>()),
            Value::Ulong(value) => (ptr::from_ref(value).cast(), size_of::<CK_ULONG>()),
            Value::Octets(octets) => (octets.as_ptr(), octets.len()),
        };
        CK_ATTRIBUTE { type_: self.kind, pValue: value.cast_mut().cast(), ulValueLen: length as CK_ULONG }
    }
}

/// A template; its pointers are good as long as the pairs are borrowed.
pub(super) fn raw(pairs: &[Pair<'_>]) -> Vec<CK_ATTRIBUTE> {
    pairs.iter().map(Pair::raw).collect()
}
