//! OpenPGP certificates in files of every form, and all that is done with one.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use claviger_openpgp::stores;
use claviger_openpgp::{Form, Found};

/// A file: each certificate in it is found again in what is exported of it, in every form.
pub fn certificates(data: &[u8]) {
    for found in read(data) {
        let full = Form::default();
        exported(&found, full);
        exported(&found, Form { armored: true, ..full });
        exported(&found, Form { minimal: true, ..full });
        exported(&found, Form { minimal: true, armored: true });
        let verdict = found.verdict(now());
        assert_eq!(verdict.of_both().is_valid(), verdict.certificate.is_valid() && verdict.key.is_valid());
    }
}

fn read(file: &[u8]) -> Vec<Found> {
    stores::certificates(Path::new("file"), file).unwrap_or_default()
}

/// The time is always the same, so that a corpus is, too: 2025-01-01.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_735_689_600)
}

/// What is exported is the certificate again, and stays what it is. The full form is there for every one.
fn exported(found: &Found, form: Form) {
    let octets = match found.export(form, now()) {
        Ok(octets) => octets,
        Err(error) => return assert!(form.minimal, "{error}"),
    };
    let again = read(&octets);
    assert_eq!(again.len(), 1);
    for again in again {
        assert_eq!(again.primary(), found.primary());
        assert!(form.minimal || again.keys() == found.keys());
        assert_eq!(again.export(form, now()), Ok(octets.clone()));
    }
}
