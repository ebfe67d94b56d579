//! How much memory the process has: modules leak.

/// Octets in memory, if the system says.
pub(super) fn resident() -> Option<u64> {
    let counts = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = counts.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_has_some_memory() {
        assert!(super::resident().is_some_and(|octets| octets > 100_000));
    }
}
