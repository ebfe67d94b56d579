//! The halves of READCERT and LISTCERTS that `--openpgp` asks for: OpenPGP certificates (transferable public keys) of
//! keys, from local stores. GnuPG is not run, and nothing is fetched.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_assuan::escape::status_fields;
use claviger_cards::token::Slot as CardSlot;
use claviger_cards::token::{DataObject, Job, Outcome, Reply, Request};
use claviger_keys::Keygrip;
pub(super) use claviger_openpgp::Key as OpenPgpKey;
use claviger_openpgp::stores::certificate_directory;
use claviger_openpgp::{Fingerprint, Form, Found, NotFound, Stores, Verdict, Wanted};

use super::certificates::{NoCertificate, the_one, token_of};
use super::errors::{from_certificate, scd};
use super::session::Session;
use super::token_keys::TokenKeys;
use crate::certificates::{Collection, Reference, Slot};

/// Stands for what is not known, or not there.
const NONE: &str = "-";

/// The stores of this home, behind the ones that were named.
pub(super) fn stores(home: &Path, named: &[PathBuf]) -> Stores {
    let stores = Stores::of_home(home, named);
    match certificate_directory(|name| env::var_os(name)) {
        Some(shared) => stores.and_certificate_directory(shared),
        None => stores,
    }
}

/// READCERT --openpgp.
pub(super) async fn read(
    session: &Session,
    collection: &Collection,
    reference: &Reference,
    form: Form,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let slot = collection.slots(reference).into_iter().next();
    let wanted = match (slot.and_then(wanted_of).or_else(|| by_itself(reference)), reference) {
        (Some(wanted), _) => wanted,
        (None, Reference::Sha1(_) | Reference::Sha256(_) | Reference::SerialIssuer(_)) => {
            let grip = the_one(collection, reference, talk)?.keygrip();
            Wanted::Keygrip(grip.ok_or_else(|| from_certificate(&NoCertificate::NotFound))?)
        }
        _ => return Err(from_certificate(&NoCertificate::NoKeyHere)),
    };
    let now = SystemTime::now();
    let found = find(session, wanted, now).await;
    if found.is_err()
        && let Some(slot) = slot
    {
        show_urls(session, &[slot], talk).await;
    }
    let found = found.map_err(|error| missing(&error))?;
    talk.status("OPENPGPCERT", &line(wanted, slot, Some(&found)));
    // The minimal form checks signatures.
    let exported = tokio::task::spawn_blocking(move || found.certificate.export(form, now)).await;
    let octets = exported
        .map_err(|_| scd(Code::INTERNAL))?
        .map_err(|error| from_certificate(&NoCertificate::NotMinimal(error.to_string())))?;
    talk.data(&octets);
    Ok(())
}

/// LISTCERTS --openpgp.
pub(super) async fn list(
    session: &Session,
    collection: &Collection,
    reference: Option<&Reference>,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let now = SystemTime::now();
    let slots: Vec<_> = match reference {
        Some(reference) => collection.slots(reference),
        None => collection.all_slots().collect(),
    };
    let slots: Vec<_> = slots.into_iter().filter(|slot| is_first_of_its_key(slot)).collect();
    show_urls(session, &slots, talk).await;
    for slot in &slots {
        if let Some(wanted) = wanted_of(slot) {
            let found = find(session, wanted, now).await.ok();
            if found.is_some() || slot.on_token().is_none() {
                talk.status("OPENPGPCERT", &line(wanted, Some(slot), found.as_ref()));
            }
        }
    }
    if slots.is_empty()
        && let Some(wanted) = reference.and_then(by_itself)
        && let Ok(found) = find(session, wanted, now).await
    {
        talk.status("OPENPGPCERT", &line(wanted, None, Some(&found)));
    }
    Ok(())
}

/// The OpenPGP keys with these keygrips, each as far as a local store has it. A store that cannot be read has none.
pub(super) async fn keys_of(session: &Session, grips: Vec<Option<Keygrip>>) -> Vec<Option<OpenPgpKey>> {
    let stores = Arc::clone(&session.hub.openpgp);
    let look = move || {
        let find = |grip: Keygrip| stores.find(grip).ok().map(|found| found.asked());
        grips.into_iter().map(|grip| grip.and_then(find)).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// When the OpenPGP keys were made that are made of the keys in the places of an OpenPGP card's.
pub(super) async fn times_of(session: &Session, keys: &TokenKeys) -> HashMap<Keygrip, u32> {
    let grips = CardSlot::ALL.map(|slot| keys.in_place_of(slot).and_then(|key| key.key.grip()));
    let found = keys_of(session, grips.to_vec()).await;
    grips.into_iter().zip(found).filter_map(|(grip, key)| Some((grip?, key?.created()))).collect()
}

/// What a reference without a card names.
fn by_itself(reference: &Reference) -> Option<Wanted> {
    match reference {
        Reference::Fingerprint(fingerprint) => Some(Wanted::Fingerprint(*fingerprint)),
        Reference::Keygrip(grip) => Some(Wanted::Keygrip(*grip)),
        _ => None,
    }
}

/// A key is looked for by the fingerprint that its card has for it, and on a token, which has none, by its keygrip.
fn wanted_of(slot: &Slot) -> Option<Wanted> {
    match slot.on_token() {
        Some(_) => slot.keygrip.map(Wanted::Keygrip),
        None => slot.fingerprint.map(|fingerprint| Wanted::Fingerprint(Fingerprint::from(fingerprint))),
    }
}

/// A token's key has a slot for each of its certificates.
fn is_first_of_its_key(slot: &Slot) -> bool {
    wanted_of(slot).is_some() && slot.on_token().is_none_or(|place| place.named_as_key)
}

/// A reference that says what the collection can tell: a fingerprint that no card has is that of the key with which the local
/// stores know it, which a token may have.
pub(super) async fn resolved(
    session: &Session,
    collection: &Collection,
    reference: &Reference,
) -> Result<Reference, Error> {
    let Reference::Fingerprint(fingerprint) = reference else { return Ok(reference.clone()) };
    if collection.all_slots().all(|slot| slot.on_token().is_none()) || !collection.slots(reference).is_empty()
    {
        return Ok(reference.clone());
    }
    let (stores, wanted) = (Arc::clone(&session.hub.openpgp), Wanted::Fingerprint(*fingerprint));
    let grip = tokio::task::spawn_blocking(move || stores.find(wanted).ok()?.asked().keygrip()).await;
    let grip = grip.map_err(|_| scd(Code::INTERNAL))?;
    let keygrip = grip.map(Reference::Keygrip).filter(|keygrip| !collection.slots(keygrip).is_empty());
    Ok(keygrip.unwrap_or_else(|| reference.clone()))
}

/// A certificate and what it is worth.
struct Judged {
    certificate: Found,
    verdict: Verdict,
}

/// Looks for a certificate where that holds nobody up: files are read, and signatures checked.
async fn find(session: &Session, wanted: Wanted, now: SystemTime) -> Result<Judged, NotFound> {
    let stores = Arc::clone(&session.hub.openpgp);
    let judged = move || {
        let certificate = stores.find(wanted)?;
        Ok(Judged { verdict: certificate.verdict(now), certificate })
    };
    let none = || NotFound { unread: Vec::new() };
    tokio::task::spawn_blocking(judged).await.unwrap_or_else(|_| Err(none()))
}

fn missing(error: &NotFound) -> Error {
    for store in &error.unread {
        tracing::warn!("{store}");
    }
    from_certificate(&NoCertificate::NotInStores { unread: error.unread.len() })
}

/// Tells where the holders of these cards say that their certificates are.
async fn show_urls(session: &Session, slots: &[&Slot], talk: &mut dyn Conversation) {
    let mut shown = None;
    for slot in slots.iter().filter(|slot| slot.on_token().is_none()) {
        if shown.replace(slot.insertion) == Some(slot.insertion) {
            continue;
        }
        let Some(token) = token_of(session, slot) else { continue };
        let url = token.submit(Job::new(Request::Object(DataObject::Url))).await;
        if let Ok(Outcome::Done(Reply::Object(Some(url)))) = url
            && !url.is_empty()
        {
            talk.status("OPENPGPURL", &status_fields(&[slot.serial.as_bytes(), &url]));
        }
    }
}

/// The value of `OPENPGPCERT`.
fn line(wanted: Wanted, slot: Option<&Slot>, judged: Option<&Judged>) -> Vec<u8> {
    let (found, verdict) = (judged.map(|judged| &judged.certificate), judged.map(|judged| &judged.verdict));
    let asked = match (found, wanted) {
        (Some(found), _) => found.asked().fingerprint().to_string(),
        (None, Wanted::Fingerprint(fingerprint)) => fingerprint.to_string(),
        (None, Wanted::Keygrip(_)) => NONE.to_owned(),
    };
    let user_id = verdict.and_then(|verdict| verdict.user_ids.first()).map_or(NONE, String::as_str);
    let path = found.map_or(NONE.into(), |found| found.path().to_string_lossy());
    let primary = found.map_or(NONE.to_owned(), |found| found.primary().to_string());
    status_fields(&[
        asked.as_bytes(),
        slot.map_or(NONE, |slot| &slot.serial).as_bytes(),
        slot.map_or(NONE, Slot::name).as_bytes(),
        primary.as_bytes(),
        verdict.map_or("unknown", |verdict| verdict.of_both().word()).as_bytes(),
        path.as_bytes(),
        user_id.as_bytes(),
    ])
}
