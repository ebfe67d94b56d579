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
    /// Whose it is by its OpenPGP certificate, if a local store has that.
    pub(super) known: Option<Known>,
}

/// What an OpenPGP certificate in a local store says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Its first user id.
    pub(super) user_id: String,
    /// The store's file.
    pub(super) file: String,
    /// What the daemon calls its state: `valid`, `expired`, …
    pub(super) validity: String,
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
                (found.reference(), found.slot.clone())
            }
            // Keys that are not OpenPGP's have no fingerprint; slots and keygrips name them nevertheless.
            None => (reference.to_owned(), reference.to_owned()),
        };
        let public = PublicKey::from_sexp(&agent.ask_about("READKEY", &id)?.data)?;
        let fingerprint = found.as_ref().and_then(|found| found.fingerprint.parse().ok());
        Ok(Self { public, slot, fingerprint, known: found.and_then(|found| found.known) })
    }
}

/// A key on a card as LISTCERTS tells of it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    fingerprint: String,
    serialno: String,
    slot: String,
    known: Option<Known>,
}

impl Found {
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<_> = std::str::from_utf8(line).ok()?.split(' ').collect();
        let [fingerprint, serialno, slot, _primary, validity, file, user_id] = fields.try_into().ok()?;
        let text =
            |field: &str| String::from_utf8_lossy(&unescape_percent_plus(field.as_bytes())).into_owned();
        let known = || Known { user_id: text(user_id), file: text(file), validity: validity.to_owned() };
        let found = Self {
            fingerprint: fingerprint.to_owned(),
            serialno: serialno.to_owned(),
            slot: slot.to_owned(),
            known: (user_id != "-").then(known),
        };
        // A store may have certificates of keys that no card here has.
        (slot != "-").then_some(found)
    }

    /// What names the key wherever the session is. A token's key has a name that says so by itself.
    fn reference(&self) -> String {
        if self.slot.contains('/') { self.slot.clone() } else { format!("{}/{}", self.serialno, self.slot) }
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
        let known = Known {
            user_id: "Carla Card <c@example.org>".to_owned(),
            file: "/home/pubring.kbx".to_owned(),
            validity: "valid".to_owned(),
        };
        assert_eq!((found.slot.as_str(), found.known), ("OPENPGP.3", Some(known)));
        let unknown = Found::parse(b"AB D2 OPENPGP.3 - unknown - -").unwrap();
        assert_eq!((unknown.reference().as_str(), unknown.known), ("D2/OPENPGP.3", None));
        let on_token = Found::parse(b"AB D2 m/o/s/l/01 CD valid /f Carla").unwrap();
        assert_eq!(on_token.reference(), "m/o/s/l/01");
        assert_eq!(Found::parse(b"AB - - CD valid /f Carla"), None, "it is on no card");
        assert_eq!(Found::parse(b"AB"), None);
    }
}
