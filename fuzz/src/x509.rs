//! Certificates: what a card or a file may hold, a keybox, and a reference that a client may type.

use claviger_keys::PublicKey;
use claviger_keys::keybox::{self, Entry};
use claviger_keys::x509::chain::{self, MAX_CHAIN};
use claviger_keys::x509::{
    AltName, Certificate, Fields, MAX_CERTIFICATE, MAX_SERIAL_ISSUER, Name, SerialIssuer, pem, read_file,
};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::{Decode as _, Encode as _};

/// A certificate: everything that is said of it, as the strict library says it where that reads it at all.
pub fn certificate(data: &[u8]) {
    let certificate = Certificate::new(data);
    assert!(data.starts_with(certificate.bare()) && certificate.der()[..] == *data);
    name(&Name::new(data));
    let _ = PublicKey::from_spki_der(data);
    let fields = certificate.fields();
    if let Ok(fields) = fields {
        all_of(fields);
        // Whoever claims to have signed everything makes no endless chain.
        let chain = chain::build(&certificate, &[&certificate, &certificate], |_, _| true);
        assert!(chain.len() <= MAX_CHAIN);
    }
    // What is not DER after all (a default that is spelled out) it reads, too, and would write in another way.
    if let Ok(theirs) = CertificateInner::<Raw>::from_der(data)
        && theirs.to_der().as_deref() == Ok(data)
        && data.len() <= MAX_CERTIFICATE
    {
        same(fields.unwrap_or_else(|error| panic!("{error}")), &theirs);
    }
}

fn all_of(fields: &Fields) {
    name(fields.issuer());
    name(fields.subject());
    for alt_name in fields.alt_names() {
        if let AltName::Directory(directory) = alt_name {
            name(directory);
        }
    }
    if let Some(key) = fields.public_key() {
        assert_eq!(PublicKey::from_spki_der(&key.spki_der()).as_ref(), Ok(key));
        assert_eq!(fields.keygrip(), Some(key.keygrip()));
    }
    let reference = SerialIssuer::from(fields);
    let text = reference.to_string();
    if text.len() <= MAX_SERIAL_ISSUER && !fields.issuer().is_empty() {
        assert_eq!(text.parse(), Ok(reference));
    }
    assert!(SerialIssuer::from(fields).matches(fields));
    let parts =
        [fields.serial(), fields.spki(), fields.tbs(), fields.signature(), fields.signature_algorithm()];
    assert!(parts.iter().all(|part| part.len() < MAX_CERTIFICATE));
}

fn name(name: &Name) {
    assert!(!name.to_string().contains(|character: char| character.is_ascii_control()));
    assert_eq!(name, &Name::new(name.der()));
}

fn same(ours: &Fields, theirs: &CertificateInner<Raw>) {
    let tbs = theirs.tbs_certificate();
    let der = |encoded: Result<Vec<u8>, _>| {
        encoded.unwrap_or_else(|error: x509_cert::der::Error| panic!("{error}"))
    };
    assert_eq!(ours.tbs(), der(tbs.to_der()));
    assert_eq!(ours.serial(), tbs.serial_number().as_bytes());
    assert_eq!(ours.issuer().der(), der(tbs.issuer().to_der()));
    assert_eq!(ours.subject().der(), der(tbs.subject().to_der()));
    assert_eq!(ours.spki(), der(tbs.subject_public_key_info().to_der()));
    let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs());
    assert_eq!(Ok(ours.not_before()), seconds(tbs.validity().not_before));
    assert_eq!(Ok(ours.not_after()), seconds(tbs.validity().not_after));
    assert_eq!(ours.signature(), theirs.signature().raw_bytes());
}

/// A file of certificates: what is read is written and read back.
pub fn file(data: &[u8]) {
    if let Ok(certificates) = read_file(data) {
        assert!(!certificates.is_empty());
        let text: String = certificates.iter().map(|one| pem::write(pem::CERTIFICATE, one.der())).collect();
        assert_eq!(read_file(text.as_bytes()).as_ref(), Ok(&certificates));
    }
    for block in pem::read(data).flatten() {
        let Ok(label) = std::str::from_utf8(block.label) else { continue };
        let text = pem::write(label, &block.octets);
        assert!(pem::read(text.as_bytes()).eq([Ok(block.clone())]));
    }
}

/// A reference: what is read is written and read back.
pub fn serial_issuer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(reference) = text.parse::<SerialIssuer>() {
        let text = reference.to_string();
        assert!(text.len() > MAX_SERIAL_ISSUER || text.parse() == Ok(reference));
    }
}

/// A keybox: what is found lies within, and not over each other.
pub fn keybox(data: &[u8]) {
    let mut room = data.len();
    for entry in keybox::entries(data).flatten() {
        let content = match entry {
            Entry::OpenPgp(content) | Entry::X509(content) | Entry::EphemeralX509(content) => content,
            Entry::Other => continue,
        };
        room = room.checked_sub(content.len()).unwrap_or_else(|| panic!("more found than there is"));
        if !matches!(entry, Entry::OpenPgp(_)) {
            certificate(content);
        }
    }
}
