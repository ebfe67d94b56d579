//! A caller that collects.

use claviger_secret::Secret;

use super::Caller;
use crate::wiped::Wiped;

/// How many status lines are kept; more than the longest LEARN has, fewer than a stranger could send.
const MAX_STATUSES: usize = 1000;

/// What a command answered before its `OK`. It cancels every inquiry.
pub struct Answer {
    data: Option<Wiped>,
    limit: usize,
    statuses: Vec<(String, Vec<u8>)>,
}

impl Answer {
    /// Collects at most `limit` octets of data.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self { data: Some(Wiped::new()), limit, statuses: Vec::new() }
    }

    /// The data, all pieces joined; nothing if there was more than the limit.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        self.data.as_ref().map(Wiped::as_slice)
    }

    /// The status lines, keyword and value, in order; the first thousand of them.
    #[must_use]
    pub fn statuses(&self) -> &[(String, Vec<u8>)] {
        &self.statuses
    }

    /// The value of the first status line with this keyword.
    #[must_use]
    pub fn status(&self, keyword: &str) -> Option<&[u8]> {
        self.statuses.iter().find(|(found, _)| found == keyword).map(|(_, value)| value.as_slice())
    }
}

impl Caller for Answer {
    fn data(&mut self, octets: &[u8]) {
        let limit = self.limit;
        self.data = self.data.take().filter(|data| data.len().saturating_add(octets.len()) <= limit);
        if let Some(data) = &mut self.data {
            data.extend(octets);
        }
    }

    fn status(&mut self, keyword: &str, value: &[u8]) {
        if self.statuses.len() < MAX_STATUSES {
            self.statuses.push((keyword.to_owned(), value.to_vec()));
        }
    }

    fn inquire(&mut self, _keyword: &str, _args: &[u8]) -> Option<Secret> {
        None
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({:?} octets, {} status lines)", self.data().map(<[u8]>::len), self.statuses.len())
    }
}
