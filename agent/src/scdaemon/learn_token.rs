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
        talk.status("APPTYPE", token_status::APPLICATION.as_bytes());
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
        if let (Some(name), false) = (token_status::friendly_name(keys.facts(), key), request.keys_only) {
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
