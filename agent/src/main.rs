//! The `claviger` program: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    claviger::run(std::env::args_os())
}
