//! The scdaemon face's options: one table feeds the command line, `scdaemon.conf`, `--help`, `--dump-option-table` and
//! `--gpgconf-list`.
//!
//! Names and meanings are GnuPG's (scdaemon(1)); rows marked in their help text as claviger's own are ours. Options
//! that only make sense for GnuPG's built-in USB driver are accepted, so that an existing `scdaemon.conf` keeps working.

use super::typed::{BadValue, Typed};

/// One option.
pub(super) struct Opt {
    /// The long name, without dashes.
    pub(super) name: &'static str,
    /// The one-letter name.
    pub(super) short: Option<char>,
    /// What follows it.
    pub(super) takes: Takes,
    /// Where `--help` lists it.
    pub(super) group: Group,
    /// One line for `--help`; empty for options that are not shown. `|NAME|` in front names the value.
    pub(super) help: &'static str,
    /// Its line in `--gpgconf-list`, as flags and default; `None` if gpgconf does not handle it.
    pub(super) gpgconf: Option<&'static str>,
    /// Notes the option.
    pub(super) note: fn(&mut Typed, &str) -> Result<(), BadValue>,
}

/// What an option is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// A text.
    Text,
    /// A decimal number.
    Number,
}

/// The headings of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Things to do instead of serving; valid on the command line only.
    Command,
    /// How to start.
    Startup,
    /// Diagnostics.
    Monitor,
    /// Readers and cards.
    Configuration,
    /// What is allowed.
    Security,
}

impl Group {
    /// The headings in the order of `--help`.
    pub(super) const SHOWN: [Self; 4] = [Self::Startup, Self::Monitor, Self::Configuration, Self::Security];

    /// The heading's text.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Command => "Commands",
            Self::Startup => "Options used for startup",
            Self::Monitor => "Options controlling the diagnostic output",
            Self::Configuration => "Options controlling the configuration",
            Self::Security => "Options controlling the security",
        }
    }

    /// The options that `--help` lists under it.
    pub(super) fn listed(self) -> impl Iterator<Item = &'static Opt> {
        OPTIONS.iter().filter(move |option| option.group == self && !option.help.is_empty())
    }
}

impl Opt {
    /// What its value is called, and its line for `--help` without that.
    pub(super) fn value_and_help(&self) -> (Option<&'static str>, &'static str) {
        match self.help.strip_prefix('|').and_then(|rest| rest.split_once('|')) {
            Some((value, help)) => (Some(value), help),
            None => (None, self.help),
        }
    }
}

/// The option of that name.
pub(super) fn by_name(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// The option of that letter.
pub(super) fn by_letter(letter: char) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.short == Some(letter))
}

/// A flag; it sets one field.
macro_rules! flag {
    ($name:literal, $group:ident, $help:literal, $gpgconf:expr, $field:ident) => {
        flag!($name, None, $group, $help, $gpgconf, $field)
    };
    ($name:literal, $short:expr, $group:ident, $help:literal, $gpgconf:expr, $field:ident) => {
        Opt {
            name: $name,
            short: $short,
            takes: Takes::Nothing,
            group: Group::$group,
            help: $help,
            gpgconf: $gpgconf,
            note: |typed, _| {
                typed.$field = true;
                Ok(())
            },
        }
    };
}

/// An option with a value.
macro_rules! value {
    ($name:literal, $takes:ident, $group:ident, $help:literal, $gpgconf:expr, $note:expr) => {
        Opt {
            name: $name,
            short: None,
            takes: Takes::$takes,
            group: Group::$group,
            help: $help,
            gpgconf: $gpgconf,
            note: $note,
        }
    };
}

/// An option that is understood and does nothing here.
macro_rules! accepted {
    ($name:literal, $takes:ident, $group:ident, $help:literal, $gpgconf:expr) => {
        value!($name, $takes, $group, $help, $gpgconf, |_, _| Ok(()))
    };
}

/// All options, in the order in which they are listed.
pub(super) static OPTIONS: &[Opt] = &[
    flag!("gpgconf-list", Command, "", None, gpgconf_list),
    flag!("gpgconf-test", Command, "", None, gpgconf_test),
    flag!("server", Startup, "run in server mode (foreground)", None, server),
    flag!("multi-server", Startup, "run in multi server mode (foreground)", None, multi_server),
    flag!("daemon", Startup, "run in daemon mode (background)", None, daemon),
    flag!("no-detach", Startup, "do not detach from the console", None, no_detach),
    flag!("sh", Some('s'), Startup, "sh-style command output", None, sh),
    flag!("csh", Some('c'), Startup, "csh-style command output", None, csh),
    value!("homedir", Text, Startup, "", None, |typed, value| {
        typed.homedir = Some(value.into());
        Ok(())
    }),
    value!("options", Text, Startup, "|FILE|read options from FILE", None, |typed, value| {
        typed.options = Some(value.into());
        Ok(())
    }),
    flag!("no-options", Startup, "", None, no_options),
    flag!(
        "list-providers",
        Startup,
        "list PKCS#11 providers and what is wrong with their configuration (claviger's own)",
        None,
        list_providers
    ),
    Opt {
        name: "verbose",
        short: Some('v'),
        takes: Takes::Nothing,
        group: Group::Monitor,
        help: "verbose",
        gpgconf: Some("0:"),
        note: |typed, _| {
            typed.verbose = typed.verbose.saturating_add(1);
            Ok(())
        },
    },
    flag!("quiet", Some('q'), Monitor, "be somewhat more quiet", Some("0:"), quiet),
    value!("debug", Text, Monitor, "", None, |typed, value| typed.debug.add_flags(value)),
    Opt {
        name: "debug-all",
        short: None,
        takes: Takes::Nothing,
        group: Group::Monitor,
        help: "",
        gpgconf: None,
        note: |typed, _| {
            typed.debug.add_all();
            Ok(())
        },
    },
    value!(
        "debug-level",
        Text,
        Monitor,
        "|LEVEL|set the debugging level to LEVEL",
        Some("16:\"none:"),
        |typed, value| typed.debug.set_level(value)
    ),
    value!("debug-wait", Number, Monitor, "", None, |typed, value| {
        typed.debug_wait = number(value)?;
        Ok(())
    }),
    flag!("debug-allow-core-dump", Monitor, "", None, allow_core_dump),
    accepted!("debug-ccid-driver", Nothing, Monitor, "", None),
    accepted!("debug-log-tid", Nothing, Monitor, "", None),
    accepted!("debug-allow-pin-logging", Nothing, Monitor, "", None),
    accepted!("debug-assuan-log-cats", Number, Monitor, "", None),
    value!("log-file", Text, Monitor, "|FILE|write a log to FILE", Some("0:"), |typed, value| {
        typed.log_file = Some(value.into());
        Ok(())
    }),
    value!(
        "reader-port",
        Text,
        Configuration,
        "|N|connect to reader at port N (a name, its beginning, or a number)",
        Some("0:"),
        |typed, value| {
            typed.reader_port = Some(value.to_owned());
            Ok(())
        }
    ),
    value!(
        "reader-socket",
        Text,
        Configuration,
        "|FILE|let virtual cards connect at socket FILE, instead of PC/SC (claviger's own)",
        None,
        |typed, value| {
            typed.reader_socket = Some(value.into());
            Ok(())
        }
    ),
    value!(
        "openpgp-certificates",
        Text,
        Configuration,
        "|FILE|look for OpenPGP certificates in FILE or directory, too (claviger's own)",
        None,
        |typed, value| {
            typed.openpgp_certificates.push(value.into());
            Ok(())
        }
    ),
    value!(
        "providers-config",
        Text,
        Configuration,
        "|FILE|read PKCS#11 providers from FILE instead of claviger.toml (claviger's own)",
        None,
        |typed, value| {
            typed.providers_config = Some(value.into());
            Ok(())
        }
    ),
    flag!("no-pkcs11", Configuration, "use no PKCS#11 tokens (claviger's own)", None, no_pkcs11),
    accepted!("ctapi-driver", Text, Configuration, "", Some("0:")),
    accepted!("pcsc-driver", Text, Configuration, "", Some("16:\"libpcsclite.so.1:")),
    accepted!("pcsc-shared", Nothing, Configuration, "", None),
    accepted!("disable-ccid", Nothing, Configuration, "", Some("0:")),
    accepted!("card-timeout", Number, Configuration, "", Some("16:0:")),
    flag!(
        "disable-pinpad",
        Configuration,
        "have no PIN typed on a reader's own keys",
        Some("0:"),
        disable_pinpad
    ),
    flag!("disable-keypad", Configuration, "", None, disable_pinpad),
    flag!(
        "enable-pinpad-varlen",
        Configuration,
        "take it that a reader's keys take PINs of any length",
        Some("0:"),
        enable_pinpad_varlen
    ),
    value!("disable-application", Text, Configuration, "", None, |typed, value| {
        typed.disabled_applications.push(value.to_ascii_lowercase());
        Ok(())
    }),
    accepted!("application-priority", Text, Configuration, "", None),
    accepted!("compatibility-flags", Text, Configuration, "", None),
    value!("listen-backlog", Number, Configuration, "", None, |typed, value| {
        typed.listen_backlog = Some(number(value)?);
        Ok(())
    }),
    value!(
        "pin-cache-ttl",
        Number,
        Security,
        "|N|forget a PIN N seconds after its last use; 0 remembers none (claviger's own)",
        None,
        |typed, value| {
            typed.pin_cache_ttl = Some(number(value)?);
            Ok(())
        }
    ),
    flag!("touch-prompt", Configuration, "have the agent show when a touch is awaited", None, touch_prompt),
    value!(
        "card-verified-ttl",
        Number,
        Security,
        "|N|lock a card N seconds after the last use of its PIN (claviger's own)",
        None,
        |typed, value| {
            typed.card_verified_ttl = Some(number(value)?);
            Ok(())
        }
    ),
    flag!("deny-admin", Security, "deny the use of admin card commands", Some("0:"), deny_admin),
    Opt {
        name: "allow-admin",
        short: None,
        takes: Takes::Nothing,
        group: Group::Security,
        help: "",
        gpgconf: None,
        note: |typed, _| {
            typed.deny_admin = false;
            Ok(())
        },
    },
    flag!("help", Some('h'), Command, "", None, help),
    flag!("version", Command, "", None, version),
    flag!("warranty", Command, "", None, warranty),
    flag!("dump-option-table", Command, "", None, dump_option_table),
    flag!("dump-options", Command, "", None, dump_options),
];

fn number<N: std::str::FromStr>(value: &str) -> Result<N, BadValue> {
    value.parse().map_err(|_| BadValue("a decimal number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_is_listed_twice() {
        for (n, option) in OPTIONS.iter().enumerate() {
            let later = &OPTIONS[n + 1..];
            assert!(later.iter().all(|other| other.name != option.name), "{} twice", option.name);
            assert!(option.short.is_none() || later.iter().all(|other| other.short != option.short));
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_refused() {
        let ttl = by_name("pin-cache-ttl").unwrap();
        let mut typed = Typed::default();
        assert_eq!((ttl.note)(&mut typed, "soon"), Err(BadValue("a decimal number")));
        assert_eq!((ttl.note)(&mut typed, "90"), Ok(()));
        assert_eq!(typed.pin_cache_ttl, Some(90));
    }
}
