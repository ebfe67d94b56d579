//! Collecting the answer to an inquiry, within its limit.
//!
//! An answer that is too long or holds a broken escape is read on to its `END`, so that client and server agree on what
//! comes next, but none of it is kept. Section 2.4 of the scdaemon reference.

use claviger_secret::Secret;

use crate::conversation::InquiryError;
use crate::escape::data_octets;
use crate::line::read::{self, Answer};

/// An inquiry that waits for lines.
#[derive(Debug)]
pub(super) struct Inquiry {
    limit: usize,
    answer: Result<Secret, InquiryError>,
}

/// What a line did to an inquiry.
#[derive(Debug)]
pub(super) enum Progress {
    More(Inquiry),
    Over(Result<Secret, InquiryError>),
}

impl Inquiry {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, answer: Ok(Secret::with_capacity(limit)) }
    }

    /// Takes the next line of the client.
    pub(super) fn line(self, line: &[u8]) -> Progress {
        match read::answer(line) {
            Answer::Ignored => Progress::More(self),
            Answer::Data(payload) if self.limit > 0 => Progress::More(self.data(payload)),
            Answer::End => Progress::Over(self.answer),
            Answer::Cancel => Progress::Over(Err(InquiryError::Cancelled)),
            Answer::Data(_) | Answer::Other => Progress::Over(Err(InquiryError::Unexpected)),
        }
    }

    fn data(self, payload: &[u8]) -> Self {
        let limit = self.limit;
        let answer = self.answer.and_then(|mut answer| {
            for octet in data_octets(payload) {
                let octet = octet.map_err(|_| InquiryError::BrokenEscape)?;
                answer.extend(&[octet]).map_err(|_| InquiryError::TooMuchData { limit })?;
            }
            Ok(answer)
        });
        Self { limit, answer }
    }
}
