//! LEARN for PKCS#11 tokens.

use std::sync::Arc;

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::pkcs11;
use claviger_cards::token::{DataObject, Request as TokenRequest};

use super::attributes::Attribute;
use super::errors::scd;
use super::learn::{Request, ask_whether_known};
use super::openpgp_certificates;
use super::session::Session;
use super::token_keys::TokenKeys;
use super::{token_attributes, token_status};

/// The lines that every token has, in the order of an OpenPGP card's.
const ALWAYS: [(&str, Attribute); 6] = [
    ("EXTCAP", Attribute::Capabilities),
    ("MANUFACTURER", Attribute::Manufacturer),
    ("DISP-NAME", Attribute::Cardholder(DataObject::Name)),
    ("KEY-FPR", Attribute::Fingerprints),
    ("KEY-TIME", Attribute::Times),
    ("CHV-STATUS", Attribute::PinStatus),
];

/// Tells of the session's token.
pub(super) async fn learn(
    session: &mut Session,
    request: &Request,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let token = session.token()?;
    if request.reread {
        session.read(TokenRequest::Pkcs11(pkcs11::Request::Enumerate)).await?;
    }
    let keys = session.hub.tokens.keys_of(&token).ok_or(scd(Code::CARD_REMOVED))?;
    let facts = keys.facts();
    if !request.keys_only {
        talk.status("READER", facts.slot_description.as_bytes());
        talk.status("SERIALNO", facts.serial.as_bytes());
        if !request.force {
            ask_whether_known(&facts.serial, talk).await?;
        }
        talk.status("APPTYPE", token_status::APPLICATION_TYPE.as_bytes());
        talk.status("APPVERSION", token_status::version(facts).as_bytes());
    }
    for attribute in ALWAYS {
        token_attributes::send(session, &keys, attribute, talk).await?;
    }
    if !request.keys_only {
        send_certificates(&keys, talk).await?;
    }
    send_key_pairs(session, request, &keys, talk).await
}

/// How many status lines are held before the client's side has to take them.
const LINES_AT_ONCE: usize = 64;

/// What cannot be read as a certificate is left out: gpgsm would stop at it.
async fn send_certificates(keys: &TokenKeys, talk: &mut dyn Conversation) -> Result<(), Error> {
    for (at, (certificate, id)) in keys.certificates().enumerate() {
        if let Some(line) = token_status::certificate(certificate, &id) {
            talk.status("CERTINFO", line.as_bytes());
        }
        drain(at, talk).await?;
    }
    Ok(())
}

/// The time is that of the OpenPGP key, for the keys that stand in the places of an OpenPGP card's: it is not looked for a
/// thousand times. Keys that GnuPG cannot name are no choice for those who ask for keys alone.
async fn send_key_pairs(
    session: &Session,
    request: &Request,
    keys: &Arc<TokenKeys>,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let times = openpgp_certificates::times_of(session, keys).await;
    for (at, key) in keys.all().enumerate() {
        let grip = key.key.grip();
        if let (Some(name), false) = (token_status::friendly_name(keys, key), request.keys_only) {
            talk.status("KEY-FRIENDLY", &name);
        }
        if grip.is_some() || !request.keys_only {
            let created = grip.and_then(|grip| times.get(&grip).copied());
            talk.status("KEYPAIRINFO", token_status::key_pair(key, created).as_bytes());
        }
        drain(at, talk).await?;
    }
    Ok(())
}

async fn drain(at: usize, talk: &mut dyn Conversation) -> Result<(), Error> {
    if at % LINES_AT_ONCE == LINES_AT_ONCE - 1 {
        talk.drain().await.map_err(|_| scd(Code::EPIPE))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use claviger_cards::pkcs11::KeyKind;

    use super::super::sample_token::{ALL, DERIVE, Office, SERIAL, SIGN, Sample, grip, token};

    const KEY: &str = r"SoftHSM\x20project/SoftHSM\x20v2/4dd5289f1942f77a/tls";

    fn sample() -> Sample {
        token().with_certified_key(&[1], "leaf", SIGN).with_key(&[2], "x25519", DERIVE).with_key_of_kind(
            &[3],
            KeyKind::Other("ml-dsa-65".to_owned()),
            SIGN,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_tells_what_a_card_tells_as_far_as_it_has_it() {
        let said = Office::new([sample()], &[]).says(&["LEARN --force"]).await;
        let (leaf, x25519) = (grip("leaf"), grip("x25519"));
        let expected = [
            "S READER SoftHSM slot ID 0x7".to_owned(),
            format!("S SERIALNO {SERIAL}"),
            "S APPTYPE openpgp".to_owned(),
            "S APPVERSION 206".to_owned(),
            "S EXTCAP gc=1+ki=1+aac=1+bt=0+kdf=0".to_owned(),
            "S MANUFACTURER 12593 SoftHSM project".to_owned(),
            "S DISP-NAME tls".to_owned(),
            "S CHV-STATUS +1+255+0+255+3+0+3".to_owned(),
            format!("S CERTINFO 100 {KEY}/01"),
            format!("S KEY-FRIENDLY {leaf} CN=Leaf,O=Example"),
            format!("S KEYPAIRINFO {leaf} {KEY}/01 sca 0 nistp256"),
            format!("S KEYPAIRINFO {x25519} {KEY}/02 e 0 cv25519"),
            format!("S KEYPAIRINFO X {KEY}/03 sc 0 ml-dsa-65"),
            "OK".to_owned(),
        ];
        assert_eq!(said, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_key_pairs_alone_gets_those_that_gpg_can_choose() {
        let said = Office::new([sample()], &[]).says(&["LEARN --keypairinfo"]).await;
        let words: Vec<_> = said.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(
            words,
            ["EXTCAP", "MANUFACTURER", "DISP-NAME", "CHV-STATUS", "KEYPAIRINFO", "KEYPAIRINFO"]
        );
        assert!(!said.iter().any(|line| line.contains("ml-dsa")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_has_the_fingerprint_and_time_of_the_openpgp_key_that_was_made_of_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/openpgp/mary.gpg");
        let mut sample = token().with_key(&[1], "ed25519", SIGN).with_key(&[2], "rsa2048", ALL);
        let primary = "588BF59EAB49550883A50B6BDC5AED2FB8EAFE44".parse().unwrap();
        if let KeyKind::Known(_, grip) = &mut sample.0.keys[0].kind {
            *grip = primary;
        }
        let office = Office::new([sample], &["--openpgp-certificates", path]);
        let said = office.says(&["GETATTR KEY-FPR", "GETATTR KEY-TIME", "LEARN --keypairinfo"]).await;
        assert_eq!(said[..2], ["S KEY-FPR 1 1774389763662B1DF24CFA15C7415F40E6F6D136", "OK"]);
        let time = said[2].strip_prefix("S KEY-TIME 1 ").unwrap();
        let pair = format!("S KEYPAIRINFO {primary} {KEY}/01 sc {time} ed25519");
        assert!(said.contains(&pair), "{said:#?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_knows_the_token_is_told_no_more() {
        let said = Office::new([sample()], &[]).says(&["LEARN", "CAN"]).await;
        assert_eq!(said.last().unwrap(), "ERR 100663573 IPC call has been cancelled <SCD>");
        assert!(said.contains(&format!("INQUIRE KNOWNCARDP {SERIAL}")));
        assert!(!said.iter().any(|line| line.contains("KEYPAIRINFO")));
    }
}
