//! The manual page `docs/claviger-scdaemon.1`, in the macros of man(7): usage, options, and where the rest is told.

use std::fmt::Write as _;

use claviger::scdaemon::reference::{CommandText, OptionText, commands, options};

const BEGINNING: &str = r#".\" Made by `make docs`, from the tables of options and commands. Do not edit.
.TH CLAVIGER\-SCDAEMON 1 "" claviger
.nh
.SH NAME
claviger\-scdaemon \- smartcard daemon for GnuPG
.SH SYNOPSIS
.B claviger\-scdaemon
.RI [ options ]
.BR \-\-multi\-server | \-\-server | \-\-daemon
.RI [ command
.RI [ arguments ]]
.SH DESCRIPTION
Takes the place of GnuPG's scdaemon: gpg, gpgsm and ssh use OpenPGP cards through it, and the certificates on them can be listed and
read. An agent starts it that has the line
.PP
.RS
scdaemon\-program /path/to/claviger\-scdaemon
.RE
.PP
in its gpg\-agent.conf. Readers are reached through pcscd.
.SH OPTIONS
They may also stand in scdaemon.conf, one a line, without dashes. GnuPG's other options are understood, too; those that make no
sense here do nothing.
"#;

const COMMANDS: &str = r#".SH COMMANDS
What can be said on the socket, or as
.B gpg\-connect\-agent \(dqSCD
.IR COMMAND \(dq
.BR /bye .
HELP explains each.
"#;

const END: &str = r#".SH FILES
.TP
.I ~/.gnupg/scdaemon.conf
options
.TP
.I ~/.gnupg/claviger.toml\fR, \fI/etc/claviger/claviger.toml
PKCS#11 modules, explained in docs/claviger.toml.md; without them, the modules that p11\-kit has registered
.TP
.I ~/.gnupg/gnupg\-pkcs11\-scd.conf\fR, \fI/etc/gnupg\-pkcs11\-scd.conf
gnupg\-pkcs11\-scd's, which is understood
.TP
.I ~/.gnupg/scd\-event
a program that is run whenever a card comes, goes, or waits for a touch
.TP
.I ~/.gnupg/reader_0.status
whether there is a card: USABLE or NOCARD
.TP
.I ~/.gnupg/claviger\-certs.d
certificates beside those on cards
.SH SIGNALS
SIGHUP forgets all PINs and locks all cards. SIGTERM ends the program with its last session, SIGINT or a third SIGTERM at once.
SIGUSR1 writes its state to the log.
.SH SEE ALSO
.BR gpg\-agent (1),
.BR gpg\-connect\-agent (1),
.BR scdaemon (1),
docs/protocol.md for the whole protocol
"#;

/// The page.
pub(crate) fn page() -> String {
    let mut page = BEGINNING.to_owned();
    let mut heading = "";
    for option in options() {
        if option.heading != heading {
            heading = option.heading;
            let _ = writeln!(page, ".SS {heading}");
        }
        page += &entry(&option);
    }
    page += COMMANDS;
    page.extend(commands().map(|command| usage(&command)));
    page + END
}

fn entry(option: &OptionText) -> String {
    let short = option.short.map(|letter| format!("\\-{letter}, ")).unwrap_or_default();
    let value = option.value.map(|value| format!(" \\fI{}\\fB", escaped(value))).unwrap_or_default();
    format!(".TP\n\\fB{short}\\-\\-{}{value}\\fR\n{}\n", escaped(option.name), escaped(option.help))
}

/// The lines of a usage: those before the first empty one.
fn usage(command: &CommandText) -> String {
    let lines: Vec<_> = command.help.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let text = if lines.is_empty() { command.name.to_owned() } else { lines.join(" ") };
    let (name, arguments) = text.split_once(' ').unwrap_or((&text, ""));
    format!(".HP\n\\fB{}\\fR {}\n", escaped(name), escaped(arguments)).replace(" \n", "\n")
}

/// Text in which no character is a command.
fn escaped(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_taken_for_a_command_of_the_page() {
        assert_eq!(escaped(".SH it's a-b\\c"), "\\&.SH it\\(aqs a\\-b\\ec");
        let page = page();
        let requests = page.lines().filter(|line| line.starts_with('.'));
        let known = [
            ".\\\"", ".TH", ".SH", ".SS", ".TP", ".HP", ".PP", ".RS", ".RE", ".B", ".RI", ".BR", ".IR", ".I",
            ".nh",
        ];
        let unknown = |line: &&str| !known.contains(&line.split(' ').next().unwrap_or_default());
        assert_eq!(requests.filter(unknown).collect::<Vec<_>>(), Vec::<&str>::new());
    }

    #[test]
    fn each_option_and_each_command_has_its_place() {
        let page = page();
        for option in options() {
            assert!(page.contains(&format!("\\-\\-{}", escaped(option.name))), "{}", option.name);
        }
        for command in commands() {
            assert!(page.contains(&format!("\\fB{}\\fR", command.name)), "{}", command.name);
        }
    }
}
