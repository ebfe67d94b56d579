//! The one place where what went wrong becomes a code of GnuPG's (reference: gpg-error; GnuPG's scd, `iso7816.c`).

use claviger_assuan::error::{Code, Error, Source};
use claviger_cards::deck::ScanError;
use claviger_cards::token::{PinRef, PinpadEnd, TokenError};

use super::certificates::NoCertificate;

/// An error of ours without further words.
pub(super) fn scd(code: Code) -> Error {
    Error::new(Source::Scd, code)
}

/// A parameter error, with the words that GnuPG uses or what to do instead.
pub(super) fn parameter(text: &'static str) -> Error {
    scd(Code::ASS_PARAMETER).with_text(text)
}

/// A command that is for OpenPGP cards, where the session has a PKCS#11 token.
pub(super) fn not_for_tokens() -> Error {
    scd(Code::UNSUPPORTED_OPERATION)
        .with_text("this is for OpenPGP cards; the selected one is a PKCS#11 token")
}

/// What a token's error is to a client.
pub(super) fn from_token(error: TokenError) -> Error {
    let code = match &error {
        TokenError::Gone => Code::CARD_REMOVED,
        TokenError::Busy { .. } => return scd(Code::EBUSY).with_text(error.to_string()),
        TokenError::Silent => return scd(Code::TIMEOUT).with_text(error.to_string()),
        TokenError::Transport { .. } | TokenError::Interrupted { .. } => Code::EIO,
        TokenError::WrongPin { .. } | TokenError::PinTooShort { .. } => Code::BAD_PIN,
        TokenError::PinRefused(_) => return scd(Code::BAD_PIN).with_text(error.to_string()),
        TokenError::Pinpad(PinpadEnd::TimedOut) => Code::TIMEOUT,
        TokenError::Pinpad(PinpadEnd::Cancelled) => Code::CANCELED,
        TokenError::Pinpad(PinpadEnd::NotRepeated) => Code::NOT_CONFIRMED,
        TokenError::Pinpad(PinpadEnd::WrongLength) => Code::BAD_PIN,
        TokenError::PinBlocked(_) => Code::PIN_BLOCKED,
        TokenError::NoResetCode => Code::BAD_PIN,
        TokenError::NoKey(_) => Code::NO_OBJ,
        TokenError::KeyExists(_) => Code::EEXIST,
        TokenError::BadKey(_) => Code::BAD_SECKEY,
        TokenError::BadValue(_) => Code::INV_VALUE,
        TokenError::NotSupported(_) => Code::NOT_SUPPORTED,
        TokenError::NoObject => Code::NOT_FOUND,
        TokenError::Module { .. } => return scd(Code::CARD).with_text(error.to_string()),
        TokenError::Status { sw, .. } => status_word(*sw),
        TokenError::Malformed { .. } => Code::CARD,
    };
    scd(code)
}

/// What the error of a PKCS#11 token is to a client: the same codes, always with words.
pub(super) fn from_pkcs11(error: TokenError) -> Error {
    let text = match &error {
        TokenError::Gone => {
            "the token was removed, or its module has failed; insert it again, or wait a moment"
        }
        TokenError::Silent => "the token's module does not answer; it is started anew",
        TokenError::WrongPin { tries_left: Some(1), .. } => "wrong PIN; the next try is the last",
        TokenError::WrongPin { .. } => "wrong PIN",
        TokenError::PinBlocked(PinRef::Admin) => "the SO PIN is locked",
        TokenError::PinBlocked(_) => "the PIN is locked; PASSWD --reset 1 sets it anew with the SO PIN",
        TokenError::Pinpad(PinpadEnd::Cancelled) => "it was called off at the token",
        TokenError::NotSupported(what) => what,
        _ => &error.to_string(),
    };
    let text = text.to_owned();
    from_token(error).with_text(text)
}

/// What the lack of a certificate is to a client. Where GnuPG has the same error, it has no words for it.
pub(super) fn from_certificate(error: &NoCertificate) -> Error {
    let code = match error {
        NoCertificate::NotReference => return scd(Code::INV_ID),
        NoCertificate::BadUri(_) => Code::INV_ID,
        NoCertificate::NoKeyHere => return scd(Code::NO_SECKEY),
        NoCertificate::NotFound => return scd(Code::NOT_FOUND),
        NoCertificate::NoToken | NoCertificate::NotInStores { .. } => Code::NOT_FOUND,
        NoCertificate::Ambiguous { .. } | NoCertificate::AmbiguousKey { .. } => Code::AMBIGUOUS_NAME,
        NoCertificate::InStore => Code::NOT_SUPPORTED,
        NoCertificate::Unreadable(_) | NoCertificate::OtherKey(_) | NoCertificate::NotMinimal(_) => {
            Code::BAD_CERT
        }
    };
    scd(code).with_text(error.to_string())
}

/// What a card's status word is to a client (ISO 7816-4, 5.6; OpenPGP card 3.4, 7.1).
fn status_word(sw: u16) -> Code {
    match sw {
        0x6285 => Code::OBJ_TERM_STATE,
        0x6581 => Code::HARDWARE,
        0x6600 => Code::TIMEOUT,
        0x6700 | 0x6A80 | 0x6A86 | 0x6B00 | 0x6C00..=0x6CFF => Code::INV_VALUE,
        0x6882 | 0x6884 | 0x6A81 => Code::NOT_SUPPORTED,
        0x6982 | 0x63C0..=0x63CF => Code::BAD_PIN,
        0x6983 => Code::PIN_BLOCKED,
        0x6985 => Code::USE_CONDITIONS,
        0x6986 | 0x6A82 => Code::ENOENT,
        0x6A83 => Code::NOT_FOUND,
        0x6A88 => Code::NO_OBJ,
        _ => Code::CARD,
    }
}

/// Why no card can be looked for. GnuPG's clients know "no such device" only; the words say what to do.
pub(super) fn from_scan(error: &ScanError) -> Error {
    tracing::warn!("{error}");
    scd(Code::ENODEV)
}

#[cfg(test)]
mod tests {
    use claviger_cards::token::Process;
    use claviger_keys::pkcs11::uri::UriError;
    use claviger_keys::x509::X509Error;

    use super::*;

    #[test]
    fn a_busy_card_names_who_may_hold_it() {
        let neighbours = vec![Process { id: 7, name: "firefox".to_owned() }];
        let error = from_token(TokenError::Busy { neighbours }).to_string();
        assert!(error.starts_with("100696083 Device or resource busy <SCD> - "), "{error}");
        assert!(
            error.contains("another program is using the card, of these: firefox (process 7); "),
            "{error}"
        );
    }

    #[test]
    fn what_fails_at_a_token_is_said_in_gnupg_s_codes_and_with_words() {
        let module = || TokenError::Module { function: "C_Sign".to_owned(), name: "CKR_00000006".to_owned() };
        let wrong = |tries_left| TokenError::WrongPin { pin: PinRef::User, tries_left };
        let table = [
            (TokenError::Gone, "100663406 Card removed <SCD> - the token was removed, or its module"),
            (TokenError::Silent, "100663358 Timeout <SCD> - the token's module does not answer"),
            (wrong(None), "100663383 Bad PIN <SCD> - wrong PIN"),
            (wrong(Some(1)), "100663383 Bad PIN <SCD> - wrong PIN; the next try is the last"),
            (
                TokenError::PinRefused(PinRef::User),
                "100663383 Bad PIN <SCD> - the token does not take this PIN",
            ),
            (TokenError::PinBlocked(PinRef::User), "100663426 PIN blocked <SCD> - the PIN is locked; PASSWD"),
            (TokenError::PinBlocked(PinRef::Admin), "100663426 PIN blocked <SCD> - the SO PIN is locked"),
            (
                TokenError::NoObject,
                "100663323 Not found <SCD> - there is no such object on the token any more",
            ),
            (TokenError::NotSupported("no OAEP"), "100663356 Not supported <SCD> - no OAEP"),
            (module(), "100663404 Card error <SCD> - C_Sign: the token's module answered CKR_00000006"),
            (
                TokenError::Pinpad(PinpadEnd::Cancelled),
                "100663395 Operation cancelled <SCD> - it was called off at the token",
            ),
        ];
        for (error, text) in table {
            let said = from_pkcs11(error).to_string();
            assert!(said.starts_with(text), "{said}");
        }
    }

    #[test]
    fn the_lack_of_a_certificate_is_said_in_gnupg_s_codes() {
        let table = [
            (NoCertificate::NotReference, "100663414 Invalid ID <SCD>"),
            (
                NoCertificate::BadUri(UriError::Attribute { at: 7 }),
                "100663414 Invalid ID <SCD> - no attribute at octet 7 of the PKCS#11 URI",
            ),
            (NoCertificate::NoKeyHere, "100663313 No secret key <SCD>"),
            (NoCertificate::NotFound, "100663323 Not found <SCD>"),
            (NoCertificate::NoToken, "100663323 Not found <SCD> - no PKCS#11 token is here; "),
            (
                NoCertificate::NotInStores { unread: 0 },
                "100663323 Not found <SCD> - no local store has an OpenPGP",
            ),
            (NoCertificate::Ambiguous { count: 2 }, "100663403 Ambiguous name <SCD> - 2 certificates fit; "),
            (NoCertificate::AmbiguousKey { count: 2 }, "100663403 Ambiguous name <SCD> - 2 keys fit; "),
            (NoCertificate::InStore, "100663356 Not supported <SCD> - it is in the local store"),
            (
                NoCertificate::Unreadable(X509Error::Empty),
                "100663332 Bad certificate <SCD> - this is no certificate: it is empty",
            ),
            (
                NoCertificate::OtherKey("OPENPGP.2".to_owned()),
                "100663332 Bad certificate <SCD> - the certificate is not of the key in OPENPGP.2",
            ),
            (
                NoCertificate::NotMinimal("why".to_owned()),
                "100663332 Bad certificate <SCD> - the OpenPGP certificate cannot",
            ),
        ];
        for (error, text) in table {
            let said = from_certificate(&error).to_string();
            assert!(said.starts_with(text), "{said}");
        }
    }

    #[test]
    fn status_words_become_gnupg_s_codes() {
        let table = [
            (0x6285, 100_663_521),
            (0x6581, 100_663_425),
            (0x6600, 100_663_358),
            (0x6700, 100_663_351),
            (0x6A80, 100_663_351),
            (0x6A86, 100_663_351),
            (0x6B00, 100_663_351),
            (0x6C10, 100_663_351),
            (0x6882, 100_663_356),
            (0x6884, 100_663_356),
            (0x6A81, 100_663_356),
            (0x6982, 100_663_383),
            (0x63C2, 100_663_383),
            (0x6983, 100_663_426),
            (0x6985, 100_663_427),
            (0x6986, 100_696_145),
            (0x6A82, 100_696_145),
            (0x6A83, 100_663_323),
            (0x6A88, 100_663_364),
            (0x6981, 100_663_404),
            (0x6D00, 100_663_404),
            (0x6E00, 100_663_404),
            (0x6F00, 100_663_404),
        ];
        for (sw, number) in table {
            let error = from_token(TokenError::Status { operation: "test", sw });
            assert_eq!(error.number(), number, "{sw:04X}");
        }
    }
}
