//! `claviger-virtual-card`: see `--help`.

use std::process::ExitCode;

use claviger_virtual_card::{
    options::{self, HELP, Request},
    run,
};

fn main() -> ExitCode {
    let (status, message) = match options::parse(std::env::args_os().skip(1)) {
        Ok(Request::Help) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Request::Version) => {
            println!("claviger-virtual-card {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Request::Run(options)) => match run::run(options) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => (1, error.to_string()),
        },
        Err(error) => (2, error.to_string()),
    };
    eprintln!("claviger-virtual-card: {message}");
    ExitCode::from(status)
}
