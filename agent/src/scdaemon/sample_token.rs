//! PKCS#11 tokens for tests: facts made by hand, and a scdaemon that has such a token.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use claviger_cards::deck::Carrier;
use claviger_cards::pkcs11::wire::TokenFlags;
use claviger_cards::pkcs11::{Certificate, CertificateNumber, Facts, Key, KeyKind, KeyNumber, Usage};
use claviger_cards::token::{Insertion, Job, Outcome, TokenError};
use claviger_keys::pkcs11::token_id::TokenId;
use claviger_keys::x509::{Certificate as X509, read_file};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::watch;

use super::Scdaemon;
use super::token_keys::TokenKeys;
use crate::providers::OpenPgpKeys;

/// What follows from the names of [`token`].
pub(super) const SERIAL: &str = "D276000124011150313155D72AA61111";

pub(super) const SIGN: Usage = Usage { sign: true, decrypt: false, derive: false };
pub(super) const DERIVE: Usage = Usage { sign: false, decrypt: false, derive: true };
pub(super) const ALL: Usage = Usage { sign: true, decrypt: true, derive: true };

/// A token without anything on it.
pub(super) fn token() -> Sample {
    let text = |text: &str| text.to_owned();
    let id = TokenId {
        manufacturer: text("SoftHSM project"),
        model: text("SoftHSM v2"),
        serial: text("4dd5289f1942f77a"),
        label: text("tls"),
    };
    Sample(Facts {
        provider: "softhsm".into(),
        slot: 7,
        slot_description: text("SoftHSM slot ID 0x7"),
        library: text("Implementation of PKCS11"),
        serial: id.gnupg_serial(),
        id,
        firmware: (2, 6),
        flags: TokenFlags(0x42D),
        pin_length: (4, 255),
        mechanisms: Vec::new(),
        logged_in: false,
        seen_private: false,
        keys: Vec::new(),
        certificates: Vec::new(),
        by_grip: HashMap::new(),
    })
}

/// A token with things on it.
pub(super) struct Sample(pub(super) Facts);

impl Sample {
    /// The same on a token with another label, and so with another serial number.
    pub(super) fn on(mut self, label: &str) -> Self {
        self.0.id.label = label.to_owned();
        self.0.serial = self.0.id.gnupg_serial();
        self
    }

    /// The same with the key that a certificate of testdata certifies.
    pub(super) fn with_key(mut self, id: &[u8], certificate: &str, usage: Usage) -> Self {
        let public = certified(certificate).fields().unwrap().public_key().unwrap().clone();
        let grip = public.keygrip();
        self.0.by_grip.entry(grip).or_insert(self.0.keys.len());
        self.with_key_of_kind(id, KeyKind::Known(public, grip), usage)
    }

    /// The same with the certificate, too.
    pub(super) fn with_certified_key(self, id: &[u8], certificate: &str, usage: Usage) -> Self {
        let mut sample = self.with_key(id, certificate, usage).with_certificate(id, certificate);
        let number = sample.0.certificates.last().unwrap().number;
        sample.0.keys.last_mut().unwrap().certificates.push(number);
        sample
    }

    /// The same with a certificate that is of no key there.
    pub(super) fn with_certificate(mut self, id: &[u8], certificate: &str) -> Self {
        let number = CertificateNumber(self.0.certificates.len() as u32);
        let x509 = certified(certificate);
        let octets = Arc::clone(x509.der());
        self.0.certificates.push(Certificate { number, id: id.to_vec(), label: String::new(), octets, x509 });
        self
    }

    /// The same with a key of any kind.
    pub(super) fn with_key_of_kind(mut self, id: &[u8], kind: KeyKind, usage: Usage) -> Self {
        let number = KeyNumber(self.0.keys.len() as u32);
        self.0.keys.push(Key {
            number,
            id: id.to_vec(),
            label: String::new(),
            kind,
            usage,
            always_authenticate: false,
            private_seen: true,
            certificates: Vec::new(),
        });
        self
    }

    /// The same, where the last key is called so.
    pub(super) fn labelled(mut self, label: &str) -> Self {
        self.0.keys.last_mut().unwrap().label = label.to_owned();
        self
    }

    /// What is shown of its keys.
    pub(super) fn keys(self) -> TokenKeys {
        self.keys_wanted(&OpenPgpKeys::default())
    }

    /// The same where these keys are wanted in the places of an OpenPGP card's.
    pub(super) fn keys_wanted(self, wanted: &OpenPgpKeys) -> TokenKeys {
        TokenKeys::new(Arc::new(self.0), wanted)
    }
}

pub(super) fn certified(name: &str) -> X509 {
    let path = format!("{}/../testdata/certificates/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    read_file(&std::fs::read(path).unwrap()).unwrap().remove(0)
}

/// The keygrip of the key that a certificate of testdata certifies.
pub(super) fn grip(name: &str) -> String {
    certified(name).fields().unwrap().keygrip().unwrap().to_string()
}

/// A scdaemon without readers, and with tokens.
pub(super) struct Office {
    pub(super) scdaemon: Scdaemon,
    /// What is told of the tokens may change as long as these are there.
    pub(super) tokens: Vec<(Insertion, watch::Sender<Arc<Facts>>)>,
    _home: tempfile::TempDir,
}

impl Office {
    /// With these tokens, and more options.
    pub(super) fn new(tokens: impl IntoIterator<Item = Sample>, options: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).into_os_string();
        let mut arguments = vec!["--homedir".into(), path(""), "--reader-socket".into(), path("reader")];
        arguments.extend(options.iter().map(Into::into));
        let scdaemon = Scdaemon::embedded(&arguments).unwrap();
        let mut office = Self { scdaemon, tokens: Vec::new(), _home: home };
        for token in tokens {
            office.plug_in(token);
        }
        office
    }

    pub(super) fn plug_in(&mut self, token: Sample) {
        self.plug_in_with(token, Arc::new(Deaf));
    }

    /// The same, where somebody else carries out what the token is asked for.
    pub(super) fn plug_in_with(&mut self, token: Sample, carrier: Arc<dyn Carrier>) {
        let facts = watch::Sender::new(Arc::new(token.0));
        let insertion = self.scdaemon.hub.deck.plug_in_token(facts.subscribe(), carrier);
        self.tokens.push((insertion, facts));
    }

    pub(super) fn pull_out(&mut self) {
        let (insertion, _) = self.tokens.pop().unwrap();
        self.scdaemon.hub.deck.pull_out(insertion);
    }

    /// What is answered to some commands of one session, line by line. An inquiry is answered by the next of them.
    pub(super) async fn says(&self, commands: &[&str]) -> Vec<String> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (input, output) = tokio::io::split(theirs);
        let serving = tokio::spawn(self.scdaemon.serve(input, output));
        let (input, mut output) = tokio::io::split(ours);
        let mut lines = BufReader::new(input).split(b'\n');
        lines.next_segment().await.unwrap().unwrap();
        let mut said = Vec::new();
        for command in commands {
            output.write_all(format!("{command}\n").as_bytes()).await.unwrap();
            loop {
                let line = lines.next_segment().await.unwrap().unwrap();
                let line = String::from_utf8_lossy(&line).into_owned();
                let last = ["OK", "ERR", "INQUIRE"].iter().any(|word| line.starts_with(word));
                said.push(line);
                if last {
                    break;
                }
            }
        }
        drop((lines, output));
        serving.await.unwrap();
        said
    }
}

/// Carries out nothing: what is shown of a token comes from its facts alone.
struct Deaf;

impl Carrier for Deaf {
    fn submit(&self, _: Job) -> Pin<Box<dyn Future<Output = Result<Outcome, TokenError>> + Send + '_>> {
        Box::pin(async { Err(TokenError::Gone) })
    }
}
