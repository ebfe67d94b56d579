//! GENKEY and RANDOM: what a card makes by itself. Where a PKCS#11 token's new key goes is in [`super::token_making`].

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::token::{Reply, Request as CardRequest, Slot};
use claviger_keys::{Curve, EcdhParams, PublicKey};

use super::errors::{parameter, scd};
use super::perform::unexpected;
use super::session::Session;
use super::token_making::{self, Wanted};
use super::{Command, key_reference, parse, row, set, status, write};
use crate::{clock, hex};

/// The most hexadecimal digits of a number in one KEY-DATA line; what is longer is cut, with `-` for its name before
/// the last part.
const MAX_KEY_DATA_DIGITS: usize = 768;

/// The most random octets that one RANDOM brings.
const MAX_RANDOM: usize = 65_536;

pub(super) static COMMANDS: &[Command] = &[
    row!("GENKEY", WithCard, genkey_request, genkey, HELP_GENKEY),
    row!("RANDOM", WithCard, random_request, random, HELP_RANDOM),
];

const HELP_GENKEY: &str = "\
GENKEY [--force] [--timestamp=<isodate>] [--algo=<name>]
       [--usage=<letters>] <no>

Make a key on the card, in slot 1, 2 or 3 (or OPENPGP.1 and so on); a
key that is there is replaced with --force only. The creation time is
now, or TIMESTAMP as YYYYMMDDThhmmss. With --algo the slot's algorithm
is changed first, for example to rsa2048, ed25519 or nistp256. The Admin
PIN is asked for. The card can take minutes for a long RSA key.

  S KEY-CREATED-AT <seconds>
  S KEY-DATA <name> <hex>       the public key: n and e, or q and curve
                                (and kdf/kek); a long number comes in
                                parts, all but the last one named -
  S KEY-FPR <hex>               its OpenPGP fingerprint

On a PKCS#11 token NO may also be the key's CKA_ID in hexadecimal
digits, a label, a name as LEARN gives them, or a pkcs11: URI with id,
object or both; 1, 2 and 3 are ids, too, with labels of what the key is
for. Without --algo it is rsa2048. --usage says what it is for, where
that is not what its algorithm is mostly for: s, c and a for signatures,
e for encryption. A key that is there is never replaced. The token's PIN
is asked for. At the end it is told how the key is called:

  S KEYPAIRINFO <keygrip> <keyid> <usage> <seconds> <algorithm>";

const HELP_RANDOM: &str = "\
RANDOM <nbytes>

Return random octets from the card's own generator, at most 65536 of
them.";

/// What GENKEY is asked for.
#[derive(Debug)]
struct GenkeyRequest {
    force: bool,
    created: Option<u32>,
    algorithm: Option<String>,
    /// For a token's key only: an OpenPGP card's slots have their uses.
    usage: Option<Wanted>,
    id: String,
}

/// A key that was made just now.
pub(super) struct Made<'k> {
    pub(super) key: &'k PublicKey,
    /// Whether it is one for decryption.
    pub(super) decrypts: bool,
    pub(super) created: u32,
    pub(super) ecdh: Option<EcdhParams>,
}

fn genkey_request(mut arguments: Args<'_>) -> Result<GenkeyRequest, Error> {
    let force = arguments.flag("--force");
    let created = match arguments.value_anywhere("--timestamp") {
        Given::Absent => None,
        Given::Bare => return Err(parameter("missing value for option")),
        Given::Value(time) => Some(parse::timestamp(time).ok_or(parameter("invalid time value"))?),
    };
    let algorithm = match arguments.value("--algo") {
        Given::Value(name) => Some(String::from_utf8_lossy(name).into_owned()),
        Given::Absent | Given::Bare => None,
    };
    let usage = match arguments.value("--usage") {
        Given::Value(letters) => Some(Wanted::of_letters(letters)?),
        Given::Absent | Given::Bare => None,
    };
    let id = String::from_utf8_lossy(arguments.word()).into_owned();
    if id.is_empty() {
        return Err(parameter("no key number given"));
    }
    Ok(GenkeyRequest { force, created, algorithm, usage, id })
}

async fn genkey(
    session: &mut Session,
    request: GenkeyRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    if let Some(place) = token_making::place(session, &request.id, request.force, request.usage)? {
        session.refuse_if_admin_is_denied()?;
        let created = request.created.unwrap_or_else(now);
        return token_making::generate(session, place, (request.algorithm.as_deref(), created), talk).await;
    }
    let slot = key_reference::slot_or_number(&request.id).ok_or(scd(Code::INV_ID))?;
    write::refuse_if_occupied(session, slot, request.force)?;
    session.refuse_if_admin_is_denied()?;
    let facts = session.facts()?;
    let attributes = match &request.algorithm {
        Some(name) => Some(set::attributes_by_name(&facts, slot, name)?),
        None => None,
    };
    let attributes = attributes.filter(|wanted| *wanted != facts.algorithms[slot.index()]);
    let created = request.created.unwrap_or_else(now);
    let wanted = attributes.as_ref().unwrap_or(&facts.algorithms[slot.index()]);
    let ecdh = ecdh_parameters(slot, wanted, session.speaks_24);
    let generate = CardRequest::Generate { slot, force: request.force, created, attributes, ecdh };
    let key = match session.perform(generate, talk).await? {
        Reply::PublicKey(key) => key,
        other => return Err(unexpected(&other)),
    };
    report(&Made { key: &key, decrypts: slot == Slot::Decrypt, created, ecdh }, talk);
    Ok(())
}

fn ecdh_parameters(slot: Slot, attributes: &[u8], speaks_24: bool) -> Option<EcdhParams> {
    let curve = attributes.get(1..).and_then(status::attribute_curve).filter(|_| slot == Slot::Decrypt)?;
    Some(ecdh_of(curve, speaks_24))
}

/// The parameters with which the client's gpg will compute the fingerprint of a decryption key: it does not look at ours,
/// and gpg 2.2 has others than gpg 2.4 for curves of 384 bits.
pub(super) fn ecdh_of(curve: Curve, speaks_24: bool) -> EcdhParams {
    if speaks_24 { EcdhParams::default_for(curve) } else { EcdhParams::of_gpg_2_2(curve) }
}

/// Seconds since 1970, as far as OpenPGP can say them.
fn now() -> u32 {
    u32::try_from(clock::now()).unwrap_or(u32::MAX)
}

/// Tells of a key that was made.
pub(super) fn report(made: &Made<'_>, talk: &mut dyn Conversation) {
    talk.status("KEY-CREATED-AT", made.created.to_string().as_bytes());
    match made.key {
        PublicKey::Rsa(rsa) => {
            key_data("n", rsa.n(), talk);
            key_data("e", rsa.e(), talk);
        }
        PublicKey::Ecc(ecc) => {
            key_data("q", &ecc.q(), talk);
            key_data("curve", &ecc.curve().oid_field(), talk);
            if let Some(parameters) = made.ecdh {
                key_data("kdf/kek", &parameters.to_bytes(), talk);
            }
        }
    }
    let algorithm = made.key.openpgp_algorithm(made.decrypts);
    let fingerprint = made.key.fingerprint(made.created, algorithm, made.ecdh);
    talk.status("KEY-FPR", hex::write(&fingerprint).as_bytes());
}

fn key_data(name: &str, octets: &[u8], talk: &mut dyn Conversation) {
    let digits = hex::write(octets);
    let mut rest = digits.as_str();
    while let Some((part, behind)) = rest.split_at_checked(MAX_KEY_DATA_DIGITS).filter(|(_, b)| !b.is_empty())
    {
        talk.status("KEY-DATA", format!("- {part}").as_bytes());
        rest = behind;
    }
    talk.status("KEY-DATA", format!("{name} {rest}").as_bytes());
}

fn random_request(arguments: Args<'_>) -> Result<usize, Error> {
    let text = arguments.rest();
    if text.is_empty() {
        return Err(parameter("number of requested bytes missing"));
    }
    Ok(parse::leading_number(text))
}

async fn random(session: &mut Session, octets: usize, talk: &mut dyn Conversation) -> Result<(), Error> {
    if !(1..=MAX_RANDOM).contains(&octets) {
        return Err(scd(Code::EINVAL));
    }
    match session.perform(CardRequest::Random(octets), talk).await? {
        Reply::Random(random) => {
            talk.data(&random);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpg_s_own_lines_are_understood() {
        let request = genkey_request(Args::new(b"--timestamp=20240101T000000 --force 1")).unwrap();
        assert!(request.force);
        assert_eq!((request.created, request.id.as_str()), (Some(1_704_067_200), "1"));
        let request = genkey_request(Args::new(b"--algo=nistp256 -- OPENPGP.2")).unwrap();
        assert_eq!((request.algorithm.as_deref(), request.id.as_str()), (Some("nistp256"), "OPENPGP.2"));
    }

    #[test]
    fn wrong_times_are_told_apart_from_missing_ones() {
        let text = |line: &str| {
            let error = genkey_request(Args::new(line.as_bytes())).unwrap_err();
            error.text().unwrap_or_default().to_owned()
        };
        assert_eq!(text("--timestamp 1"), "missing value for option");
        assert_eq!(text("--timestamp=2024 1"), "invalid time value");
        assert_eq!(text("--force"), "no key number given");
    }
}
