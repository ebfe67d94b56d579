//! READCERT: a certificate as it is stored, or the chain that it leads to.

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::facts::KeyState;
use claviger_cards::token::{Request as CardRequest, Slot as CardSlot};
use claviger_keys::x509::{Certificate, pem};
use claviger_openpgp::Form as OpenPgpForm;

use super::certificates::{NoCertificate, gather, shelf, the_one};
use super::errors::from_certificate;
use super::session::{Allowed, Session};
use super::{Command, openpgp_certificates, row};
use crate::certificates::{self, Collection, Reference, Slot, chain};
use crate::clock;

pub(super) static COMMANDS: &[Command] = &[row!("READCERT", Unlocked, request, readcert, HELP)];

const HELP: &str = "\
READCERT [--der|--pem] [--chain] [--openpgp] [--minimal] [--armor] [--] <ref>

Return the certificate that REF means, in DER as it is stored, byte for
byte, or with --pem as text. REF is

  OPENPGP.1, OPENPGP.2, OPENPGP.3   a slot of this session's card, or
                                    the key in its place on a token
  <serialno>/OPENPGP.<n>            a slot of that card: an id that
                                    LISTCERTS gives
  <manufacturer>/.../<id>           a PKCS#11 token's key or certificate:
                                    an id that LEARN and LISTCERTS give
  <keygrip>                         the slot that has this key
  fpr:<hex>                         the slot whose key has this OpenPGP
                                    fingerprint, on a token as the local
                                    stores know it
  sha1:<hex>, sha256:<hex>          the certificate's own fingerprint
  #<serial>/<issuer>                as gpgsm writes it
  pkcs11:<uri>                      what the URI describes (RFC 7512): a
                                    certificate, or else that of a key

with blanks and percent signs escaped: + or %20, %25, a plus as %2B; a
URI may also be sent as it is. A slot without certificate is served from
the local store, where there is one of its key. What the certificate is
worth is told before:

  S CERTSTATUS <id> <sha256> <flags>

with the ids and flags of LISTCERTS. If REF fits several certificates,
they are listed as by LISTCERTS and none is returned. With --chain the
certificates of its issuers follow, each the issuer of the one before,
as far as cards, tokens and the local store have them.

With --openpgp the OpenPGP certificate of the key is returned, from the
local stores, after its line as in LISTCERTS: as gpg --export gives it,
with --minimal cut to that key, its user ids and newest signatures, with
--armor as text. All but READCERT <keyid> is claviger's own.";

/// What READCERT is asked for.
struct Request {
    pem: bool,
    chain: bool,
    openpgp: Option<OpenPgpForm>,
    /// An argument that is no reference is an error only after those of GnuPG's gate.
    reference: Result<Reference, NoCertificate>,
}

fn request(arguments: Args<'_>) -> Result<Request, Error> {
    let form = OpenPgpForm { minimal: arguments.flag("--minimal"), armored: arguments.flag("--armor") };
    let reference = Reference::parse(arguments.rest()).map_err(NoCertificate::from);
    Ok(Request {
        pem: arguments.flag("--pem"),
        chain: arguments.flag("--chain"),
        openpgp: arguments.flag("--openpgp").then_some(form),
        reference,
    })
}

async fn readcert(session: &mut Session, request: Request, talk: &mut dyn Conversation) -> Result<(), Error> {
    let gate = session.pass(Allowed::WithCard).await;
    let reference = match request.reference {
        Ok(reference) => in_its_place(session, reference),
        Err(error) => return Err(gate.err().unwrap_or_else(|| from_certificate(&error))),
    };
    let collection = match reference {
        Reference::Slot(slot) if !is_at_a_token(session) => {
            gate.clone()?;
            own_slot(session, slot).await?
        }
        _ => gather(session).await,
    };
    let reference = openpgp_certificates::resolved(session, &collection, &reference).await?;
    if let Some(form) = request.openpgp {
        return openpgp_certificates::read(session, &collection, &reference, form, talk).await;
    }
    let entry = the_one(&collection, &reference, talk).map_err(|error| match (error.code(), gate) {
        (Code::NO_SECKEY, Err(no_card)) => no_card,
        _ => error,
    })?;
    talk.status("CERTSTATUS", certificates::worth(&entry, clock::now()).as_bytes());
    let certificate = entry.certificate;
    let row = match reference {
        _ if !request.chain => vec![certificate],
        Reference::Slot(_) => chain_of(certificate, gather(session).await).await,
        _ => chain_of(certificate, collection).await,
    };
    for octets in written(&row, request.pem) {
        talk.data(&octets);
    }
    Ok(())
}

fn is_at_a_token(session: &Session) -> bool {
    session.token().is_ok_and(|token| token.card().is_none())
}

/// On a token, a slot of an OpenPGP card means the key that stands in its place.
fn in_its_place(session: &Session, reference: Reference) -> Reference {
    let Reference::Slot(slot) = reference else { return reference };
    let keys = session.token().ok().and_then(|token| session.hub.tokens.keys_of(&token));
    let name = keys.and_then(|keys| keys.in_place_of(slot)?.id.parse().ok());
    name.map_or(reference, Reference::Key)
}

/// The slot of the session's card, and the shelf if it has no certificate. No other slot is read for it.
async fn own_slot(session: &mut Session, slot: CardSlot) -> Result<Collection, Error> {
    let known = session.facts()?;
    session.read(CardRequest::Certificate(slot)).await?;
    if matches!(known.public_keys[slot.index()], KeyState::Unread) {
        // Without it, nothing is said of whether the certificate is of this key.
        let _unless_there_is_none = session.read(CardRequest::PublicKey(slot)).await;
    }
    let facts = session.facts()?;
    let shelf = if facts.certificate(slot).is_some() { Vec::new() } else { shelf(session).await };
    let insertion = session.token()?.insertion();
    let slots = Slot::all_of(insertion, &facts)
        .into_iter()
        .filter(|of_card| of_card.number() == Some(slot))
        .collect();
    Ok(Collection::new(slots, shelf, Some(insertion)))
}

async fn chain_of(leaf: Certificate, at_hand: Collection) -> Vec<Certificate> {
    let alone = vec![leaf.clone()];
    // Signatures take their time.
    tokio::task::spawn_blocking(move || {
        let candidates: Vec<_> = at_hand.entries().map(|entry| entry.certificate).collect();
        chain::from(&leaf, &candidates, clock::now())
    })
    .await
    .unwrap_or(alone)
}

/// One certificate as it is stored; of several, each without what is stored behind it, so that they can be told apart.
fn written(row: &[Certificate], as_text: bool) -> Vec<Vec<u8>> {
    match row {
        [one] if !as_text => vec![one.der().to_vec()],
        _ if as_text => row.iter().map(|one| pem::write(pem::CERTIFICATE, one.bare()).into_bytes()).collect(),
        _ => row.iter().map(|one| one.bare().to_vec()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Request {
        request(Args::new(line.as_bytes())).unwrap()
    }

    #[test]
    fn options_choose_the_form() {
        let request = parsed("--pem --chain OPENPGP.3");
        assert!(request.pem && request.chain && request.openpgp.is_none());
        let request = parsed("--openpgp --armor -- openpgp.1");
        assert_eq!(request.openpgp, Some(OpenPgpForm { minimal: false, armored: true }));
        assert_eq!(request.reference, Ok(Reference::Slot(CardSlot::Sign)));
    }

    #[test]
    fn one_certificate_keeps_its_padding_and_a_row_does_not() {
        let padded = Certificate::new(&b"\x30\x01\x05\x00\x00"[..]);
        assert_eq!(written(std::slice::from_ref(&padded), false), [b"\x30\x01\x05\x00\x00"]);
        assert_eq!(written(&[padded.clone(), padded.clone()], false), [b"\x30\x01\x05"; 2]);
        let text = "-----BEGIN CERTIFICATE-----\nMAEF\n-----END CERTIFICATE-----\n";
        assert_eq!(written(&[padded], true), [text.as_bytes()]);
    }
}
