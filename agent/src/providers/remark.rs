//! What is said of configuration: complaints about what is wrong, notes on what is left out or not needed.

use std::fmt;
use std::path::{Path, PathBuf};

use super::module::Refusal;

/// Something in a file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; `None` where it is the file as a whole.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file is not of its format.
    #[error("{0}")]
    Syntax(String),
    /// A key that is not known.
    #[error("unknown key {key:?}{}", meant(*.nearest))]
    UnknownKey {
        /// As it is written.
        key: String,
        /// What is probably meant.
        nearest: Option<&'static str>,
    },
    /// A value that the key does not take.
    #[error("\"{key}\" takes {expected}, not {found}")]
    Value {
        /// The key.
        key: String,
        /// What it takes.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A key without which there is no provider.
    #[error("the provider has no \"{0}\"")]
    Missing(&'static str),
    /// Two providers of one name.
    #[error("there is a provider \"{0}\" already")]
    NameTwice(String),
    /// More providers than anybody has.
    #[error("more than {0} providers")]
    TooMany(usize),
    /// A module that is named and cannot be used.
    #[error("provider \"{provider}\": {refusal}")]
    Module {
        /// The provider.
        provider: String,
        /// Why not.
        refusal: Refusal,
    },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

impl Complaint {
    /// A complaint about a file as a whole.
    pub(super) fn of_file(file: &Path, problem: Problem) -> Self {
        Self { file: file.to_owned(), line: None, problem }
    }

    /// A complaint about a line.
    pub(super) fn of_line(file: &Path, line: usize, problem: Problem) -> Self {
        Self { file: file.to_owned(), line: Some(line), problem }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.problem)
    }
}

/// Something that nobody has to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A module that p11-kit has registered and that is not used.
    Skipped {
        /// What p11-kit calls it.
        name: String,
        /// Why it is not used.
        refusal: Refusal,
    },
    /// An option of gnupg-pkcs11-scd that does nothing here.
    NotNeeded {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The option.
        option: String,
        /// Why it does nothing.
        reason: &'static str,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped { name, refusal } => {
                write!(f, "p11-kit's module \"{name}\" is not used: {refusal}")
            }
            Self::NotNeeded { file, line, option, reason } => {
                write!(f, "{}:{line}: \"{option}\" is not needed any more: {reason}", file.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_says_where_and_what_is_probably_meant() {
        let problem = Problem::UnknownKey { key: "modul".to_owned(), nearest: Some("module") };
        let complaint = Complaint::of_line(Path::new("/h/claviger.toml"), 3, problem);
        assert_eq!(
            complaint.to_string(),
            "/h/claviger.toml:3: unknown key \"modul\"; did you mean \"module\"?"
        );
        let complaint = Complaint::of_file(Path::new("/h/c"), Problem::Unreadable("no".to_owned()));
        assert_eq!(complaint.to_string(), "/h/c: cannot be read: no");
    }
}
