//! The way to claviger's scdaemon: through GnuPG's agent, which asks for PINs.
//!
//! gpg-agent answers NEEDPIN itself and passes other inquiries on (2.2.40's `SCD`, 2.4.7's too); it passes on status lines
//! and data, and of errors the number.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use claviger_assuan::client::{Caller, Client, ClientError};
use claviger_assuan::error::Code;
use claviger_assuan::escape::percent_plus;
use claviger_secret::Secret;

use super::environment;
use super::failure::Failure;
use super::waiting;
use crate::home;

/// The name of the agent's socket.
const SOCKET: &str = "S.gpg-agent";

/// The most data that one command gives: a chain of long certificates.
const MAX_DATA: usize = 4 * 1024 * 1024;

/// The most status lines that one command gives: more certificates than cards and the local store can have.
const MAX_STATUSES: usize = 100_000;

/// A connection.
pub(super) struct Agent {
    client: Client<UnixStream>,
}

/// What a command answered.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) data: Vec<u8>,
    statuses: Vec<(String, Vec<u8>)>,
    overflow: bool,
    certificate: Option<Secret>,
}

impl Heard {
    /// The values of the status lines with a keyword.
    pub(super) fn statuses(&self, keyword: &str) -> impl Iterator<Item = &[u8]> {
        self.statuses.iter().filter(move |(known, _)| known == keyword).map(|(_, value)| value.as_slice())
    }

    /// The words of the first status line with a keyword.
    pub(super) fn words(&self, keyword: &str) -> Vec<String> {
        let line = self.statuses(keyword).next().unwrap_or_default();
        String::from_utf8_lossy(line).split(' ').map(str::to_owned).collect()
    }
}

impl Caller for Heard {
    fn data(&mut self, octets: &[u8]) {
        self.overflow |= self.data.len().saturating_add(octets.len()) > MAX_DATA;
        if !self.overflow {
            self.data.extend_from_slice(octets);
        }
    }

    fn status(&mut self, keyword: &str, value: &[u8]) {
        if keyword == "TOUCH_AWAITED" {
            waiting::say("touch the card now: it waits for a finger");
        }
        self.overflow |= self.statuses.len() >= MAX_STATUSES;
        if !self.overflow {
            self.statuses.push((keyword.to_owned(), value.to_vec()));
        }
    }

    fn inquire(&mut self, keyword: &str, _args: &[u8]) -> Option<Secret> {
        if keyword == "CERTDATA" { self.certificate.take() } else { None }
    }
}

impl Agent {
    /// Connects to the agent of a home, which is started if it does not run, and makes sure that its scdaemon is claviger.
    ///
    /// # Errors
    /// [`Failure`] if there is none, or with another scdaemon.
    pub(super) fn of_home(home: &Path) -> Result<Self, Failure> {
        let socket = home::socket_directory(home).join(SOCKET);
        let client = connect(home, &socket).map_err(|error| Failure::NoAgent { socket, error })?;
        let mut agent = Self { client };
        for option in environment::options() {
            match agent.transact(&format!("OPTION {option}"), &mut Heard::default()) {
                // An agent need not know them all.
                Ok(()) | Err(ClientError::Refused(_) | ClientError::BadCommand) => {}
                Err(error) => return Err(Failure::Agent(error)),
            }
        }
        agent.refuse_others(home)?;
        Ok(agent)
    }

    fn refuse_others(&mut self, home: &Path) -> Result<(), Failure> {
        let question = "SCD GETINFO cmd_has_option READCERT chain";
        match waiting::told("waiting for the smartcard daemon", || {
            self.transact(question, &mut Heard::default())
        }) {
            Ok(()) => Ok(()),
            Err(ClientError::Refused(error)) if error.code() == Code::NO_SCDAEMON => {
                Err(Failure::NoScdaemon(error))
            }
            Err(ClientError::Refused(_)) => {
                Err(Failure::NotClaviger { config: home.join("gpg-agent.conf"), program: own_scdaemon() })
            }
            Err(error) => Err(Failure::Agent(error)),
        }
    }

    /// Asks the scdaemon what needs no PIN.
    ///
    /// # Errors
    /// [`Failure`] of the daemon, or on the way to it.
    pub(super) fn ask(&mut self, command: &str) -> Result<Heard, Failure> {
        waiting::told("waiting for the card", || self.scd(command, None))
    }

    /// Asks the same about what a person calls `reference`.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) fn ask_about(&mut self, command: &str, reference: &str) -> Result<Heard, Failure> {
        self.ask(&format!("{command} -- {}", escaped(reference)))
    }

    /// Has the scdaemon do what a PIN may be asked for; `doing` says what that is.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) fn order(&mut self, doing: &str, command: &str) -> Result<Heard, Failure> {
        // At once: a line that comes later would be written into the window of a pinentry on this terminal.
        waiting::say(doing);
        self.scd(command, None)
    }

    /// The same for a command that asks for a certificate.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) fn order_with(&mut self, doing: &str, command: &str, der: &[u8]) -> Result<Heard, Failure> {
        waiting::say(doing);
        self.scd(command, Some(Secret::copy_of(der)))
    }

    fn scd(&mut self, command: &str, certificate: Option<Secret>) -> Result<Heard, Failure> {
        let mut heard = Heard { certificate, ..Heard::default() };
        match self.transact(&format!("SCD {command}"), &mut heard) {
            Ok(()) if heard.overflow => Err(Failure::Answer("a command")),
            Ok(()) => Ok(heard),
            Err(ClientError::Refused(error)) if error.code() == Code::AMBIGUOUS_NAME => {
                let lines = heard.statuses("CERTIFICATE");
                Err(Failure::Ambiguous(lines.map(first_word).collect()))
            }
            Err(ClientError::Refused(error)) => Err(Failure::Refused(error)),
            Err(error) => Err(Failure::Agent(error)),
        }
    }

    fn transact(&mut self, command: &str, heard: &mut Heard) -> Result<(), ClientError> {
        self.client.transact(command.as_bytes(), heard)
    }
}

/// A reference as it goes over the wire.
pub(super) fn escaped(reference: &str) -> String {
    String::from_utf8_lossy(&percent_plus(reference.as_bytes())).into_owned()
}

fn first_word(line: &[u8]) -> String {
    String::from_utf8_lossy(line.split(|octet| *octet == b' ').next().unwrap_or_default()).into_owned()
}

fn connect(home: &Path, socket: &Path) -> Result<Client<UnixStream>, ClientError> {
    match Client::connect(socket) {
        Err(ClientError::Io(error)) if is_nobody_there(&error) => {
            waiting::told("starting gpg-agent", || launch(home))?;
            Client::connect(socket)
        }
        other => other,
    }
}

fn is_nobody_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn launch(home: &Path) -> io::Result<()> {
    let mut gpgconf = Command::new("gpgconf");
    gpgconf.arg("--homedir").arg(home).args(["--launch", "gpg-agent"]).stdin(Stdio::null());
    // What it says, the connection that fails will say better.
    gpgconf.stdout(Stdio::null()).status().map(drop)
}

/// Where our scdaemon is: beside this program, or somebody has to find it.
fn own_scdaemon() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("claviger-scdaemon"));
    beside.filter(|path| path.exists()).unwrap_or_else(|| "/path/to/claviger-scdaemon".into())
}
