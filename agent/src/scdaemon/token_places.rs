//! What the keys of a PKCS#11 token are for in the eyes of GnuPG, and which three stand for those of an OpenPGP card.
//!
//! | in the place of | a key |
//! |---|---|
//! | signature, `$SIGNKEYID` | the first that signs and is not meant for logging in; else the first that signs |
//! | decryption, `$ENCRKEYID` | the first that is shown for encryption alone; else the first that is shown for it |
//! | authentication, `$AUTHKEYID` | the first that signs and is meant for logging in; else the second that signs; else the only one |
//!
//! but for keys that somebody has chosen (docs/claviger.toml.md, `[openpgp-keys]`).
//!
//! What a key is *meant for* its label says, or else one of its certificates:
//!
//! | meant for | a word of the label begins with | the certificate is for |
//! |---|---|---|
//! | logging in | `auth` (but not `author`), `ssh` | `clientAuth`, not `emailProtection` |
//! | encryption | `enc`, `decr`, `ecdh`; `key man` as on PIV cards | `keyEncipherment` or `keyAgreement`, not `digitalSignature` |
//!
//! Usage is what gpg can make of a key, which is less than the token allows: `sc` for what signs, unless it is meant for
//! encryption; `a` beside it for what is meant for logging in, and for the key in the place of authentication, since an agent
//! of 2.4 offers each such key to ssh; `e` for what decrypts or agrees on secrets, but for a key on a NIST or Brainpool curve
//! only if it is not shown as one that signs: gpg would make an ECDH key of it, and modules say of most keys that they can do
//! all.
//!
//! Follows what the agents of GnuPG ask for (`agent/command-ssh.c`) and what gpg makes of the answers (`g10/keygen.c`).

use claviger_cards::pkcs11::Key;
use claviger_keys::x509::Certificate;
use claviger_keys::{Curve, CurveKind};

/// What a key is shown for.
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
    /// What a key with these certificates is shown for.
    pub(super) fn of(key: &Key, certificates: &[Certificate]) -> Self {
        let (can_sign, can_encrypt) = abilities(key);
        let meant =
            Meant::by_label(&key.label).or_else(|| certificates.iter().find_map(Meant::by_certificate));
        let signs = can_sign && !(can_encrypt && meant == Some(Meant::Encryption));
        Self {
            named: key.grip().is_some(),
            signs,
            encrypts: can_encrypt && !(signs && is_ambiguous(key)),
            logs_in: signs && meant == Some(Meant::LoggingIn),
        }
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

/// Whether a key can sign, and whether it can decrypt or agree on secrets.
fn abilities(key: &Key) -> (bool, bool) {
    let usage = key.usage;
    match key.public().map(|public| public.curve().map(Curve::kind)) {
        Some(None) => (usage.sign, usage.decrypt),
        Some(Some(CurveKind::Edwards)) => (usage.sign, false),
        Some(Some(CurveKind::Montgomery)) => (false, usage.derive),
        Some(Some(CurveKind::Weierstrass)) => (usage.sign, usage.derive),
        None => (usage.sign, usage.decrypt || usage.derive),
    }
}

/// Whether its use decides which algorithm it has for OpenPGP: ECDSA or ECDH.
fn is_ambiguous(key: &Key) -> bool {
    let curve = key.public().and_then(|public| public.curve());
    curve.is_some_and(|curve| curve.kind() == CurveKind::Weierstrass)
}

/// What somebody has meant a key for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    LoggingIn,
    Encryption,
}

impl Meant {
    fn by_label(label: &str) -> Option<Self> {
        let label = label.to_ascii_lowercase();
        let begins = |beginning: &str| {
            label.split(|letter: char| !letter.is_alphanumeric()).any(|word| word.starts_with(beginning))
        };
        if begins("auth") && !begins("author") || begins("ssh") {
            return Some(Self::LoggingIn);
        }
        let encrypts = ["enc", "decr", "ecdh"].into_iter().any(begins) || label.contains("key man");
        encrypts.then_some(Self::Encryption)
    }

    fn by_certificate(certificate: &Certificate) -> Option<Self> {
        let usages = certificate.fields().ok()?.usages();
        let has = |usage: &str| usages.iter().any(|known| known == usage);
        if has("clientAuth") && !has("emailProtection") {
            return Some(Self::LoggingIn);
        }
        let encrypts = (has("keyEncipherment") || has("keyAgreement")) && !has("digitalSignature");
        encrypts.then_some(Self::Encryption)
    }
}

/// Which keys stand in the places of an OpenPGP card's: those that are `wanted` there, where the token has them.
pub(super) fn places(uses: &[Uses], wanted: [Option<usize>; 3]) -> [Option<usize>; 3] {
    let keys = |fits: fn(&Uses) -> bool| {
        uses.iter().enumerate().filter(move |(_, uses)| uses.named && fits(uses)).map(|(at, _)| at)
    };
    let first = |fits: fn(&Uses) -> bool| keys(fits).next();
    let signing = |at: usize| keys(|uses| uses.signs).nth(at);
    let sign = first(|uses| uses.signs && !uses.logs_in).or(signing(0));
    let encrypt = first(|uses| uses.encrypts && !uses.signs).or(first(|uses| uses.encrypts));
    let authenticate = first(|uses| uses.logs_in).or(signing(1)).or(signing(0));
    let [wanted_sign, wanted_encrypt, wanted_authenticate] = wanted;
    [wanted_sign.or(sign), wanted_encrypt.or(encrypt), wanted_authenticate.or(authenticate)]
}

#[cfg(test)]
mod tests {
    use claviger_cards::pkcs11::KeyKind;
    use claviger_cards::token::Slot;

    use super::super::sample_token::{ALL, DERIVE, SIGN, Sample, token};
    use crate::providers::OpenPgpKeys;

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
    fn a_label_says_what_a_key_is_meant_for() {
        let meant = |label: &str| {
            uses(
                token()
                    .with_key(&[0], "P-384", SIGN)
                    .with_key(&[1], "leaf", ALL)
                    .labelled(label)
                    .with_key(&[2], "ed25519", SIGN)
                    .with_key(&[3], "ed25519", SIGN)
                    .labelled("ssh"),
            )
            .remove(1)
        };
        for (label, usage) in [
            ("", "sc"),
            ("my-auth", "sca"),
            ("Authentication key", "sca"),
            ("author's", "sc"),
            ("ssh at home", "sca"),
            ("Encryption key", "e"),
            ("p256 ECDH", "e"),
            ("KEY MAN key", "e"),
            ("Decryption", "e"),
            ("Laurence", "sc"),
        ] {
            assert_eq!(meant(label), usage, "{label}");
        }
        assert_eq!(uses(token().with_key(&[1], "ed25519", SIGN).labelled("enc")), ["sca"], "it cannot");
    }

    #[test]
    fn a_key_for_encryption_alone_decrypts_before_one_that_signs_too() {
        let rsa = || token().with_key(&[1], "rsa2048", ALL);
        assert_eq!(places(rsa().with_key(&[2], "x25519", DERIVE)), [Some(1), Some(2), Some(1)]);
        let labelled = rsa().labelled("enc").with_key(&[2], "leaf", SIGN);
        assert_eq!(places(labelled), [Some(2), Some(1), Some(2)]);
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

    #[test]
    fn a_key_that_somebody_has_chosen_stands_where_it_was_put() {
        let sample = || token().with_key(&[1], "rsa2048", ALL).with_key(&[2], "leaf", ALL);
        let chosen =
            |grip: Option<&str>| grip.map(|name| super::super::sample_token::grip(name).parse().unwrap());
        let wanted = |name| OpenPgpKeys { sign: chosen(name), ..OpenPgpKeys::default() };
        let signing = |wanted: &OpenPgpKeys| {
            let keys = sample().keys_wanted(wanted);
            keys.in_place_of(Slot::Sign).and_then(|key| key.key.id.last().copied())
        };
        assert_eq!(signing(&wanted(None)), Some(1));
        assert_eq!(signing(&wanted(Some("leaf"))), Some(2));
        assert_eq!(signing(&wanted(Some("x25519"))), Some(1));
    }
}
