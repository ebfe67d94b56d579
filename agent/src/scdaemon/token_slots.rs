//! What a PKCS#11 token has for [`crate::certificates`]: a slot for each certificate, and for each key that has none. Nothing
//! is asked of the token.

use std::collections::HashMap;

use claviger_cards::pkcs11::{CertificateNumber, KeyNumber};
use claviger_cards::token::Insertion;
use claviger_keys::x509::Certificate;

use super::token_keys::TokenKeys;
use crate::certificates::{OnToken, Place, Slot};

/// The slots of a token: certificates in the order of the module, then keys in theirs.
pub(super) fn slots(insertion: Insertion, keys: &TokenKeys) -> Vec<Slot> {
    let token = Token { insertion, keys };
    let owners = token.owners();
    // There is a certificate for each one that is stored, in the same order.
    let certificates = keys.certificates().enumerate();
    let certified = certificates.map(|(at, (certificate, name))| {
        let stored = keys.facts().certificates.get(at).map(|stored| stored.number);
        let key = stored.and_then(|number| owners.get(&number).copied());
        token.certificate(at, certificate, name, key)
    });
    certified.chain(token.bare_keys()).collect()
}

struct Token<'a> {
    insertion: Insertion,
    keys: &'a TokenKeys,
}

impl Token<'_> {
    /// To which key, by its place in the facts, a certificate belongs.
    fn owners(&self) -> HashMap<CertificateNumber, usize> {
        let mut owners = HashMap::new();
        for (at, key) in self.keys.facts().keys.iter().enumerate() {
            for number in &key.certificates {
                owners.entry(*number).or_insert(at);
            }
        }
        owners
    }

    fn certificate(&self, at: usize, certificate: &Certificate, name: String, key: Option<usize>) -> Slot {
        let owner = key.and_then(|key| self.keys.facts().keys.get(key));
        let number = self.keys.facts().certificates.get(at).map(|stored| stored.number);
        let named_as_key = owner.is_some_and(|key| key.certificates.first().copied() == number);
        self.slot(name, named_as_key, key, Some((at, certificate)))
    }

    /// Slots of keys without a certificate.
    fn bare_keys(&self) -> impl Iterator<Item = Slot> {
        let keys = self.keys.facts().keys.iter().enumerate();
        let places: HashMap<KeyNumber, usize> = keys.map(|(at, key)| (key.number, at)).collect();
        let bare = self.keys.all().filter(|shown| shown.key.certificates.is_empty());
        bare.map(move |shown| {
            self.slot(shown.id.to_owned(), true, places.get(&shown.key.number).copied(), None)
        })
    }

    fn slot(
        &self,
        name: String,
        named_as_key: bool,
        key: Option<usize>,
        certificate: Option<(usize, &Certificate)>,
    ) -> Slot {
        let facts = self.keys.facts();
        let keygrip = key.and_then(|key| facts.keys.get(key)?.grip());
        let at = certificate.map(|(at, _)| at);
        Slot {
            insertion: self.insertion,
            serial: facts.serial.clone(),
            place: Place::Token(OnToken { facts: facts.clone(), name, named_as_key, key, certificate: at }),
            keygrip,
            fingerprint: None,
            certificate: certificate.map(|(_, certificate)| certificate.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use claviger_cards::pkcs11::{Certificate as StoredCertificate, KeyKind};
    use claviger_keys::x509::SerialIssuer;

    use super::super::sample_token::{Office, SERIAL, SIGN, Sample, certified, grip, token};
    use super::*;
    use crate::hex;

    const TOKEN: &str = r"SoftHSM\x20project/SoftHSM\x20v2/4dd5289f1942f77a/tls";

    /// Key 01 with certificates `middle` and `cross`, key 02 with `leaf`, key 03 without, and an authority's certificate.
    fn sample() -> Sample {
        let mut sample = token().with_certified_key(&[1], "middle", SIGN).with_certificate(&[1], "cross");
        let cross = sample.0.certificates[1].number;
        sample.0.keys[0].certificates.push(cross);
        sample
            .with_certified_key(&[2], "leaf", SIGN)
            .with_key(&[3], "rsa2048", SIGN)
            .with_certificate(&[9], "root")
    }

    fn sha256(name: &str) -> String {
        hex::write(&certified(name).sha256())
    }

    /// The first two words of each line, or the error.
    fn shortened(said: Vec<String>) -> Vec<String> {
        let words = |line: &String| match line.strip_prefix("S ") {
            Some(status) => status.split(' ').take(2).collect::<Vec<_>>().join(" "),
            None if line.starts_with("D ") => "D".to_owned(),
            None => line.clone(),
        };
        said.iter().map(words).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_certificate_of_a_token_has_a_line_and_an_id_that_is_taken_back() {
        let office = Office::new([sample()], &[]);
        let said = office.says(&["LISTCERTS"]).await;
        let expected =
            [("01", "middle", "102"), ("", "cross", "102"), ("02", "leaf", "100"), ("", "root", "102")];
        assert_eq!(said.len(), expected.len() + 1, "{said:#?}");
        for (line, (id, name, kind)) in said.iter().zip(expected) {
            let id = if id.is_empty() {
                format!("{TOKEN}/sha256:{}", sha256(name))
            } else {
                format!("{TOKEN}/{id}")
            };
            let start = format!("S CERTIFICATE {id} {SERIAL} {} {kind} {} ", grip(name), sha256(name));
            assert!(line.starts_with(&start), "{line}\n{start}");
            let read = office.says(&[&format!("READCERT {id}")]).await;
            assert_eq!(read[0], format!("S CERTSTATUS {id} {} -", sha256(name)));
            assert!(read[1].starts_with("D ") && read.last().unwrap() == "OK", "{read:#?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_of_a_token_has_the_names_that_one_of_a_card_has() {
        let office = Office::new([sample()], &[]);
        let leaf = certified("leaf");
        let reference = SerialIssuer::from(leaf.fields().unwrap()).to_string().replace('+', "%2B");
        let names = [
            grip("leaf"),
            format!("sha1:{}", hex::write(&leaf.sha1())),
            format!("sha256:{}", sha256("leaf")),
            reference,
            format!("{TOKEN}/02"),
            format!("{TOKEN}/{}", grip("leaf")),
            "pkcs11:id=%02;type=cert".to_owned(),
            "pkcs11:id=%02".to_owned(),
            "pkcs11:token=tls;serial=4dd5289f1942f77a;id=%02;type=private".to_owned(),
            "pkcs11:manufacturer=SoftHSM%20project;id=%02;type=public".to_owned(),
            "pkcs11:manufacturer=SoftHSM+project;id=%2502".to_owned(),
            "pkcs11:slot-id=7;id=%02".to_owned(),
        ];
        for name in names {
            let said = shortened(office.says(&[&format!("READCERT {name}")]).await);
            assert_eq!(said, [format!("CERTSTATUS {TOKEN}/02"), "D".to_owned(), "OK".to_owned()], "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn several_that_fit_are_listed_and_none_is_returned() {
        let office = Office::new([sample()], &[]);
        let [first, second] = [format!("{TOKEN}/01"), format!("{TOKEN}/sha256:{}", sha256("cross"))];
        let both = [
            format!("CERTIFICATE {first}"),
            format!("CERTIFICATE {second}"),
            "ERR 100663403 Ambiguous name <SCD> - 2 certificates fit; take one by the id in its status line"
                .to_owned(),
        ];
        for name in [grip("middle"), "pkcs11:id=%01".to_owned()] {
            assert_eq!(shortened(office.says(&[&format!("READCERT {name}")]).await), both, "{name}");
        }
        let listed = shortened(office.says(&["LISTCERTS pkcs11:id=%01;type=cert"]).await);
        assert_eq!(listed, [both[0].clone(), both[1].clone(), "OK".to_owned()]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fits_nothing_is_said_as_for_cards() {
        let office = Office::new([sample()], &[]);
        for (name, error) in [
            ("pkcs11:token=other".to_owned(), "ERR 100663323 Not found <SCD>"),
            ("pkcs11:id=%02;x-vendor=1".to_owned(), "ERR 100663323 Not found <SCD>"),
            (format!("{TOKEN}/07"), "ERR 100663323 Not found <SCD>"),
            (format!("{TOKEN}/03"), "ERR 100663323 Not found <SCD>"),
            (
                "pkcs11:token".to_owned(),
                "ERR 100663414 Invalid ID <SCD> - no attribute at octet 7 of the PKCS#11 URI: name=value is one",
            ),
            (grip("ed25519"), "ERR 100663313 No secret key <SCD>"),
        ] {
            assert_eq!(office.says(&[&format!("READCERT {name}")]).await, [error], "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_chain_leads_over_two_tokens() {
        let other = token().with_certificate(&[1], "root").with_certificate(&[2], "middle");
        let office = Office::new([token().with_certified_key(&[1], "leaf", SIGN), other], &[]);
        let said = office.says(&[&format!("READCERT --pem --chain {}", grip("leaf"))]).await;
        let certificates = said.iter().filter(|line| line.contains("-----BEGIN CERTIFICATE-----"));
        let count = certificates.map(|line| line.matches("-----BEGIN").count()).sum::<usize>();
        assert_eq!(count, 3, "{said:#?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_place_of_a_card_s_slot_is_a_key_of_the_session_s_token() {
        let office = Office::new([token().with_certified_key(&[1], "leaf", SIGN)], &[]);
        let said = shortened(office.says(&["READCERT OPENPGP.3", "READCERT OPENPGP.2"]).await);
        assert_eq!(said[..3], [format!("CERTSTATUS {TOKEN}/01"), "D".to_owned(), "OK".to_owned()]);
        assert_eq!(said[3..], ["ERR 100663323 Not found <SCD>"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_openpgp_fingerprint_and_certificate_are_those_of_the_local_stores() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/openpgp/mary.gpg");
        let mut sample = token().with_certified_key(&[1], "ed25519", SIGN).with_key(&[2], "rsa2048", SIGN);
        if let KeyKind::Known(_, grip) = &mut sample.0.keys[0].kind {
            *grip = "588BF59EAB49550883A50B6BDC5AED2FB8EAFE44".parse().unwrap();
        }
        let office = Office::new([sample], &["--openpgp-certificates", path]);
        let fingerprint = "1774389763662B1DF24CFA15C7415F40E6F6D136";
        let read = office.says(&[&format!("READCERT fpr:{fingerprint}")]).await;
        assert_eq!(read[0], format!("S CERTSTATUS {TOKEN}/01 {} other-key", sha256("ed25519")));
        let line = format!("S OPENPGPCERT {fingerprint} {SERIAL} {TOKEN}/01 {fingerprint} ");
        let listed = office.says(&["LISTCERTS --openpgp"]).await;
        assert!(listed[0].starts_with(&line) && listed.len() == 2, "{listed:#?}");
        let read = office.says(&[&format!("READCERT --openpgp --armor {TOKEN}/01")]).await;
        assert!(
            read[0].starts_with(&line) && read[1].starts_with("D -----BEGIN PGP PUBLIC KEY"),
            "{read:#?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn odd_certificates_have_a_line_each() {
        let mut sample = token().with_certified_key(&[1], "leaf", SIGN);
        for octets in [b"".as_slice(), b"hello", b"\x30\x82\xff"] {
            let number = CertificateNumber(sample.0.certificates.len() as u32);
            let odd = StoredCertificate::new(number, vec![1], "odd".to_owned(), octets.into());
            sample.0.certificates.push(odd);
        }
        let said = Office::new([sample], &[]).says(&["LISTCERTS"]).await;
        let odd = said.iter().filter(|line| line.ends_with(" - - unreadable -")).count();
        assert_eq!((odd, said.len()), (3, 5), "{said:#?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_certificates_are_listed_and_found_without_delay() {
        let mut sample = token();
        for at in 0..1000_u16 {
            sample = sample.with_certified_key(&at.to_be_bytes(), "leaf", SIGN);
            let stored = sample.0.certificates.last_mut().unwrap();
            // With another signature: another certificate for all that is counted here.
            let mut octets = stored.octets.to_vec();
            let end = octets.len() - 2;
            octets[end..].copy_from_slice(&at.to_be_bytes());
            *stored = StoredCertificate::new(stored.number, stored.id.clone(), String::new(), octets.into());
        }
        let office = Office::new([sample], &[]);
        let begin = std::time::Instant::now();
        let said = office.says(&["LISTCERTS", "LISTCERTS pkcs11:type=cert"]).await;
        assert_eq!(said.len(), 2002);
        let read = format!("READCERT {TOKEN}/01F4");
        for _ in 0..20 {
            assert_eq!(office.says(&[&read]).await.last().unwrap(), "OK");
        }
        assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
    }
}
