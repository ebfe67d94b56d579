//! Whose a key is, and who says so: the person at the command line, a local store, or the card itself.

use claviger_assuan::escape::unescape_percent_plus;

use super::agent::Agent;
use super::command_line::Given;
use super::failure::Failure;
use super::key::{Key, Known};
use super::{output, text};

/// Whose a key is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// In the form of an OpenPGP user id.
    pub(super) user_id: String,
    source: Source,
}

/// Who says so.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Given,
    Store { file: String, validity: String },
    Card,
}

impl Holder {
    /// As it was given, else as a local store has it, else as the card has it.
    ///
    /// # Errors
    /// [`Failure::NoUserId`] if nobody knows.
    pub(super) fn of(agent: &mut Agent, given: &Given, key: &Key) -> Result<Self, Failure> {
        if let Some(user_id) = given.value("user-id") {
            return Ok(Self { user_id: text(user_id), source: Source::Given });
        }
        if let Some(Known { user_id, file, validity }) = key.known.clone() {
            return Ok(Self { user_id, source: Source::Store { file, validity } });
        }
        // A key that was found by its fingerprint is on the session's card; of others that is not sure.
        key.fingerprint.as_ref().ok_or(Failure::NoUserId)?;
        let [name, login] = [attribute(agent, "DISP-NAME")?, attribute(agent, "LOGIN-DATA")?];
        let user_id = of_card(&name, &login).ok_or(Failure::NoUserId)?;
        Ok(Self { user_id, source: Source::Card })
    }

    /// A line that tells it, unless the person has just said it.
    pub(super) fn note(&self, slot: &str) -> Option<String> {
        let source = match &self.source {
            Source::Given => return None,
            Source::Store { file, validity } if validity == "valid" => format!("as {file} says"),
            Source::Store { file, validity } => format!("as {file} says, where the key is {validity}"),
            Source::Card => "as the card says".to_owned(),
        };
        Some(output::one_line(&format!("{slot} is of {}, {source}", self.user_id)))
    }
}

/// What the card has there; nothing if it has or says nothing.
fn attribute(agent: &mut Agent, name: &str) -> Result<String, Failure> {
    match agent.ask(&format!("GETATTR {name}")) {
        Ok(heard) => Ok(latin(&unescape_percent_plus(heard.statuses(name).next().unwrap_or_default()))),
        Err(Failure::Refused(_)) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Text of a card: Latin-1 (OpenPGP card 3.4, DO 5B), though some write UTF-8.
fn latin(octets: &[u8]) -> String {
    let text = std::str::from_utf8(octets).map(str::to_owned);
    text.unwrap_or_else(|_| octets.iter().copied().map(char::from).collect()).trim().to_owned()
}

/// A user id made of name and login data; these are free text, of which an e-mail address is of use.
fn of_card(name: &str, login: &str) -> Option<String> {
    let name = spoken(name);
    let is_email = login.contains('@') && !login.contains([' ', '<', '>']);
    match (name.is_empty(), is_email) {
        (false, true) => Some(format!("{name} <{login}>")),
        (false, false) => Some(name),
        (true, _) => Some(login.to_owned()).filter(|login| !login.is_empty()),
    }
}

/// `Surname<<Given<Names` as people say it.
fn spoken(name: &str) -> String {
    let (surname, given) = name.split_once("<<").unwrap_or((name, ""));
    let words = given.split('<').chain(surname.split('<'));
    words.map(str::trim).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_tells_a_user_id() {
        for (name, login, user_id) in [
            ("Card<<Carla", "carla@example.org", Some("Carla Card <carla@example.org>")),
            ("van<der<Card<<Carla<Maria", "carla", Some("Carla Maria van der Card")),
            ("Carla", "a b@c", Some("Carla")),
            ("", "carla", Some("carla")),
            ("<<", "carla@example.org", Some("carla@example.org")),
            ("", "", None),
        ] {
            assert_eq!(of_card(name, login).as_deref(), user_id, "{name}");
        }
    }

    #[test]
    fn letters_of_a_card_are_latin_or_utf_8() {
        assert_eq!(latin(b"Zo\xeb "), "Zoë");
        assert_eq!(latin("Zoë ".as_bytes()), "Zoë");
    }

    #[test]
    fn who_says_it_is_told() {
        let of = |source| Holder { user_id: "Carla\n".to_owned(), source }.note("OPENPGP.3");
        let store = |validity: &str| Source::Store { file: "/f".to_owned(), validity: validity.to_owned() };
        assert_eq!(of(Source::Given), None);
        assert_eq!(of(Source::Card).as_deref(), Some("OPENPGP.3 is of Carla\\x0a, as the card says"));
        assert!(of(store("valid")).is_some_and(|note| note.ends_with("as /f says")));
        assert!(of(store("revoked")).is_some_and(|note| note.ends_with(", where the key is revoked")));
    }
}
