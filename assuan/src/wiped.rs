//! A growing buffer that leaves no copy of its octets behind.

use zeroize::{Zeroize, Zeroizing};

/// Octets that are wiped when dropped, and wherever they lay before the buffer grew, which a growing `Vec` would not do.
pub(crate) struct Wiped(Zeroizing<Vec<u8>>);

/// Room to begin with: enough for what most commands say.
const FIRST_CAPACITY: usize = 2048;

impl Wiped {
    pub(crate) fn new() -> Self {
        Self(Zeroizing::new(Vec::new()))
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn extend(&mut self, octets: &[u8]) {
        let needed = self.0.len().saturating_add(octets.len());
        if needed > self.0.capacity() {
            let capacity = needed.max(self.0.capacity().saturating_mul(2)).max(FIRST_CAPACITY);
            let mut grown = Zeroizing::new(Vec::with_capacity(capacity));
            grown.extend_from_slice(&self.0);
            self.0 = grown;
        }
        self.0.extend_from_slice(octets);
    }

    /// Wipes everything before `start` and moves what is left to the front.
    pub(crate) fn drop_front(&mut self, start: usize) {
        let len = self.0.len();
        let start = start.min(len);
        self.0.copy_within(start..len, 0);
        self.0.iter_mut().skip(len - start).for_each(Zeroize::zeroize);
        self.0.truncate(len - start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_survive_growth() {
        let octets: Vec<u8> = (0..=u8::MAX).cycle().take(10_000).collect();
        let mut wiped = Wiped::new();
        octets.chunks(77).for_each(|piece| wiped.extend(piece));
        assert_eq!(wiped.as_slice(), octets);
    }

    #[test]
    fn the_front_is_dropped_and_the_rest_kept() {
        let mut wiped = Wiped::new();
        wiped.extend(b"123456abc");
        wiped.drop_front(6);
        assert_eq!(wiped.as_slice(), b"abc");
        wiped.drop_front(usize::MAX);
        assert_eq!(wiped.len(), 0);
    }
}
