//! The register of what is present: tokens by insertion, newest first, and the readers they sit in.
//!
//! ```text
//!   reader::pcsc     ─┐ arrive / depart          ┌─► worker thread (one per card)
//!   reader::socket   ─┼────► Register ── spawns ─┘
//!   pkcs11::provider ─┘         ▲ tokens, events
//!   agent ── scan ── Deck ──────┘
//! ```
//!
//! Nothing is touched before the first [`Deck::scan`]. Afterwards presence comes by events of the reader layer; a scan
//! only makes sure that what happened so far has arrived here, which is what a client's SERIALNO expects.

mod handle;
mod register;

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::pkcs11::provider::Provider;
use crate::pkcs11::{self, ProviderConfig, ProviderState};
use crate::reader::{Reader, pcsc, socket};
use crate::token::{Insertion, TokenError};

use handle::Limits;

pub use handle::{Carrier, TokenHandle};
pub(crate) use register::{Arrival, Connected, Register, Source};

/// How long is waited until a card that could not be opened is tried again for those who wait: at
/// first, and after many times.
const AGAIN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(60);

/// Which readers there are, and how long they may take.
#[derive(Debug, Clone)]
pub struct DeckConfig {
    /// Use PC/SC.
    pub pcsc: bool,
    /// Listen here for virtual cards; never open by default.
    pub reader_socket: Option<PathBuf>,
    /// Only readers whose names begin like this.
    pub reader_port: Option<String>,
    /// Whether PINs may be typed on readers' own keys.
    pub pinpads: Pinpads,
    /// How long a neighbour may hold a card before a job fails with [`crate::token::TokenError::Busy`].
    pub deadline: Duration,
    /// How long one job may talk with its card before it fails with [`crate::token::TokenError::Silent`]: a slow card
    /// takes minutes for a large key.
    pub patience: Duration,
    /// How long the first scan waits for a card at the reader socket that was started before the daemon.
    pub settle: Duration,
    /// PKCS#11 modules.
    pub providers: Vec<ProviderConfig>,
    /// The program that loads a module, with the arguments that make it do so; `None` where there are no providers.
    pub helper: Option<HelperProgram>,
}

/// The program that loads PKCS#11 modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperProgram {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Default for DeckConfig {
    fn default() -> Self {
        Self {
            pcsc: true,
            reader_socket: None,
            reader_port: None,
            pinpads: Pinpads::AsReadersSay,
            deadline: Duration::from_secs(30),
            patience: Duration::from_secs(600),
            settle: Duration::from_millis(500),
            providers: Vec::new(),
            helper: None,
        }
    }
}

/// Whether PINs may be typed on readers' own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinpads {
    /// Never.
    Unused,
    /// As far as readers say that they can.
    AsReadersSay,
    /// The same, taking it that every one of them takes PINs of any length.
    OfAnyLength,
}

/// Why a scan could not look.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ScanError {
    /// There is no PC/SC service.
    #[error(
        "no PC/SC service: {cause}; start pcscd (systemctl start pcscd.socket), on Debian: apt install pcscd"
    )]
    NoService {
        /// PC/SC's own words.
        cause: String,
    },
    /// The PC/SC service does not let this user in.
    #[error(
        "PC/SC refuses this user: {cause}; allow org.debian.pcsc-lite.access_pcsc in a polkit rule, or log in at the \
         console"
    )]
    Denied {
        /// PC/SC's own words.
        cause: String,
    },
    /// The reader socket could not be opened.
    #[error("cannot listen at {}: {cause}", path.display())]
    ReaderSocket {
        /// Where.
        path: PathBuf,
        /// The system's own words.
        cause: String,
    },
    /// A card is there, but could not be opened.
    #[error("the card in {reader} cannot be used: {cause}")]
    CardUnusable {
        /// In which reader.
        reader: String,
        /// Why.
        cause: String,
    },
}

impl From<::pcsc::Error> for ScanError {
    fn from(error: ::pcsc::Error) -> Self {
        let cause = error.to_string();
        if error == ::pcsc::Error::SecurityViolation {
            Self::Denied { cause }
        } else {
            Self::NoService { cause }
        }
    }
}

/// Something happened to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeckEvent {
    /// What.
    pub change: Change,
    /// To which stay.
    pub insertion: Insertion,
    /// The token's serial number.
    pub serial: String,
}

/// What can happen to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is there and was opened.
    Inserted,
    /// It is gone.
    Removed,
    /// It lost its verifications: reset by a neighbour, or on request.
    Reset,
}

/// The register of what is present. A clone is the same register.
#[derive(Clone)]
pub struct Deck {
    inner: Arc<Inner>,
}

struct Inner {
    config: DeckConfig,
    register: Arc<Register>,
    sources: Mutex<Sources>,
}

/// What a scan relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// The readers' events, where there is a token already.
    Events,
    /// Nothing that was heard so far.
    Nothing,
}

/// The reader layers, as far as they were started.
#[derive(Default)]
struct Sources {
    pcsc: Option<pcsc::Watch>,
    socket: Option<socket::Listener>,
    settled: bool,
    /// `None` before they were started.
    providers: Option<Arc<[Provider]>>,
}

impl Deck {
    /// An empty register. Does no IO.
    #[must_use]
    pub fn new(config: DeckConfig) -> Self {
        let limits = Limits { turn: config.deadline, job: config.patience };
        let register = Arc::new(Register::new(limits).with_pinpads(config.pinpads));
        Self { inner: Arc::new(Inner { config, register, sources: Mutex::default() }) }
    }

    /// Opens the reader socket, if one is configured, so that cards can plug in before anybody asks for them. To be
    /// called after the greeting; [`Deck::scan`] does it otherwise.
    ///
    /// # Errors
    /// [`ScanError::ReaderSocket`].
    pub fn listen(&self) -> Result<(), ScanError> {
        let Some(path) = &self.inner.config.reader_socket else { return Ok(()) };
        let mut sources = self.inner.sources();
        if sources.socket.is_none() {
            let listener = socket::Listener::open(path, Arc::clone(&self.inner.register))
                .map_err(|error| ScanError::ReaderSocket { path: path.clone(), cause: error.to_string() })?;
            sources.socket = Some(listener);
        }
        Ok(())
    }

    /// Starts the reader layer on first use, and waits until the cards that are there now are known and opened.
    ///
    /// # Errors
    /// See [`ScanError`]. When one source fails and another has a token, that is no error.
    pub async fn scan(&self) -> Result<(), ScanError> {
        self.look(Trust::Events).await
    }

    /// The same for those who miss a card: asks the readers even where [`Deck::scan`] leaves that to events.
    ///
    /// # Errors
    /// As [`Deck::scan`].
    pub async fn scan_anew(&self) -> Result<(), ScanError> {
        self.look(Trust::Nothing).await
    }

    async fn look(&self, trust: Trust) -> Result<(), ScanError> {
        let listening = self.listen();
        let service = self.look_at_readers(trust).await;
        self.look_at_socket().await;
        self.inner.register.retry_unusable();
        self.inner.register.all_opened(self.inner.config.deadline).await;
        self.look_at_providers(trust).await;
        if self.inner.register.has_tokens() {
            return Ok(());
        }
        listening?;
        service?;
        self.inner.register.first_unusable().map_or(Ok(()), Err)
    }

    /// Ends when the tokens of all PKCS#11 providers are known, as far as these had the time that they may take to start. For
    /// those who want all tokens, or one that a scan did not find: a scan with an OpenPGP card there waits for no module.
    pub async fn settled(&self) {
        for provider in self.start_providers().iter() {
            // One after the other: they have started at the same time, and so does the time that each has.
            provider.settled().await;
        }
    }

    /// What the PKCS#11 providers are doing.
    #[must_use]
    pub fn providers(&self) -> Vec<ProviderState> {
        let providers = self.inner.sources().providers.clone();
        providers.iter().flat_map(|all| all.iter()).map(Provider::state).collect()
    }

    /// A card in a reader of the caller's own is there, from now until it fails with
    /// [`card_backend::SmartcardError::CardNotFound`]. A scan waits until it is opened.
    pub fn plug_in(&self, name: &str, reader: Box<dyn Reader>) {
        let reader = Mutex::new(Some(reader));
        let gone =
            || TokenError::Transport { operation: "opening the card", message: "tried before".to_owned() };
        let connect = move || {
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(gone)?;
            Ok(Connected { reader, atr: Vec::new() })
        };
        self.inner.register.arrive(Arrival { reader: name.to_owned(), connect: Arc::new(connect) });
    }

    /// A PKCS#11 token of the caller's own is there, from now until [`Deck::pull_out`].
    pub fn plug_in_token(
        &self,
        facts: watch::Receiver<Arc<pkcs11::Facts>>,
        carrier: Arc<dyn Carrier>,
    ) -> Insertion {
        self.inner.register.arrive_token(facts, carrier)
    }

    /// A token of the caller's own is gone.
    pub fn pull_out(&self, insertion: Insertion) {
        self.inner.register.depart(insertion);
    }

    /// The tokens that are present: OpenPGP cards before others, the newest first.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenHandle> {
        self.inner.register.tokens()
    }

    /// The names of the readers, with or without a card.
    #[must_use]
    pub fn readers(&self) -> Vec<String> {
        self.inner.register.readers()
    }

    /// Where tokens arrive and depart.
    #[cfg(test)]
    pub(crate) fn register(&self) -> &Arc<Register> {
        &self.inner.register
    }

    /// What happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<DeckEvent> {
        self.inner.register.subscribe()
    }

    /// Never ends. While it goes on, a card that could not be opened is tried again from time to time: nothing tells when
    /// that has become possible. For those who wait for what comes, and do not scan.
    pub async fn attend(&self) -> Infallible {
        let mut pause = AGAIN;
        loop {
            self.inner.register.some_unusable().await;
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(SELDOM);
            if let Err(error) = self.scan().await {
                debug!(%error, "tried again in vain");
            }
        }
    }

    /// Stops the reader layers and lets the tokens go, un-reset. The deck is empty afterwards.
    pub fn shutdown(&self) {
        let sources = std::mem::take(&mut *self.inner.sources());
        drop(sources);
        self.inner.register.clear();
    }

    async fn look_at_readers(&self, trust: Trust) -> Result<(), ScanError> {
        if !self.inner.config.pcsc {
            return Ok(());
        }
        let answer = {
            let mut sources = self.inner.sources();
            let watch = sources.pcsc(&self.inner);
            let doubt = self.inner.register.take_doubt();
            let trusted = trust == Trust::Events && !doubt;
            if trusted && watch.is_hearing() && self.inner.register.has_tokens() {
                // Events say the rest. Asking costs milliseconds, which only a client that would get nothing should pay.
                return Ok(());
            }
            watch.look()
        };
        let answer = timeout(self.inner.config.deadline, answer).await;
        match answer {
            Ok(Ok(outcome)) => outcome.map_err(ScanError::from),
            Ok(Err(_)) | Err(_) => Err(ScanError::NoService { cause: "it does not answer".to_owned() }),
        }
    }

    /// Starts the providers on first use. Their helpers are told which readers to leave alone, so this comes behind the cards.
    fn start_providers(&self) -> Arc<[Provider]> {
        let config = &self.inner.config;
        let start = |program: &HelperProgram| {
            let start = |provider: &ProviderConfig| {
                Provider::start(provider.clone(), program.clone(), Arc::clone(&self.inner.register))
            };
            config.providers.iter().map(start).collect()
        };
        let mut sources = self.inner.sources();
        let providers =
            sources.providers.get_or_insert_with(|| config.helper.as_ref().map(start).unwrap_or_default());
        Arc::clone(providers)
    }

    async fn look_at_providers(&self, trust: Trust) {
        let providers = self.start_providers();
        if trust == Trust::Nothing {
            // At the same time: one that hangs costs no more than one.
            let mut looks = JoinSet::new();
            for provider in providers.iter() {
                looks.spawn(provider.look());
            }
            looks.join_all().await;
        }
        if !self.inner.register.has_cards() {
            self.settled().await;
        }
    }

    async fn look_at_socket(&self) {
        let (answer, first) = {
            let mut sources = self.inner.sources();
            let first = !std::mem::replace(&mut sources.settled, true);
            let Some(listener) = &sources.socket else { return };
            (listener.look(), first)
        };
        // A listener that is gone has nothing to tell.
        let _ = timeout(self.inner.config.deadline, answer).await;
        if first {
            self.inner.register.first_card(self.inner.config.settle).await;
        }
    }
}

impl Inner {
    fn sources(&self) -> std::sync::MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources {
    fn pcsc(&mut self, deck: &Inner) -> &pcsc::Watch {
        self.pcsc.get_or_insert_with(|| {
            pcsc::Watch::start(Arc::clone(&deck.register), deck.config.reader_port.clone())
        })
    }
}
