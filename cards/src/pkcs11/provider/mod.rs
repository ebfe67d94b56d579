//! A provider as the daemon sees it: a helper process that is kept alive, and the tokens that it reports.
//!
//! ```text
//!   Starting ── Ready, first look ──► Serving ── gone, late, nonsense ──► Resting ──┐
//!      ▲                                                                            │ back-off
//!      └────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! While a provider rests its tokens are gone; when it serves again they are new insertions. Whoever waits for tokens waits
//! for the first look of a provider only, and not for one that has had its chance.

mod carrier;
mod link;
mod opensc_file;
mod process;
mod tokens;

use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument as _, info, info_span, warn};

use self::link::Link;
use self::opensc_file::OpenScFile;
use self::process::Process;
use self::tokens::Tokens;
use super::ProviderConfig;
use super::wire::frame::Reader;
use super::wire::{FromHelper, Opening, ToHelper};
use crate::deck::{HelperProgram, Register};

/// The first rest of a provider whose helper was lost, and the longest.
const REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// A helper that has served for so long is no bad one: its next rest is the first again.
const GOOD_WHILE: Duration = Duration::from_secs(60);

/// Operations at the same time, where neither configuration nor module say less.
const THREADS: usize = 8;

/// How long a look for tokens is waited for, when somebody asks for one.
const LOOK: Duration = Duration::from_secs(2);

/// What a provider is doing, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderState {
    /// Its name.
    pub name: Arc<str>,
    /// What it is doing.
    pub phase: ProviderPhase,
    /// The process that has loaded its module.
    pub process: Option<u32>,
    /// What the module says of itself, once it has.
    pub library: Option<String>,
    /// How often its helper had to be started anew.
    pub restarts: u64,
    /// Why that was necessary the last time.
    pub last_error: Option<String>,
    /// How many tokens it has now.
    pub tokens: usize,
}

/// What a provider is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderPhase {
    /// Its helper was started and has not reported all its tokens yet.
    Starting,
    /// It serves.
    Serving,
    /// Its helper was lost; another one is started after a while.
    Resting,
}

/// A provider that is kept alive as long as this value lives.
pub(crate) struct Provider {
    shared: Arc<Shared>,
    supervisor: JoinHandle<()>,
}

/// What the supervisor shares with those who ask.
struct Shared {
    config: ProviderConfig,
    program: HelperProgram,
    register: Arc<Register>,
    tokens: Tokens,
    state: watch::Sender<ProviderState>,
    /// Set for good once the first look was made, or could not be.
    had_its_chance: watch::Sender<bool>,
    link: Mutex<Option<Arc<Link>>>,
}

impl Provider {
    /// Starts to keep a provider alive. To be called within a tokio runtime.
    pub(crate) fn start(config: ProviderConfig, program: HelperProgram, register: Arc<Register>) -> Self {
        let name: Arc<str> = Arc::from(config.name.as_str());
        let state = ProviderState {
            name: Arc::clone(&name),
            phase: ProviderPhase::Starting,
            process: None,
            library: None,
            restarts: 0,
            last_error: None,
            tokens: 0,
        };
        let span = info_span!("provider", name = config.name);
        let shared = Arc::new(Shared {
            tokens: Tokens::new(name, Arc::clone(&register)),
            config,
            program,
            register,
            state: watch::Sender::new(state),
            had_its_chance: watch::Sender::new(false),
            link: Mutex::default(),
        });
        let supervised = Arc::clone(&shared);
        let supervisor = tokio::spawn(async move { supervised.supervise().await }.instrument(span));
        Self { shared, supervisor }
    }

    /// Ends when its tokens are known, or when it has had the time that it may take to start.
    pub(crate) async fn settled(&self) {
        let mut chance = self.shared.had_its_chance.subscribe();
        let wait = chance.wait_for(|had| *had);
        // One that is late is nobody's concern any more.
        if timeout(self.shared.config.limits.start, wait).await.is_err() {
            self.shared.had_its_chance.send_replace(true);
        }
    }

    /// Has it look for tokens now, and waits for that, but not for long.
    pub(crate) fn look(&self) -> impl Future<Output = ()> + Send + use<> {
        let link = lock(&self.shared.link).clone();
        let limit = self.shared.config.limits.operation;
        async move {
            if let Some(link) = link {
                // What cannot look has no tokens.
                let _ = timeout(LOOK, link.look(limit)).await;
            }
        }
    }

    /// What it is doing.
    pub(crate) fn state(&self) -> ProviderState {
        let mut state = self.shared.state.borrow().clone();
        state.tokens = self.shared.tokens.count();
        state
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.supervisor.abort();
        // The supervisor may be at work at this moment: nothing that it still hears counts.
        self.shared.tokens.close();
    }
}

impl Shared {
    async fn supervise(self: Arc<Self>) {
        let mut rest = REST;
        loop {
            let began = Instant::now();
            let lost = self.live().await;
            self.had_its_chance.send_replace(true);
            if lost.is_wanted() {
                info!("the helper is started anew: {lost}");
                rest = REST;
                continue;
            }
            warn!("{lost}; the helper is started anew in {rest:?}");
            self.change(|state| {
                state.phase = ProviderPhase::Resting;
                state.process = None;
                state.restarts = state.restarts.saturating_add(1);
                state.last_error = Some(lost.to_string());
            });
            if began.elapsed() > GOOD_WHILE {
                rest = REST;
            }
            sleep(rest).await;
            rest = rest.saturating_mul(2).min(LONGEST_REST);
        }
    }

    /// The life of one helper. What it was lost by.
    async fn live(&self) -> Ending {
        self.change(|state| state.phase = ProviderPhase::Starting);
        let readers = self.register.card_readers();
        // The file lives as long as the helper.
        let file = match OpenScFile::write(&self.config, &readers) {
            Ok(file) => file,
            Err(error) => return Ending::NotStarted(format!("no configuration for OpenSC: {error}")),
        };
        let variables: Vec<_> = file.iter().map(OpenScFile::variable).collect();
        let started = Process::start(&self.program, &self.config, &variables).await;
        let (process, stream) = match started {
            Ok(started) => started,
            Err(error) => return Ending::NotStarted(error.to_string()),
        };
        self.change(|state| state.process = process.id());
        let link = Arc::new(Link::new(stream));
        let ended = self.serve(&link, readers).await;
        link.close();
        // Before the process is waited for: nobody can do anything with them any more.
        *lock(&self.link) = None;
        self.tokens.all_gone();
        let status = process.end().await;
        match ended {
            Ending::Helper(_) => Ending::Helper(status),
            other => other,
        }
    }
}

impl Shared {
    /// Opens the module and hands on what the helper says, until there is a reason to end it.
    async fn serve(&self, link: &Arc<Link>, readers: Vec<String>) -> Ending {
        let opening = self.opening(readers.clone());
        if link.send(&ToHelper::Open(opening), &[]).await.is_err() {
            return Ending::Helper(String::new());
        }
        tokio::select! {
            ending = self.listen(link) => ending,
            () = self.not_started() => Ending::NotStarted("it took too long".to_owned()),
            () = self.readers_differ(&readers, link) => Ending::Readers,
        }
    }

    /// Hears what the helper says, until it says nothing more.
    async fn listen(&self, link: &Arc<Link>) -> Ending {
        let mut inbox = Reader::new();
        let mut is_ready = false;
        loop {
            match link.news(&mut inbox).await {
                Ok(Some(FromHelper::Unusable(fault))) => return Ending::NotStarted(fault.to_string()),
                Ok(Some(FromHelper::Ready { threads, library })) if !is_ready => {
                    is_ready = true;
                    self.ready(link, threads, library);
                }
                Ok(Some(message)) if is_ready => self.hear(link, message).await,
                Ok(Some(_)) => return Ending::Nonsense("it is not ready and speaks of tokens".to_owned()),
                Ok(None) if link.is_late() => return Ending::Late,
                Ok(None) => return Ending::Helper(String::new()),
                Err(error) => return Ending::Nonsense(error.to_string()),
            }
        }
    }

    fn opening(&self, without_readers: Vec<String>) -> Opening {
        let config = &self.config;
        Opening {
            module: config.module.as_os_str().as_bytes().to_vec(),
            init_reserved: config.init_reserved.clone(),
            slots: config.slots.clone(),
            without_readers,
            threads: config.threads.unwrap_or(THREADS),
            poll: millis(config.limits.poll),
            memory: config.limits.memory,
        }
    }

    fn ready(&self, link: &Arc<Link>, threads: usize, library: String) {
        link.ready(threads);
        *lock(&self.link) = Some(Arc::clone(link));
        self.change(|state| state.library = Some(library));
    }

    async fn hear(&self, link: &Arc<Link>, message: FromHelper) {
        match message {
            FromHelper::Token(report) => {
                let library = self.state.borrow().library.clone().unwrap_or_default();
                self.tokens.report(report, library, &self.config, link).await;
                // Whoever watches over the start sees that it goes on.
                self.change(|_| {});
            }
            FromHelper::Gone { slot } => self.tokens.gone(slot),
            FromHelper::Looked { .. } => {
                self.change(|state| state.phase = ProviderPhase::Serving);
                self.had_its_chance.send_replace(true);
            }
            // Said once, and answers to tasks are sorted out before.
            FromHelper::Ready { .. } | FromHelper::Unusable(_) | FromHelper::Done { .. } => {}
        }
    }

    /// Ends when the helper should serve by now, and does not. Nobody waits for its tokens so long; but a slow card needs more
    /// time, and each token that is reported gives it anew.
    async fn not_started(&self) {
        let limits = self.config.limits;
        let mut state = self.state.subscribe();
        while state.borrow_and_update().phase != ProviderPhase::Serving {
            if timeout(limits.start.saturating_add(limits.operation), state.changed()).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Ends when a card that is served natively is in a reader that the module was not told to leave alone, and nothing runs.
    async fn readers_differ(&self, known: &[String], link: &Link) {
        self.register.until(|register| self.intrudes(&register.card_readers(), known)).await;
        link.idle().await;
    }

    fn intrudes(&self, readers: &[String], known: &[String]) -> bool {
        let mut new = readers.iter().filter(|reader| !known.contains(reader));
        new.any(|reader| self.config.opensc || self.tokens.has_slot_at(reader))
    }

    fn change(&self, change: impl FnOnce(&mut ProviderState)) {
        self.state.send_modify(change);
    }
}

/// Why a helper is not there any more.
#[derive(Debug, thiserror::Error)]
enum Ending {
    #[error("it could not be started: {0}")]
    NotStarted(String),
    #[error("the helper ended ({0})")]
    Helper(String),
    #[error("an operation took too long")]
    Late,
    #[error("the helper does not speak our language: {0}")]
    Nonsense(String),
    #[error("a card in one of its readers is served natively now")]
    Readers,
}

impl Ending {
    /// Whether it was our wish.
    fn is_wanted(&self) -> bool {
        matches!(self, Self::Readers)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Locks a mutex whose data is whole at every moment, so that a panic elsewhere does not spread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
