//! GETATTR for PKCS#11 tokens: what clients ask an OpenPGP card for, as far as a token has something like it.

use std::sync::Arc;

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::token::{DataObject, Slot};

use super::attributes::Attribute;
use super::errors::scd;
use super::openpgp_certificates::{self, OpenPgpKey};
use super::session::Session;
use super::status::{GENERIC, slot_number};
use super::token_keys::TokenKeys;
use super::token_status;

/// Sends the status lines of an attribute. One that a token has not is a name that is not known, as with GnuPG's other
/// applications.
pub(super) async fn send(
    session: &Session,
    keys: &Arc<TokenKeys>,
    (name, attribute): (&str, Attribute),
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let lines = match attribute {
        Attribute::Fingerprints => openpgp_lines(session, keys, fingerprint).await,
        Attribute::Times => openpgp_lines(session, keys, time).await,
        known => lines(keys, known).ok_or(scd(Code::INV_NAME))?,
    };
    for line in lines {
        talk.status(name, &line);
    }
    Ok(())
}

/// What is known without looking anywhere.
fn lines(keys: &TokenKeys, attribute: Attribute) -> Option<Vec<Vec<u8>>> {
    let facts = keys.facts();
    Some(match attribute {
        Attribute::Reference(slot) => keys.in_place_of(slot).map(|key| key.id.into()).into_iter().collect(),
        Attribute::SerialNo => vec![facts.serial.clone().into_bytes()],
        Attribute::AppType => vec![token_status::APPLICATION_TYPE.into()],
        Attribute::CardType => vec![GENERIC.into()],
        Attribute::Capabilities => vec![token_status::capabilities(facts)],
        Attribute::Manufacturer => vec![token_status::manufacturer(facts).into_bytes()],
        Attribute::Cardholder(DataObject::Name) => vec![token_status::display_name(facts)],
        Attribute::KeyAttributes => Slot::ALL
            .into_iter()
            .filter_map(|slot| token_status::key_attributes(keys, slot))
            .map(String::into_bytes)
            .collect(),
        Attribute::PinStatus => vec![token_status::pin_status(keys)],
        Attribute::DisplaySerial => vec![token_status::display_serial(facts)],
        _ => return None,
    })
}

/// Lines about the OpenPGP keys that are made of the keys in the places of an OpenPGP card's, where a local store has them.
async fn openpgp_lines(
    session: &Session,
    keys: &TokenKeys,
    line: fn(Slot, &OpenPgpKey) -> String,
) -> Vec<Vec<u8>> {
    let grips = Slot::ALL.map(|slot| keys.in_place_of(slot).and_then(|key| key.key.grip()));
    let found = openpgp_certificates::keys_of(session, grips.to_vec()).await;
    let found = Slot::ALL.into_iter().zip(found);
    found.filter_map(|(slot, key)| Some(line(slot, &key?).into_bytes())).collect()
}

fn fingerprint(slot: Slot, key: &OpenPgpKey) -> String {
    format!("{} {}", slot_number(slot), key.fingerprint())
}

fn time(slot: Slot, key: &OpenPgpKey) -> String {
    format!("{} {}", slot_number(slot), key.created())
}

#[cfg(test)]
mod tests {
    use super::super::sample_token::{DERIVE, Office, SERIAL, SIGN, token};

    /// What is said to GETATTR with a name.
    async fn said(name: &str) -> Vec<String> {
        let sample = token().with_key(&[1], "leaf", SIGN).with_key(&[2], "x25519", DERIVE);
        Office::new([sample], &[]).says(&[&format!("GETATTR {name}")]).await
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_referred_to_by_their_names() {
        let name = r"SoftHSM\x20project/SoftHSM\x20v2/4dd5289f1942f77a/tls";
        for (attribute, id) in [("$SIGNKEYID", "01"), ("$ENCRKEYID", "02"), ("$AUTHKEYID", "01")] {
            assert_eq!(said(attribute).await, [format!("S {attribute} {name}/{id}"), "OK".to_owned()]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_gpg_asks_before_it_works_with_a_card_is_there() {
        for name in ["SERIALNO", "APPTYPE", "DISP-NAME", "CHV-STATUS", "EXTCAP", "KEY-ATTR", "$DISPSERIALNO"]
        {
            let said = said(name).await;
            assert!(said[0].starts_with(&format!("S {name} ")) && said.last().unwrap() == "OK", "{said:?}");
        }
        assert_eq!(
            said("KEY-ATTR").await,
            ["S KEY-ATTR 1 19 NIST P-256", "S KEY-ATTR 2 18 Curve25519", "S KEY-ATTR 3 19 NIST P-256", "OK"]
        );
        assert_eq!(said("SERIALNO").await[0], format!("S SERIALNO {SERIAL}"));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_no_certificate_knows_have_no_fingerprint_and_that_is_no_error() {
        assert_eq!(said("KEY-FPR").await, ["OK"]);
        assert_eq!(said("KEY-TIME").await, ["OK"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_token_has_not_is_no_name() {
        for name in ["SIG-COUNTER", "KDF", "UIF-1", "PRIVATE-DO-1", "AID", "CA-FPR", "PUBKEY-URL", "nonsense"]
        {
            assert_eq!(said(name).await, ["ERR 100663384 Invalid name <SCD>"], "{name}");
        }
    }
}
