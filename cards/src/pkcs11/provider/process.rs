//! Helper processes: how one is started, what it says on standard error, how it ends.
//!
//! The kernel ends a helper together with the *thread* that started it (`PR_SET_PDEATHSIG`, which the helper sets), so all are
//! started from one thread that lives as long as the daemon.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::{Instrument as _, Span, debug, info};

use crate::deck::HelperProgram;
use crate::pkcs11::ProviderConfig;

/// The longest line of a module in the log, in octets; a longer one becomes several.
const MAX_LINE: u64 = 1000;

/// The most lines of one helper that are logged.
const MAX_LINES: usize = 500;

/// The signal that ends a helper.
const SIGKILL: i32 = rustix::process::Signal::KILL.as_raw();

/// A helper that runs.
pub(super) struct Process {
    child: Option<Child>,
}

/// What the starting thread is asked for.
struct Order {
    command: Command,
    started: oneshot::Sender<io::Result<Child>>,
}

/// The thread that starts helpers; `None` if there is no thread to be had.
static STARTER: LazyLock<Option<mpsc::Sender<Order>>> = LazyLock::new(|| {
    let (orders, queue) = mpsc::channel::<Order>();
    let start = move || {
        for mut order in queue {
            // Nobody waits for a helper of a provider that was dropped: its socket is closed, and it ends.
            let _ = order.started.send(order.command.spawn());
        }
    };
    thread::Builder::new().name("helpers".to_owned()).spawn(start).ok().map(|_| orders)
});

impl Process {
    /// Starts a helper; returns it with the daemon's end of the socket that it speaks on.
    pub(super) async fn start(
        program: &HelperProgram,
        config: &ProviderConfig,
        environment: &[(String, OsString)],
    ) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = command(program, config, environment, theirs.into());
        let starter = STARTER.as_ref().ok_or_else(|| io::Error::other("no thread to start it"))?;
        command.stderr(Stdio::piped());
        let (started, child) = oneshot::channel();
        starter.send(Order { command, started }).map_err(io::Error::other)?;
        let mut child = child.await.map_err(io::Error::other)??;
        if let Some(stderr) = child.stderr.take() {
            let words = pipe::Receiver::from_owned_fd(OwnedFd::from(stderr))?;
            tokio::spawn(log_words(words).instrument(Span::current()));
        }
        Ok((Self { child: Some(child) }, UnixStream::from_std(ours)?))
    }

    /// Its process id.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it for good; tells how it had ended, if it had.
    pub(super) async fn end(mut self) -> String {
        let Some(mut child) = self.child.take() else { return String::new() };
        let ended = spawn_blocking(move || {
            // A helper whose socket is closed ends by itself; one that hangs does not. One that is dying keeps its own status.
            let by_itself = matches!(child.try_wait(), Ok(Some(_)));
            let _ = child.kill();
            match child.wait() {
                Ok(status) if !by_itself && status.signal() == Some(SIGKILL) => {
                    format!("{status}, ended by us")
                }
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            }
        });
        ended.await.unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = child.kill();
        // It is dead or as good as dead: it leaves no zombie behind, and nobody waits for long.
        let _ = child.wait();
    }
}

fn command(
    program: &HelperProgram,
    config: &ProviderConfig,
    environment: &[(String, OsString)],
    socket: OwnedFd,
) -> Command {
    let mut command = Command::new(&program.program);
    command.args(&program.arguments).stdin(Stdio::from(socket)).stdout(Stdio::null());
    command.current_dir("/").process_group(0);
    for (name, value) in &config.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// What the module, or the helper, says on standard error goes into the log, as long as it is not too much.
async fn log_words(words: impl AsyncRead + Unpin) {
    each_line(words, |line| info!("{line}")).await;
    debug!("standard error closed");
}

/// Hears all to its end, so that nobody is kept from speaking, and says on as many lines as are logged.
async fn each_line(words: impl AsyncRead + Unpin, mut say: impl FnMut(&str)) {
    let mut words = BufReader::new(words);
    for line in 0_usize.. {
        let mut octets = Vec::new();
        match (&mut words).take(MAX_LINE).read_until(b'\n', &mut octets).await {
            Ok(0) | Err(_) => return,
            Ok(_) if line < MAX_LINES => {
                say(&String::from_utf8_lossy(&octets).trim_end().escape_debug().to_string());
            }
            Ok(_) if line == MAX_LINES => say("… and more, which is not logged"),
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(words: &[u8]) -> Vec<String> {
        let mut said = Vec::new();
        each_line(words, |line| said.push(line.to_owned())).await;
        said
    }

    #[tokio::test]
    async fn a_module_s_words_are_shown_as_lines_without_power_over_the_log() {
        assert_eq!(said(b"one\n\x1b[2Jtwo\t\xff\nrest").await, ["one", "\\u{1b}[2Jtwo\\t\u{fffd}", "rest"]);
        assert_eq!(said(b"").await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn lines_have_a_longest_and_there_is_a_last() {
        let long = said(&[b'x'; 2500]).await;
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [1000, 1000, 500]);
        let many = said(&b"again\n".repeat(MAX_LINES + 100)).await;
        assert_eq!(many.len(), MAX_LINES + 1);
        assert_eq!(many.last().unwrap(), "… and more, which is not logged");
    }
}
