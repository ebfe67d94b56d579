//! What the keys of a PKCS#11 token are for in the eyes of GnuPG, and which three stand for those of an OpenPGP card.
//!
//! | in the place of | a key |
//! |---|---|
//! | signature, `$SIGNKEYID` | the first that signs and is not meant for logging in; else the first that signs |
//! | decryption, `$ENCRKEYID` | the first that is shown as one for encryption |
//! | authentication, `$AUTHKEYID` | the first that signs and is meant for logging in; else the second that signs; else the only one |
//!
//! - A key is *meant for logging in* if its label has `auth` in it (`PIV AUTH key`), or if a certificate of it is for
//!   `clientAuth` and not for `emailProtection`.
//! - Usage: `sc` for what signs; `a` beside it for what is meant for logging in, and for the key in the place of
//!   authentication, so that an agent of 2.4 offers ssh these keys and not each one on an HSM; `e` for RSA keys that decrypt
//!   and for keys on curves that agree on secrets and cannot sign: gpg takes the letter for "ECDH".
//!
//! Follows what the agents of GnuPG ask for (`agent/command-ssh.c`) and what gpg makes of the answers (`g10/keygen.c`).

use claviger_cards::pkcs11::Key;
use claviger_keys::x509::Certificate;
use claviger_keys::{Curve, CurveKind};

/// What a key can do in the eyes of GnuPG.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Uses {
    /// It has a keygrip.
    named: bool,
    signs: bool,
    encrypts: bool,
    /// It is meant for logging in.
    logs_in: bool,
}

impl Uses {
    /// What a key with these certificates is for.
    pub(super) fn of(key: &Key, certificates: &[Certificate]) -> Self {
        let usage = key.usage;
        let curve = key.public().map(|public| public.curve().map(Curve::kind));
        let (signs, encrypts) = match curve {
            Some(None) => (usage.sign, usage.decrypt),
            Some(Some(CurveKind::Edwards)) => (usage.sign, false),
            Some(Some(CurveKind::Montgomery)) => (false, usage.derive),
            Some(Some(CurveKind::Weierstrass)) => (usage.sign, usage.derive && !usage.sign),
            None => (usage.sign, usage.decrypt || usage.derive),
        };
        let logs_in = signs && is_meant_for_logging_in(key, certificates);
        Self { named: key.grip().is_some(), signs, encrypts, logs_in }
    }

    /// The letters of KEYPAIRINFO; `in_place` says that it is the key in the place of authentication.
    pub(super) fn letters(self, in_place: bool) -> String {
        let mut letters = String::new();
        if self.signs {
            letters.push_str("sc");
        }
        if self.encrypts {
            letters.push('e');
        }
        if self.logs_in || self.signs && in_place {
            letters.push('a');
        }
        if letters.is_empty() { "-".to_owned() } else { letters }
    }
}

/// Whether a key that signs is meant for logging in.
fn is_meant_for_logging_in(key: &Key, certificates: &[Certificate]) -> bool {
    key.label.to_ascii_lowercase().contains("auth") || certificates.iter().any(is_for_clients)
}

fn is_for_clients(certificate: &Certificate) -> bool {
    certificate.fields().is_ok_and(|fields| {
        let has = |usage: &str| fields.usages().iter().any(|known| known == usage);
        has("clientAuth") && !has("emailProtection")
    })
}

/// Which keys stand in the places of an OpenPGP card's.
pub(super) fn places(uses: &[Uses]) -> [Option<usize>; 3] {
    let keys = |fits: fn(&Uses) -> bool| {
        uses.iter().enumerate().filter(move |(_, uses)| uses.named && fits(uses)).map(|(at, _)| at)
    };
    let mut signing = keys(|uses| uses.signs);
    let (first, second) = (signing.next(), signing.next());
    let sign = keys(|uses| uses.signs && !uses.logs_in).next().or(first);
    let encrypt = keys(|uses| uses.encrypts).next();
    let authenticate = keys(|uses| uses.logs_in).next().or(second).or(first);
    [sign, encrypt, authenticate]
}

#[cfg(test)]
mod tests {
    use claviger_cards::pkcs11::KeyKind;
    use claviger_cards::token::Slot;

    use super::super::sample_token::{ALL, DERIVE, SIGN, Sample, token};

    fn uses(sample: Sample) -> Vec<String> {
        sample.keys().all().map(|key| key.usage.to_owned()).collect()
    }

    /// The last octet of `CKA_ID` of the keys in the places of an OpenPGP card's.
    fn places(sample: Sample) -> [Option<u8>; 3] {
        let keys = sample.keys();
        Slot::ALL.map(|slot| keys.in_place_of(slot).and_then(|key| key.key.id.last().copied()))
    }

    #[test]
    fn a_single_key_stands_in_all_places_that_it_can() {
        assert_eq!(places(token().with_key(&[1], "rsa2048", ALL)), [Some(1); 3]);
        assert_eq!(places(token().with_key(&[1], "leaf", ALL)), [Some(1), None, Some(1)]);
        assert_eq!(places(token().with_key(&[1], "x25519", ALL)), [None, Some(1), None]);
        assert_eq!(places(token()), [None; 3]);
    }

    #[test]
    fn a_key_with_auth_in_its_label_is_the_one_for_logging_in() {
        let piv = token()
            .with_key(&[1], "leaf", ALL)
            .labelled("PIV AUTH key")
            .with_key(&[2], "rsa2048", SIGN)
            .labelled("SIGN key")
            .with_key(&[3], "x25519", ALL)
            .labelled("KEY MAN key")
            .with_key(&[4], "P-384", SIGN)
            .labelled("CARD AUTH key");
        assert_eq!(places(piv), [Some(2), Some(3), Some(1)]);
    }

    #[test]
    fn a_key_with_a_certificate_for_clients_is_the_one_for_logging_in() {
        let sample = token().with_certified_key(&[1], "client", SIGN).with_certified_key(&[2], "leaf", SIGN);
        assert_eq!(places(sample), [Some(2), None, Some(1)]);
        let alone = token().with_certified_key(&[1], "client", SIGN);
        assert_eq!(places(alone), [Some(1), None, Some(1)]);
    }

    #[test]
    fn a_key_that_gnupg_cannot_name_stands_in_no_place() {
        assert_eq!(
            places(token().with_key_of_kind(&[1], KeyKind::Other("ml-dsa-65".to_owned()), SIGN)),
            [None; 3]
        );
    }

    #[test]
    fn only_keys_for_logging_in_are_said_to_be() {
        let sample = token().with_key(&[1], "leaf", SIGN).with_key(&[2], "P-384", SIGN).with_key(
            &[3],
            "ed25519",
            SIGN,
        );
        assert_eq!(uses(sample), ["sc", "sca", "sc"]);
        let labelled =
            token().with_key(&[1], "leaf", SIGN).labelled("Authentication").with_key(&[2], "P-384", SIGN);
        assert_eq!(uses(labelled), ["sca", "sc"]);
    }

    #[test]
    fn a_kind_of_key_is_shown_for_what_gpg_can_make_of_it() {
        let all = |certificate| uses(token().with_key(&[1], certificate, ALL));
        assert_eq!(all("rsa2048"), ["scea"]);
        assert_eq!(all("leaf"), ["sca"], "gpg would take it for ECDH with an e");
        assert_eq!(all("ed25519"), ["sca"]);
        assert_eq!(all("x25519"), ["e"]);
        assert_eq!(uses(token().with_key(&[1], "leaf", DERIVE)), ["e"]);
        assert_eq!(uses(token().with_key(&[1], "x25519", SIGN)), ["-"]);
    }
}
