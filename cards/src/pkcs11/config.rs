//! What is configured of a provider: which module, which of its tokens and objects, and how long it may take.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use claviger_keys::pkcs11::uri::Uri;

/// A PKCS#11 module and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// What it is called in logs and errors; unique.
    pub name: String,
    /// The shared object.
    pub module: PathBuf,
    /// The string that p11-kit hands to the module as `x-init-reserved`.
    pub init_reserved: Option<String>,
    /// Changes to the helper's environment; `None` removes a variable.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// Only tokens that one of these fits; all if there is none.
    pub tokens: Vec<Uri>,
    /// No token that one of these fits.
    pub without_tokens: Vec<Uri>,
    /// Only these slots, by number; all if there is none.
    pub slots: Vec<u64>,
    /// Only private keys that one of these fits; all if there is none.
    pub keys: Vec<Uri>,
    /// Only certificates that one of these fits; all if there is none.
    pub certificates: Vec<Uri>,
    /// When the user's PIN is given.
    pub login: LoginMode,
    /// How many operations may run at the same time, where the module allows threads at all; `None` lets us choose.
    pub threads: Option<usize>,
    /// How long it may take.
    pub limits: ProviderLimits,
    /// Whether the module looks at readers by itself and has to be told, by an OpenSC configuration, which ones are ours.
    pub opensc: bool,
}

impl ProviderConfig {
    /// A module with everything as it comes.
    #[must_use]
    pub fn new(name: impl Into<String>, module: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            module: module.into(),
            init_reserved: None,
            environment: Vec::new(),
            tokens: Vec::new(),
            without_tokens: Vec::new(),
            slots: Vec::new(),
            keys: Vec::new(),
            certificates: Vec::new(),
            login: LoginMode::WhenNeeded,
            threads: None,
            limits: ProviderLimits::default(),
            opensc: false,
        }
    }
}

/// When the user's PIN is given to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginMode {
    /// When the token says that it is needed.
    WhenNeeded,
    /// Before every private operation, whatever the token says.
    Always,
    /// Never.
    Never,
}

/// How long a provider may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderLimits {
    /// How long those who look for tokens wait for loading, initialising and the first look. It may go on for an operation's time
    /// longer, from each token on that it reports.
    pub start: Duration,
    /// One operation; also one that waits for a touch.
    pub operation: Duration,
    /// One that makes a key, or in which a person types a PIN at the token.
    pub patience: Duration,
    /// Between two looks for tokens, where the module has no events.
    pub poll: Duration,
    /// The most memory that the helper may have, in octets; it is replaced when it has more.
    pub memory: u64,
}

impl Default for ProviderLimits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(10),
            operation: Duration::from_secs(30),
            patience: Duration::from_secs(300),
            poll: Duration::from_secs(1),
            memory: 1 << 30,
        }
    }
}
