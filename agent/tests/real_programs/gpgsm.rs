//! gpgsm with certificates from the card: what LEARN's CERTINFO is for.

use claviger_keys::PublicKey;

use crate::world::jobs::{generate, import_rsa};
use crate::world::{Card, Home, Reader, Scdaemon, Seen};

const ROOT: &str = "/CN=Root/O=House";

#[test]
fn gpgsm_learns_certificates_of_an_rsa_card_signs_with_one_and_decrypts_with_the_other() {
    let office = Office::with_keys(|home| drop(import_rsa(home, 2048)));
    office.certify_all();
    office.learn();
    office.signs("signer");
    office.decrypts("reader");
}

#[test]
fn gpgsm_learns_certificates_of_a_p256_card_and_signs() {
    let office = Office::with_keys(|home| generate(home, &["2", "3", "2", "3", "2", "3"]));
    office.certify_all();
    office.learn();
    office.signs("signer");
    office.decrypts_where_gpgsm_encrypts_to_curves("reader");
}

/// gpgsm has no name for Ed25519 in a signature, neither in 2.2 nor in 2.4.
#[test]
fn gpgsm_learns_certificates_of_a_curve25519_card_and_refuses_to_sign_by_itself() {
    let office = Office::with_keys(|home| generate(home, &["2", "1", "2", "1", "2", "1"]));
    office.certify_all();
    office.learn();
    office.sign("signer").fails().shows("Invalid OID string");
    office.decrypts_where_gpgsm_encrypts_to_curves("reader");
}

#[test]
fn every_reference_gives_the_octets_back_through_the_agent() {
    let office = Office::with_keys(|home| generate(home, &["2", "1", "2", "1", "2", "1"]));
    office.certify_all();
    let file = std::fs::read(office.path("signer")).expect("it was made");
    let listed = office.home.agent(&["SCD LISTCERTS OPENPGP.3"]).ok().line("S CERTIFICATE ");
    let fields: Vec<_> = listed.split(' ').collect();
    let sha1 = office.openssl(&["x509", "-inform", "DER", "-in", "signer", "-noout", "-fingerprint"]).ok();
    let sha1 = sha1.text().trim().rsplit('=').next().expect("digits").replace(':', "");
    let serial = office.openssl(&["x509", "-inform", "DER", "-in", "signer", "-noout", "-serial"]).ok();
    let serial = serial.line("serial=");
    let fingerprint = office.home.agent(&["SCD GETATTR KEY-FPR"]).ok().line("S KEY-FPR 3 ");
    for reference in [
        "OPENPGP.3".to_owned(),
        fields[0].to_owned(),
        fields[2].to_owned(),
        format!("sha1:{sha1}"),
        format!("sha256:{}", fields[4]),
        format!("fpr:{fingerprint}"),
        format!("#{serial}/O=House,CN=Root"),
    ] {
        let answer = office.path("answer");
        office.home.agent(&[&format!("/datafile {answer}"), &format!("SCD READCERT {reference}")]).ok();
        assert_eq!(std::fs::read(answer).expect("an answer"), file, "{reference}");
    }
}

/// A card with keys and a home that trusts one authority.
struct Office {
    home: Home,
    _card: Card,
    _reader: Reader,
}

impl Office {
    fn with_keys(fill: impl FnOnce(&Home)) -> Self {
        let reader = Reader::start();
        let card = Card::insert(&reader.slot(), &[]);
        let home = Home::new(&reader, Scdaemon::Ours);
        home.wait_for_card();
        fill(&home);
        let office = Self { home, _card: card, _reader: reader };
        office
            .openssl(&[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                "root.key",
                "-out",
                "root.pem",
                "-subj",
                ROOT,
                "-days",
                "3000",
                "-addext",
                "keyUsage=critical,keyCertSign,cRLSign",
            ])
            .ok();
        let print = office.openssl(&["x509", "-in", "root.pem", "-noout", "-fingerprint", "-sha1"]).ok();
        let print = print.text().trim().split_once('=').expect("a fingerprint").1.to_owned();
        office.home.write("trustlist.txt", &format!("{print} S relax\n"));
        office.gpgsm(&["--import", &office.path("root.pem")]).ok();
        office
    }

    /// Writes certificates for decryption into slot 2, and for signatures into slot 3.
    fn certify_all(&self) {
        self.certify("OPENPGP.2", "reader", "keyEncipherment,keyAgreement");
        self.certify("OPENPGP.3", "signer", "digitalSignature");
    }

    fn certify(&self, slot: &str, name: &str, usage: &str) {
        let sexp = self.path("key.sexp");
        self.home.agent(&[&format!("/datafile {sexp}"), &format!("SCD READKEY {slot}")]).ok();
        let octets = std::fs::read(&sexp).expect("the key was read");
        let key = PublicKey::from_sexp(&octets).expect("a key");
        std::fs::write(self.path("key.der"), key.spki_der()).expect("the folder is ours");
        self.home
            .write("extensions", &format!("keyUsage=critical,{usage}\nbasicConstraints=critical,CA:FALSE\n"));
        self.openssl(&["pkey", "-pubin", "-inform", "DER", "-in", "key.der", "-out", "key.pem"]).ok();
        self.openssl(&[
            "req",
            "-new",
            "-key",
            "root.key",
            "-subj",
            &format!("/CN={name}"),
            "-out",
            "request",
        ])
        .ok();
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            "request",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-CAcreateserial",
            "-force_pubkey",
            "key.pem",
            "-days",
            "1000",
            "-extfile",
            "extensions",
            "-outform",
            "DER",
            "-out",
            name,
        ])
        .ok();
        let answer = format!("/definqfile CERTDATA {}", self.path(name));
        self.home.agent(&[&answer, &format!("SCD WRITECERT --check {slot}")]).ok().shows("OK");
    }

    fn learn(&self) {
        self.gpgsm(&["--learn-card"]).ok();
        let keys = self.gpgsm(&["--list-secret-keys"]).ok();
        keys.shows("CN=reader").shows("CN=signer");
    }

    fn sign(&self, name: &str) -> Seen {
        let letter = self.home.write("letter", "Signed and sealed.\n").display().to_string();
        let signature = self.path("letter.p7s");
        self.gpgsm(&["--output", &signature, "--local-user", name, "--detach-sign", &letter])
    }

    fn signs(&self, name: &str) {
        self.sign(name).ok();
        let verified = self.gpgsm(&["--verify", &self.path("letter.p7s"), &self.path("letter")]).ok();
        verified.shows(&format!("Good signature from \"/CN={name}\""));
    }

    fn encrypt(&self, name: &str) -> Seen {
        let letter = self.home.write("letter", "Signed and sealed.\n").display().to_string();
        self.gpgsm(&["--output", &self.path("letter.p7m"), "--recipient", name, "--encrypt", &letter])
    }

    fn decrypts(&self, name: &str) {
        self.encrypt(name).ok();
        self.gpgsm(&["--decrypt", &self.path("letter.p7m")]).ok().shows("Signed and sealed.\n");
    }

    /// gpgsm 2.2 cannot encrypt to such a certificate at all; 2.4 can.
    fn decrypts_where_gpgsm_encrypts_to_curves(&self, name: &str) {
        if self.gpgsm(&["--version"]).text().contains("GnuPG) 2.2.") {
            self.encrypt(name).fails().shows("ksba_cms_set_enc_val failed: Invalid S-expression");
        } else {
            self.decrypts(name);
        }
    }

    fn gpgsm(&self, arguments: &[&str]) -> Seen {
        let always = ["--batch", "--yes", "--no-tty", "--disable-crl-checks", "--disable-dirmngr"];
        Seen::of(self.home.command("gpgsm").args(always).args(arguments), b"")
    }

    fn openssl(&self, arguments: &[&str]) -> Seen {
        Seen::of(self.home.command("openssl").args(arguments).current_dir(self.home.path("")), b"")
    }

    fn path(&self, name: &str) -> String {
        self.home.path(name).display().to_string()
    }
}
