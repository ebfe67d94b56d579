//! PEM: certificates in text (RFC 7468), several of them and with anything between, as files have it. The library for
//! this (pem-rfc7468) reads one block, strictly; here it is cut out by lines, and base64 does the rest.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The label of certificates, which older programs write in other ways.
pub const CERTIFICATE: &str = "CERTIFICATE";

/// The label of certification requests.
pub const CERTIFICATE_REQUEST: &str = "CERTIFICATE REQUEST";

/// The label of public keys.
pub const PUBLIC_KEY: &str = "PUBLIC KEY";

/// Characters of a line (RFC 7468, section 2).
const LINE: usize = 64;

/// The last bits and the padding are not looked at: some programs get them wrong.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why text is no PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// There is a `BEGIN` without an `END` of the same label.
    #[error("the PEM block that begins in line {line} does not end")]
    Unclosed {
        /// The line of the `BEGIN`, counted from one.
        line: usize,
    },
    /// What is between is not base64.
    #[error("the PEM block that begins in line {line} is not base64")]
    Base64 {
        /// The line of the `BEGIN`, counted from one.
        line: usize,
    },
}

/// What stands between a `BEGIN` and its `END`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'a> {
    /// What `BEGIN` names.
    pub label: &'a [u8],
    /// What is encoded.
    pub octets: Vec<u8>,
}

/// Whether there is a line that begins a block.
#[must_use]
pub fn is_pem(text: &[u8]) -> bool {
    lines(text).any(|(_, line)| label(line, BEGIN).is_some())
}

/// The blocks of a text, in order. Text between them, and headers within, are passed over.
pub fn read(text: &[u8]) -> impl Iterator<Item = Result<Block<'_>, PemError>> {
    let mut lines = lines(text);
    std::iter::from_fn(move || {
        let (number, begin) =
            lines.by_ref().find_map(|(number, line)| Some((number, label(line, BEGIN)?)))?;
        Some(block(begin, number, &mut lines))
    })
}

/// Octets as a block.
#[must_use]
pub fn write(label: &str, octets: &[u8]) -> String {
    let encoded = BASE64.encode(octets);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII.
        let (line, behind) = rest.split_at(LINE.min(rest.len()));
        let _ = writeln!(text, "{line}");
        rest = behind;
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}

fn block<'a>(
    begin: &'a [u8],
    number: usize,
    lines: &mut impl Iterator<Item = (usize, &'a [u8])>,
) -> Result<Block<'a>, PemError> {
    let mut encoded = Vec::new();
    for (_, line) in lines {
        if label(line, END) == Some(begin) {
            let octets = BASE64.decode(encoded).map_err(|_| PemError::Base64 { line: number })?;
            return Ok(Block { label: begin, octets });
        }
        // A header, `Proc-Type: 4,ENCRYPTED` or the like.
        if !line.contains(&b':') {
            encoded.extend(line.iter().filter(|octet| !octet.is_ascii_whitespace()));
        }
    }
    Err(PemError::Unclosed { line: number })
}

fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split(|octet| matches!(octet, b'\n' | b'\r')).enumerate().map(|(index, line)| (index + 1, line))
}

fn label<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    line.trim_ascii().strip_prefix(start)?.strip_suffix(DASHES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> Vec<Result<Block<'_>, PemError>> {
        read(text.as_bytes()).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0, 1, 47, 48, 49, 1000] {
            let octets = vec![0xfb; length];
            let text = write(CERTIFICATE, &octets);
            assert!(text.lines().all(|line| line.len() <= LINE));
            assert_eq!(blocks(&text), [Ok(Block { label: CERTIFICATE.as_bytes(), octets })]);
        }
    }

    #[test]
    fn text_between_headers_and_odd_line_ends_do_no_harm() {
        let text = "x\r\n-----BEGIN A-----\r\nProc-Type: 4\r\n\r\nYW\r\n Jj \r\n-----END A-----\r\n\r\n\
                    -----BEGIN B B-----\rYQ\r-----END B B-----";
        let expected = [(b"A".as_slice(), b"abc".as_slice()), (b"B B", b"a")];
        assert_eq!(
            blocks(text),
            expected.map(|(label, octets)| Ok(Block { label, octets: octets.to_vec() }))
        );
        assert!(is_pem(text.as_bytes()) && !is_pem(b"BEGIN A"));
    }

    #[test]
    fn what_is_broken_is_named_by_its_line() {
        let text = "\n-----BEGIN A-----\n!\n-----END A-----\n-----BEGIN A-----\nYWJj\n-----END B-----\n";
        assert_eq!(blocks(text), [Err(PemError::Base64 { line: 2 }), Err(PemError::Unclosed { line: 5 })]);
    }
}
