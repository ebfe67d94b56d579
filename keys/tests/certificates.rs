//! Certificates that openssl made (`testdata/certificates/`), as they are and broken in every way; chains of them; and
//! how fast a thousand are read.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use claviger_keys::x509::chain::{MAX_CHAIN, MAX_TRIES, build};
use claviger_keys::x509::{
    AltName, Certificate, FileError, MAX_CERTIFICATE, SerialIssuer, X509Error, pem, read_file,
};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::{Decode as _, Encode as _};

fn samples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/certificates")
}

fn sample(name: &str) -> Certificate {
    let file = fs::read(samples().join(name).with_extension("pem")).unwrap();
    let [certificate] = read_file(&file).unwrap().try_into().unwrap();
    certificate
}

fn all() -> Vec<(String, Certificate)> {
    let entries = fs::read_dir(samples()).unwrap().map(|entry| entry.unwrap().path());
    let certificates = entries.filter(|path| path.extension().is_some_and(|extension| extension == "pem"));
    let names = certificates.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let all: Vec<_> = names.map(|name| (name.clone(), sample(&name))).collect();
    assert_eq!(all.len(), 24);
    all
}

#[test]
fn a_strict_library_reads_the_same() {
    for (name, ours) in all() {
        let theirs = CertificateInner::<Raw>::from_der(ours.der()).unwrap();
        let (fields, tbs) = (ours.fields().unwrap(), theirs.tbs_certificate());
        assert_eq!(fields.tbs(), tbs.to_der().unwrap(), "{name}");
        assert_eq!(fields.serial(), tbs.serial_number().as_bytes(), "{name}");
        assert_eq!(fields.issuer().der(), tbs.issuer().to_der().unwrap(), "{name}");
        assert_eq!(fields.subject().der(), tbs.subject().to_der().unwrap(), "{name}");
        assert_eq!(fields.spki(), tbs.subject_public_key_info().to_der().unwrap(), "{name}");
        let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap();
        let validity = tbs.validity();
        assert_eq!(fields.not_before(), seconds(validity.not_before), "{name}");
        assert_eq!(fields.not_after(), seconds(validity.not_after), "{name}");
        assert_eq!(fields.signature(), theirs.signature().raw_bytes(), "{name}");
        assert_eq!(fields.signature_algorithm(), theirs.signature_algorithm().to_der().unwrap(), "{name}");
    }
}

#[test]
fn every_key_is_known_and_reads_as_what_it_is() {
    for (name, certificate) in all() {
        let key = certificate.fields().unwrap().public_key().unwrap();
        let expected = match name.as_str() {
            "rsa2048" | "rsa-pss" | "version1" => "rsa2048",
            "P-384" => "nistp384",
            "P-521" => "nistp521",
            "x25519" => "cv25519",
            "x448" => "cv448",
            "ed25519" | "ed448" | "secp256k1" => name.as_str(),
            brainpool if brainpool.starts_with("brainpool") => brainpool,
            _ => "nistp256",
        };
        assert_eq!(key.algorithm_name().to_lowercase(), expected.to_lowercase(), "{name}");
    }
}

#[test]
fn names_in_a_subject_and_beside_it_are_read() {
    let certificate = sample("names");
    let fields = certificate.fields().unwrap();
    let mail = "1.2.840.113549.1.9.1=#7A6F65406578616D706C652E6F7267";
    let expected = r#"CN=Zoë / \"漢\",OU=A\+B,O=Example\, Inc.,L=Düsseldorf,ST=Nordrhein-Westfalen,C=DE"#;
    assert_eq!(fields.subject().to_string(), format!("{mail},{expected}"));
    let address = |text: &str| AltName::Address(text.parse::<IpAddr>().unwrap());
    let [email, dns, uri, four, six, other, directory] = fields.alt_names() else { panic!("{fields:?}") };
    assert_eq!(*email, AltName::Email("zoe@example.org".to_owned()));
    assert_eq!(*dns, AltName::Dns("example.org".to_owned()));
    assert_eq!(*uri, AltName::Uri("openpgp4fpr:0123456789ABCDEF0123456789ABCDEF01234567".to_owned()));
    assert_eq!((four, six), (&address("192.0.2.1"), &address("2001:db8::1")));
    assert_eq!(*other, AltName::Other(b"\x88\x02\x2a\x03".to_vec()));
    assert!(matches!(directory, AltName::Directory(name) if name.to_string() == "CN=Somebody else"));
}

#[test]
fn authorities_and_key_identifiers_are_told() {
    let facts = |name: &str| {
        let certificate = sample(name);
        let fields = certificate.fields().unwrap();
        let ids =
            (fields.authority_key_id().map(<[u8]>::to_vec), fields.subject_key_id().map(<[u8]>::to_vec));
        (fields.is_ca(), fields.is_self_issued(), ids)
    };
    let (root, middle, leaf) = (facts("root"), facts("middle"), facts("leaf"));
    assert_eq!([root.0, middle.0, leaf.0], [true, true, false]);
    assert_eq!([root.1, middle.1, leaf.1], [true, false, false]);
    assert_eq!((&middle.2.0, &leaf.2.0), (&root.2.1, &middle.2.1));
    assert!(root.2.1.is_some_and(|id| id.len() == 20));
    assert_eq!(facts("no-ids-middle"), (true, false, (None, None)));
    assert_eq!(facts("version1"), (false, true, (None, None)));
}

#[test]
fn forbidden_serial_numbers_are_read_and_found() {
    for (name, serial, reference) in [
        ("serial-negative", b"\xed\x99".to_vec(), "#ED99/CN=Serial negative".to_owned()),
        (
            "serial-long",
            [&[0x7f], [0x5a; 30].as_slice()].concat(),
            format!("#7f{}/CN=Serial long", "5a".repeat(30)),
        ),
        ("serial-zero", b"\0".to_vec(), "#0/CN=Serial zero".to_owned()),
    ] {
        let certificate = sample(name);
        let fields = certificate.fields().unwrap();
        assert_eq!(fields.serial(), serial);
        assert!(reference.parse::<SerialIssuer>().unwrap().matches(fields), "{reference}");
        let leaf = sample("leaf");
        assert!(!reference.parse::<SerialIssuer>().unwrap().matches(leaf.fields().unwrap()));
    }
}

#[test]
fn what_is_stored_behind_a_certificate_is_kept_and_does_not_count() {
    let certificate = sample("leaf");
    for behind in [b"\0\0\0\0".as_slice(), b"\xff\xff", b"garbage"] {
        let stored = Certificate::new([certificate.der(), behind].concat());
        assert!(stored.der().ends_with(behind) && stored != certificate);
        assert_eq!((stored.bare(), stored.sha256()), (certificate.bare(), certificate.sha256()));
        assert_eq!(stored.fields().unwrap().subject().to_string(), "CN=Leaf,O=Example");
    }
}

#[test]
fn a_certificate_cut_anywhere_says_so() {
    let der = sample("names").der().to_vec();
    assert_eq!(Certificate::new([]).fields().unwrap_err(), &X509Error::Empty);
    for cut in 1..der.len() {
        let error = *Certificate::new(&der[..cut]).fields().unwrap_err();
        assert!(error.to_string().starts_with("it ends within an element"), "{cut}: {error}");
    }
}

#[test]
fn a_certificate_wrong_anywhere_has_fields_or_an_error() {
    let der = sample("names").der().to_vec();
    let mut read = 0;
    for place in 0..der.len() {
        for wrong in [0x00, 0x01, 0x7f, 0x80, 0x84, 0xff] {
            let mut broken = der.clone();
            broken[place] = wrong;
            let certificate = Certificate::new(broken);
            if let Ok(fields) = certificate.fields() {
                let _ = (fields.subject().to_string(), fields.issuer().to_string(), fields.keygrip());
                read += 1;
            }
        }
    }
    assert!(read > der.len());
}

#[test]
fn a_certificate_of_64_kib_is_read_and_one_beyond_the_limit_is_not() {
    let long = |length: usize| {
        let mut der = b"\x30\x83".to_vec();
        let tbs = sample("leaf").der()[4..].to_vec();
        der.extend(&u32::try_from(tbs.len() + length).unwrap().to_be_bytes()[1..]);
        der.extend(tbs);
        der.extend(vec![0; length]);
        Certificate::new(der)
    };
    assert_eq!(long(64 * 1024).fields().unwrap().subject().to_string(), "CN=Leaf,O=Example");
    let too_long = long(MAX_CERTIFICATE);
    let octets = too_long.der().len();
    assert_eq!(too_long.fields().unwrap_err(), &X509Error::TooLong { octets });
    assert_eq!(too_long.sha256(), Certificate::new(too_long.der().to_vec()).sha256());
}

/// The certificate with indefinite lengths: its own, and those of every SEQUENCE and SET right within.
fn indefinite(der: &[u8], depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = der;
    while let [tag, first, ..] = *rest {
        let octets = if first < 0x80 { 0 } else { usize::from(first & 0x7f) };
        let number = rest[2..2 + octets].iter().fold(0, |number, octet| number << 8 | usize::from(*octet));
        let (header, length) = (2 + octets, if first < 0x80 { usize::from(first) } else { number });
        let (whole, behind) = rest.split_at(header + length);
        if tag & 0x20 != 0 && depth > 0 {
            out.extend([tag, 0x80]);
            out.extend(indefinite(&whole[header..], depth - 1));
            out.extend([0, 0]);
        } else {
            out.extend(whole);
        }
        rest = behind;
    }
    out
}

#[test]
fn indefinite_lengths_are_read_like_others() {
    for name in ["names", "rsa2048", "leaf"] {
        let strict = sample(name);
        let strict = strict.fields().unwrap();
        for depth in 1..8 {
            let loose = Certificate::new(indefinite(sample(name).der(), depth));
            assert_eq!(loose.bare(), &**loose.der());
            let loose = loose.fields().unwrap();
            assert_eq!(loose.subject(), strict.subject(), "{depth}");
            assert_eq!((loose.serial(), loose.keygrip()), (strict.serial(), strict.keygrip()));
            assert_eq!((loose.alt_names(), loose.is_ca()), (strict.alt_names(), strict.is_ca()));
            assert_eq!(
                (loose.not_after(), loose.authority_key_id()),
                (strict.not_after(), strict.authority_key_id())
            );
        }
    }
}

/// Whether the key of `issuer` made the signature: what callers have a library for.
fn signed_by(certificate: &Certificate, issuer: &Certificate) -> bool {
    let certificate = openssl::x509::X509::from_der(certificate.der()).unwrap();
    let issuer = openssl::x509::X509::from_der(issuer.der()).unwrap();
    certificate.verify(&issuer.public_key().unwrap()).unwrap()
}

fn chain(leaf: &str, candidates: &[&str]) -> Vec<String> {
    let leaf = sample(leaf);
    let candidates: Vec<_> = candidates.iter().map(|name| sample(name)).collect();
    let chain = build(&leaf, &candidates.iter().collect::<Vec<_>>(), signed_by);
    let known = all();
    let name = |found: &&Certificate| known.iter().find(|(_, one)| one == *found).unwrap().0.clone();
    chain.iter().map(name).collect()
}

#[test]
fn a_chain_goes_from_the_leaf_to_the_root_whatever_the_order() {
    let expected = ["leaf", "middle", "root"];
    assert_eq!(chain("leaf", &["root", "middle"]), expected);
    assert_eq!(
        chain("leaf", &["middle", "leaf", "root", "root", "names", "middle", "leaf", "same-name"]),
        expected
    );
}

#[test]
fn a_chain_ends_where_nothing_fits() {
    assert_eq!(chain("leaf", &[]), ["leaf"]);
    assert_eq!(chain("leaf", &["root", "same-name"]), ["leaf"]);
    assert_eq!(chain("leaf", &["middle", "same-name"]), ["leaf", "middle"]);
    assert_eq!(chain("root", &["same-name", "root"]), ["root"]);
}

#[test]
fn of_issuers_with_one_name_the_one_that_signed_is_taken() {
    assert_eq!(chain("middle", &["same-name", "root"]), ["middle", "root"]);
    assert_eq!(chain("cross", &["root", "same-name"]), ["cross", "same-name"]);
    // Without key identifiers the signature alone tells.
    assert_eq!(chain("no-ids-middle", &["same-name", "root"]), ["no-ids-middle", "root"]);
    // One that has the identifier that is asked for comes before one that has none.
    assert_eq!(chain("leaf", &["no-ids-middle", "middle", "root"]), ["leaf", "middle", "root"]);
    assert_eq!(chain("leaf", &["no-ids-middle", "root"]), ["leaf", "no-ids-middle", "root"]);
}

/// The root with other names of four letters, signed by nobody.
fn forged(issuer: &str, subject: &str) -> Certificate {
    let mut der = sample("root").der().to_vec();
    for name in [issuer, subject] {
        let place = der.windows(4).position(|octets| octets == b"Root").unwrap();
        der[place..place + 4].copy_from_slice(name.as_bytes());
    }
    Certificate::new(der)
}

#[test]
fn of_several_ways_up_one_that_leads_to_a_root_is_taken() {
    for ways in [["cross", "middle"], ["middle", "cross"]] {
        assert_eq!(chain("leaf", &[&ways[..], &["root"]].concat()), ["leaf", "middle", "root"]);
        assert_eq!(chain("leaf", &[&ways[..], &["same-name"]].concat()), ["leaf", "cross", "same-name"]);
        assert_eq!(chain("leaf", &ways), ["leaf", ways[0]], "none does: the first");
    }
}

#[test]
fn chains_that_never_end_end() {
    let (one, other) = (forged("Duck", "Hen!"), forged("Hen!", "Duck"));
    assert_eq!(build(&one, &[&one, &other], |_, _| true), [&one, &other]);
    let long: Vec<_> =
        (1000..1040).map(|number| forged(&format!("{}", number + 1), &number.to_string())).collect();
    let candidates: Vec<_> = long.iter().collect();
    assert_eq!(build(&long[0], &candidates, |_, _| true), candidates[..MAX_CHAIN]);
}

#[test]
fn many_issuers_with_one_name_are_not_all_tried() {
    let leaf = forged("Hen!", "Duck");
    let many: Vec<_> = (1000..1100).map(|number| forged(&number.to_string(), "Hen!")).collect();
    let tried = std::cell::Cell::new(0);
    let nobody_signed = |_: &Certificate, _: &Certificate| {
        tried.set(tried.get() + 1);
        false
    };
    assert_eq!(build(&leaf, &many.iter().collect::<Vec<_>>(), nobody_signed), [&leaf]);
    assert_eq!(tried.get(), MAX_TRIES);
}

#[test]
fn broken_certificates_are_in_no_chain_but_their_own() {
    let leaf = sample("leaf");
    let broken = Certificate::new(&leaf.der()[..40]);
    assert_eq!(build(&broken, &[&broken, &leaf], |_, _| true), [&broken]);
    assert_eq!(build(&leaf, &[&broken], |_, _| true), [&leaf]);
}

#[test]
fn files_may_be_pem_or_der_with_other_things_between() {
    let names = ["leaf", "middle", "root"];
    let certificates = names.map(sample);
    let der: Vec<u8> = certificates.iter().flat_map(|certificate| certificate.der().to_vec()).collect();
    assert_eq!(read_file(&der).unwrap(), certificates);
    assert_eq!(read_file(&[&der, b"\n".as_slice()].concat()).unwrap(), certificates);
    let key = pem::write(pem::PUBLIC_KEY, certificates[0].fields().unwrap().spki());
    let bundle: String = names
        .iter()
        .map(|name| fs::read_to_string(samples().join(name).with_extension("pem")).unwrap())
        .map(|text| {
            format!("Bag Attributes\r\n    friendlyName: x\r\n{}\r\n{key}", text.replace('\n', "\r\n"))
        })
        .collect();
    assert_eq!(read_file(bundle.as_bytes()).unwrap(), certificates);
    assert_eq!(read_file(key.as_bytes()), Err(FileError::None));
}

/// In the release build, too, which is promised to list them in 50 ms.
#[test]
fn a_thousand_certificates_are_read_quickly() {
    let all = all();
    let thousand: Vec<_> = all.iter().map(|(_, one)| one.der().to_vec()).cycle().take(1000).collect();
    let start = Instant::now();
    let grips = thousand.into_iter().map(Certificate::new).filter(|certificate| {
        let fields = certificate.fields().unwrap();
        let text = fields.subject().to_string().len() + fields.issuer().to_string().len();
        text > 0 && certificate.sha256() != [0; 32] && fields.keygrip().is_some()
    });
    assert_eq!(grips.count(), 1000);
    let took = start.elapsed();
    let most = if cfg!(debug_assertions) { Duration::from_millis(1000) } else { Duration::from_millis(50) };
    assert!(took < most, "{took:?}");
}
