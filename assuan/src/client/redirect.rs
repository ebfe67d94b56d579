//! Redirect files: a regular file where a socket is expected, which names the socket.
//!
//! ```text
//! %Assuan%
//! socket=/run/user/1000/gnupg/${NAME}/S.scdaemon
//! ```
//!
//! GnuPG uses them where a home directory is on a file system without sockets. The first line must be exactly this, the
//! path ends at the first LF, `${NAME}` stands for the environment variable of that name (for nothing, if it is unset).
//! libassuan, `assuan_sock_set_sockaddr_un`; section 1.4 of the scdaemon reference.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// How much of a redirect file is looked at.
const MAX_FILE: u64 = 511;
/// The longest path of a socket on Linux.
const MAX_PATH: usize = 107;
/// How a redirect file begins.
const MAGIC: &[u8] = b"%Assuan%\nsocket=";

/// Looks a variable up in the environment, which is handed in.
pub type Environment<'a> = &'a dyn Fn(&OsStr) -> Option<OsString>;

/// Why a redirect file leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It is a regular file, but no redirect file.
    #[error("neither a socket nor a redirect file")]
    NotARedirect,
    /// A `${` in it is never closed.
    #[error("redirect file with an open variable")]
    OpenVariable,
    /// The path it names is longer than a socket's path may be.
    #[error("redirect file with a path over 107 octets")]
    PathTooLong,
}

/// The path to connect to in place of `path`: the one that a redirect file there names, or `path` itself.
///
/// # Errors
/// When a regular file is there that cannot be read or names no socket.
pub fn resolve(path: &Path, environment: Environment<'_>) -> io::Result<PathBuf> {
    if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return Ok(path.to_owned());
    }
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut content)?;
    parse(&content, environment).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// The path that a redirect file with this content names.
///
/// # Errors
/// [`RedirectError`]
pub fn parse(content: &[u8], environment: Environment<'_>) -> Result<PathBuf, RedirectError> {
    let name = content.strip_prefix(MAGIC).ok_or(RedirectError::NotARedirect)?;
    let path = match name.iter().position(|octet| *octet == b'\n') {
        Some(end) if end > 0 && name.ends_with(b"\n") => name.get(..end).unwrap_or_default(),
        _ => return Err(RedirectError::NotARedirect),
    };
    let path = expand(path, environment)?;
    if path.len() > MAX_PATH {
        return Err(RedirectError::PathTooLong);
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

fn expand(mut rest: &[u8], environment: Environment<'_>) -> Result<Vec<u8>, RedirectError> {
    let mut path = Vec::new();
    loop {
        rest = match rest {
            [b'$', b'{', rest @ ..] => {
                let end = rest.iter().position(|octet| *octet == b'}').ok_or(RedirectError::OpenVariable)?;
                let (name, behind) = rest.split_at_checked(end).unwrap_or_default();
                let value = environment(OsStr::from_bytes(name)).unwrap_or_default();
                path.extend_from_slice(value.as_bytes());
                behind.get(1..).unwrap_or_default()
            }
            [octet, rest @ ..] => {
                path.push(*octet);
                rest
            }
            [] => return Ok(path),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &OsStr) -> Option<OsString> {
        (name == "USER").then(|| "ada".into())
    }

    fn path(content: &str) -> Result<PathBuf, RedirectError> {
        parse(content.as_bytes(), &user)
    }

    #[test]
    fn a_redirect_file_names_a_socket() {
        assert_eq!(path("%Assuan%\nsocket=/run/S\n"), Ok("/run/S".into()));
        assert_eq!(path("%Assuan%\nsocket=/run/S\nanything\n"), Ok("/run/S".into()));
        assert_eq!(path("%Assuan%\nsocket=/${USER}/${NONE}$x/S\n"), Ok("/ada/$x/S".into()));
    }

    #[test]
    fn other_files_are_refused() {
        for content in
            ["", "%Assuan%\n", "%Assuan%\nsocket=\n", "%Assuan%\nsocket=/run/S", "%Assuan%\r\nsocket=/S\n"]
        {
            assert_eq!(path(content), Err(RedirectError::NotARedirect));
        }
        assert_eq!(path("%Assuan%\nsocket=/${USER\n"), Err(RedirectError::OpenVariable));
        let long = format!("%Assuan%\nsocket=/{}\n", "x".repeat(107));
        assert_eq!(path(&long), Err(RedirectError::PathTooLong));
    }

    #[test]
    fn what_is_no_regular_file_is_left_alone() {
        for path in ["/dev/null", "/nonexistent/S.scdaemon"] {
            assert_eq!(resolve(Path::new(path), &user).unwrap(), Path::new(path));
        }
    }
}
