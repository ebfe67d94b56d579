//! The contract between those who want something from a token and the thread that owns it.

use std::fmt;
use std::sync::Arc;

use claviger_keys::{EcdhParams, Keygrip, PublicKey, SecretKey};
use claviger_secret::Secret;

use crate::facts::Facts;
use crate::finger::{Finger, Notes};
use crate::pkcs11;

/// A thing that holds keys and is used by one thread at a time.
pub trait Token: Send {
    /// What is known of the token without asking it.
    fn facts(&self) -> Arc<Facts>;

    /// Carries out one job in one transaction. Blocks; is called on the token's own thread only.
    ///
    /// # Errors
    /// See [`TokenError`]; after [`TokenError::Gone`] the token answers nothing any more.
    fn perform(&mut self, job: Job) -> Result<Outcome, TokenError>;
}

/// The three keys of an OpenPGP card (OpenPGP card 3.4, section 4.4.3.12 and following).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// `OPENPGP.1`, control reference template B6.
    Sign,
    /// `OPENPGP.2`, B8.
    Decrypt,
    /// `OPENPGP.3`, A4.
    Authenticate,
}

impl Slot {
    /// All three, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Sign, Self::Decrypt, Self::Authenticate];

    /// Its place in arrays by slot: 0, 1, 2.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Sign => 0,
            Self::Decrypt => 1,
            Self::Authenticate => 2,
        }
    }
}

/// A password of the card, by what it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PinRef {
    /// PW1 for signatures: VERIFY with P2=81.
    Sign,
    /// PW1 for everything else: VERIFY with P2=82.
    User,
    /// PW3: VERIFY with P2=83.
    Admin,
    /// The resetting code; never verified by itself.
    ResetCode,
}

impl PinRef {
    /// Those that the card remembers as verified.
    pub const VERIFIED: &'static [Self] = &[Self::Sign, Self::User, Self::Admin];

    /// Its place in [`Facts::verified`]; the resetting code has none.
    #[must_use]
    pub fn index(self) -> Option<usize> {
        match self {
            Self::Sign => Some(0),
            Self::User => Some(1),
            Self::Admin => Some(2),
            Self::ResetCode => None,
        }
    }
}

/// Why a PIN is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PinPurpose {
    /// The PIN as it is now, to unlock something.
    Unlock(PinRef),
    /// The PIN as it is now, because it is about to be changed (never answered from a cache).
    Old(PinRef),
    /// A new value for it.
    New(PinRef),
}

/// What is asked of a token. Everything here is a value: limits were checked when it was made.
#[derive(Debug)]
pub enum Request {
    /// Reads 6E afresh (PIN tries, fingerprints); is the probe at the same time. → [`Reply::Done`], see the facts.
    Refresh,
    /// Reads the signature counter (7A/93) afresh. → [`Reply::Done`], see the facts.
    SignatureCounter,
    /// A data object: from what was read before, else from the card. → [`Reply::Object`].
    Object(DataObject),
    /// The public key of a slot: as read before, else from the card. → [`Reply::PublicKey`].
    PublicKey(Slot),
    /// The certificate of a slot (7F21, SELECT DATA for slots 1 and 2). → [`Reply::Object`].
    Certificate(Slot),
    /// The certificates of all slots, as far as they were not read yet, with as few commands as the card allows.
    /// → [`Reply::Done`], see the facts.
    Certificates,
    /// PSO:CDS with exactly these octets (a DigestInfo for RSA, a digest for ECC). → [`Reply::Signature`].
    Sign(Vec<u8>),
    /// INTERNAL AUTHENTICATE with exactly these octets. → [`Reply::Signature`].
    Authenticate(Vec<u8>),
    /// PSO:DECIPHER. → [`Reply::Plaintext`].
    Decipher(Cryptogram),
    /// Writes a data object with the PIN that it takes. → [`Reply::Done`].
    Put(DataObject, Vec<u8>),
    /// Writes the certificate of a slot (admin PIN). → [`Reply::Done`].
    PutCertificate(Slot, Vec<u8>),
    /// Writes the card's attestation of a key in the place of the slot's certificate (admin PIN); YubiKeys. → [`Reply::Done`].
    Attest(Slot),
    /// Writes the algorithm attributes C1–C3 of a slot (admin PIN); forgets all verifications. → [`Reply::Done`].
    SetAlgorithm(Slot, Vec<u8>),
    /// Makes a key, then writes its fingerprint and time (admin PIN). → [`Reply::PublicKey`].
    Generate {
        /// Where.
        slot: Slot,
        /// Replace a key that is there.
        force: bool,
        /// Creation time, seconds since 1970, for the fingerprint.
        created: u32,
        /// New algorithm attributes, when they are to change first.
        attributes: Option<Vec<u8>>,
        /// ECDH parameters of a decryption key for its fingerprint, where they are not GnuPG 2.4's.
        ecdh: Option<EcdhParams>,
    },
    /// Imports a key, then writes its fingerprint and time (admin PIN). → [`Reply::Done`].
    Import {
        /// Where.
        slot: Slot,
        /// Replace a key that is there.
        force: bool,
        /// Creation time, seconds since 1970, for the fingerprint.
        created: u32,
        /// The key, with its ECDH parameters where it has some.
        key: Box<SecretKey>,
    },
    /// VERIFY without anything after it; asks even if the card is verified. → [`Reply::Done`].
    Verify(PinRef),
    /// Verifies if the token is not yet verified for this. → [`Reply::Done`].
    EnsureVerified(PinRef),
    /// CHANGE REFERENCE DATA (User → 81, Admin → 83). → [`Reply::Done`].
    ChangePin(PinRef),
    /// RESET RETRY COUNTER with the resetting code. → [`Reply::Done`].
    UnblockWithResetCode,
    /// RESET RETRY COUNTER after the admin PIN. → [`Reply::Done`].
    UnblockAsAdmin,
    /// PUT DATA D3 after the admin PIN. → [`Reply::Done`].
    SetResetCode,
    /// Forgets verifications (VERIFY P1=FF where the card has it). → [`Reply::Done`].
    ForgetVerifications(&'static [PinRef]),
    /// Gives up those of these verifications that the card has (VERIFY P1=FF), if our application is still the selected
    /// one; another one hears nothing of it. → [`Reply::Done`].
    Lapse(Vec<PinRef>),
    /// GET CHALLENGE, any number of octets up to the request's own limit. → [`Reply::Random`].
    Random(usize),
    /// A raw APDU; the reply has its status word at the end. → [`Reply::Apdu`].
    Apdu {
        /// The command, as it goes to the card.
        command: Vec<u8>,
        /// Follow 61xx with GET RESPONSE.
        more: bool,
    },
    /// Resets the card (warm reset): verifications are gone, the insertion stays. → [`Reply::Done`].
    Reset,
    /// Powers the card down. → [`Reply::Done`].
    PowerDown,
    /// What only a PKCS#11 token does.
    Pkcs11(pkcs11::Request),
}

impl Request {
    /// Its kind, for logs: nothing of its content.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::SignatureCounter => "signature counter",
            Self::Object(_) => "read object",
            Self::PublicKey(_) => "public key",
            Self::Certificate(_) => "read certificate",
            Self::Certificates => "read certificates",
            Self::Sign(_) => "sign",
            Self::Authenticate(_) => "authenticate",
            Self::Decipher(_) => "decipher",
            Self::Put(..) => "write object",
            Self::PutCertificate(..) => "write certificate",
            Self::Attest(_) => "attest",
            Self::SetAlgorithm(..) => "set algorithm",
            Self::Generate { .. } => "generate",
            Self::Import { .. } => "import",
            Self::Verify(_) | Self::EnsureVerified(_) => "verify",
            Self::ChangePin(_) => "change PIN",
            Self::UnblockWithResetCode | Self::UnblockAsAdmin => "unblock PIN",
            Self::SetResetCode => "set reset code",
            Self::ForgetVerifications(_) => "forget verifications",
            Self::Lapse(_) => "let verifications lapse",
            Self::Random(_) => "random",
            Self::Apdu { .. } => "raw command",
            Self::Reset => "reset",
            Self::PowerDown => "power down",
            Self::Pkcs11(request) => request.name(),
        }
    }
}

/// What PSO:DECIPHER is given, after GnuPG's form was taken off.
#[derive(Debug)]
pub enum Cryptogram {
    /// RSA: exactly as many octets as the modulus; the padding indicator is the card layer's work.
    Rsa(Vec<u8>),
    /// ECDH: the other side's point as the card wants it (04‖x‖y; 32 or 56 octets for X25519, X448).
    Ecdh(Vec<u8>),
    /// AES with the card's key: the octets after the indicator 02.
    Aes(Vec<u8>),
}

/// Data objects by name (OpenPGP card 3.4, section 4.4.1). The PIN that writing takes is a property of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataObject {
    /// 65: name, language, sex in one template. Read only.
    Cardholder,
    /// 5B.
    Name,
    /// 5F2D.
    Language,
    /// 5F35.
    Sex,
    /// 5E.
    Login,
    /// 5F50.
    Url,
    /// 0101 … 0104, by 1–4.
    Private(u8),
    /// C4, its first octet: whether PW1 serves several signatures.
    PinStatus,
    /// CA, CB, CC, by 1–3.
    CaFingerprint(u8),
    /// F9.
    Kdf,
    /// FA. Read only.
    AlgorithmInformation,
    /// DE. Read only.
    KeyInformation,
    /// D6, D7, D8.
    UserInteraction(Slot),
    /// D1.
    SmKeyEnc,
    /// D2.
    SmKeyMac,
    /// D5.
    AesKey,
}

/// A request on its way, with the PINs given so far and the steps that were already done: those are never repeated.
#[derive(Debug)]
pub struct Job {
    pub(crate) request: Request,
    pub(crate) progress: Progress,
}

/// What a job has behind it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// PINs handed in, by what they are for; each is used once.
    pub(crate) pins: Vec<(PinPurpose, Secret)>,
    /// Those that were used in this turn at the card, in case that it has to be taken anew.
    pub(crate) used: Vec<(PinPurpose, Secret)>,
    /// What the PIN is for that came out of somebody's memory, and not from a person just now.
    pub(crate) remembered: Option<PinPurpose>,
    /// What the PIN is for that is to be typed on the reader now.
    pub(crate) typed_on_pinpad: Option<PinPurpose>,
    /// The tries that the prompt showed, when a PIN was asked.
    pub(crate) tries_shown: Option<u8>,
    /// Steps of a sequence that the card has carried out.
    pub(crate) steps_done: usize,
    /// Which key the card uses at the moment, if that may wait for a touch.
    pub(crate) notes: Notes,
}

impl Progress {
    /// The PIN that was given for a purpose; each is used once.
    pub(crate) fn take_pin(&mut self, purpose: PinPurpose) -> Option<Secret> {
        let at = self.pins.iter().position(|(of, _)| *of == purpose)?;
        Some(self.pins.remove(at).1)
    }
}

impl Job {
    /// A new job.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self { request, progress: Progress::default() }
    }

    /// What is asked for.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The PIN that was given for a purpose, for whoever carries the job out. Each is given once.
    #[must_use]
    pub fn take_pin(&mut self, purpose: PinPurpose) -> Option<Secret> {
        self.progress.take_pin(purpose)
    }

    /// The same job, waiting for a PIN: one that a person has to give, whatever is remembered. What else is true of the question
    /// is to be set.
    #[must_use]
    pub fn needs_pin(self, purpose: PinPurpose) -> NeedsPin {
        let (tries_left, may_use_cache, memory_failed, on_pinpad) = (None, false, false, false);
        NeedsPin { purpose, tries_left, may_use_cache, memory_failed, on_pinpad, job: self }
    }

    /// The finger that the card may wait for while it carries out this job, and what becomes of it after a question.
    #[must_use]
    pub fn finger(&self) -> Finger {
        self.progress.notes.finger()
    }
}

/// How a job ended, if nothing went wrong.
#[derive(Debug)]
pub enum Outcome {
    /// It is done.
    Done(Reply),
    /// A PIN is needed; the job waits in the value, the token does not.
    NeedsPin(NeedsPin),
}

/// The question that a job has, and the job itself.
#[derive(Debug)]
pub struct NeedsPin {
    /// What is asked for.
    pub purpose: PinPurpose,
    /// Tries left as last known; `None` where the card has no counter for it.
    pub tries_left: Option<u8>,
    /// Whether a cached PIN may answer. Not for a forced signature PIN, a change, or the last try.
    pub may_use_cache: bool,
    /// Whether it is asked because the card refused a remembered PIN: that one is to be forgotten.
    pub memory_failed: bool,
    /// Whether it is to be typed on the reader's own keys; an old PIN together with its new value. The person is to be
    /// told so before [`NeedsPin::typed_on_pinpad`].
    pub on_pinpad: bool,
    pub(crate) job: Job,
}

impl NeedsPin {
    /// The job again, now with the PIN. Checks nothing: the token does.
    #[must_use]
    pub fn with_pin(mut self, pin: Secret) -> Job {
        self.job.progress.pins.push((self.purpose, pin));
        // The question for a new PIN shows none, and must not hide what the one for the old PIN showed.
        self.job.progress.tries_shown = self.tries_left.or(self.job.progress.tries_shown);
        self.job
    }

    /// The same with a PIN that was remembered. If the card refuses it, that is no error: the person is asked.
    #[must_use]
    pub fn with_remembered_pin(mut self, pin: Secret) -> Job {
        self.job.progress.remembered = Some(self.purpose);
        self.with_pin(pin)
    }

    /// The job again, in which the PIN is typed on the reader. It takes as long as the person does, or the reader waits.
    #[must_use]
    pub fn typed_on_pinpad(mut self) -> Job {
        self.job.progress.typed_on_pinpad = Some(self.purpose);
        self.job.progress.tries_shown = self.tries_left.or(self.job.progress.tries_shown);
        self.job
    }

    /// The job as it was, for when somebody else's answer may have unlocked the token meanwhile.
    #[must_use]
    pub fn retry(self) -> Job {
        self.job
    }
}

/// What a request brings.
#[derive(Debug)]
pub enum Reply {
    /// Nothing but that it is done.
    Done,
    /// A data object's content; `None` if the card has none.
    Object(Option<Vec<u8>>),
    /// A public key.
    PublicKey(Box<PublicKey>),
    /// A signature in the card's raw form (RSA: modulus length; ECDSA: r‖s; EdDSA: R‖S).
    Signature(Vec<u8>),
    /// What was deciphered, as the card gave it (RSA: without padding; ECDH: the card's octets).
    Plaintext(Secret),
    /// Random octets.
    Random(Vec<u8>),
    /// The card's answer with its status word.
    Apdu(Vec<u8>),
}

/// Why a job failed. Sorted by whose fault it is; the agent maps these to codes in one table.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The device: the token was removed.
    #[error("the token was removed; insert it again")]
    Gone,
    /// The device: a neighbour holds the card for too long.
    #[error("another program is using the card{}; close it or wait for it to finish", named(neighbours))]
    Busy {
        /// Who has the reader layer open too, as far as the system tells: one of them holds the card.
        neighbours: Vec<Process>,
    },
    /// The device: the card or its reader took too long.
    #[error("the card does not answer; remove it and insert it again, or restart pcscd")]
    Silent,
    /// The device: another program reset the card or took it away in the middle, again and again.
    #[error("{operation}: another program reset the card in between; try again, or close that program")]
    Interrupted {
        /// What was being done.
        operation: &'static str,
    },
    /// The device: the reader layer failed.
    #[error("{operation}: {message}")]
    Transport {
        /// What was being done.
        operation: &'static str,
        /// The reader layer's own words.
        message: String,
    },
    /// The person: a wrong PIN.
    #[error("wrong PIN, {} left", tries(*tries_left))]
    WrongPin {
        /// Which.
        pin: PinRef,
        /// How many tries are left, when the card said so.
        tries_left: Option<u8>,
    },
    /// The person: a PIN that no card takes (too short), not sent.
    #[error("the PIN is too short: at least {minimum} characters")]
    PinTooShort {
        /// Which.
        pin: PinPurpose,
        /// The card's minimum.
        minimum: usize,
    },
    /// The person: a PIN that the token does not take, of a wrong length or too simple, or that has to be changed first.
    #[error(
        "the token does not take this PIN: look at its rules for length and characters, or change it first"
    )]
    PinRefused(PinRef),
    /// The person: nothing came from the reader's keys that could be tried.
    #[error("{0}")]
    Pinpad(PinpadEnd),
    /// The person: no tries left.
    #[error("the PIN is blocked; unblock it with the reset code or the admin PIN")]
    PinBlocked(PinRef),
    /// A refusal: the card has no resetting code.
    #[error("no reset code is set")]
    NoResetCode,
    /// A refusal: there is no key in the slot.
    #[error("no key in {0:?} slot")]
    NoKey(Slot),
    /// A refusal: there is a key in the slot already.
    #[error("there is a key in {0:?} slot already; use force to replace it")]
    KeyExists(Slot),
    /// Our caller: the key does not fit the slot.
    #[error("the key does not fit: {0}")]
    BadKey(&'static str),
    /// Our caller: a value that cannot be.
    #[error("{0}")]
    BadValue(&'static str),
    /// A refusal: this card cannot do it.
    #[error("the card cannot do this: {0}")]
    NotSupported(&'static str),
    /// A refusal: the token has no such key or certificate any more.
    #[error("there is no such object on the token any more; look at it anew (SERIALNO)")]
    NoObject,
    /// A PKCS#11 module said something that is none of the above.
    #[error("{function}: the token's module answered {name}")]
    Module {
        /// The function of PKCS#11 that said so.
        function: String,
        /// What, by its name in PKCS#11.
        name: String,
    },
    /// The card answered with a status word that is none of the above.
    #[error("{operation}: the card answered {sw:04X}")]
    Status {
        /// What was being done.
        operation: &'static str,
        /// The status word.
        sw: u16,
    },
    /// The card's answer does not parse.
    #[error("{operation}: the card's answer is malformed: {message}")]
    Malformed {
        /// What was being done.
        operation: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// Why no PIN came from a reader's own keys. No try is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinpadEnd {
    /// Nothing was typed in time.
    #[error("no PIN was typed on the reader in time")]
    TimedOut,
    /// The person called it off there.
    #[error("the PIN entry was cancelled on the reader")]
    Cancelled,
    /// The new PIN was not the same both times.
    #[error("the new PIN was not the same both times")]
    NotRepeated,
    /// The PIN is too short or too long.
    #[error("a PIN of that length is not taken")]
    WrongLength,
}

/// A program that runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub id: u32,
    /// What the system calls it.
    pub name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name.escape_debug(), self.id)
    }
}

/// The most that are named in an error.
const MAX_NAMED: usize = 4;

fn named(neighbours: &[Process]) -> String {
    if neighbours.is_empty() {
        return String::new();
    }
    let mut names: Vec<_> = neighbours.iter().take(MAX_NAMED).map(Process::to_string).collect();
    if neighbours.len() > MAX_NAMED {
        names.push("…".to_owned());
    }
    format!(", of these: {}", names.join(", "))
}

fn tries(left: Option<u8>) -> String {
    left.map_or_else(|| "an unknown number of tries".to_owned(), |n| format!("{n} tries"))
}

/// A name for one stay of one card in one reader, never used twice in the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Insertion(pub u64);

/// The keygrips of the slots, as far as their public keys were read.
pub type Keygrips = [Option<Keygrip>; 3];
