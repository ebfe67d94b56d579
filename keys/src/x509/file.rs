//! Certificates in a file that somebody dropped somewhere: PEM, several of them and other things between, or DER.

use super::pem::{self, PemError};
use super::{Certificate, MAX_CERTIFICATE};
use crate::ber::{BerError, Reader, SEQUENCE};

/// The longest file that is read.
pub const MAX_FILE: usize = 4 * 1024 * 1024;

/// How many certificates of a file are read.
pub const MAX_CERTIFICATES: usize = 4096;

/// Labels that certificates have had.
const LABELS: [&[u8]; 3] = [b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"];

/// Why a file has no certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is longer than [`MAX_FILE`].
    #[error("{octets} octets; at most {MAX_FILE} are read")]
    TooLong {
        /// How long it is.
        octets: usize,
    },
    /// There are more than [`MAX_CERTIFICATES`] in it.
    #[error("more than {MAX_CERTIFICATES} certificates in a file")]
    TooMany,
    /// One of them is longer than [`MAX_CERTIFICATE`].
    #[error("a certificate of {octets} octets; at most {MAX_CERTIFICATE} are read")]
    CertificateTooLong {
        /// How long it is.
        octets: usize,
    },
    /// It is empty, or PEM of other things.
    #[error("there is no certificate in it")]
    None,
    /// It is PEM, but broken.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// It is no PEM, and no DER either.
    #[error("neither PEM nor DER: {0}")]
    Form(#[from] BerError),
}

/// The certificates of a file, in order: PEM, or DER one behind the other. Each has the outer form of a certificate;
/// what is in it nobody has looked at yet. Other things between them, or behind them, are passed over.
///
/// # Errors
/// [`FileError`] if there is none, or one of them is broken: a file is taken whole or not at all.
pub fn read_file(octets: &[u8]) -> Result<Vec<Certificate>, FileError> {
    if octets.len() > MAX_FILE {
        return Err(FileError::TooLong { octets: octets.len() });
    }
    match octets {
        [] => Err(FileError::None),
        text if pem::is_pem(text) => in_pem(text),
        der => in_der(der),
    }
}

fn in_pem(text: &[u8]) -> Result<Vec<Certificate>, FileError> {
    let mut found = Vec::new();
    for block in pem::read(text) {
        let block = block?;
        if LABELS.contains(&block.label) {
            Reader::new(&block.octets).expect(SEQUENCE)?;
            add(&mut found, &block.octets)?;
        }
    }
    if found.is_empty() { Err(FileError::None) } else { Ok(found) }
}

fn in_der(octets: &[u8]) -> Result<Vec<Certificate>, FileError> {
    let mut found = Vec::new();
    let mut reader = Reader::new(octets);
    loop {
        add(&mut found, reader.expect(SEQUENCE)?.whole)?;
        if reader.rest().first() != Some(&SEQUENCE) {
            return Ok(found);
        }
    }
}

fn add(found: &mut Vec<Certificate>, der: &[u8]) -> Result<(), FileError> {
    if der.len() > MAX_CERTIFICATE {
        return Err(FileError::CertificateTooLong { octets: der.len() });
    }
    if found.len() >= MAX_CERTIFICATES {
        return Err(FileError::TooMany);
    }
    found.push(Certificate::new(der));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ber::element;

    #[test]
    fn limits_are_kept() {
        assert_eq!(read_file(&vec![0; MAX_FILE + 1]), Err(FileError::TooLong { octets: MAX_FILE + 1 }));
        let small = element(SEQUENCE, b"");
        assert_eq!(read_file(&small.repeat(MAX_CERTIFICATES)).unwrap().len(), MAX_CERTIFICATES);
        assert_eq!(read_file(&small.repeat(MAX_CERTIFICATES + 1)), Err(FileError::TooMany));
        let long = element(SEQUENCE, &vec![0; MAX_CERTIFICATE]);
        let octets = long.len();
        assert_eq!(read_file(&long), Err(FileError::CertificateTooLong { octets }));
        let text = pem::write(pem::CERTIFICATE, &long);
        assert_eq!(read_file(text.as_bytes()), Err(FileError::CertificateTooLong { octets }));
    }

    #[test]
    fn broken_files_say_why() {
        let truncated = FileError::Form(BerError::Truncated { at: 0 });
        for (octets, expected) in [
            (b"".as_slice(), FileError::None),
            (b"\x30\x03\x02", truncated),
            (b"text", FileError::Form(BerError::Tag { at: 0, wanted: SEQUENCE, found: b't' })),
            (b"-----BEGIN CERTIFICATE-----\nMAMC", FileError::Pem(PemError::Unclosed { line: 1 })),
            (b"-----BEGIN CERTIFICATE-----\nMAMC\n-----END CERTIFICATE-----\n", truncated),
        ] {
            assert_eq!(read_file(octets), Err(expected), "{octets:?}");
        }
    }
}
