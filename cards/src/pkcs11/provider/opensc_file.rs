//! The configuration that OpenSC's module is given: the person's own, with the readers in it that we serve ourselves.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use crate::pkcs11::ProviderConfig;
use crate::pkcs11::opensc::opensc_conf;

/// The variable in which OpenSC looks for the name of its configuration file.
const VARIABLE: &str = "OPENSC_CONF";

/// Where that is otherwise.
const SYSTEM: &str = "/etc/opensc/opensc.conf";

/// The longest configuration that is read, in octets.
const MAX_FILE: u64 = 1 << 20;

/// A file for one helper; it is removed when this is dropped.
pub(super) struct OpenScFile(NamedTempFile);

impl OpenScFile {
    /// For a module of OpenSC's, if there are readers for it to leave alone.
    ///
    /// # Errors
    /// Why it cannot be written. Without it the module must not be loaded.
    pub(super) fn write(config: &ProviderConfig, readers: &[String]) -> io::Result<Option<Self>> {
        if !config.opensc || readers.is_empty() {
            return Ok(None);
        }
        let mut existing = String::new();
        // One that is not there, or cannot be read, is none to OpenSC either.
        if let Ok(file) = File::open(own(config)) {
            let mut octets = Vec::new();
            file.take(MAX_FILE).read_to_end(&mut octets)?;
            existing = String::from_utf8_lossy(&octets).into_owned();
        }
        let mut file = NamedTempFile::with_prefix("claviger-opensc-")?;
        file.write_all(opensc_conf(&existing, readers).as_bytes())?;
        Ok(Some(Self(file)))
    }

    /// What the helper's environment says of it.
    pub(super) fn variable(&self) -> (String, OsString) {
        (VARIABLE.to_owned(), self.0.path().as_os_str().to_owned())
    }
}

/// The person's own file.
fn own(config: &ProviderConfig) -> PathBuf {
    let set = config.environment.iter().find(|(name, _)| name == VARIABLE);
    let path = match set {
        Some((_, value)) => value.clone(),
        None => std::env::var_os(VARIABLE),
    };
    path.map_or_else(|| PathBuf::from(SYSTEM), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_opensc_gets_a_file_and_what_was_configured_stays() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("opensc.conf");
        std::fs::write(&own, "app default {\n\tdebug = 3;\n}\n").unwrap();
        let readers = ["Reader 00 00".to_owned()];
        let mut config = ProviderConfig::new("test", "/module.so");
        config.environment = vec![(VARIABLE.into(), Some(own.into_os_string()))];
        assert!(OpenScFile::write(&config, &readers).unwrap().is_none());
        config.opensc = true;
        assert!(OpenScFile::write(&config, &[]).unwrap().is_none());
        let file = OpenScFile::write(&config, &readers).unwrap().unwrap();
        let (name, path) = file.variable();
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(
            written.contains("debug = 3;") && written.contains("ignored_readers = \"Reader 00 00\";"),
            "{written}"
        );
        assert_eq!(name, VARIABLE);
        drop(file);
        assert!(!std::path::Path::new(&path).exists());
    }
}
