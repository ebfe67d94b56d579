//! The socket on which further sessions come in (GnuPG's `S.scdaemon`).

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::UnixListener;

/// The name of the socket in its directory.
pub(super) const SOCKET_NAME: &str = "S.scdaemon";

/// A listening socket; its file is removed on drop.
pub(super) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Device and inode of the file that is ours to remove.
    file: (u64, u64),
}

impl Listener {
    /// Binds at `path`. A stale socket file is replaced; one that somebody listens at is not.
    ///
    /// # Errors
    /// What the system says; `AddrInUse` if another daemon is there.
    pub(super) fn bind(path: &Path, backlog: i32) -> io::Result<Self> {
        let socket = match listen(path, backlog) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
                std::fs::remove_file(path)?;
                listen(path, backlog)?
            }
            other => other?,
        };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        let found = std::fs::symlink_metadata(path)?;
        let socket = UnixListener::from_std(socket)?;
        Ok(Self { socket, path: path.to_owned(), file: (found.dev(), found.ino()) })
    }

    /// The next client, with the id of its process.
    pub(super) async fn accept(&self) -> io::Result<(tokio::net::UnixStream, Option<rustix::process::Pid>)> {
        let (stream, _) = self.socket.accept().await?;
        let pid = stream.peer_cred()?.pid().and_then(rustix::process::Pid::from_raw);
        Ok((stream, pid))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let still_ours =
            std::fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.file);
        if still_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Binds and listens with the wanted backlog. The file is created for its owner only, from the first moment.
fn listen(path: &Path, backlog: i32) -> io::Result<std::os::unix::net::UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let old_mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let bound = rustix::net::bind(&socket, &SocketAddrUnix::new(path)?);
    rustix::process::umask(old_mask);
    bound?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket.into())
}

/// Whether a socket file is there at which nobody listens.
fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    is_socket
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SOCKET_NAME);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = Listener::bind(&path, 64).unwrap();
        let second = Listener::bind(&path, 64).err().unwrap();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        let mode = std::fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SOCKET_NAME);
        std::fs::write(&path, "precious").unwrap();
        assert!(Listener::bind(&path, 64).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
