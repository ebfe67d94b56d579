//! LISTCERTS and DELCERT, and what all commands about certificates share: reading what is at hand, and finding the one that
//! a client means. Claviger's own; no command of GnuPG's tells which certificates an OpenPGP card holds.

use std::sync::Arc;

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::facts::{CertificateState, Facts};
use claviger_cards::pkcs11;
use claviger_cards::token::{Job, Request as CardRequest};
use claviger_keys::Keygrip;
use claviger_keys::pkcs11::uri::UriError;
use claviger_keys::x509::{Certificate, X509Error};

use super::errors::{from_certificate, scd};
use super::key_reference::load_keys;
use super::session::{Allowed, Session};
use super::{Command, openpgp_certificates, row, token_slots};
use crate::certificates::{self, Collection, Entry, Kind, NotReference, Place, Query, Reference, Slot};
use crate::clock;

/// How many status lines are held before the client's side has to take them.
const LINES_AT_ONCE: usize = 64;

pub(super) static COMMANDS: &[Command] = &[
    row!("LISTCERTS", Unlocked, list_request, listcerts, HELP_LISTCERTS),
    row!("DELCERT", Unlocked, delcert_request, delcert, HELP_DELCERT),
];

const HELP_LISTCERTS: &str = "\
LISTCERTS [--openpgp] [--token=<serialno>] [--ca|--no-ca] [--] [<ref>]

Return the certificates on all cards and PKCS#11 tokens here and in the
local store, or those that the options and REF fit, in a status line
each. No PIN is asked for, and nothing is read twice from a card.
(Claviger's own.)

  S CERTIFICATE <id> <serialno> <keygrip> <type> <sha256> <not before>
                <not after> <flags> <subject>

Fields are separated by one blank; what is not known is \"-\". ID is a
reference for READCERT that fits this certificate alone, SERIALNO is
\"store\" in the local store. TYPE is 100, 102 for a certification
authority's, 0 for what cannot be read as a certificate. Times are in
seconds since 1970. FLAGS are words with commas between: not-yet-valid,
expired, other-key (it is not of the key in its slot), unreadable.
SUBJECT is percent-plus escaped; one that is too long for the line ends
with a U+2026.

--token shows one card's, or with --token=store the local store's; --ca
those of certification authorities, --no-ca all others. REF is what
READCERT takes; a keygrip fits the certificates of that key wherever
they are. That there is none is no error.

--openpgp returns the OpenPGP certificates of the keys on cards, or of
REF, as far as the local stores have them:

  S OPENPGPCERT <fingerprint> <serialno> <keyid> <primary> <validity>
                <file> <user id>
  S OPENPGPURL <serialno> <url>

VALIDITY is valid, not-yet-valid, expired, revoked, unusable, or unknown
if no store has it; a token's keys that no store has are left out. The
card's URL is shown and never fetched.";

const HELP_DELCERT: &str = "\
DELCERT [--] <ref>

Remove the certificate that REF means from its card or token. REF is
what READCERT takes. A card asks for the Admin PIN, a token for the
user's. (Claviger's own.)";

/// Why there is no certificate for a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoCertificate {
    /// The client's argument names nothing.
    #[error("no reference of a certificate")]
    NotReference,
    /// The client's argument begins like a URI.
    #[error(transparent)]
    BadUri(UriError),
    /// A `pkcs11:` URI, and no token at all.
    #[error("no PKCS#11 token is here; a certificate on an OpenPGP card is named by one of LISTCERTS's ids")]
    NoToken,
    /// No card has the key.
    #[error("no card here has that key")]
    NoKeyHere,
    /// There is none that fits.
    #[error("no certificate fits")]
    NotFound,
    /// There are several that fit.
    #[error("{count} certificates fit; take one by the id in its status line")]
    Ambiguous {
        /// How many.
        count: usize,
    },
    /// There are several keys that fit.
    #[error("{count} keys fit; take one by its name, see LEARN")]
    AmbiguousKey {
        /// How many.
        count: usize,
    },
    /// It is in the local store, and was to be removed from a card.
    #[error("it is in the local store, not on a card; see claviger cert delete")]
    InStore,
    /// It was to be a certificate.
    #[error("this is no certificate: {0}")]
    Unreadable(X509Error),
    /// It was to be one of a key.
    #[error("the certificate is not of the key in {0}; without --check it is written all the same")]
    OtherKey(String),
    /// No store has an OpenPGP certificate with the key.
    #[error("no local store has an OpenPGP certificate of that key{}", not_read(*unread))]
    NotInStores {
        /// How many stores could not be read.
        unread: usize,
    },
    /// An OpenPGP certificate cannot be cut.
    #[error("the OpenPGP certificate cannot be cut to that key: {0}")]
    NotMinimal(String),
}

fn not_read(stores: usize) -> String {
    if stores == 0 { String::new() } else { format!("; {stores} could not be read, see the log") }
}

impl From<NotReference> for NoCertificate {
    fn from(error: NotReference) -> Self {
        match error {
            NotReference::Unknown => Self::NotReference,
            NotReference::Uri(error) => Self::BadUri(error),
        }
    }
}

/// What LISTCERTS is asked for.
struct ListRequest {
    openpgp: bool,
    token: Option<String>,
    authority: Option<bool>,
    reference: Option<Reference>,
}

fn list_request(arguments: Args<'_>) -> Result<ListRequest, Error> {
    let token = match arguments.value("--token") {
        Given::Value(serial) => Some(String::from_utf8_lossy(serial).into_owned()),
        Given::Bare | Given::Absent => None,
    };
    let authority = match (arguments.flag("--ca"), arguments.flag("--no-ca")) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    };
    let openpgp = arguments.flag("--openpgp");
    let reference = match arguments.rest() {
        [] => None,
        rest => Some(reference(rest)?),
    };
    Ok(ListRequest { openpgp, token, authority, reference })
}

fn reference(argument: &[u8]) -> Result<Reference, Error> {
    Reference::parse(argument).map_err(|error| from_certificate(&error.into()))
}

async fn listcerts(
    session: &mut Session,
    request: ListRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    if matches!(request.reference, Some(Reference::Slot(_))) {
        session.pass(Allowed::WithCard).await?;
    }
    let collection = gather(session).await;
    let reference = match &request.reference {
        Some(Reference::Pkcs11(_)) if has_no_token(&collection) => {
            return Err(from_certificate(&NoCertificate::NoToken));
        }
        Some(reference) => Some(openpgp_certificates::resolved(session, &collection, reference).await?),
        None => None,
    };
    if request.openpgp {
        return openpgp_certificates::list(session, &collection, reference.as_ref(), talk).await;
    }
    let now = clock::now();
    let query = reference.as_ref().map(|reference| collection.query(reference));
    let found: Vec<_> = collection.entries().filter(|entry| fits(&request, query.as_ref(), entry)).collect();
    for some in found.chunks(LINES_AT_ONCE) {
        for entry in some {
            talk.status("CERTIFICATE", &certificates::line(entry, now));
        }
        talk.drain().await.map_err(|_| scd(Code::EPIPE))?;
    }
    Ok(())
}

fn fits(request: &ListRequest, query: Option<&Query<'_>>, entry: &Entry) -> bool {
    let serial = entry.slot.as_deref().map_or("store", |slot| &slot.serial);
    let is_authority = || certificates::kind(&entry.certificate) == Kind::Authority;
    request.token.as_ref().is_none_or(|token| token.eq_ignore_ascii_case(serial))
        && request.authority.is_none_or(|wanted| wanted == is_authority())
        && query.is_none_or(|query| query.fits(entry))
}

fn delcert_request(arguments: Args<'_>) -> Result<Reference, Error> {
    reference(arguments.rest())
}

async fn delcert(
    session: &mut Session,
    reference: Reference,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    session.pass(Allowed::WithCard).await?;
    session.refuse_if_admin_is_denied()?;
    let collection = gather(session).await;
    let reference = openpgp_certificates::resolved(session, &collection, &reference).await?;
    let entry = the_one(&collection, &reference, talk)?;
    let slot = entry.slot.ok_or_else(|| from_certificate(&NoCertificate::InStore))?;
    serve_from(session, &slot)?;
    let request = match &slot.place {
        Place::Card(number) => CardRequest::PutCertificate(*number, Vec::new()),
        Place::Token(place) => {
            let number = place.number().ok_or(scd(Code::NOT_FOUND))?;
            CardRequest::Pkcs11(pkcs11::Request::RemoveCertificate(number))
        }
    };
    session.perform(request, talk).await.map(drop)
}

/// Has the card of this slot serve the command that runs.
pub(super) fn serve_from(session: &mut Session, slot: &Slot) -> Result<(), Error> {
    if session.token().is_ok_and(|own| own.insertion() == slot.insertion) {
        return Ok(());
    }
    let token = token_of(session, slot).ok_or(scd(Code::CARD_REMOVED))?;
    session.borrow(token);
    Ok(())
}

/// The card of a slot, if it is still there.
pub(super) fn token_of(session: &Session, slot: &Slot) -> Option<TokenHandle> {
    session.hub.deck.tokens().into_iter().find(|token| token.insertion() == slot.insertion)
}

/// The certificate that a reference means. Where it means several, they are listed before the error.
pub(super) fn the_one(
    collection: &Collection,
    reference: &Reference,
    talk: &mut dyn Conversation,
) -> Result<Entry, Error> {
    let mut found = collection.meant_by(reference);
    if found.len() > 1 {
        for entry in &found {
            talk.status("CERTIFICATE", &certificates::line(entry, clock::now()));
        }
        return Err(from_certificate(&NoCertificate::Ambiguous { count: found.len() }));
    }
    found.pop().ok_or_else(|| from_certificate(&lack(collection, reference)))
}

/// Why nothing fits a reference.
fn lack(collection: &Collection, reference: &Reference) -> NoCertificate {
    match reference {
        Reference::Keygrip(_) if collection.slots(reference).is_empty() => NoCertificate::NoKeyHere,
        Reference::Pkcs11(_) if has_no_token(collection) => NoCertificate::NoToken,
        _ => NoCertificate::NotFound,
    }
}

fn has_no_token(collection: &Collection) -> bool {
    collection.all_slots().all(|slot| slot.on_token().is_none())
}

/// Everything that is at hand: on all cards and tokens, the session's own first, and on the shelf.
pub(super) async fn gather(session: &Session) -> Collection {
    if let Err(error) = session.hub.deck.scan().await {
        tracing::debug!(%error, "no cards to read certificates from");
    }
    let own = session.token().ok().filter(TokenHandle::is_present);
    let is_own = |token: &TokenHandle| own.as_ref().is_some_and(|own| own.insertion() == token.insertion());
    let others = session.hub.deck.tokens().into_iter().filter(|token| !is_own(token));
    let mut slots = Vec::new();
    for token in own.iter().cloned().chain(others) {
        if let Some(keys) = session.hub.tokens.keys_of(&token) {
            slots.extend(token_slots::slots(token.insertion(), &keys));
            continue;
        }
        load_keys(&token).await;
        load(&token).await;
        if let Some(card) = token.card() {
            slots.extend(Slot::all_of(token.insertion(), &card));
        }
    }
    Collection::new(slots, shelf(session).await, own.map(|own| own.insertion()))
}

/// Reads the certificates of a card, as far as that was not done. Those that cannot be read count as none for the moment.
pub(super) async fn load(token: &TokenHandle) {
    let unread = |card: Arc<Facts>| card.certificates.contains(&CertificateState::Unread);
    if token.card().is_some_and(unread)
        && let Err(error) = token.submit(Job::new(CardRequest::Certificates)).await
    {
        tracing::info!(%error, "no certificates");
    }
}

/// What is on the shelf. It may have to read files.
pub(super) async fn shelf(session: &Session) -> Vec<Certificate> {
    let shelf = session.hub.shelf.clone();
    tokio::task::spawn_blocking(move || shelf.certificates()).await.unwrap_or_default()
}

/// Refuses what is not a certificate of a key.
pub(super) fn check(octets: &[u8], key: Option<Keygrip>, name: &str) -> Result<(), Error> {
    let certificate = Certificate::new(octets);
    match certificate.fields() {
        Err(error) => Err(from_certificate(&NoCertificate::Unreadable(*error))),
        Ok(fields) if key.is_none() || fields.keygrip() != key => {
            Err(from_certificate(&NoCertificate::OtherKey(name.to_owned())))
        }
        Ok(_) => Ok(()),
    }
}
