//! `--daemon`: leaves a process of its own behind, and tells where it listens or runs a program with it.

use std::ffi::OsString;
use std::io::{self, BufRead as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, Stdio};

use super::typed::Typed;
use crate::USAGE;

/// The variable that tells where a daemon listens, its process id and the protocol's version.
pub(super) const INFO: &str = "SCDAEMON_INFO";

/// Set for the process that is left behind, to one of the values below.
const DETACHED: &str = "CLAVIGER_DETACHED";
/// It lives until its clients or signals end it.
const ALONE: &str = "alone";
/// It ends with its standard input: when the program that holds the other end does.
const TIED: &str = "tied";

/// Whether this process was left behind by another.
pub(super) fn is_detached() -> bool {
    std::env::var_os(DETACHED).is_some()
}

/// Whether this process is to end with its standard input.
pub(super) fn is_tied() -> bool {
    std::env::var_os(DETACHED).is_some_and(|how| how == TIED)
}

/// Starts ourselves again in the background, waits until it listens, and tells where; or becomes `program` with that in
/// its environment.
pub(super) fn run(arguments: &[OsString], typed: &Typed, program: &[OsString]) -> ExitCode {
    let options = arguments.get(..arguments.len().saturating_sub(program.len())).unwrap_or_default();
    let how = if program.is_empty() { ALONE } else { TIED };
    let result = spawn(options, how).and_then(|(info, child)| match program.split_first() {
        None => {
            print!("{}", shell_command(&info, typed));
            Ok(())
        }
        Some((name, words)) => Err(become_program(name, words, &info, &child)),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("claviger-scdaemon: {error}");
            ExitCode::from(USAGE)
        }
    }
}

fn shell_command(info: &str, typed: &Typed) -> String {
    if typed.csh && !typed.sh {
        format!("setenv {INFO} {info};\n")
    } else {
        format!("{INFO}={info}; export {INFO};\n")
    }
}

/// Returns what the daemon says of itself, once it listens.
fn spawn(options: &[OsString], how: &str) -> io::Result<(String, Child)> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("scdaemon")
        .args(options)
        .arg("--no-detach")
        .env(DETACHED, how)
        .stdin(if how == TIED { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut line = String::new();
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    io::BufReader::new(output).read_line(&mut line)?;
    match line.trim_end().strip_prefix(INFO).and_then(|rest| rest.strip_prefix('=')) {
        Some(info) => Ok((info.to_owned(), child)),
        None => Err(io::Error::other("the daemon did not come up; run it with --no-detach to see why")),
    }
}

/// Runs the program in our place; it inherits the other end of the daemon's standard input. Returns only to say why it
/// could not.
fn become_program(name: &OsString, words: &[OsString], info: &str, child: &Child) -> io::Error {
    let kept = child
        .stdin
        .as_ref()
        .map_or(Ok(()), |pipe| rustix::io::fcntl_setfd(pipe, rustix::io::FdFlags::empty()));
    if let Err(error) = kept {
        return error.into();
    }
    let error = Command::new(name).args(words).env(INFO, info).exec();
    io::Error::other(format!("cannot run '{}': {error}", name.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_told_in_its_own_words() {
        let mut typed = Typed::default();
        assert_eq!(shell_command("/s:1:1", &typed), "SCDAEMON_INFO=/s:1:1; export SCDAEMON_INFO;\n");
        typed.csh = true;
        assert_eq!(shell_command("/s:1:1", &typed), "setenv SCDAEMON_INFO /s:1:1;\n");
    }
}
