//! `cert self-sign` and `cert csr`: what is to be signed is written here, and signed by the card.

use std::ops::RangeInclusive;

use claviger_keys::x509::make::{Request, SERIAL, SelfSigned, Subject, ToBeSigned};
use claviger_keys::x509::{Certificate, pem};
use claviger_keys::{DigestInfo, Hash, PublicKey};
use openssl::hash::MessageDigest;

use super::agent::Agent;
use super::command_line::{Given, UsageError};
use super::failure::Failure;
use super::holder::Holder;
use super::key::Key;
use super::{change, output, text, waiting};
use crate::{clock, hex, verify};

/// For how many days a certificate is valid, unless told otherwise.
const DEFAULT_DAYS: i64 = 730;

/// The most days that may be asked for: a century.
const MAX_DAYS: i64 = 36_525;

/// Octets that go into one SETDATA: their digits have to fit into a line of 1,000.
const OCTETS_AT_ONCE: usize = 400;

/// `claviger cert self-sign`.
pub(super) fn self_sign(given: &Given) -> Result<(), Failure> {
    let binary = given.either("der", "pem")? == Some(true);
    output::refuse_binary_to_terminal(given, binary)?;
    let validity = validity(given)?;
    let mut agent = Agent::of_home(&given.home())?;
    let key = Key::find(&mut agent, &given.operand(0))?;
    let mut serial = [0; SERIAL];
    openssl::rand::rand_bytes(&mut serial)?;
    let certificate = SelfSigned { subject: &subject(&mut agent, given, &key)?, serial, validity };
    let made = signed(&mut agent, &key, &certificate.to_be_signed(&key.public)?)?;
    output::made(given, pem::CERTIFICATE, &made, binary)?;
    if given.flag("write") {
        change::put(&mut agent, &key.slot, &Certificate::new(made), false)?;
    }
    Ok(())
}

/// `claviger cert csr`.
pub(super) fn csr(given: &Given) -> Result<(), Failure> {
    let binary = given.either("der", "pem")? == Some(true);
    output::refuse_binary_to_terminal(given, binary)?;
    let mut agent = Agent::of_home(&given.home())?;
    let key = Key::find(&mut agent, &given.operand(0))?;
    let request = Request { subject: &subject(&mut agent, given, &key)? };
    let made = signed(&mut agent, &key, &request.to_be_signed(&key.public)?)?;
    output::made(given, pem::CERTIFICATE_REQUEST, &made, binary)
}

/// From now on, for so many days.
fn validity(given: &Given) -> Result<RangeInclusive<i64>, UsageError> {
    let days = given.value("days").map_or(Ok(DEFAULT_DAYS), |days| {
        let value = text(days);
        let number = value.parse().ok().filter(|number| (1..=MAX_DAYS).contains(number));
        number.ok_or(UsageError::Value { option: "days", value, wanted: "a number from 1 to 36525" })
    })?;
    let now = clock::now();
    Ok(now..=now.saturating_add(days.saturating_mul(86_400)))
}

/// Whose the key is, with its fingerprint.
fn subject(agent: &mut Agent, given: &Given, key: &Key) -> Result<Subject, Failure> {
    let holder = Holder::of(agent, given, key)?;
    if let Some(note) = holder.note(&key.slot) {
        waiting::say(&note);
    }
    let subject = Subject::of_user_id(&holder.user_id);
    Ok(match &key.fingerprint {
        Some(fingerprint) => subject.with_fingerprint(fingerprint.as_bytes()),
        None => subject,
    })
}

/// Has the card sign, and looks whether it did.
fn signed(agent: &mut Agent, key: &Key, what: &ToBeSigned) -> Result<Vec<u8>, Failure> {
    let hash = what.algorithm().hash();
    let input = match hash {
        Some(hash) => openssl::hash::hash(digest(hash), what.der())?.to_vec(),
        // EdDSA signs the message itself.
        None => what.der().to_vec(),
    };
    set_data(agent, &input)?;
    let name = hash.map_or("none", Hash::name);
    let command = format!("PKSIGN --hash={name} -- {}", key.public.keygrip());
    let signature = agent.order("the card signs; its PIN may be asked for", &command)?.data;
    verify::signature(&key.public, &verified(&key.public, hash, input), &signature)?;
    Ok(what.assemble(&signature)?)
}

/// What the signature of a key is over: RSA signs the DigestInfo.
fn verified(key: &PublicKey, hash: Option<Hash>, input: Vec<u8>) -> Vec<u8> {
    match (key, hash) {
        (PublicKey::Rsa(_), Some(hash)) => DigestInfo { hash, digest: &input }.join(),
        _ => input,
    }
}

fn digest(hash: Hash) -> MessageDigest {
    match hash {
        Hash::Sha384 => MessageDigest::sha384(),
        Hash::Sha512 => MessageDigest::sha512(),
        // No certificate is made with any other.
        _ => MessageDigest::sha256(),
    }
}

fn set_data(agent: &mut Agent, octets: &[u8]) -> Result<(), Failure> {
    let mut append = "";
    for some in octets.chunks(OCTETS_AT_ONCE) {
        agent.ask(&format!("SETDATA {append}{}", hex::write(some)))?;
        append = "--append ";
    }
    Ok(())
}
