//! The half of WRITECERT that speaks of PKCS#11 tokens: which key a certificate is for, and how it is called there.

use std::collections::HashSet;

use claviger_assuan::error::{Code, Error};
use claviger_cards::pkcs11::{self, KeyNumber, ObjectName};
use claviger_cards::token::Request;

use super::certificates::{self, NoCertificate};
use super::errors::{from_certificate, scd};
use super::session::Session;
use crate::certificates::{Collection, Reference, Slot};

/// The slot that a reference names; several certificates of one key are one.
pub(super) fn slot_to_write<'a>(
    collection: &'a Collection,
    reference: &Reference,
) -> Result<&'a Slot, Error> {
    let slots = collection.slots(reference);
    let key = |slot: &&Slot| {
        let on_token = slot.on_token().and_then(|place| place.key);
        (slot.insertion, slot.number().map(|number| number.index()), on_token)
    };
    let count = slots.iter().map(key).collect::<HashSet<_>>().len();
    if count > 1 {
        return Err(from_certificate(&NoCertificate::AmbiguousKey { count }));
    }
    slots.into_iter().next().ok_or(scd(Code::NO_SECKEY))
}

/// What has the session's token store a certificate for a key. It gets the key's `CKA_ID` and label, and stands beside those
/// that the key has.
pub(super) fn put(
    session: &Session,
    number: KeyNumber,
    octets: &[u8],
    check: bool,
) -> Result<Request, Error> {
    let keys = session.hub.tokens.keys_of(&session.token()?).ok_or(scd(Code::CARD_REMOVED))?;
    let key = keys.facts().key(number).ok_or(scd(Code::NO_SECKEY))?;
    if check {
        let shown = keys.numbered(number).map_or(key.label.as_str(), |shown| shown.id);
        certificates::check(octets, key.grip(), shown)?;
    }
    let name = ObjectName { id: key.id.clone(), label: key.label.clone() };
    Ok(Request::Pkcs11(pkcs11::Request::PutCertificate { octets: octets.to_vec(), name }))
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};

    use claviger_cards::deck::Carrier;
    use claviger_cards::token::{Job, Outcome, Reply, TokenError};

    use super::super::sample_token::{Office, SIGN, Sample, certified, grip, token};
    use crate::hex;

    const TOKEN: &str = r"SoftHSM\x20project/SoftHSM\x20v2/4dd5289f1942f77a/tls";

    /// Writes down what it is asked for.
    #[derive(Default)]
    struct Clerk(Mutex<Vec<String>>);

    impl Carrier for Clerk {
        fn submit(&self, job: Job) -> Pin<Box<dyn Future<Output = Result<Outcome, TokenError>> + Send + '_>> {
            self.0.lock().unwrap().push(format!("{job:?}"));
            Box::pin(async { Ok(Outcome::Done(Reply::Done)) })
        }
    }

    fn sample() -> Sample {
        token().with_certified_key(&[1], "leaf", SIGN).labelled("mine").with_key(&[2], "rsa2048", SIGN)
    }

    /// The last line that is answered, and what the token was asked for.
    async fn asked(commands: &[&str]) -> (String, Vec<String>) {
        let clerk = Arc::new(Clerk::default());
        let mut office = Office::new([], &[]);
        office.plug_in_with(sample(), clerk.clone());
        let said = office.says(commands).await;
        let asked = clerk.0.lock().unwrap().clone();
        (said.last().unwrap().clone(), asked)
    }

    /// The lines that give a certificate in answer to INQUIRE.
    fn given(name: &str) -> [String; 2] {
        let escaped = certified(name).der().iter().map(|octet| format!("%{octet:02X}")).collect::<String>();
        // Shorter than what a line may have, as long as there are two.
        let (first, rest) = escaped.split_at(900);
        [format!("D {first}"), rest.to_owned()]
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_written_for_a_key_with_its_id_and_label() {
        let uri = "pkcs11:object=mine;type=private".to_owned();
        for reference in [grip("leaf"), format!("{TOKEN}/01"), uri] {
            let write = format!("WRITECERT --check {reference}");
            let lines = lines(&write, "leaf");
            let (said, asked) = asked(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
            assert_eq!((said.as_str(), asked.len()), ("OK", 1), "{reference}: {asked:?}");
            assert!(asked[0].contains("PutCertificate") && asked[0].contains("\"mine\""), "{asked:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_certificate_of_the_key_is_not_written_where_that_is_checked() {
        let lines = lines(&format!("WRITECERT --check {TOKEN}/02"), "leaf");
        let (said, asked) = asked(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert!(said.starts_with("ERR 100663332 Bad certificate <SCD>") && said.contains("tls/02"), "{said}");
        assert!(asked.is_empty(), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reference_to_several_keys_is_none_to_write_for() {
        for (reference, error) in [
            ("pkcs11:token=tls;type=private", "ERR 100663403 Ambiguous name <SCD> - 2 keys fit; "),
            ("pkcs11:token=other", "ERR 100663313 No secret key <SCD>"),
            ("pkcs11:token", "ERR 100663414 Invalid ID <SCD> - no attribute"),
        ] {
            let lines = lines(&format!("WRITECERT {reference}"), "leaf");
            let (said, asked) = asked(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
            assert!(said.starts_with(error) && asked.is_empty(), "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_removed_by_any_of_its_names() {
        let sha256 = format!("sha256:{}", hex::write(&certified("leaf").sha256()));
        for reference in [sha256, format!("{TOKEN}/01"), "pkcs11:id=%01;type=cert".to_owned()] {
            let (said, asked) = asked(&[&format!("DELCERT {reference}")]).await;
            assert_eq!((said.as_str(), asked.len()), ("OK", 1), "{reference}");
            assert!(asked[0].contains("RemoveCertificate(CertificateNumber(0))"), "{asked:?}");
        }
    }

    /// A command that asks for a certificate, and the answer.
    fn lines(command: &str, certificate: &str) -> Vec<String> {
        let [first, rest] = given(certificate);
        vec![command.to_owned(), format!("{first}\nD {rest}\nEND")]
    }
}
