//! `cert show` and `cert export`: READCERT for people.

use claviger_keys::x509::{AltName, Certificate, Fields};
use serde_json::{Value, json};

use super::agent::{Agent, Heard};
use super::command_line::Given;
use super::failure::Failure;
use super::output;
use crate::hex;

/// A certificate that was read, and what the daemon says of it.
pub(super) struct Read {
    /// The name that fits it alone.
    pub(super) id: String,
    /// What is wrong with it.
    flags: Vec<String>,
    pub(super) certificate: Certificate,
}

impl Read {
    /// Reads the certificate that a reference means.
    ///
    /// # Errors
    /// [`Failure`] if there is none, or several.
    pub(super) fn new(agent: &mut Agent, reference: &str) -> Result<Self, Failure> {
        let heard = agent.ask_about("READCERT", reference)?;
        let certificate = Certificate::new(heard.data.as_slice());
        let [id, _sha256, flags] = status(&heard).ok_or(Failure::Answer("READCERT"))?;
        let flags = flags.split(',').filter(|flag| *flag != "-").map(str::to_owned).collect();
        Ok(Self { id, flags, certificate })
    }

    /// Whether it is in the local store, and not on a card.
    pub(super) fn is_in_store(&self) -> bool {
        self.id.starts_with("sha256:")
    }

    /// Its subject, as far as it can be read.
    pub(super) fn subject(&self) -> String {
        self.certificate
            .fields()
            .map_or_else(|error| format!("({error})"), |fields| fields.subject().to_string())
    }

    /// What is shown of it, in the order in which it is.
    fn rows(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut rows = vec![("Id", vec![self.id.clone()])];
        match self.certificate.fields() {
            Ok(fields) => rows.extend(rows_of(fields)),
            Err(error) => rows.push(("Unreadable", vec![error.to_string()])),
        }
        rows.push(("SHA-1", vec![hex::write(&self.certificate.sha1())]));
        rows.push(("SHA-256", vec![hex::write(&self.certificate.sha256())]));
        rows.push(("Flags", self.flags.iter().map(|flag| flag.to_uppercase()).collect()));
        rows
    }

    fn json(&self) -> Value {
        let fields = self.certificate.fields().ok();
        json!({
            "id": self.id,
            "subject": fields.map(|fields| fields.subject().to_string()),
            "issuer": fields.map(|fields| fields.issuer().to_string()),
            "serial": fields.map(|fields| hex::write(fields.serial())),
            "not_before": fields.map(|fields| output::time(fields.not_before())),
            "not_after": fields.map(|fields| output::time(fields.not_after())),
            "alt_names": fields.map(|fields| fields.alt_names().iter().map(alt_name).collect::<Vec<_>>()),
            "authority": fields.map(Fields::is_ca),
            "key": fields.and_then(|fields| Some(fields.public_key()?.algorithm_name())),
            "keygrip": fields.and_then(|fields| Some(fields.keygrip()?.to_string())),
            "usages": fields.map(Fields::usages),
            "sha1": hex::write(&self.certificate.sha1()),
            "sha256": hex::write(&self.certificate.sha256()),
            "flags": self.flags,
        })
    }
}

/// The three words of CERTSTATUS.
fn status(heard: &Heard) -> Option<[String; 3]> {
    heard.words("CERTSTATUS").try_into().ok()
}

fn rows_of(fields: &Fields) -> [(&'static str, Vec<String>); 9] {
    let key =
        fields.public_key().map_or("of a kind that is not known".to_owned(), |key| key.algorithm_name());
    [
        ("Subject", vec![fields.subject().to_string()]),
        ("Issuer", vec![fields.issuer().to_string()]),
        ("Serial", vec![hex::write(fields.serial())]),
        ("Valid from", vec![output::time(fields.not_before())]),
        ("Valid until", vec![output::time(fields.not_after())]),
        ("Other names", fields.alt_names().iter().map(alt_name).collect()),
        ("Key", vec![key]),
        ("Keygrip", fields.keygrip().iter().map(ToString::to_string).collect()),
        ("Usages", usages(fields)),
    ]
}

fn usages(fields: &Fields) -> Vec<String> {
    let authority = fields.is_ca().then(|| "certification authority".to_owned());
    authority.into_iter().chain(fields.usages().to_vec()).collect()
}

fn alt_name(name: &AltName) -> String {
    match name {
        AltName::Email(email) => format!("email:{email}"),
        AltName::Dns(host) => format!("DNS:{host}"),
        AltName::Uri(uri) => format!("URI:{uri}"),
        AltName::Address(address) => format!("IP:{address}"),
        AltName::Directory(name) => format!("name:{name}"),
        AltName::Other(octets) => format!("other:#{}", hex::write(octets)),
    }
}

/// `claviger cert show`.
pub(super) fn show(given: &Given) -> Result<(), Failure> {
    let read = Read::new(&mut Agent::of_home(&given.home())?, &given.operand(0))?;
    if given.flag("json") {
        return output::json(&read.json());
    }
    let rows = read.rows().into_iter().filter(|(_, values)| !values.is_empty());
    output::text(&rows.map(|(name, values)| shown(name, &values)).collect::<String>())
}

/// A name, and its values one below the other.
fn shown(name: &str, values: &[String]) -> String {
    const INDENT: usize = 13;
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    let lines = names.zip(values).map(|(name, value)| {
        // What somebody wants to copy is not cut.
        format!("{name:INDENT$}{}\n", output::one_line(value))
    });
    lines.collect()
}

/// `claviger cert export`.
pub(super) fn export(given: &Given) -> Result<(), Failure> {
    let binary = given.either("der", "pem")? == Some(true);
    output::refuse_binary_to_terminal(given, binary)?;
    let form = if binary { "" } else { " --pem" };
    let chain = if given.flag("chain") { " --chain" } else { "" };
    let mut agent = Agent::of_home(&given.home())?;
    let heard = agent.ask_about(&format!("READCERT{form}{chain}"), &given.operand(0))?;
    output::to_destination(given, &heard.data)
}
