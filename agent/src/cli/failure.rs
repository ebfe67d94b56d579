//! Why a command failed, in words for a person.

use std::io;
use std::path::PathBuf;

use claviger_assuan::client::ClientError;
use claviger_assuan::error::{Code, Error};
use claviger_keys::gnupg::PublicSexpError;
use claviger_keys::x509::FileError;
use claviger_keys::x509::make::{CardSignatureError, MakeError};
use openssl::error::ErrorStack;

use super::command_line::UsageError;
use crate::store::{AddError, RemoveError};
use crate::verify::VerifyError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The command line is wrong.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// GnuPG's agent cannot be reached.
    #[error("gpg-agent cannot be reached at {}: {error}", socket.display())]
    NoAgent {
        /// Where it was looked for.
        socket: PathBuf,
        /// Why.
        error: ClientError,
    },
    /// The connection to the agent broke.
    #[error("gpg-agent: {0}")]
    Agent(ClientError),
    /// The agent has no scdaemon.
    #[error("gpg-agent has no smartcard daemon: {}", .0.code().text())]
    NoScdaemon(Error),
    /// The agent has another scdaemon.
    #[error(
        "the smartcard daemon of gpg-agent is not claviger. Put this line into {config}:\n  \
         scdaemon-program {program}\nand run: gpgconf --kill gpg-agent",
        config = config.display(), program = program.display()
    )]
    NotClaviger {
        /// gpg-agent.conf.
        config: PathBuf,
        /// Our program.
        program: PathBuf,
    },
    /// The daemon or the card said no.
    #[error("{}", explained(.0))]
    Refused(Error),
    /// A reference fits several certificates.
    #[error("several certificates fit; take one of these by its id:\n{}", .0.join("\n"))]
    Ambiguous(Vec<String>),
    /// The daemon sent more than anybody can want, or what cannot be read.
    #[error("the smartcard daemon's answer to {0} cannot be understood")]
    Answer(&'static str),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file has no certificate.
    #[error("{}: {error}", path.display())]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why.
        error: FileError,
    },
    /// A certificate cannot be put into the local store.
    #[error("{} is not imported: {error}", path.display())]
    Add {
        /// The file.
        path: PathBuf,
        /// Why.
        error: AddError,
    },
    /// A certificate cannot be removed from the local store.
    #[error("{0}")]
    Remove(#[from] RemoveError),
    /// A file has too many.
    #[error("{}: {count} certificates; a slot takes one", path.display())]
    Several {
        /// Which.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// The card's key is of a kind that we do not know.
    #[error("the card's key cannot be used: {0}")]
    Key(#[from] PublicSexpError),
    /// Nobody knows whose the key is.
    #[error("neither a local store nor the card knows whose this key is; say whose it is with --user-id")]
    NoUserId,
    /// Nothing can be made for this key or subject.
    #[error("{0}")]
    Make(#[from] MakeError),
    /// The signature has another form than those of the key.
    #[error("the card's signature cannot be used: {0}")]
    SignatureForm(#[from] CardSignatureError),
    /// The signature is none.
    #[error("the card's signature is not used: {0}")]
    Signature(#[from] VerifyError),
    /// OpenSSL has no memory, or no random octets.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
    /// Standard output is closed or full.
    #[error("standard output: {0}")]
    Output(io::Error),
    /// DER does not go to a terminal.
    #[error("DER is not for a terminal; use --output FILE or --pem")]
    Terminal,
    /// There is nobody to ask.
    #[error("there is no terminal to ask on; --yes removes it without a question")]
    NobodyToAsk,
    /// The person said no.
    #[error("nothing was changed")]
    Declined,
}

/// A refusal in words. The agent passes on the number only, not the text that claviger's scdaemon had for it.
fn explained(error: &Error) -> String {
    let text = match error.code() {
        Code::ENODEV | Code::CARD_NOT_PRESENT | Code::CARD_REMOVED => "no card is here",
        Code::NOT_FOUND => "there is no such certificate; claviger cert list shows what there is",
        Code::NO_SECKEY => "no card here has that key",
        Code::INV_ID => "this is no reference; see claviger cert show --help",
        Code::BAD_CERT => "this is not a certificate of the key in that slot; --force writes it all the same",
        Code::CANCELED | Code::FULLY_CANCELED | Code::ASS_CANCELED => "cancelled",
        Code::TOO_LARGE => "it is too large",
        Code::ASS_TOO_MUCH_DATA => "it is too large: gpg-agent lets 8096 octets through to a card",
        code => return format!("{} ({})", code.text(), error.number()),
    };
    text.to_owned()
}
