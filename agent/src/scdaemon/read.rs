//! READKEY: the public key that a card or token lets everybody read.

use claviger_assuan::args::{Args, Given};
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::pkcs11::KeyNumber;
use claviger_cards::token::{Reply, Request as CardRequest, Slot};
use claviger_keys::PublicKey;

use super::errors::scd;
use super::holders::Place;
use super::key_reference::{self, KeyReference};
use super::session::Session;
use super::{Command, attributes, openpgp_certificates, parse, row, status, token_reference, token_status};

pub(super) static COMMANDS: &[Command] = &[row!("READKEY", WithCard, readkey_request, readkey, HELP_READKEY)];

const HELP_READKEY: &str = "\
READKEY [--advanced] [--info|--info-only] [--format=advanced|ssh] [--] <keyid>

Return the public key for KEYID as a canonical S-expression. KEYID is
OPENPGP.1, OPENPGP.2, OPENPGP.3, a keygrip, the name of a PKCS#11
token's key as LEARN gives it or as a pkcs11: URI, or $SIGNKEYID,
$ENCRKEYID, $AUTHKEYID for the keys that GETATTR gives for them. With
--advanced or --format=advanced it is returned as readable text, with
--format=ssh as a line for authorized_keys. --info adds a KEYPAIRINFO
status line, --info-only returns that line alone.";

/// How a key is to be returned.
#[derive(Debug, PartialEq, Eq)]
enum Format {
    Canonical,
    Advanced,
    Ssh,
}

/// What READKEY is asked for.
struct ReadkeyRequest {
    format: Format,
    info: bool,
    key: bool,
    id: String,
}

fn readkey_request(arguments: Args<'_>) -> Result<ReadkeyRequest, Error> {
    let format = match arguments.value("--format") {
        Given::Value(b"ssh") => Format::Ssh,
        Given::Value(b"advanced") => Format::Advanced,
        _ if arguments.flag("--advanced") => Format::Advanced,
        _ => Format::Canonical,
    };
    let info_only = arguments.flag("--info-only");
    Ok(ReadkeyRequest {
        format,
        info: info_only || arguments.flag("--info"),
        key: !info_only,
        id: parse::text(arguments)?,
    })
}

async fn readkey(
    session: &mut Session,
    request: ReadkeyRequest,
    talk: &mut dyn Conversation,
) -> Result<(), Error> {
    let (key, line) = match place_of(session, &request.id).await? {
        Place::Slot(slot) => on_card(session, slot).await?,
        Place::Key(number) => on_token(session, number, request.info).await?,
    };
    let written = written(&key, &request.format)?;
    if let Some(line) = line.filter(|_| request.info) {
        talk.status("KEYPAIRINFO", line.as_bytes());
    }
    if request.key {
        talk.data(&written);
    }
    Ok(())
}

/// The key in a slot of the session's card, and its KEYPAIRINFO.
async fn on_card(session: &mut Session, slot: Slot) -> Result<(PublicKey, Option<String>), Error> {
    let Reply::PublicKey(key) = session.read(CardRequest::PublicKey(slot)).await? else {
        return Err(scd(Code::NO_OBJ));
    };
    Ok((*key, status::key_pair(&*session.facts()?, slot)))
}

/// A key of the session's token, and if it is wanted its KEYPAIRINFO.
async fn on_token(
    session: &Session,
    number: KeyNumber,
    info: bool,
) -> Result<(PublicKey, Option<String>), Error> {
    let keys = session.hub.tokens.keys_of(&session.token()?).ok_or(scd(Code::CARD_REMOVED))?;
    let shown = keys.numbered(number).ok_or(scd(Code::NO_OBJ))?;
    let public = shown.key.public().ok_or(scd(Code::UNSUPPORTED_ALGORITHM))?.clone();
    if !info {
        return Ok((public, None));
    }
    let own = openpgp_certificates::keys_of(session, vec![shown.key.grip()]).await.into_iter().next();
    let created = own.flatten().map(|key| key.created());
    Ok((public, Some(token_status::key_pair(shown, created))))
}

fn written(key: &PublicKey, format: &Format) -> Result<Vec<u8>, Error> {
    match format {
        Format::Canonical => Ok(key.to_sexp()),
        Format::Advanced => Ok(key.to_sexp_advanced()),
        Format::Ssh => key.ssh_line("(none)").map(String::into_bytes).ok_or(scd(Code::UNSUPPORTED_ALGORITHM)),
    }
}

/// Where the key is that is meant, on the card that has it; that one serves. No id at all is none that is known.
async fn place_of(session: &mut Session, id: &str) -> Result<Place, Error> {
    if let Some(slot) = attributes::slot_meant_by(id) {
        return token_reference::in_place_of(session, &session.token()?, slot);
    }
    match KeyReference::parse(id) {
        Ok(KeyReference::Slot(slot)) => token_reference::in_place_of(session, &session.token()?, slot),
        Ok(KeyReference::Grip(grip)) => {
            key_reference::use_by_grip(session, &grip).await?.ok_or(scd(Code::NO_SECKEY))
        }
        Ok(KeyReference::Serial(..)) => Err(scd(Code::INV_ID)),
        Err(_) => on_a_token(session, id).await?.ok_or(scd(Code::INV_ID)),
    }
}

/// The key of that name, on the token that has it, which serves this command.
async fn on_a_token(session: &mut Session, name: &str) -> Result<Option<Place>, Error> {
    let Some(found) = token_reference::find(session, name).await? else { return Ok(None) };
    if session.token().ok().is_none_or(|own| own.insertion() != found.token.insertion()) {
        session.borrow(found.token);
    }
    Ok(Some(found.place))
}

#[cfg(test)]
mod tests {
    use claviger_cards::pkcs11::KeyKind;

    use super::super::sample_token::{DERIVE, Office, SIGN, grip, token};

    const KEY: &str = r"SoftHSM\x20project/SoftHSM\x20v2/4dd5289f1942f77a/tls";

    fn office() -> Office {
        let other = token().on("other").with_key(&[1], "P-384", SIGN);
        let first = token()
            .with_key(&[1], "ed25519", SIGN)
            .with_key(&[2], "x25519", DERIVE)
            .with_key_of_kind(&[3], KeyKind::Other("ml-dsa-65".to_owned()), SIGN);
        Office::new([other, first], &[])
    }

    async fn pair(id: &str) -> Vec<String> {
        office().says(&[&format!("READKEY --info-only -- {id}")]).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_s_key_has_many_names() {
        let (ed25519, x25519) = (grip("ed25519"), grip("x25519"));
        let own = [format!("S KEYPAIRINFO {ed25519} {KEY}/01 sca 0 ed25519"), "OK".to_owned()];
        for name in [
            &format!("{KEY}/01"),
            &ed25519,
            "$SIGNKEYID",
            "$AUTHKEYID",
            "OPENPGP.1",
            "OPENPGP.3",
            "pkcs11:token=tls;id=%01",
        ] {
            assert_eq!(pair(name).await, own, "{name}");
        }
        for name in [&x25519, "$ENCRKEYID", "OPENPGP.2"] {
            assert!(pair(name).await[0].contains(&format!("{x25519} {KEY}/02 e 0 cv25519")), "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_found_on_every_token_and_the_session_keeps_its_own() {
        let other = KEY.replace("/tls", "/other");
        let said = office().says(&[&format!("READKEY --info-only {other}/01"), "GETATTR DISP-NAME"]).await;
        assert!(said[0].starts_with(&format!("S KEYPAIRINFO {}", grip("P-384"))));
        assert_eq!(said[1..], ["OK", "S DISP-NAME tls", "OK"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_name_or_cannot_be_written_is_refused() {
        assert_eq!(pair(&format!("{KEY}/04")).await, ["ERR 100663414 Invalid ID <SCD>"]);
        assert_eq!(pair("$DISPSERIALNO").await, ["ERR 100663414 Invalid ID <SCD>"]);
        assert_eq!(pair(&format!("{KEY}/03")).await, ["ERR 100663380 Unsupported algorithm <SCD>"]);
        assert_eq!(pair(&"0".repeat(40)).await, ["ERR 100663313 No secret key <SCD>"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_key_is_written_in_every_form() {
        let said = office().says(&["READKEY --format=ssh $SIGNKEYID", "READKEY --advanced OPENPGP.2"]).await;
        assert!(said[0].starts_with("D ssh-ed25519 AAAA"));
        assert!(said.iter().any(|line| line.contains("Curve25519")));
    }
}
