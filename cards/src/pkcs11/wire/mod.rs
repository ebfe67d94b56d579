//! What daemon and helper say to each other, typed at both ends: neither can send the other's messages.
//!
//! A message is a frame: two lengths, its body (postcard), and behind it the secrets that belong to it, which are never part
//! of the body and go from the socket into locked memory.
//!
//! Foreign octets (attributes of objects) travel as the module gave them; what they mean is found out in the daemon, with the
//! parsers of `claviger-keys`.

pub(super) mod codes;
pub mod frame;
mod limits;

use serde::{Deserialize, Serialize};

/// What the daemon says. The number of a task names it in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHelper {
    /// The first message: load this module.
    Open(Opening),
    /// Carry out a task with a token. PINs and secret numbers are the frame's secrets, in the order of the task's doc.
    Do {
        /// Names it.
        number: u64,
        /// Which slot, as in [`FromHelper::Token`].
        slot: u64,
        /// Log in first, where that is needed for it. Its PIN is the first of the secrets.
        login: Option<Login>,
        /// What.
        task: Task,
    },
    /// Look for tokens now.
    Look {
        /// Names it.
        number: u64,
    },
}

/// How a module is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The shared object (octets of its path).
    pub module: Vec<u8>,
    /// `x-init-reserved`.
    pub init_reserved: Option<String>,
    /// Only these slots; all if there is none.
    pub slots: Vec<u64>,
    /// Slots whose description begins with one of these are left alone: their readers' cards are served natively.
    pub without_readers: Vec<String>,
    /// How many operations may run at the same time at most.
    pub threads: usize,
    /// Between two looks for tokens, in milliseconds.
    pub poll: u64,
    /// The most memory that the helper may have, in octets: it ends when it has more and nothing runs.
    pub memory: u64,
}

/// What the helper says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHelper {
    /// The module was initialised. Its tokens follow as [`FromHelper::Token`], then [`FromHelper::Looked`] with number 0.
    Ready {
        /// Operations that may run at the same time: 1 where the module allows no threads.
        threads: usize,
        /// `libraryDescription`.
        #[serde(deserialize_with = "limits::text")]
        library: String,
    },
    /// The module cannot be used; the helper ends.
    Unusable(Fault),
    /// A token is there, or is not what it was: all that is known of it now.
    Token(TokenReport),
    /// A token is gone.
    Gone {
        /// From which slot.
        slot: u64,
    },
    /// The look with this number is over.
    Looked {
        /// Which look; 0 the first one.
        number: u64,
    },
    /// The task with this number has ended. What changed at the token was reported before.
    Done {
        /// Which task.
        number: u64,
        /// How. A plaintext is the frame's secret.
        result: Result<Answer, Fault>,
    },
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenReport {
    /// Its slot.
    pub slot: u64,
    /// `slotDescription`, without padding.
    #[serde(deserialize_with = "limits::text")]
    pub slot_description: String,
    /// `manufacturerID`, without padding.
    #[serde(deserialize_with = "limits::text")]
    pub manufacturer: String,
    /// `model`.
    #[serde(deserialize_with = "limits::text")]
    pub model: String,
    /// `serialNumber`.
    #[serde(deserialize_with = "limits::text")]
    pub serial: String,
    /// `label`.
    #[serde(deserialize_with = "limits::text")]
    pub label: String,
    /// `firmwareVersion`.
    pub firmware: (u8, u8),
    /// `flags` of the token.
    pub flags: TokenFlags,
    /// `ulMinPinLen`, `ulMaxPinLen`.
    pub pin_length: (u64, u64),
    /// `CKM_` numbers.
    #[serde(deserialize_with = "limits::numbers")]
    pub mechanisms: Vec<u64>,
    /// Whether the user is logged in now.
    pub logged_in: bool,
    /// Whether the objects were read while the user was logged in, in this insertion.
    pub seen_private: bool,
    /// All keys, private and public.
    #[serde(deserialize_with = "limits::objects")]
    pub keys: Vec<KeyObject>,
    /// All certificates.
    #[serde(deserialize_with = "limits::objects")]
    pub certificates: Vec<CertificateObject>,
}

/// `CKF_` flags of a token (PKCS#11, CK_TOKEN_INFO), as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenFlags(pub u64);

/// A private or public key as it is on the token. Attributes that the module did not give are empty or `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyObject {
    /// Its handle, in the life of the helper.
    pub handle: u64,
    /// `CKO_PRIVATE_KEY`, or else `CKO_PUBLIC_KEY`.
    pub private: bool,
    /// `CKA_KEY_TYPE`.
    pub key_type: u64,
    /// `CKA_ID`.
    pub id: Vec<u8>,
    /// `CKA_LABEL`.
    pub label: Vec<u8>,
    /// `CKA_SIGN` or `CKA_VERIFY`.
    pub sign: Option<bool>,
    /// `CKA_DECRYPT` or `CKA_ENCRYPT`.
    pub decrypt: Option<bool>,
    /// `CKA_UNWRAP` or `CKA_WRAP`.
    pub unwrap: Option<bool>,
    /// `CKA_DERIVE`.
    pub derive: Option<bool>,
    /// `CKA_ALWAYS_AUTHENTICATE`.
    pub always_authenticate: bool,
    /// `CKA_MODULUS`.
    pub modulus: Vec<u8>,
    /// `CKA_PUBLIC_EXPONENT`.
    pub exponent: Vec<u8>,
    /// `CKA_EC_PARAMS`.
    pub ec_params: Vec<u8>,
    /// `CKA_EC_POINT`.
    pub ec_point: Vec<u8>,
    /// `CKA_PUBLIC_KEY_INFO`, where the module has it.
    pub public_key_info: Vec<u8>,
    /// `CKA_PARAMETER_SET` of ML-DSA and ML-KEM keys.
    pub parameter_set: Option<u64>,
}

/// A certificate as it is on the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateObject {
    /// Its handle, in the life of the helper.
    pub handle: u64,
    /// `CKA_ID`.
    pub id: Vec<u8>,
    /// `CKA_LABEL`.
    pub label: Vec<u8>,
    /// `CKA_VALUE`.
    pub value: Vec<u8>,
}

/// A private key to work with. Its handle is `None` where none was seen before the login: it is found by the rest then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRef {
    /// Its handle.
    pub handle: Option<u64>,
    /// `CKA_KEY_TYPE`.
    pub key_type: u64,
    /// `CKA_ID`.
    pub id: Vec<u8>,
    /// `CKA_LABEL`.
    pub label: Vec<u8>,
    /// `CKA_MODULUS` of an RSA key.
    pub modulus: Vec<u8>,
    /// Whether a PIN is wanted for each use.
    pub always_authenticate: bool,
}

/// A login before a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Who.
    pub user: User,
    /// Whether the PIN is typed at the token (`CKF_PROTECTED_AUTHENTICATION_PATH`); otherwise it is a secret of the frame.
    pub at_token: bool,
}

/// Who logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum User {
    /// `CKU_USER`.
    User,
    /// `CKU_SO`.
    SecurityOfficer,
    /// `CKU_CONTEXT_SPECIFIC`: for one use of a key.
    ContextSpecific,
}

/// What a token is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Nothing but the login that comes with it.
    Login,
    /// `C_Logout`.
    Logout,
    /// Read everything anew. Answered by a report, then [`Answer::Done`].
    Enumerate,
    /// `C_SignInit`, `C_Sign`.
    Sign {
        /// With which key.
        key: KeyRef,
        /// How.
        mechanism: SignMechanism,
        /// What.
        data: Vec<u8>,
    },
    /// `C_DecryptInit`, `C_Decrypt`. The plaintext is the frame's secret.
    Decrypt {
        /// With which key.
        key: KeyRef,
        /// How.
        mechanism: DecryptMechanism,
        /// What.
        data: Vec<u8>,
    },
    /// `C_DeriveKey` with `CKM_ECDH1_DERIVE` and no KDF, then `CKA_VALUE`. The shared octets are the frame's secret.
    Derive {
        /// With which key.
        key: KeyRef,
        /// The other side's point, raw.
        point: Vec<u8>,
        /// How many octets are wanted.
        length: u64,
    },
    /// `C_GenerateRandom`.
    Random {
        /// How many octets.
        length: usize,
    },
    /// `C_SetPIN` of the user who is, or else is to be, logged in: old and new PIN are the next secrets, unless they are typed
    /// at the token.
    SetPin {
        /// Of whom: [`User::User`] or [`User::SecurityOfficer`].
        user: User,
        /// Whether both are typed at the token.
        at_token: bool,
    },
    /// `C_InitPIN` after the security officer's login: the new PIN is the next secret, unless it is typed at the token.
    InitPin {
        /// Whether it is typed at the token.
        at_token: bool,
    },
    /// `C_GenerateKeyPair`.
    Generate {
        /// `CKM_`.
        mechanism: u64,
        /// Attributes of the public key.
        public: Vec<Attribute>,
        /// Attributes of the private key.
        private: Vec<Attribute>,
    },
    /// `C_CreateObject`. Values that are missing in the attributes are the next secrets, in order.
    Create(Vec<Attribute>),
    /// `C_DestroyObject`.
    Destroy {
        /// Which.
        handle: u64,
    },
}

/// An attribute of a new object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// `CKA_`.
    pub kind: u64,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttributeValue {
    /// A `CK_BBOOL`.
    Bool(bool),
    /// A `CK_ULONG`.
    Ulong(u64),
    /// Octets.
    Octets(Vec<u8>),
    /// Octets that are the frame's next secret.
    Secret,
}

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignMechanism {
    /// `CKM_RSA_PKCS`.
    RsaPkcs,
    /// `CKM_RSA_PKCS_PSS`, with the `CKM_` of the hash and the octets of salt.
    RsaPss {
        /// `CKM_SHA256` and the like.
        hash: u64,
        /// Octets.
        salt: u64,
    },
    /// `CKM_RSA_X_509`: the data is as long as the modulus.
    RsaRaw,
    /// `CKM_ECDSA`.
    Ecdsa,
    /// `CKM_EDDSA` without a parameter.
    EdDsa,
}

/// How octets are deciphered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecryptMechanism {
    /// `CKM_RSA_PKCS`.
    RsaPkcs,
    /// `CKM_RSA_PKCS_OAEP`, with the `CKM_` of the hash.
    RsaOaep {
        /// `CKM_SHA256` and the like.
        hash: u64,
    },
    /// `CKM_RSA_X_509`.
    RsaRaw,
}

/// What a task has brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing but that it is done.
    Done,
    /// The plaintext or shared secret is the frame's secret.
    Secret,
    /// A signature, as the module gave it.
    Signature(Vec<u8>),
    /// Random octets.
    Random(Vec<u8>),
    /// The handles of a new key pair, public and private, or of one new object.
    Created(#[serde(deserialize_with = "limits::numbers")] Vec<u64>),
}

/// Why a task failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// This login is needed first. Nothing was done.
    #[error("a login is needed")]
    LoginNeeded {
        /// Whose.
        user: User,
        /// The token's flags at the moment.
        flags: TokenFlags,
    },
    /// `CKR_PIN_INCORRECT` and its like.
    #[error("wrong PIN")]
    WrongPin {
        /// Whose.
        user: User,
        /// The token's flags after it.
        flags: TokenFlags,
    },
    /// `CKR_PIN_LOCKED`.
    #[error("the PIN is locked")]
    PinLocked(User),
    /// `CKR_PIN_LEN_RANGE`, `CKR_PIN_INVALID`, `CKR_PIN_TOO_WEAK`, `CKR_PIN_EXPIRED`.
    #[error("the token does not take such a PIN")]
    PinRefused(User),
    /// The person called it off at the token (`CKR_FUNCTION_CANCELED`).
    #[error("it was called off at the token")]
    Cancelled,
    /// The token is not there any more.
    #[error("the token was removed")]
    Gone,
    /// There is no such key or object any more.
    #[error("there is no such object")]
    NoObject,
    /// The token or the key cannot do it (`CKR_MECHANISM_INVALID`, `CKR_KEY_FUNCTION_NOT_PERMITTED`, …).
    #[error("{function}: not supported ({})", codes::name(*code))]
    NotSupported {
        /// The function that said so.
        function: String,
        /// `CKR_`.
        code: u64,
    },
    /// The module said something else.
    #[error("{function}: {}", codes::name(*code))]
    Module {
        /// The function that said so.
        function: String,
        /// `CKR_`.
        code: u64,
    },
    /// What the module gave cannot be.
    #[error("{function}: the module's answer is malformed")]
    Malformed {
        /// The function whose answer it was.
        function: String,
    },
    /// The shared object cannot be loaded.
    #[error("the module cannot be loaded: {0}")]
    Loading(String),
}
