//! The clients of `docs/examples` with a card: what they print is compared with what gpg and OpenSSL say.

use std::collections::BTreeSet;
use std::fs;

use claviger_keys::PublicKey;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Verifier;

use crate::world::jobs::generate;
use crate::world::{Card, Home, Reader, Scdaemon, Seen, repository};

const LETTER: &[u8] = b"Signed and sealed.\n";

/// A card with keys, a certificate in slot 3, and a PIN that nobody remembers.
struct Holder {
    home: Home,
    certificate: Vec<u8>,
    _card: Card,
    _reader: Reader,
}

impl Holder {
    fn new() -> Self {
        let reader = Reader::start();
        let card = Card::insert(&reader.slot(), &[]);
        let home = Home::new(&reader, Scdaemon::Ours);
        home.write("scdaemon.conf", "disable-ccid\npin-cache-ttl 0\n");
        home.wait_for_card();
        generate(&home, &["2", "1", "2", "1", "2", "1"]);
        let certificate = certify(&home);
        fs::write(home.path("letter"), LETTER).expect("the folder is ours");
        Self { home, certificate, _card: card, _reader: reader }
    }

    fn client(&self, door: &[&str], words: &[&str]) -> Seen {
        let mut command = self.home.command("python3");
        command.arg(repository("docs/examples/client.py")).args(door).args(words);
        command.env("CLAVIGER_PIN_FILE", self.home.path("pin")).current_dir(self.home.path(""));
        Seen::of(&mut command, b"")
    }

    fn scdaemon_socket(&self) -> String {
        self.home.agent(&["SCD GETINFO socket_name"]).ok().line("D ")
    }

    fn agent_socket(&self) -> String {
        let seen = Seen::of(self.home.command("gpgconf").args(["--list-dirs", "agent-socket"]), b"");
        seen.ok().text().trim().to_owned()
    }

    /// The keygrips that gpg knows.
    fn keygrips(&self) -> BTreeSet<String> {
        let listing = self.home.gpg(&["--with-colons", "--with-keygrip", "--list-keys"]).ok().text();
        let grips = listing.lines().filter_map(|line| line.strip_prefix("grp:::::::::"));
        grips.map(|grip| grip.replace(':', "")).collect()
    }

    fn public_key(&self, grip: &str) -> PublicKey {
        let answer = self.home.path("key.sexp");
        let datafile = format!("/datafile {}", answer.display());
        self.home.agent(&[&datafile, &format!("SCD READKEY {grip}")]).ok();
        PublicKey::from_sexp(&fs::read(answer).expect("an answer")).expect("a key")
    }

    /// An Ed25519 key signs the digest as it would sign a message.
    fn verifies(&self, grip: &str, signature: &[u8]) -> bool {
        let key = PKey::public_key_from_der(&self.public_key(grip).spki_der()).expect("OpenSSL knows it");
        let mut verifier = Verifier::new_without_digest(&key).expect("OpenSSL can");
        verifier.verify_oneshot(signature, &sha256(LETTER)).expect("OpenSSL can")
    }

    /// Everything that the client can do but signing, by one door.
    fn lists_and_reads(&self, door: &[&str]) {
        let keys = self.client(door, &["keys"]).ok().text();
        let grips: BTreeSet<_> =
            keys.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        assert_eq!(grips, self.keygrips());
        let listed = self.client(door, &["certificates"]).ok().text();
        assert!(
            listed.contains("/OPENPGP.3 ") && listed.ends_with(" other-key CN=Jane Doe,O=A House\n"),
            "{listed}"
        );
        let id = listed.split(' ').next().unwrap_or_default();
        for reference in ["OPENPGP.3", id] {
            assert_eq!(self.client(door, &["read", reference]).ok().stdout, self.certificate);
        }
        self.client(door, &["read", "OPENPGP.1"]).fails().shows("Not found <SCD>").shows("(code 27)");
    }

    fn signing_grip(&self) -> String {
        let line = self.home.agent(&["SCD READKEY --info-only OPENPGP.1"]).ok().line("S KEYPAIRINFO ");
        line.split(' ').next().expect("a field").to_owned()
    }
}

/// Writes a certificate of a key that is on no card.
fn certify(home: &Home) -> Vec<u8> {
    let file = home.path("certificate.der");
    let mut command = home.command("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    command.args(["-keyout", "/dev/null", "-subj", "/O=A House/CN=Jane Doe", "-outform", "DER"]);
    Seen::of(command.arg("-out").arg(&file), b"").ok();
    let data = format!("/definqfile CERTDATA {}", file.display());
    home.agent(&[&data, "SCD WRITECERT OPENPGP.3"]).ok().shows("OK");
    fs::read(file).expect("it was made")
}

#[test]
fn the_python_client_works_on_the_socket_of_the_daemon() {
    let holder = Holder::new();
    let socket = holder.scdaemon_socket();
    holder.lists_and_reads(&[&socket]);
    let grip = holder.signing_grip();
    holder.home.write("pin", "wrong-pin\n");
    holder.client(&[&socket], &["sign", &grip, "letter"]).fails().shows("Bad PIN <SCD>").shows("(code 87)");
    holder.home.write("pin", "123456\n");
    let signature = holder.client(&[&socket], &["sign", &grip, "letter"]).ok().stdout;
    assert!(holder.verifies(&grip, &signature));
}

#[test]
fn the_python_client_works_through_the_agent_which_asks_for_the_pin() {
    let holder = Holder::new();
    let socket = holder.agent_socket();
    holder.lists_and_reads(&[&socket, "--agent"]);
    let grip = holder.signing_grip();
    drop(holder.home.questions());
    let signature = holder.client(&[&socket, "--agent"], &["sign", &grip, "letter"]).ok().stdout;
    assert!(holder.verifies(&grip, &signature));
    assert_eq!(holder.home.questions().len(), 1);
}

#[test]
fn the_shell_client_copies_every_certificate() {
    let holder = Holder::new();
    let folder = holder.home.path("copies");
    fs::create_dir(&folder).expect("the folder is ours");
    let script = repository("docs/examples/certificates.sh");
    let seen = Seen::of(holder.home.command("sh").arg(script).arg(&folder), b"").ok();
    let digest = sha256(&holder.certificate).map(|octet| format!("{octet:02X}")).concat();
    seen.shows("CN=Jane+Doe,O=A+House").shows(&digest);
    assert_eq!(fs::read(folder.join(format!("{digest}.der"))).expect("a copy"), holder.certificate);
}
