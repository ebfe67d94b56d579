//! The process at work: serves a pipe, a socket or both until its clients are gone.
//!
//! | mode | pipe | socket | ends |
//! |---|---|---|---|
//! | `--server` | yes | no | with the pipe |
//! | `--multi-server` | yes | yes | with the pipe and the sessions that are open then |
//! | `--daemon` | no | yes | on a signal, KILLSCD, or with the program that it was started for |
//!
//! SIGTERM waits for open sessions, unless it comes for the third time; SIGINT does not wait. SIGHUP forgets PINs,
//! SIGUSR1 writes the state to the log. Nothing is told to a card at the end: it stays as it is.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;

use claviger_assuan::error::Source;
use claviger_assuan::server::Session as WireSession;
use claviger_assuan_tokio::server;
use claviger_cards::deck::{Change, Deck, DeckConfig};
use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::detach::{self, INFO};
use super::hub::{Client, Hub};
use super::listener::{Listener, SOCKET_NAME};
use super::session::Session;
use super::settings::Settings;
use super::typed::Typed;
use super::{TABLE, info};
use crate::home;

/// The first words to each client; GnuPG's, since people's scripts look for them.
const GREETING: &str = "GNU Privacy Guard's Smartcard server ready";

/// The variable in which libassuan's clients leave their process id when they start a pipe server.
const CLIENT_PID: &str = "_assuan_pipe_connect_pid";

/// How many times SIGTERM has to come until sessions are cut, as in GnuPG.
const PATIENCE: u32 = 3;

/// Serves until the end, in the mode that was `typed`.
///
/// # Errors
/// When the socket cannot be opened or signals not be caught.
pub(super) async fn run(settings: Settings, typed: &Typed) -> io::Result<()> {
    let path = home::socket_directory(&settings.homedir).join(SOCKET_NAME);
    let listener = match typed.multi_server || typed.daemon {
        true => Some(listen(&path, &settings)?),
        false => None,
    };
    let deck = Deck::new(DeckConfig {
        pcsc: settings.reader_socket.is_none(),
        reader_socket: settings.reader_socket.clone(),
        reader_port: settings.reader_port.clone(),
        ..DeckConfig::default()
    });
    let hub = Arc::new(Hub::new(settings, deck, listener.is_some().then(|| path.clone())));
    let mut daemon = Daemon { hub, sessions: JoinSet::new(), terms: 0, ending: false };
    if typed.daemon {
        announce(&path)?;
    } else {
        daemon.serve_pipe();
    }
    daemon.start_chores();
    daemon.run(listener).await
}

fn listen(path: &Path, settings: &Settings) -> io::Result<Listener> {
    Listener::bind(path, settings.listen_backlog).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; another scdaemon is running there: stop it with gpgconf --kill scdaemon"
            }
            io::ErrorKind::NotFound => "; create the directory, for its owner only",
            _ => "",
        };
        io::Error::other(format!("cannot listen at {}: {error}{advice}", path.display()))
    })
}

/// Tells on standard output where the daemon listens; one that was left behind gives up the terminal then.
fn announce(path: &Path) -> io::Result<()> {
    println!("{INFO}={}:{}:1", path.display(), std::process::id());
    if detach::is_detached() {
        let nothing = std::fs::File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&nothing)?;
        rustix::stdio::dup2_stderr(&nothing)?;
    }
    Ok(())
}

struct Daemon {
    hub: Arc<Hub>,
    sessions: JoinSet<Ended>,
    /// How often SIGTERM has come.
    terms: u32,
    /// No more clients are accepted; the process ends with the last session.
    ending: bool,
}

/// How a session's end matters to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It does not.
    Socket,
    /// The client that started us is gone.
    Pipe,
    /// A client asked for the end.
    Killed,
}

/// The signals that are listened for.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user1: Signal,
    /// Ignored, as in GnuPG: its default action would end the process.
    user2: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }
}

impl Daemon {
    /// Accepts clients, reaps sessions and obeys signals until the end.
    async fn run(mut self, listener: Option<Listener>) -> io::Result<()> {
        let mut signals = Signals::new()?;
        let mut listener = listener;
        loop {
            tokio::select! {
                client = accept(listener.as_ref()) => self.serve_socket(client),
                Some(ended) = self.sessions.join_next() => {
                    match ended {
                        Ok(Ended::Killed) => break,
                        Ok(Ended::Pipe) => self.ending = true,
                        Ok(Ended::Socket) => {}
                        Err(error) => tracing::error!(%error, "a session failed"),
                    }
                }
                _ = signals.terminate.recv() => {
                    self.terms = self.terms.saturating_add(1);
                    self.ending = true;
                    tracing::info!(sessions = self.sessions.len(), "SIGTERM received; ending with the last session");
                }
                _ = signals.interrupt.recv() => break,
                _ = signals.hang_up.recv() => {
                    tracing::info!("SIGHUP received; PINs are forgotten");
                    self.hub.pins.clear();
                }
                _ = signals.user1.recv() => info::dump(&self.hub),
                _ = signals.user2.recv() => {}
            }
            if self.ending {
                listener = None;
            }
            if self.terms >= PATIENCE || (self.ending && self.sessions.is_empty()) {
                break;
            }
        }
        self.sessions.shutdown().await;
        self.hub.deck.shutdown();
        Ok(())
    }

    /// Serves the client that started us, on standard input and output.
    fn serve_pipe(&mut self) {
        let pid = std::env::var(CLIENT_PID).ok().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
        let session = Session::new(self.hub.clone(), Client::new(pid));
        let input = io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
        let output = io::stdout().as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd);
        match (input, output) {
            (Ok(input), Ok(output)) => self.serve(input, output, session, Ended::Pipe),
            // A terminal or a file, as when somebody tries us by hand.
            _ => self.serve(tokio::io::stdin(), tokio::io::stdout(), session, Ended::Pipe),
        }
    }

    fn serve_socket(&mut self, client: io::Result<(tokio::net::UnixStream, Option<Pid>)>) {
        match client {
            Ok((stream, pid)) => {
                let session = Session::new(self.hub.clone(), Client::new(pid));
                let (input, output) = stream.into_split();
                self.serve(input, output, session, Ended::Socket);
            }
            Err(error) => tracing::warn!(%error, "a client could not be accepted"),
        }
    }

    fn serve<R, W>(&mut self, input: R, output: W, mut session: Session, how: Ended)
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let span = tracing::info_span!("session", id = session.id.number());
        let task = async move {
            let wire = WireSession::new(Source::Scd, &TABLE, GREETING);
            match server::serve(input, output, wire, &mut session).await {
                Ok(end) => tracing::debug!(?end, "session ended"),
                Err(error) => tracing::info!(%error, "session broken off"),
            }
            if session.kill { Ended::Killed } else { how }
        };
        self.sessions.spawn(task.instrument(span));
    }

    /// What goes on beside the sessions: reader socket, card events, the end of remembered PINs.
    fn start_chores(&self) {
        let hub = self.hub.clone();
        tokio::spawn(async move {
            if let Err(error) = hub.deck.listen() {
                tracing::error!("{error}");
            }
            watch_cards(&hub).await;
        });
        let hub = self.hub.clone();
        tokio::spawn(async move { hub.pins.wipe_in_time().await });
        if detach::is_tied() {
            tokio::spawn(end_with_standard_input());
        }
    }
}

async fn accept(listener: Option<&Listener>) -> io::Result<(tokio::net::UnixStream, Option<Pid>)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Tells sessions and PIN cache what happens to cards.
async fn watch_cards(hub: &Hub) {
    use tokio::sync::broadcast::error::RecvError;
    let mut events = hub.deck.subscribe();
    loop {
        match events.recv().await {
            Ok(event) if event.change == Change::Removed => hub.note_removal(event.insertion),
            Ok(event) => hub.signal_clients_of(event.insertion),
            // Sessions look for themselves whether their card is there; only signals were lost.
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "card events came too fast"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Waits for the program that we were started for, then interrupts ourselves.
async fn end_with_standard_input() {
    let mut nothing = [0; 64];
    let mut input = tokio::io::stdin();
    while matches!(input.read(&mut nothing).await, Ok(1..)) {}
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT);
}
