//! Certificates of every kind, on the card and in the store, through the agent: each is listed in one line, and read back
//! octet for octet.

use std::collections::BTreeMap;
use std::fs;

use claviger_keys::x509::{Certificate, read_file};
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::{X509, X509Name};

use crate::world::{Card, Home, Reader, Scdaemon, repository};

/// The longest line of Assuan, without its end.
const LINE: usize = 1000;

#[test]
fn odd_certificates_are_listed_in_a_line_each_and_read_back_as_they_are() {
    let reader = Reader::start();
    let home = Home::new(&reader, Scdaemon::Ours);
    let _card = Card::insert(&reader.slot(), &[]);
    home.wait_for_card();
    let long = long_subject().expect("OpenSSL can");
    let cut = long.get(..1500).expect("it is longer").to_vec();
    let on_card = [&b"no certificate"[..], &cut, &[0x30, 0x80, 0x30, 0x80, 0, 0, 0, 0]];
    for (slot, octets) in on_card.iter().enumerate() {
        write(&home, slot + 1, octets);
    }
    let folder = home.path("claviger-certs.d");
    fs::create_dir(&folder).expect("the home is ours");
    let mut in_store = samples();
    in_store.push(Certificate::new(long));
    for (number, certificate) in in_store.iter().enumerate() {
        fs::write(folder.join(format!("{number}.der")), certificate.der()).expect("the folder is ours");
    }

    let listed = home.agent(&["SCD SERIALNO", "SCD LISTCERTS"]).ok().text();
    let lines: Vec<_> = listed.lines().filter(|line| line.starts_with("S CERTIFICATE ")).collect();
    assert!(lines.iter().all(|line| line.len() <= LINE), "{listed}");
    let ids: BTreeMap<_, _> =
        lines.iter().filter_map(|line| Some((line.split(' ').nth(6)?, line.split(' ').nth(2)?))).collect();
    assert_eq!(lines.iter().filter(|line| line.contains(" unreadable ")).count(), on_card.len(), "{listed}");
    assert_eq!(lines.iter().filter(|line| line.ends_with('…')).count(), 1, "{listed}");
    let expected = on_card.iter().map(|octets| Certificate::new(octets.to_vec())).chain(in_store);
    let mut count = 0;
    for certificate in expected {
        count += 1;
        let sha256: String = certificate.sha256().iter().map(|octet| format!("{octet:02X}")).collect();
        let id = ids.get(sha256.as_str()).unwrap_or_else(|| panic!("{sha256} is not in {listed}"));
        assert_eq!(read(&home, id), certificate.der().as_ref(), "{id}");
    }
    assert_eq!(ids.len(), count, "{listed}");
}

/// The certificates of testdata, each once.
fn samples() -> Vec<Certificate> {
    let mut samples = BTreeMap::new();
    for file in fs::read_dir(repository("testdata/certificates")).expect("it is there") {
        let path = file.expect("the folder can be read").path();
        if path.extension().is_some_and(|ending| ending == "pem") {
            let octets = fs::read(&path).expect("it can be read");
            for certificate in
                read_file(&octets).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            {
                samples.insert(certificate.sha256(), certificate);
            }
        }
    }
    assert!(samples.len() > 20);
    samples.into_values().collect()
}

/// A certificate whose subject has four KiB.
fn long_subject() -> Result<Vec<u8>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut subject = X509Name::builder()?;
    for _ in 0..64 {
        subject.append_entry_by_nid(Nid::ORGANIZATIONALUNITNAME, &"u".repeat(64))?;
    }
    let subject = subject.build();
    let mut builder = X509::builder()?;
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(&subject)?;
    builder.set_not_before(Asn1Time::days_from_now(0)?.as_ref())?;
    builder.set_not_after(Asn1Time::days_from_now(1)?.as_ref())?;
    builder.set_pubkey(&key)?;
    builder.sign(&key, MessageDigest::sha256())?;
    builder.build().to_der()
}

fn write(home: &Home, slot: usize, octets: &[u8]) {
    let file = home.path("certificate");
    fs::write(&file, octets).expect("the home is ours");
    let inquiry = format!("/definqfile CERTDATA {}", file.display());
    let command = format!("SCD WRITECERT OPENPGP.{slot}");
    let text = home.agent(&["SCD SERIALNO", &inquiry, &command]).ok().text();
    assert!(text.ends_with("OK\n") && !text.contains("ERR"), "{text}");
}

fn read(home: &Home, id: &str) -> Vec<u8> {
    let file = home.path("read-back");
    let output = format!("/datafile {}", file.display());
    home.agent(&["SCD SERIALNO", &output, &format!("SCD READCERT {id}")]).ok();
    fs::read(file).expect("it was written")
}
