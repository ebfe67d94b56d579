//! Our forms of keys against programs that run now: gpg and gpg-agent, ssh-keygen, openssl, gnupg-pkcs11-scd, p11tool
//! (`make deps` installs them).

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod gpg;
mod gpgsm;
mod keybox;
mod keytocard;
mod make;
mod openssl;
mod padding;
mod pkcs11;
mod ssh_keygen;

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs a program to its end and gives back what it printed; it must succeed.
fn run(command: &mut Command) -> Vec<u8> {
    run_with_input(command, b"")
}

fn run_with_input(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text(output: Vec<u8>) -> String {
    String::from_utf8(output).unwrap()
}
