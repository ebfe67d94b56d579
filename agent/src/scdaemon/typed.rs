//! Options as they were typed, on the command line and in `scdaemon.conf`, none of them interpreted yet.

use std::path::PathBuf;

use crate::providers::Habits;

/// Options as they were typed, none of them interpreted yet.
#[derive(Debug, Default)]
pub(super) struct Typed {
    pub(super) gpgconf_list: bool,
    pub(super) gpgconf_test: bool,
    pub(super) dump_option_table: bool,
    pub(super) dump_options: bool,
    pub(super) help: bool,
    pub(super) version: bool,
    pub(super) warranty: bool,
    pub(super) server: bool,
    pub(super) multi_server: bool,
    pub(super) daemon: bool,
    pub(super) no_detach: bool,
    pub(super) sh: bool,
    pub(super) csh: bool,
    pub(super) homedir: Option<PathBuf>,
    pub(super) options: Option<PathBuf>,
    pub(super) no_options: bool,
    pub(super) verbose: u8,
    pub(super) quiet: bool,
    pub(super) debug: Debug,
    pub(super) debug_wait: u32,
    pub(super) allow_core_dump: bool,
    pub(super) log_file: Option<PathBuf>,
    pub(super) reader_port: Option<String>,
    pub(super) reader_socket: Option<PathBuf>,
    pub(super) openpgp_certificates: Vec<PathBuf>,
    pub(super) disable_pinpad: bool,
    pub(super) enable_pinpad_varlen: bool,
    pub(super) touch_prompt: bool,
    pub(super) disabled_applications: Vec<String>,
    pub(super) listen_backlog: Option<i32>,
    pub(super) pin_cache_ttl: Option<u64>,
    pub(super) card_verified_ttl: Option<u64>,
    pub(super) deny_admin: bool,
    pub(super) no_pkcs11: bool,
    pub(super) providers_config: Option<PathBuf>,
    pub(super) list_providers: bool,
}

impl Typed {
    /// Takes over what gnupg-pkcs11-scd's file says and nobody said here.
    pub(super) fn adopt(&mut self, habits: &Habits) {
        self.log_file = self.log_file.take().or_else(|| habits.log_file.clone());
        self.verbose = self.verbose.max(habits.verbose);
        self.pin_cache_ttl = self.pin_cache_ttl.or(habits.pin_cache);
    }
}

/// GnuPG's debug flags, as bits (scdaemon(1), `--debug`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Debug(u32);

impl Debug {
    const NAMES: [(&'static str, u32); 11] = [
        ("mpi", 2),
        ("crypto", 4),
        ("memory", 32),
        ("cache", 64),
        ("memstat", 128),
        ("hashing", 512),
        ("ipc", 1024),
        ("cardio", 2048),
        ("reader", 4096),
        ("app", 8192),
        ("card", 16384),
    ];
    const LEVELS: [(&'static str, u32); 5] =
        [("none", 0), ("basic", 0), ("advanced", 1024), ("expert", 1024 | 64), ("guru", u32::MAX)];

    /// Adds comma-separated names or a number.
    pub(super) fn add_flags(&mut self, list: &str) -> Result<(), BadValue> {
        if let Some(bits) = parse_number(list) {
            self.0 |= bits;
            return Ok(());
        }
        for name in list.split([',', ' ']).filter(|name| !name.is_empty()) {
            let bits = match name {
                "all" => u32::MAX,
                "none" => 0,
                _ => lookup(&Self::NAMES, name)
                    .ok_or(BadValue("ipc, card, cardio, reader, cache or a number"))?,
            };
            self.0 |= bits;
        }
        Ok(())
    }

    /// All of them.
    pub(super) fn add_all(&mut self) {
        self.0 = u32::MAX;
    }

    /// Adds the flags of a level by name, or by number as GnuPG counts them.
    pub(super) fn set_level(&mut self, level: &str) -> Result<(), BadValue> {
        const EXPECTED: BadValue = BadValue("none, basic, advanced, expert, guru or a number from 0 to 9");
        let bits = match level.parse::<u32>() {
            Ok(0..=2) => 0,
            Ok(3..=5) => 1024,
            Ok(6..=8) => 1024 | 64,
            Ok(_) => u32::MAX,
            Err(_) => lookup(&Self::LEVELS, level).ok_or(EXPECTED)?,
        };
        self.0 |= bits;
        Ok(())
    }

    /// Whether lines of the protocol are to be logged (their kind and size; never what data lines carry).
    pub(super) fn ipc(self) -> bool {
        self.0 & 1024 != 0
    }

    /// Whether card operations are to be logged.
    pub(super) fn cards(self) -> bool {
        self.0 & (2048 | 4096 | 8192 | 16384) != 0
    }
}

/// A value that an option does not take; says what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it takes {0}")]
pub(super) struct BadValue(pub(super) &'static str);

fn lookup(table: &[(&str, u32)], name: &str) -> Option<u32> {
    table.iter().find(|(known, _)| *known == name).map(|(_, bits)| *bits)
}

fn parse_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_flags_go_by_name_number_and_level() {
        let mut debug = Debug::default();
        debug.add_flags("ipc,reader").unwrap();
        assert_eq!(debug, Debug(1024 | 4096));
        debug.add_flags("0x40").unwrap();
        assert_eq!(debug, Debug(1024 | 4096 | 64));
        assert!(debug.add_flags("nonsense").is_err());
        let mut level = Debug::default();
        level.set_level("advanced").unwrap();
        assert!(level.ipc() && !level.cards());
        assert!(level.set_level("high").is_err());
    }
}
