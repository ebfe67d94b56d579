//! Running a program to its end, and looking at what it printed.

use std::io::Write;
use std::process::{Command, Stdio};

/// What a program left behind. The assertions show all of it when they fail.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The words it was called with.
    pub(crate) command: String,
    /// Its exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
    /// Its standard error.
    pub(crate) stderr: Vec<u8>,
}

impl Seen {
    /// Runs `command` with `input` on its stdin.
    pub(crate) fn of(command: &mut Command, input: &[u8]) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}; `make check` installs what is needed"));
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let output = std::thread::scope(|scope| {
            // A program may end without reading its input; then there is nobody to write to.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().expect("the child is ours")
        });
        let command = command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        Self { command, code: output.status.code(), stdout: output.stdout, stderr: output.stderr }
    }

    /// Fails unless the program ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "should have worked: {self}");
        self
    }

    /// Fails if the program ended well, or was ended by its deadline.
    #[track_caller]
    pub(crate) fn fails(self) -> Self {
        assert!(!matches!(self.code, None | Some(0 | 124 | 137)), "should have failed by itself: {self}");
        self
    }

    /// Fails unless `wanted` stands in the output.
    #[track_caller]
    pub(crate) fn shows(self, wanted: &str) -> Self {
        assert!(self.text().contains(wanted), "should show {wanted:?}: {self}");
        self
    }

    /// Both outputs.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&[self.stdout.as_slice(), &self.stderr].concat()).into_owned()
    }

    /// What stands behind `start` in the first line of the output that begins with it.
    #[track_caller]
    pub(crate) fn line(&self, start: &str) -> String {
        let text = self.text();
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("should have a line {start:?}: {self}")).to_owned()
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} ({:?})", self.command, self.code)?;
        writeln!(f, "-- stdout\n{}", String::from_utf8_lossy(&self.stdout))?;
        writeln!(f, "-- stderr\n{}", String::from_utf8_lossy(&self.stderr))
    }
}
