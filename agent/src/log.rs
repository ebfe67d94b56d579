//! Where log lines go: standard error, a file, or a Unix socket (GnuPG's `log-file`), with one filter for all crates.
//!
//! What is logged are kinds, sizes, states and ids; no room of the house logs the payload of a data line, a PIN or a
//! plaintext at any level.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How much is logged, by subject.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detail {
    /// Everything that is not named below.
    pub(crate) general: LevelFilter,
    /// Lines of the protocol: their kind and size.
    pub(crate) wire: LevelFilter,
    /// Readers, cards, APDU headers.
    pub(crate) cards: LevelFilter,
}

/// Starts logging. A second call in the same process changes nothing.
///
/// # Errors
/// When the file or socket cannot be opened; nothing is logged then.
pub(crate) fn start(detail: Detail, file: Option<&Path>) -> io::Result<()> {
    let sink: Box<dyn Write + Send> = match file {
        None => Box::new(io::stderr()),
        Some(path) => open(path)?,
    };
    let filter = Targets::new()
        .with_default(detail.general)
        .with_target("claviger_assuan", detail.wire)
        .with_target("claviger_assuan_tokio", detail.wire)
        .with_target("claviger_cards", detail.cards);
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(Mutex::new(sink));
    // An error means that logging was started before, which is as good.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    Ok(())
}

/// `socket://PATH` connects, as GnuPG's watchgnupg expects; anything else is a file that is added to, readable by its
/// owner only.
fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    if let Some(socket) = path.to_string_lossy().strip_prefix("socket://") {
        return Ok(Box::new(UnixStream::connect(socket)?));
    }
    Ok(Box::new(OpenOptions::new().create(true).append(true).mode(0o600).open(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_file_is_private_and_added_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("scd.log");
        std::fs::write(&path, "before\n").unwrap();
        open(&path).unwrap().write_all(b"after\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\nafter\n");
        let fresh = directory.path().join("fresh.log");
        open(&fresh).unwrap();
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&fresh).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_log_socket_is_connected_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("S.log");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        open(Path::new(&format!("socket://{}", path.display()))).unwrap().write_all(b"line\n").unwrap();
        let mut text = [0; 5];
        io::Read::read_exact(&mut listener.accept().unwrap().0, &mut text).unwrap();
        assert_eq!(&text, b"line\n");
    }
}
