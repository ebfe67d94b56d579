//! Token ids, key ids and serial numbers as gnupg-pkcs11-scd has them, URIs as p11tool has them, and keys of every curve
//! that pkcs11-tool makes on a SoftHSM token.

use std::process::Command;

use claviger_keys::pkcs11::attributes::{Described, KeyAttributes};
use claviger_keys::pkcs11::key_id::KeyId;
use claviger_keys::pkcs11::numbers::{CKK_EC, CKK_EC_EDWARDS};
use claviger_keys::pkcs11::token_id::TokenId;
use claviger_keys::pkcs11::uri::{ObjectType, Uri, Whereabouts};
use claviger_keys::x509::{Certificate, pem};
use claviger_keys::{Curve, PublicKey};

use super::{run, run_with_input, text};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "123456";
/// Of a token, and of what is on it: what somebody escapes, and what nobody does.
const ODD_LABEL: &str = "a:b[c]@!$'()*+,=&/|~_.-é \\";

/// A SoftHSM token of its own.
struct Token {
    folder: tempfile::TempDir,
    label: &'static str,
}

impl Token {
    fn new(label: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tokens")).unwrap();
        let tokens = folder.path().join("tokens").display().to_string();
        let settings = format!("directories.tokendir = {tokens}\nobjectstore.backend = file\n");
        std::fs::write(folder.path().join("softhsm2.conf"), settings).unwrap();
        let scd = format!("providers softhsm\nprovider-softhsm-library {MODULE}\n");
        std::fs::write(folder.path().join("scd.conf"), scd).unwrap();
        let token = Self { folder, label };
        let pins = ["--pin", PIN, "--so-pin", "87654321"];
        run(token.command("softhsm2-util").args(["--init-token", "--free", "--label", label]).args(pins));
        token
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env("GNUPGHOME", self.folder.path());
        command.env("SOFTHSM2_CONF", self.folder.path().join("softhsm2.conf")).env("GNUTLS_PIN", PIN);
        command
    }

    fn pkcs11_tool(&self, arguments: &[&str]) -> String {
        let mut command = self.command("pkcs11-tool");
        command.args(["--module", MODULE, "--token-label", self.label, "--login", "--pin", PIN]);
        text(run(command.args(arguments)))
    }

    fn p11tool(&self, arguments: &[&str]) -> Vec<u8> {
        run(self.command("p11tool").args(["--provider", MODULE]).args(arguments))
    }

    /// The URIs that p11tool lists.
    fn uris(&self, arguments: &[&str]) -> Vec<String> {
        let listed = text(self.p11tool(&[&["--only-urls"], arguments].concat()));
        listed.lines().map(str::to_owned).collect()
    }

    /// The id that the token itself has.
    fn id(&self) -> TokenId {
        let uri: Uri = self.uris(&["--list-token-urls"])[0].parse().unwrap();
        let said = |word: Option<String>| word.unwrap_or_default();
        TokenId {
            manufacturer: said(uri.manufacturer),
            model: said(uri.model),
            serial: said(uri.serial),
            label: said(uri.token),
        }
    }

    /// An RSA key, and a certificate of it.
    fn certified(&self, id: &str, label: &str) {
        self.pkcs11_tool(&["--keypairgen", "--key-type", "rsa:2048", "--id", id, "--label", label]);
        std::fs::write(self.folder.path().join("template"), "cn = user\nexpiration_days = 10\n").unwrap();
        let private = &self.uris(&["--list-privkeys", "--login"])[0];
        let public = private.replace("type=private", "type=public");
        let keys = ["--load-privkey", private, "--load-pubkey", &public, "--template", "template"];
        let output = ["--generate-self-signed", "--outder", "--outfile", "certificate"];
        run(self.command("certtool").args(["--provider", MODULE]).args(output).args(keys));
        self.pkcs11_tool(&["--write-object", "certificate", "--type", "cert", "--id", id, "--label", label]);
    }

    /// What gnupg-pkcs11-scd answers.
    fn incumbent(&self, commands: &str) -> String {
        let mut command = self.command("gnupg-pkcs11-scd");
        let script = format!("{commands}BYE\n");
        text(run_with_input(command.args(["--server", "--options", "scd.conf"]), script.as_bytes()))
    }
}

#[test]
fn gnupg_pkcs11_scd_names_token_and_key_in_the_same_way() {
    let token = Token::new(ODD_LABEL);
    token.certified("01abff", "odd");
    let id = token.id();
    assert_eq!(id.label, ODD_LABEL);
    let certificate = Certificate::new(std::fs::read(token.folder.path().join("certificate")).unwrap());
    let grip = certificate.fields().unwrap().keygrip().unwrap();
    let key = KeyId::new(id.clone(), vec![1, 0xab, 0xff]);

    let said = token.incumbent("LEARN --force\nKEYINFO --list --data\n");
    assert!(said.contains(&format!("\nS KEYPAIRINFO {grip} {key}\n")), "{key}\n{said}");
    assert!(said.contains(&format!("\nS KEYINFO {grip} T {} {key}\n", id.gnupg_serial())), "{said}");
    let (_, learned) = said.split_once("\nS SERIALNO ").unwrap();
    let serial = learned.lines().next().unwrap();
    assert!(id.answers_to(serial), "{serial}");
    assert_eq!(key.to_string().parse(), Ok(key));
}

#[test]
fn p11tool_writes_and_reads_the_same_uris() {
    let token = Token::new(ODD_LABEL);
    token.certified("00ab", "odd; label?/#%é");
    let id = token.id();
    assert_eq!(token.uris(&["--list-token-urls"])[0], Uri::of_token(&id).to_string());
    for (list, kind) in [
        ("--list-all-certs", ObjectType::Certificate),
        ("--list-all-privkeys", ObjectType::Private),
        ("--list-all", ObjectType::Public),
    ] {
        let ours = Uri::of_object(&id, &[0, 0xab], "odd; label?/#%é", kind);
        let theirs = token.uris(&[list, "--login"]);
        assert!(theirs.contains(&ours.to_string()), "{ours}\n{theirs:?}");
        for uri in theirs.iter().map(|uri| uri.parse::<Uri>().unwrap()) {
            assert!(uri.matches_token(&id, &Whereabouts::default()));
        }
    }
    let detailed = &token.uris(&["--list-all-certs", "--detailed-url"])[0];
    assert_eq!(&detailed.parse::<Uri>().unwrap().to_string(), detailed);
    let ours = Uri::of_object(&id, &[0, 0xab], "", ObjectType::Certificate).to_string();
    let exported = pem::read(&token.p11tool(&["--export", &ours])).next().unwrap().unwrap().octets;
    assert_eq!(exported, std::fs::read(token.folder.path().join("certificate")).unwrap());
}

/// The octets of an attribute that pkcs11-tool shows.
fn attribute(shown: &str, name: &str) -> Vec<u8> {
    let line = shown.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
    let digits = line.split_whitespace().next().unwrap();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn keys_on_softhsm_are_those_that_other_programs_read() {
    let token = Token::new("curves");
    for (number, curve) in [
        Curve::NistP256,
        Curve::NistP384,
        Curve::NistP521,
        Curve::BrainpoolP256r1,
        Curve::Secp256k1,
        Curve::Ed25519,
    ]
    .into_iter()
    .enumerate()
    {
        let name = match curve {
            Curve::NistP256 => "prime256v1",
            Curve::NistP384 => "secp384r1",
            Curve::NistP521 => "secp521r1",
            Curve::Ed25519 => "edwards25519",
            other => other.openpgp_name(),
        };
        let (id, key_type) = (format!("1{number}"), format!("EC:{name}"));
        let shown = token.pkcs11_tool(&["--keypairgen", "--key-type", &key_type, "--id", &id]);
        let (ec_params, ec_point) = (attribute(&shown, "EC_PARAMS:"), attribute(&shown, "EC_POINT:"));
        let key = KeyAttributes {
            key_type: if curve == Curve::Ed25519 { CKK_EC_EDWARDS } else { CKK_EC },
            ec_params: &ec_params,
            ec_point: &ec_point,
            ..KeyAttributes::default()
        };
        // Each of the two cannot export some curves.
        let spki = match curve {
            Curve::BrainpoolP256r1 | Curve::Secp256k1 => {
                token.pkcs11_tool(&[
                    "--read-object",
                    "--type",
                    "pubkey",
                    "--id",
                    &id,
                    "--output-file",
                    "spki",
                ]);
                std::fs::read(token.folder.path().join("spki")).unwrap()
            }
            _ => {
                let exported = token.p11tool(&["--export", &format!("pkcs11:id=%1{number};type=public")]);
                pem::read(&exported).next().unwrap().unwrap().octets
            }
        };
        assert_eq!(key.describe(), Ok(Described::Key(PublicKey::from_spki_der(&spki).unwrap())), "{curve:?}");
    }
}

#[test]
fn explicit_parameters_of_known_curves_are_recognised_and_others_refused() {
    let params = |name: &str, form: &str| {
        let encoding = ["-param_enc", "explicit", "-conv_form", form, "-outform", "DER"];
        run(Command::new("openssl").args(["ecparam", "-name", name]).args(encoding))
    };
    for (name, curve) in [
        ("prime256v1", Curve::NistP256),
        ("secp384r1", Curve::NistP384),
        ("secp521r1", Curve::NistP521),
        ("brainpoolP256r1", Curve::BrainpoolP256r1),
        ("brainpoolP384r1", Curve::BrainpoolP384r1),
        ("brainpoolP512r1", Curve::BrainpoolP512r1),
        ("secp256k1", Curve::Secp256k1),
    ] {
        let ec_point = &vec![4; curve.point_size()];
        for form in ["uncompressed", "compressed"] {
            let ec_params = &params(name, form);
            let key = KeyAttributes { key_type: CKK_EC, ec_params, ec_point, ..KeyAttributes::default() };
            let expected = Described::Key(PublicKey::ecc(curve, ec_point).unwrap());
            assert_eq!(key.describe(), Ok(expected), "{name} {form}");
            // Somebody else's base point makes another curve, whose keys he may know.
            let mut forged = params(name, form);
            let order = forged.len() - 2 * curve.field_size();
            forged[order] ^= 1;
            assert!(KeyAttributes { ec_params: &forged, ..key }.describe().is_err(), "{name} {form}");
        }
    }
    let ec_params = &params("secp224r1", "uncompressed");
    let key = KeyAttributes { key_type: CKK_EC, ec_params, ec_point: &[4; 57], ..KeyAttributes::default() };
    assert!(key.describe().is_err());
}
