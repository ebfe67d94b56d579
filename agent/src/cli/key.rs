//! Keys on cards: which one a person means, and `key spki`.

use claviger_assuan::escape::unescape_percent_plus;
use claviger_keys::PublicKey;
use claviger_keys::x509::pem;
use claviger_openpgp::Fingerprint;

use super::agent::Agent;
use super::command_line::Given;
use super::failure::Failure;
use super::output;

/// A key on a card.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) public: PublicKey,
    /// The card's number and the slot, as a reference; the slot alone where nothing else is known.
    pub(super) slot: String,
    /// The fingerprint that the card has for it.
    pub(super) fingerprint: Option<Fingerprint>,
    /// The first user id of its OpenPGP certificate, if a local store has that.
    pub(super) user_id: Option<String>,
}

impl Key {
    /// Finds what a person calls `reference`. No PIN is asked for.
    ///
    /// # Errors
    /// [`Failure`] if no card here has it.
    pub(super) fn find(agent: &mut Agent, reference: &str) -> Result<Self, Failure> {
        let heard = agent.ask_about("LISTCERTS --openpgp", reference)?;
        let found = heard.statuses("OPENPGPCERT").find_map(Found::parse);
        let (slot, id) = match &found {
            // The session moves to the card that has the key.
            Some(found) => {
                agent.ask(&format!("SERIALNO --demand={}", found.serialno))?;
                (format!("{}/{}", found.serialno, found.slot), found.slot.clone())
            }
            // Keys that are not OpenPGP's have no fingerprint; slots and keygrips name them nevertheless.
            None => (reference.to_owned(), reference.to_owned()),
        };
        let public = PublicKey::from_sexp(&agent.ask_about("READKEY", &id)?.data)?;
        let fingerprint = found.as_ref().and_then(|found| found.fingerprint.parse().ok());
        Ok(Self { public, slot, fingerprint, user_id: found.and_then(|found| found.user_id) })
    }
}

/// A key on a card as LISTCERTS tells of it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    fingerprint: String,
    serialno: String,
    slot: String,
    user_id: Option<String>,
}

impl Found {
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<_> = std::str::from_utf8(line).ok()?.split(' ').collect();
        let [fingerprint, serialno, slot, _primary, _validity, _file, user_id] = fields.try_into().ok()?;
        let user_id = String::from_utf8_lossy(&unescape_percent_plus(user_id.as_bytes())).into_owned();
        let found = Self {
            fingerprint: fingerprint.to_owned(),
            serialno: serialno.to_owned(),
            slot: slot.to_owned(),
            user_id: Some(user_id).filter(|user_id| user_id != "-"),
        };
        // A store may have certificates of keys that no card here has.
        (slot != "-").then_some(found)
    }
}

/// `claviger key spki`.
pub(super) fn spki(given: &Given) -> Result<(), Failure> {
    let binary = given.either("der", "pem")? == Some(true);
    output::refuse_binary_to_terminal(given, binary)?;
    let key = Key::find(&mut Agent::of_home(&given.home())?, &given.operand(0))?;
    output::made(given, pem::PUBLIC_KEY, &key.public.spki_der(), binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_on_a_card_is_taken_from_its_line() {
        let found =
            Found::parse(b"AB D2 OPENPGP.3 CD valid /home/pubring.kbx Carla+Card+<c@example.org>").unwrap();
        assert_eq!(
            (found.slot.as_str(), found.user_id.as_deref()),
            ("OPENPGP.3", Some("Carla Card <c@example.org>"))
        );
        assert_eq!(Found::parse(b"AB D2 OPENPGP.3 - unknown - -").unwrap().user_id, None);
        assert_eq!(Found::parse(b"AB - - CD valid /f Carla"), None, "it is on no card");
        assert_eq!(Found::parse(b"AB"), None);
    }
}
