//! `cert list`: LISTCERTS for people.

use std::fmt::Write as _;

use claviger_assuan::escape::unescape_percent_plus;
use serde_json::{Value, json};

use super::agent::{Agent, escaped};
use super::command_line::Given;
use super::failure::Failure;
use super::{output, text};

/// A certificate as LISTCERTS tells of it.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    id: String,
    serialno: String,
    keygrip: Option<String>,
    authority: bool,
    sha256: String,
    validity: Option<(i64, i64)>,
    flags: Vec<String>,
    subject: Option<String>,
}

/// `claviger cert list`.
pub(super) fn list(given: &Given) -> Result<(), Failure> {
    let command = command(given)?;
    let heard = Agent::of_home(&given.home())?.ask(&command)?;
    let lines = heard.statuses("CERTIFICATE").map(Line::parse).collect::<Option<Vec<_>>>();
    let lines = lines.ok_or(Failure::Answer("LISTCERTS"))?;
    if given.flag("json") {
        return output::json(&lines.iter().map(Line::json).collect());
    }
    if lines.is_empty() {
        eprintln!("claviger: no certificate on a card here or in the local store{}", fits(given));
    }
    output::text(&lines.iter().map(Line::shown).collect::<String>())
}

fn fits(given: &Given) -> &'static str {
    let filters = ["token", "ca", "no-ca"];
    let is_filtered = !given.is_bare() || filters.iter().any(|filter| given.flag(filter));
    if is_filtered { " fits" } else { "" }
}

fn command(given: &Given) -> Result<String, Failure> {
    let mut command = "LISTCERTS".to_owned();
    if let Some(token) = given.value("token") {
        let _ = write!(command, " --token={}", escaped(&text(token)));
    }
    command.push_str(match given.either("ca", "no-ca")? {
        Some(true) => " --ca",
        Some(false) => " --no-ca",
        None => "",
    });
    if !given.is_bare() {
        let _ = write!(command, " -- {}", escaped(&given.operand(0)));
    }
    Ok(command)
}

impl Line {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let mut fields = line.split(' ').map(|field| Some(field).filter(|field| *field != "-"));
        let mut next = || fields.next().map(|field| field.map(str::to_owned));
        let (id, serialno, keygrip, kind, sha256) = (next()??, next()??, next()?, next()??, next()??);
        let (from, until, flags, subject) = (next()?, next()?, next()?, next()?);
        let time = |field: Option<String>| field?.parse().ok();
        let unescaped =
            |field: String| String::from_utf8_lossy(&unescape_percent_plus(field.as_bytes())).into_owned();
        Some(Self {
            id,
            serialno,
            keygrip,
            authority: kind == "102",
            sha256,
            validity: time(from).zip(time(until)),
            flags: flags.iter().flat_map(|words| words.split(',')).map(str::to_owned).collect(),
            subject: subject.map(unescaped),
        })
    }

    fn shown(&self) -> String {
        const INDENT: usize = 4;
        let subject = self.subject.as_deref().unwrap_or("(no subject)");
        let mut facts = match self.validity {
            Some((from, until)) => format!("valid {} to {}", output::day(from), output::day(until)),
            None => "no validity".to_owned(),
        };
        if self.authority {
            facts.push_str(", certification authority");
        }
        for flag in &self.flags {
            let _ = write!(facts, ", {}", flag.to_uppercase());
        }
        let key = self.keygrip.as_deref().unwrap_or("unknown");
        let lines = [subject, &facts, &format!("keygrip {key}")];
        let lines = lines.map(|line| format!("    {}\n", output::fitted(line, INDENT)));
        format!("{}\n{}", output::fitted(&self.id, 0), lines.concat())
    }

    fn json(&self) -> Value {
        // A token's names are whole; those of a card's slots are told behind its serial number.
        let name = || self.id.strip_prefix(&format!("{}/", self.serialno)).unwrap_or(&self.id);
        let is_on_card = self.id.contains('/');
        let (card, slot) = (is_on_card.then_some(&self.serialno), is_on_card.then(name));
        json!({
            "id": self.id,
            "card": card,
            "slot": slot,
            "keygrip": self.keygrip,
            "authority": self.authority,
            "sha256": self.sha256,
            "not_before": self.validity.map(|(from, _)| output::time(from)),
            "not_after": self.validity.map(|(_, until)| output::time(until)),
            "flags": self.flags,
            "subject": self.subject,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line =
            Line::parse(b"D2/OPENPGP.3 D2 AB 100 CD 0 86400 expired,other-key O=A+House,CN=J%25").unwrap();
        assert_eq!(line.subject.as_deref(), Some("O=A House,CN=J%"));
        assert_eq!(line.flags, ["expired", "other-key"]);
        let shown = "D2/OPENPGP.3\n    O=A House,CN=J%\n    valid 1970-01-01 to 1970-01-02, EXPIRED, OTHER-KEY\n    \
                     keygrip AB\n";
        assert_eq!(line.shown(), shown);
        assert_eq!((&line.json()["card"], &line.json()["slot"]), (&json!("D2"), &json!("OPENPGP.3")));
    }

    #[test]
    fn a_token_s_certificate_has_its_whole_name_and_one_in_the_store_none() {
        let line =
            |id: &str| Line::parse(format!("{id} D2 AB 100 CD 0 86400 - O=A").as_bytes()).unwrap().json();
        assert_eq!(line("m/o/s/l/01")["slot"], "m/o/s/l/01");
        assert_eq!((&line("sha256:CD")["slot"], &line("sha256:CD")["card"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn what_is_not_known_is_left_open() {
        let line = Line::parse(b"sha256:CD store - 0 CD - - unreadable -").unwrap();
        assert_eq!((line.keygrip.as_ref(), line.validity, line.subject.as_ref()), (None, None, None));
        assert_eq!(line.json()["card"], Value::Null);
        assert_eq!(Line::parse(b"sha256:CD store"), None);
    }
}
