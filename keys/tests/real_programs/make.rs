//! Certificates and requests that we make, as openssl, GnuTLS and a strict library read them. The keys are OpenSSL's,
//! which sign in the form that cards have.

use std::path::{Path, PathBuf};
use std::process::Command;

use claviger_keys::PublicKey;
use claviger_keys::digest::Hash;
use claviger_keys::x509::make::{Request, SelfSigned, SignatureAlgorithm, Subject, ToBeSigned};
use claviger_keys::x509::{AltName, Certificate, pem};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use x509_cert::der::{Decode as _, Encode as _};

use super::{run, run_with_input, text};

/// What GnuTLS 3.7 does not know is not shown to it.
const GNUTLS_LACKS: [&str; 4] = ["brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "secp256k1"];

const ALGORITHMS: [&str; 10] = [
    "RSA",
    "P-256",
    "P-384",
    "P-521",
    "brainpoolP256r1",
    "brainpoolP384r1",
    "brainpoolP512r1",
    "secp256k1",
    "ED25519",
    "ED448",
];

struct Key {
    name: &'static str,
    secret: PKey<Private>,
    public: PublicKey,
}

impl Key {
    fn new(name: &'static str) -> Self {
        let algorithm = match name {
            "RSA" | "ED25519" | "ED448" => name.to_owned(),
            curve => format!("EC -pkeyopt ec_paramgen_curve:{curve}"),
        };
        let arguments = format!("genpkey -outform DER -algorithm {algorithm}");
        let der = run(Command::new("openssl").args(arguments.split(' ')));
        let secret = PKey::private_key_from_der(&der).unwrap();
        let public = PublicKey::from_spki_der(&secret.public_key_to_der().unwrap()).unwrap();
        Self { name, secret, public }
    }

    fn sign(&self, what: &ToBeSigned) -> Vec<u8> {
        match what.algorithm() {
            SignatureAlgorithm::RsaSha256 { .. } => Signer::new(MessageDigest::sha256(), &self.secret)
                .unwrap()
                .sign_oneshot_to_vec(what.der())
                .unwrap(),
            SignatureAlgorithm::Eddsa(_) => {
                Signer::new_without_digest(&self.secret).unwrap().sign_oneshot_to_vec(what.der()).unwrap()
            }
            SignatureAlgorithm::Ecdsa(curve) => {
                let hash = match what.algorithm().hash() {
                    Some(Hash::Sha256) => MessageDigest::sha256(),
                    Some(Hash::Sha384) => MessageDigest::sha384(),
                    _ => MessageDigest::sha512(),
                };
                let digest = openssl::hash::hash(hash, what.der()).unwrap();
                let signature = EcdsaSig::sign(&digest, &self.secret.ec_key().unwrap()).unwrap();
                let size = i32::try_from(curve.field_size()).unwrap();
                [signature.r(), signature.s()].map(|number| number.to_vec_padded(size).unwrap()).concat()
            }
        }
    }
}

fn subject() -> Subject {
    Subject::of_user_id("Zoë Example (work) <zoe@example.org>").with_fingerprint(&[0xab; 20])
}

/// A certificate from 2026 to 2100.
fn self_signed(key: &Key) -> Vec<u8> {
    let certificate =
        SelfSigned { subject: &subject(), serial: [0xff; 16], validity: 1_767_225_600..=4_102_444_800 };
    let what = certificate.to_be_signed(&key.public).unwrap();
    what.assemble(&key.sign(&what)).unwrap()
}

fn request(key: &Key) -> Vec<u8> {
    let what = Request { subject: &subject() }.to_be_signed(&key.public).unwrap();
    what.assemble(&key.sign(&what)).unwrap()
}

fn written(directory: &Path, label: &str, der: &[u8]) -> PathBuf {
    let file = directory.join("made.pem");
    std::fs::write(&file, pem::write(label, der)).unwrap();
    file
}

#[test]
fn self_signed_certificates_verify_in_openssl_and_gnutls() {
    let home = tempfile::tempdir().unwrap();
    for key in ALGORITHMS.map(Key::new) {
        let file = written(home.path(), pem::CERTIFICATE, &self_signed(&key));
        let verify = ["verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslclient", "-CAfile"];
        run(Command::new("openssl").args(verify).arg(&file).arg(&file));
        if !GNUTLS_LACKS.contains(&key.name) {
            assert_eq!(certtool_verify(&file), NO_AUTHORITY, "{}", key.name);
        }
    }
}

/// All that certtool has to say against a good certificate of ours: it did not issue itself, since it is no authority.
/// As the certificate of a client, gnutls-serv trusts it nevertheless. Without the two extensions that say so, certtool
/// would be content, and take other certificates that the key signed, too.
const NO_AUTHORITY: &str = "Not verified. The certificate is NOT trusted. The certificate issuer is not a CA. \
                            The certificate chain violates the signer's constraints.";

fn certtool_verify(file: &Path) -> String {
    let mut certtool = Command::new("certtool");
    certtool.arg("--verify").arg("--load-ca-certificate").arg(file).arg("--infile").arg(file);
    let said = text(certtool.output().unwrap().stdout);
    let (_, verdict) = said.rsplit_once("Chain verification output: ").unwrap_or_else(|| panic!("{said}"));
    verdict.trim_end().to_owned()
}

#[test]
fn openssl_and_gnutls_notice_a_signature_that_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let mut der = self_signed(&Key::new("ED25519"));
    *der.last_mut().unwrap() ^= 1;
    let file = written(home.path(), pem::CERTIFICATE, &der);
    let mut openssl = Command::new("openssl");
    openssl.args(["verify", "-check_ss_sig", "-CAfile"]).arg(&file).arg(&file);
    assert!(!openssl.output().unwrap().status.success());
    assert_eq!(
        certtool_verify(&file),
        format!("{NO_AUTHORITY} The signature in the certificate is invalid.")
    );
}

#[test]
fn requests_verify_in_openssl_and_gnutls() {
    for key in ALGORITHMS.map(Key::new) {
        let request = pem::write(pem::CERTIFICATE_REQUEST, &request(&key)).into_bytes();
        run_with_input(Command::new("openssl").args(["req", "-verify", "-noout"]), &request);
        if !GNUTLS_LACKS.contains(&key.name) {
            let said = text(run_with_input(Command::new("certtool").arg("--crq-info"), &request));
            assert!(said.contains("Self signature: verified"), "{said}");
        }
    }
}

#[test]
fn both_say_what_a_client_of_tls_needs() {
    let key = Key::new("RSA");
    let extensions = "\
X509v3 Basic Constraints: critical
    CA:FALSE
X509v3 Key Usage: critical
    Digital Signature, Key Encipherment
X509v3 Extended Key Usage: 
    TLS Web Client Authentication
X509v3 Subject Alternative Name: 
    email:zoe@example.org, URI:openpgp4fpr:ABABABABABABABABABABABABABABABABABABABAB
";
    let names = "basicConstraints,keyUsage,extendedKeyUsage,subjectAltName";
    let show =
        ["x509", "-noout", "-nameopt", "utf8", "-subject", "-issuer", "-serial", "-dates", "-ext", names];
    let certificate = pem::write(pem::CERTIFICATE, &self_signed(&key)).into_bytes();
    let expected = "\
subject=CN=Zoë Example
issuer=CN=Zoë Example
serial=7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
notBefore=Jan  1 00:00:00 2026 GMT
notAfter=Jan  1 00:00:00 2100 GMT
";
    assert_eq!(
        text(run_with_input(Command::new("openssl").args(show), &certificate)),
        format!("{expected}{extensions}")
    );

    let request = pem::write(pem::CERTIFICATE_REQUEST, &request(&key)).into_bytes();
    let said = text(run_with_input(Command::new("openssl").args(["req", "-noout", "-text"]), &request));
    let lines = extensions.lines().map(str::trim);
    assert!(lines.clone().all(|line| said.contains(line)), "{said}");
}

#[test]
fn key_identifiers_are_those_of_openssl() {
    let key = Key::new("P-256");
    let der = self_signed(&key);
    let certificate = openssl::x509::X509::from_der(&der).unwrap();
    let bits = openssl::sha::sha1(&key.secret.ec_key().unwrap().public_key_to_der().unwrap()[26..]);
    assert_eq!(certificate.subject_key_id().unwrap().as_slice(), bits);
}

#[test]
fn what_is_made_is_strict_der_and_reads_as_it_was_meant() {
    for key in ALGORITHMS.map(Key::new) {
        let der = self_signed(&key);
        assert_eq!(x509_cert::Certificate::from_der(&der).unwrap().to_der().unwrap(), der);
        let request = request(&key);
        assert_eq!(x509_cert::request::CertReq::from_der(&request).unwrap().to_der().unwrap(), request);

        let certificate = Certificate::new(der);
        let fields = certificate.fields().unwrap();
        assert_eq!(fields.public_key(), Some(&key.public));
        assert_eq!((fields.not_before(), fields.not_after()), (1_767_225_600, 4_102_444_800));
        assert!(fields.is_self_issued() && !fields.is_ca());
        let usages = ["digitalSignature", "keyEncipherment", "clientAuth"];
        let usages = usages.iter().filter(|usage| key.name == "RSA" || **usage != "keyEncipherment");
        assert!(fields.usages().iter().eq(usages), "{:?}", fields.usages());
        let uri = format!("openpgp4fpr:{}", "AB".repeat(20));
        assert_eq!(fields.alt_names(), [AltName::Email("zoe@example.org".to_owned()), AltName::Uri(uri)]);
    }
}
