//! The process at work: serves a pipe, a socket or both until its clients are gone.
//!
//! | mode | pipe | socket | ends |
//! |---|---|---|---|
//! | `--server` | yes | no | with the pipe |
//! | `--multi-server` | yes | yes | with the pipe and the sessions that are open then |
//! | `--daemon` | no | yes | on a signal, KILLSCD, or with the program that it was started for |
//!
//! SIGTERM waits for open sessions, unless it comes for the third time, and calls off what they wait for (a touch, a PIN at a
//! reader's keys, a card); SIGINT does not wait. SIGHUP forgets PINs and
//! locks cards, SIGUSR1 writes the state to the log. At the end cards are locked too, and left un-reset.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use claviger_assuan_tokio::Connection;
use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::core::{Asked, Scdaemon};
use super::detach::{self, INFO};
use super::hub::Client;
use super::listener::{Listener, SOCKET_NAME};
use super::settings::Settings;
use super::typed::Typed;
use super::{hang_up, info};
use crate::home;

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
    let core = Scdaemon::new(settings, listener.is_some().then(|| path.clone()));
    let mut daemon = Daemon { core, sessions: JoinSet::new(), terms: 0, ending: false };
    if typed.daemon {
        announce(&path)?;
    } else {
        daemon.serve_pipe();
    }
    daemon.core.start_chores();
    if detach::is_tied() {
        tokio::spawn(end_with_standard_input());
    }
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
    core: Scdaemon,
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
                    self.core.hub.call_off_waits();
                    tracing::info!(sessions = self.sessions.len(), "SIGTERM received; ending with the last session");
                }
                _ = signals.interrupt.recv() => break,
                _ = signals.hang_up.recv() => {
                    tracing::info!("SIGHUP received; PINs are forgotten, cards locked");
                    tokio::spawn(self.core.hub.lock_all());
                }
                _ = signals.user1.recv() => info::dump(&self.core.hub),
                _ = signals.user2.recv() => {}
            }
            if self.terms >= PATIENCE || (self.ending && self.sessions.is_empty()) {
                break;
            }
            if self.ending {
                listener = None;
            }
        }
        self.sessions.shutdown().await;
        self.core.lock_cards().await;
        self.core.hub.deck.shutdown();
        // Only now: whoever sees the socket gone may start the next scdaemon on the same cards.
        drop(listener);
        Ok(())
    }

    /// Serves the client that started us, on standard input and output.
    fn serve_pipe(&mut self) {
        let pid = std::env::var(CLIENT_PID).ok().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
        let client = Client::handed_on(pid);
        let gone = hang_up::of_pipe(io::stdout());
        let input = io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
        let output = io::stdout().as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd);
        match (input, output) {
            (Ok(input), Ok(output)) => {
                self.serve(Connection::new(input, output).until(gone), client, Ended::Pipe)
            }
            // A terminal or a file, as when somebody tries us by hand.
            _ => {
                let terminal = Connection::new(tokio::io::stdin(), tokio::io::stdout());
                self.serve(terminal.until(gone), client, Ended::Pipe)
            }
        }
    }

    fn serve_socket(&mut self, client: io::Result<(tokio::net::UnixStream, Option<Pid>)>) {
        match client {
            Ok((stream, pid)) => {
                let gone = hang_up::of_socket(&stream);
                let (input, output) = stream.into_split();
                let connection = Connection::new(input, output).until(gone);
                self.serve(connection, Client::new(pid), Ended::Socket);
            }
            Err(error) => tracing::warn!(%error, "a client could not be accepted"),
        }
    }

    fn serve<R, W>(&mut self, connection: Connection<R, W>, client: Client, how: Ended)
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let session = self.core.serve_client(connection, client);
        self.sessions.spawn(async move {
            match session.await {
                Asked::ToEnd => Ended::Killed,
                Asked::Nothing => how,
            }
        });
    }
}

async fn accept(listener: Option<&Listener>) -> io::Result<(tokio::net::UnixStream, Option<Pid>)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Waits for the program that we were started for, then interrupts ourselves.
async fn end_with_standard_input() {
    let mut nothing = [0; 64];
    let mut input = tokio::io::stdin();
    while matches!(input.read(&mut nothing).await, Ok(1..)) {}
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT);
}
