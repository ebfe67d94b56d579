//! The program: reads its options and does what they ask for.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::command_line::{self, CommandLine};
use super::settings::{self, Settings};
use super::typed::Typed;
use super::{daemon, detach};
use crate::USAGE;
use crate::log::{self, Detail};

/// Runs the scdaemon face.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let CommandLine { typed, program } = match command_line::parse(&arguments, Typed::default()) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("claviger-scdaemon: {error}");
            return ExitCode::from(USAGE);
        }
    };
    if let Some(text) = answer(&typed) {
        print!("{text}");
        return ExitCode::SUCCESS;
    }
    let (settings, config_is_good) = settle(&typed, &arguments);
    if typed.gpgconf_list {
        print!("{}", command_line::gpgconf_list(&settings));
        return ExitCode::SUCCESS;
    }
    if typed.gpgconf_test || typed.list_providers {
        return check(&settings, &typed, config_is_good);
    }
    if !(typed.server || typed.multi_server || typed.daemon) {
        eprintln!("claviger-scdaemon: please use the option '--daemon' to run the program in the background");
        return ExitCode::SUCCESS;
    }
    if typed.daemon && !typed.no_detach {
        return detach::run(&arguments, &typed, &program);
    }
    protect(&typed);
    match serve(settings, &typed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("claviger-scdaemon: {error}");
            ExitCode::from(USAGE)
        }
    }
}

/// The text that an option asks for instead of service.
fn answer(typed: &Typed) -> Option<String> {
    let texts: [(bool, fn() -> String); 5] = [
        (typed.version, command_line::version),
        (typed.help, command_line::help),
        (typed.warranty, command_line::warranty),
        (typed.dump_option_table, command_line::option_table),
        (typed.dump_options, command_line::option_names),
    ];
    texts.iter().find(|(wanted, _)| *wanted).map(|(_, text)| text())
}

/// Reads the option file under the command line's options. Lines that are wrong are told and passed over, as GnuPG 2.2
/// does; the second value is whether there were none.
fn settle(typed: &Typed, arguments: &[OsString]) -> (Settings, bool) {
    let mut from_file = Typed::default();
    let path = Settings::resolve(typed).config_file;
    let read = match typed.no_options {
        true => Ok(()),
        false => settings::read_file(&path, typed.options.is_some(), &mut from_file),
    };
    let errors = read.err().unwrap_or_default();
    for error in &errors {
        eprintln!("claviger-scdaemon: {error}");
    }
    // The same words were parsed before, so there is no error.
    let mut merged =
        command_line::parse(arguments, from_file).map_or_else(|_| Typed::default(), |line| line.typed);
    let providers = settings::find_providers(&merged);
    merged.adopt(&providers.habits);
    (Settings { providers, ..Settings::resolve(&merged) }, errors.is_empty())
}

/// Says what is wrong with the configuration of PKCS#11 providers, and if asked which ones there are.
fn check(settings: &Settings, typed: &Typed, config_is_good: bool) -> ExitCode {
    let found = &settings.providers;
    for complaint in &found.complaints {
        eprintln!("claviger-scdaemon: {complaint}");
    }
    if typed.list_providers {
        print!("{found}");
    }
    if config_is_good && found.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(USAGE) }
}

/// Keeps secrets in this process: no core dumps, no debugger of another process.
fn protect(typed: &Typed) {
    use rustix::process::{Resource, Rlimit};
    if typed.allow_core_dump {
        return;
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = rustix::process::setrlimit(Resource::Core, none) {
        eprintln!("claviger-scdaemon: core dumps cannot be switched off: {error}");
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::DumpableBehavior;
        // Refused by no kernel that has it; one without it has nothing to switch off.
        let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Serves until the clients are gone.
fn serve(settings: Settings, typed: &Typed) -> io::Result<()> {
    std::thread::sleep(Duration::from_secs(typed.debug_wait.into()));
    log::start(detail(&settings), settings.log_file.as_deref())
        .map_err(|error| io::Error::other(format!("the log cannot be opened: {error}")))?;
    settings.providers.log();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(daemon::run(settings, typed));
    // A thread that still reads a terminal must not keep the process.
    runtime.shutdown_background();
    result
}

fn detail(settings: &Settings) -> Detail {
    let general = match settings.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    Detail {
        general,
        wire: if settings.debug.ipc() { LevelFilter::TRACE } else { general },
        cards: if settings.debug.cards() { LevelFilter::TRACE } else { general },
    }
}
