//! Certificates as gpgsm has them: names, serial numbers, dates, fingerprints, keygrips.

use std::collections::BTreeMap;
use std::process::Command;

use claviger_keys::x509::{Certificate, SerialIssuer, pem};

use super::gpg::Home;
use super::{run, run_with_input, text};

/// What gpgsm lists of a certificate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    not_before: String,
    not_after: String,
    serial: String,
    issuer: String,
    subject: String,
    sha1: String,
    sha256: String,
    grip: String,
}

impl Listed {
    fn of(certificate: &Certificate) -> Self {
        let fields = certificate.fields().unwrap();
        Self {
            not_before: fields.not_before().to_string(),
            not_after: fields.not_after().to_string(),
            serial: hex(fields.serial()),
            issuer: fields.issuer().to_string(),
            subject: fields.subject().to_string(),
            sha1: hex(&certificate.sha1()),
            sha256: hex(&certificate.sha256()),
            grip: fields.keygrip().map(|grip| grip.to_string()).unwrap_or_default(),
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

/// Imports certificates and gives back what is listed, by SHA-256 fingerprint.
fn listed(home: &Home, certificates: &[Vec<u8>]) -> BTreeMap<String, Listed> {
    let text_of_all: String = certificates.iter().map(|der| pem::write(pem::CERTIFICATE, der)).collect();
    run_with_input(&mut gpgsm(home, &["--import"]), text_of_all.as_bytes());
    let listing = text(run(&mut gpgsm(home, &["--with-colons", "--with-key-data", "--list-keys"])));
    let mut all: Vec<Listed> = Vec::new();
    for line in listing.lines() {
        let row: Vec<String> = line.split(':').map(unescape).collect();
        if row[0] == "crt" {
            all.push(Listed::default());
        }
        let Some(one) = all.last_mut() else { continue };
        match row[0].as_str() {
            "crt" => {
                (one.not_before, one.not_after) = (seconds(&row[5]), seconds(&row[6]));
                (one.serial, one.issuer) = (row[7].clone(), row[9].clone());
            }
            "fpr" => one.sha1 = row[9].clone(),
            "fp2" => one.sha256 = row[9].clone(),
            "grp" => one.grip = row[9].clone(),
            "uid" if one.subject.is_empty() => one.subject = row[9].clone(),
            _ => {}
        }
    }
    all.into_iter().map(|one| (one.sha256.clone(), one)).collect()
}

fn gpgsm(home: &Home, arguments: &[&str]) -> Command {
    let mut command = home.command("gpgsm");
    command.args(["--batch", "--quiet", "--disable-dirmngr"]).args(arguments);
    command
}

/// Escapes of listings: `\x3a` is a colon.
fn unescape(field: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = field.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match rest {
            [b'x', high, low, behind @ ..] if *first == b'\\' => {
                let digits = [*high, *low];
                octets.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = behind;
            }
            _ => octets.push(*first),
        }
    }
    String::from_utf8(octets).unwrap()
}

/// gpgsm lists `20260101T000000`; what date that is, `date` says.
fn seconds(time: &str) -> String {
    let (day, clock) = time.split_once('T').unwrap();
    let time = format!("{day} {}:{}:{}", &clock[..2], &clock[2..4], &clock[4..]);
    text(run(Command::new("date").args(["--utc", "--date", &time, "+%s"]))).trim_end().to_owned()
}

fn tlv(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], length.as_slice(), &content].concat()
}

fn attribute(identifier: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&tlv(6, &[identifier]), &tlv(tag, &[value])])
}

const CN: &[u8] = b"\x55\x04\x03";

fn name(attributes: &[Vec<u8>]) -> Vec<u8> {
    let sets: Vec<_> = attributes.iter().map(|attribute| tlv(0x31, &[attribute])).collect();
    tlv(0x30, &[&sets.concat()])
}

/// A certificate that nobody signed, of an issuer that nobody has. gpgsm takes it.
fn certificate(serial: &[u8], subject: &[u8]) -> Vec<u8> {
    let key = claviger_keys::PublicKey::rsa(&[0xc5; 256], b"\x01\0\x01").unwrap().spki_der();
    certificate_of_key(serial, subject, &key)
}

fn certificate_of_key(serial: &[u8], subject: &[u8], key: &[u8]) -> Vec<u8> {
    let issuer = name(&[attribute(CN, 0x13, b"Nobody")]);
    let algorithm = tlv(0x30, &[&tlv(6, &[b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"]), b"\x05\x00"]);
    let validity = tlv(0x30, &[&tlv(0x17, &[b"700101000000Z"]), &tlv(0x18, &[b"20500228235959Z"])]);
    let version = tlv(0xa0, &[&tlv(2, &[b"\x02"])]);
    let tbs = tlv(0x30, &[&version, &tlv(2, &[serial]), &algorithm, &issuer, &validity, subject, key]);
    tlv(0x30, &[&tbs, &algorithm, &tlv(3, &[&[0; 257]])])
}

fn check(certificates: &[Vec<u8>]) {
    let home = Home::new();
    let theirs = listed(&home, certificates);
    for der in certificates {
        let ours = Listed::of(&Certificate::new(der.as_slice()));
        assert_eq!(theirs.get(&ours.sha256), Some(&ours), "{theirs:#?}");
    }
    assert_eq!(theirs.len(), certificates.len());
}

#[test]
fn names_read_as_gpgsm_lists_them() {
    let cn = |tag, value: &[u8]| name(&[attribute(CN, tag, value)]);
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    let utf32 = |text: &str| text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect::<Vec<_>>();
    let all = [
        b"\x55\x04\x06".as_slice(),
        b"\x55\x04\x07",
        b"\x55\x04\x08",
        b"\x55\x04\x09",
        b"\x55\x04\x0a",
        b"\x55\x04\x0b",
        CN,
    ];
    let domain = b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01";
    let subjects = [
        cn(0x0c, "Zoë 漢 🔑".as_bytes()),
        cn(0x0c, b"a,b+c\"d\\e<f>g;h=i#j k"),
        cn(0x0c, b" blank in front"),
        cn(0x0c, b"#hash in front"),
        cn(0x0c, b"blank behind "),
        cn(0x0c, b" "),
        cn(0x0c, b"\x01\t\n\x7f"),
        cn(0x0c, b"\xff and \x80 are no UTF-8"),
        cn(0x13, b"Printable"),
        cn(0x13, b"Latin-1 in a PrintableString: \xe9"),
        cn(0x14, b"T61 \xe9\xff\x80"),
        cn(0x16, b"IA5@example.org"),
        cn(0x1e, &utf16("BMP Zoë 漢")),
        cn(0x1c, &utf32("Universal Zoë 漢 🔑")),
        cn(0x12, b"0123456789"),
        cn(0x1a, b"visible"),
        name(&all.map(|identifier| attribute(identifier, 0x13, b"DE"))),
        name(&[
            attribute(&[domain.as_slice(), b"\x19"].concat(), 0x16, b"org"),
            attribute(&[domain.as_slice(), b"\x01"].concat(), 0x0c, b"user"),
        ]),
        name(&[
            attribute(b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", 0x16, b"mail@example.org"),
            attribute(CN, 0x0c, b"Mail"),
        ]),
        name(&[
            attribute(b"\x55\x04\x05", 0x13, b"12345"),
            attribute(b"\x55\x04\x2a", 0x0c, "Zoë".as_bytes()),
        ]),
        name(&[attribute(b"\x88\x37\x01", 0x0c, b"arc 2.999.1"), attribute(CN, 0x0c, b"Arc")]),
        name(&[
            attribute(b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 0x0c, b"too large an arc"),
            attribute(CN, 0x0c, b"Arc 2"),
        ]),
        tlv(
            0x30,
            &[&tlv(0x31, &[&attribute(CN, 0x0c, b"two"), &attribute(b"\x55\x04\x0a", 0x0c, b"in one")])],
        ),
        cn(0x0c, &b"4 KB ".repeat(820)[..4096]),
    ];
    let serials = (1..).map(|serial: u16| serial.to_be_bytes());
    check(
        &subjects
            .iter()
            .zip(serials)
            .map(|(subject, serial)| certificate(&serial, subject))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn serial_numbers_read_as_gpgsm_lists_them() {
    let subject = name(&[attribute(CN, 0x13, b"Somebody")]);
    let serials: [&[u8]; 6] = [b"\0", b"\x7f", b"\0\x80", b"\x80", b"\xff\xff", &[0x55; 40]];
    check(&serials.map(|serial| certificate(serial, &subject)));
}

#[test]
fn gpgsm_finds_what_we_call_by_serial_number_and_issuer() {
    let subject = name(&[attribute(CN, 0x13, b"Somebody")]);
    let der = certificate(b"\0\x81\x23", &subject);
    let home = Home::new();
    listed(&home, &[der.clone(), certificate(b"\x01\x23", &subject)]);
    let ours = SerialIssuer::from(Certificate::new(der.as_slice()).fields().unwrap()).to_string();
    assert_eq!(ours, "#8123/CN=Nobody");
    assert_eq!(run(&mut gpgsm(&home, &["--export", "#008123/CN=Nobody"])), der);
}

/// gpgsm 2.2.40 cannot check what keys of P-521, Ed25519 and Ed448 signed themselves, and so does not take it.
#[test]
fn keygrips_of_every_algorithm_are_those_of_gpgsm() {
    let subject = name(&[attribute(CN, 0x13, b"Somebody")]);
    let make = |algorithm: &str| {
        let arguments = format!("genpkey -outform DER -algorithm {algorithm}");
        let secret = run(Command::new("openssl").args(arguments.split(' ')));
        let export = "pkey -inform DER -pubout -outform DER";
        let public = run_with_input(Command::new("openssl").args(export.split(' ')), &secret);
        certificate_of_key(&[1], &subject, &public)
    };
    let curves =
        ["P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "secp256k1"];
    let curves = curves.map(|curve| format!("EC -pkeyopt ec_paramgen_curve:{curve}"));
    let others =
        ["RSA", "RSA -pkeyopt rsa_keygen_bits:3072", "ED25519", "ED448", "X25519", "X448"].map(str::to_owned);
    check(&curves.iter().chain(&others).map(|algorithm| make(algorithm)).collect::<Vec<_>>());
}
