//! How many things a message may list, and how long its texts may be: a list of small things in memory is many times what it
//! was as octets.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// The most keys, and the most certificates, of a token.
pub(crate) const MAX_OBJECTS: usize = 20_000;

/// The most numbers in a list.
pub(crate) const MAX_NUMBERS: usize = 8192;

/// The most octets of a text that is a fixed field in PKCS#11: 64 at the most, threefold where they are no UTF-8.
pub(super) const MAX_TEXT: usize = 256;

/// What a module says of itself, a slot or a token.
pub(super) fn text<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = <&str>::deserialize(source)?;
    if text.len() > MAX_TEXT {
        return Err(D::Error::invalid_length(text.len(), &"a field of PKCS#11"));
    }
    Ok(text.to_owned())
}

/// Keys or certificates.
pub(super) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(source: D) -> Result<Vec<T>, D::Error> {
    source.deserialize_seq(AtMost { limit: MAX_OBJECTS, entries: PhantomData })
}

/// Mechanisms or handles.
pub(super) fn numbers<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<u64>, D::Error> {
    source.deserialize_seq(AtMost { limit: MAX_NUMBERS, entries: PhantomData })
}

struct AtMost<T> {
    limit: usize,
    entries: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtMost<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} entries", self.limit)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Vec<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = source.next_element()? {
            if entries.len() == self.limit {
                return Err(A::Error::invalid_length(self.limit.saturating_add(1), &self));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkcs11::wire::{Answer, FromHelper};

    #[test]
    fn a_text_over_its_limit_is_no_message() {
        let read = |length: usize| {
            let ready = FromHelper::Ready { threads: 1, library: "x".repeat(length) };
            let octets = postcard::to_stdvec(&ready).unwrap();
            postcard::from_bytes::<FromHelper>(&octets) == Ok(ready)
        };
        assert!(read(0) && read(MAX_TEXT) && !read(MAX_TEXT + 1));
    }

    #[test]
    fn a_list_over_its_limit_is_no_message() {
        let read = |count: usize| {
            let octets = postcard::to_stdvec(&Answer::Created(vec![1; count])).unwrap();
            postcard::from_bytes::<Answer>(&octets)
        };
        assert_eq!(read(MAX_NUMBERS), Ok(Answer::Created(vec![1; MAX_NUMBERS])));
        assert!(read(MAX_NUMBERS + 1).is_err());
    }
}
