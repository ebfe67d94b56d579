//! A SoftHSM with its tokens, a home that uses them, and what a person does with both.

use crate::world::token::SoftHsm;
use crate::world::token::material::Authority;
use crate::world::{Home, Scdaemon, Seen};

/// Who the OpenPGP keys belong to.
pub(crate) const OWNER: &str = "Carla Card <carla@example.org>";
const LETTER: &str = "Signed and sealed.\n";

/// A token and a home.
pub(crate) struct Desk {
    /// The home.
    pub(crate) home: Home,
    /// The tokens.
    pub(crate) hsm: SoftHsm,
}

/// A key as LEARN tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Learnt {
    /// Its keygrip.
    pub(crate) grip: String,
    /// Its key id.
    pub(crate) id: String,
    /// What GnuPG calls its algorithm, if that is said.
    pub(crate) algorithm: String,
}

impl Desk {
    /// The tokens of a recipe, behind the scdaemon that is tested.
    pub(crate) fn with(recipe: &str) -> Self {
        let scdaemon = match std::env::var("CLAVIGER_TEST_SCDAEMON").as_deref() {
            Ok("gnupg-pkcs11-scd") => Scdaemon::Incumbent,
            _ => Scdaemon::Ours,
        };
        Self::behind(scdaemon, recipe)
    }

    /// The tokens of a recipe, behind this scdaemon.
    pub(crate) fn behind(scdaemon: Scdaemon, recipe: &str) -> Self {
        let hsm = SoftHsm::with(recipe);
        Self { home: Home::with_tokens(&hsm, scdaemon), hsm }
    }

    /// Whether gpg is one of 2.2.
    pub(crate) fn is_old(&self) -> bool {
        self.home.gpg(&["--version"]).text().contains("GnuPG) 2.2.")
    }

    /// The keys of the current token.
    #[track_caller]
    pub(crate) fn keys(&self) -> Vec<Learnt> {
        let said = self.home.agent(&["SCD LEARN --force"]).ok().text();
        let pair = |line: &str| {
            let mut words = line.strip_prefix("S KEYPAIRINFO ")?.split(' ');
            let (grip, id) = (words.next()?.to_owned(), words.next()?.to_owned());
            Some(Learnt { grip, id, algorithm: words.nth(2).unwrap_or_default().to_owned() })
        };
        said.lines().filter_map(pair).collect()
    }

    /// The token's only key.
    #[track_caller]
    pub(crate) fn key(&self) -> Learnt {
        let mut keys = self.keys();
        let key = keys.pop().filter(|_| keys.is_empty());
        key.unwrap_or_else(|| panic!("one key was expected: {keys:?}"))
    }

    /// `gpg --card-status`, which writes the stubs.
    #[track_caller]
    pub(crate) fn learn(&self) {
        self.home.gpg(&["--card-status"]).ok();
    }

    /// An OpenPGP key whose primary key is this key of the token.
    pub(crate) fn certify(&self, key: &Learnt) -> Seen {
        self.learn();
        let kind = match key.algorithm.as_str() {
            "ed25519" => "EDDSA\nKey-Curve: ed25519".to_owned(),
            nist if nist.starts_with("nistp") => format!("ECDSA\nKey-Curve: {nist}"),
            _ => "RSA".to_owned(),
        };
        let batch = format!(
            "Key-Type: {kind}\nKey-Grip: {}\nKey-Usage: sign,cert\nName-Real: Carla Card\nName-Email: carla@example.org\n\
             Expire-Date: 0\n%commit\n",
            key.grip
        );
        self.home.gpg_reads(&["--gen-key"], batch.as_bytes())
    }

    /// An OpenPGP key on disk with this key of the token for encryption.
    pub(crate) fn adopt(&self, key: &Learnt) -> Seen {
        self.learn();
        let without = ["--pinentry-mode", "loopback", "--passphrase", ""];
        self.home.gpg(&[&without[..], &["--quick-gen-key", OWNER, "ed25519", "sign", "0"]].concat()).ok();
        self.add(key)
    }

    /// Adds this key of the token, for encryption, to the home's OpenPGP key.
    pub(crate) fn add(&self, key: &Learnt) -> Seen {
        // A key that could sign, too, has flags to be asked for.
        let words = ["addkey", "13", &key.grip, "=e", "Q", "0", "y", "y", "save"];
        self.home.gpg_dialogue(&["--edit-key", &self.fingerprint()], &words)
    }

    /// The fingerprint of the home's first OpenPGP key.
    #[track_caller]
    pub(crate) fn fingerprint(&self) -> String {
        self.home.gpg(&["--with-colons", "--list-keys"]).ok().line("fpr:::::::::").replace(':', "")
    }

    /// `gpg --detach-sign`, then `--verify`.
    #[track_caller]
    pub(crate) fn signs(&self) {
        let letter = self.home.write("letter", LETTER).display().to_string();
        let signature = format!("{letter}.sig");
        self.home.gpg(&["--output", &signature, "--detach-sign", &letter]).ok();
        let verified = self.home.gpg(&["--verify", &signature, &letter]).ok();
        verified.shows(&format!("Good signature from \"{OWNER}\""));
    }

    /// `gpg --encrypt`, then `--decrypt`.
    #[track_caller]
    pub(crate) fn decrypts(&self) {
        let sealed = self.path("letter.gpg");
        let arguments = ["--output", &sealed, "--encrypt", "--recipient", "carla@example.org"];
        self.home.gpg_reads(&arguments, LETTER.as_bytes()).ok();
        self.home.gpg(&["--decrypt", &sealed]).ok().shows(LETTER);
    }

    /// Has gpgsm trust the authority, and learn what the token has.
    #[track_caller]
    pub(crate) fn learn_certificates(&self) {
        let root = Authority::open().certificate();
        let pem = root.to_pem().expect("memory");
        let file = self.home.write("root.pem", &String::from_utf8(pem).expect("PEM is text"));
        let print = root.digest(openssl::hash::MessageDigest::sha1()).expect("a digest");
        let print: String = print.iter().map(|octet| format!("{octet:02X}")).collect();
        self.home.write("trustlist.txt", &format!("{print} S relax\n"));
        self.gpgsm(&["--import", &file.display().to_string()]).ok();
        self.gpgsm(&["--learn-card"]).ok();
    }

    /// `gpgsm --detach-sign`, with the certificate of this name.
    pub(crate) fn sign_with_certificate(&self, name: &str) -> Seen {
        // Else it takes the hash that the authority took, and then says that it is too short.
        let digest = match name {
            "p384" => "SHA384",
            "p521" => "SHA512",
            _ => "SHA256",
        };
        let letter = self.home.write("letter", LETTER).display().to_string();
        let signature = self.path("letter.p7s");
        let how = ["--digest-algo", digest, "--output", &signature, "--local-user", name];
        self.gpgsm(&[&how[..], &["--detach-sign", &letter]].concat())
    }

    /// `gpgsm --verify` of that.
    pub(crate) fn verify_with_certificate(&self) -> Seen {
        self.gpgsm(&["--verify", &self.path("letter.p7s"), &self.path("letter")])
    }

    /// The same by openssl.
    pub(crate) fn verify_with_openssl(&self) -> Seen {
        let [signature, letter, root] = ["letter.p7s", "letter", "root.pem"].map(|name| self.path(name));
        let what = ["cms", "-verify", "-binary", "-inform", "DER", "-in", &signature, "-content", &letter];
        self.program(
            "openssl",
            &[&what[..], &["-CAfile", &root, "-purpose", "any", "-out", "/dev/null"]].concat(),
        )
    }

    /// Signs and verifies with the certificate of this name.
    #[track_caller]
    pub(crate) fn signs_with_certificate(&self, name: &str) {
        self.sign_with_certificate(name).ok();
        let verified = self.verify_with_certificate().ok();
        verified.shows(&format!("Good signature from \"/CN={name}/O=House\""));
    }

    /// `gpgsm --encrypt`, to the certificate of this name.
    pub(crate) fn encrypt_to_certificate(&self, name: &str) -> Seen {
        let letter = self.home.write("letter", LETTER).display().to_string();
        self.gpgsm(&["--output", &self.path("letter.p7m"), "--recipient", name, "--encrypt", &letter])
    }

    /// `gpgsm --decrypt` of that.
    pub(crate) fn decrypt_with_certificate(&self) -> Seen {
        self.gpgsm(&["--decrypt", &self.path("letter.p7m")])
    }

    /// gpgsm, never asking on a terminal.
    pub(crate) fn gpgsm(&self, arguments: &[&str]) -> Seen {
        let always = ["--batch", "--yes", "--no-tty", "--disable-crl-checks", "--disable-dirmngr"];
        Seen::of(self.home.command("gpgsm").args(always).args(arguments), b"")
    }

    /// What `SCD LINE` sends as data.
    #[track_caller]
    pub(crate) fn data(&self, line: &str) -> Vec<u8> {
        let answer = self.path("answer");
        self.home.agent(&[&format!("/datafile {answer}"), &format!("SCD {line}")]).ok().shows("OK");
        std::fs::read(answer).expect("an answer")
    }

    /// A program that sees the token without us.
    pub(crate) fn program(&self, program: &str, arguments: &[&str]) -> Seen {
        Seen::of(self.home.command(program).args(arguments), b"")
    }

    /// A file of the home.
    pub(crate) fn path(&self, name: &str) -> String {
        self.home.path(name).display().to_string()
    }
}
