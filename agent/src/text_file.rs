//! Text files of configuration, read as far as a file of that kind can sensibly be.

use std::io::Read as _;
use std::path::Path;

/// The largest configuration file that is read, in octets.
const MAX_CONFIG_FILE: u64 = 1 << 20;

/// The text of a file.
///
/// # Errors
/// If it cannot be read, is larger than a configuration file should be, or is no UTF-8.
pub(crate) fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let mut file = std::fs::File::open(path)?.take(MAX_CONFIG_FILE + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_CONFIG_FILE {
        return Err(std::io::Error::other(format!("larger than {MAX_CONFIG_FILE} octets")));
    }
    Ok(text)
}

/// The same; `None` where there is no such file.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_if_there(path: &Path) -> std::io::Result<Option<String>> {
    use std::io::ErrorKind;
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_is_no_configuration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_CONFIG_FILE + 1).unwrap();
        assert_eq!(read(file.path()).unwrap_err().to_string(), "larger than 1048576 octets");
        file.as_file().set_len(MAX_CONFIG_FILE).unwrap();
        assert_eq!(read(file.path()).unwrap().len() as u64, MAX_CONFIG_FILE);
    }

    #[test]
    fn a_missing_file_is_none() {
        assert_eq!(read_if_there(Path::new("/nonexistent/file")).unwrap(), None);
        assert!(read_if_there(Path::new("/")).is_err());
    }
}
