//! Where the person sits, as GnuPG's programs tell it to the agent, so that the PIN is asked for there (gpg-agent's
//! command OPTION).

use std::io;

/// Variables that the agent hands on to pinentry under their own names (GnuPG's `session-env.c`).
const HANDED_ON: [&str; 9] = [
    "XAUTHORITY",
    "XMODIFIERS",
    "WAYLAND_DISPLAY",
    "XDG_SESSION_TYPE",
    "QT_QPA_PLATFORM",
    "GTK_IM_MODULE",
    "DBUS_SESSION_BUS_ADDRESS",
    "QT_IM_MODULE",
    "PINENTRY_USER_DATA",
];

/// The arguments of the OPTION commands.
pub(super) fn options() -> Vec<String> {
    from(variable, terminal())
}

fn from(variable: impl Fn(&str) -> Option<String>, terminal: Option<String>) -> Vec<String> {
    let locale = |name| variable("LC_ALL").or_else(|| variable(name)).or_else(|| variable("LANG"));
    let own = [
        ("display", variable("DISPLAY")),
        ("ttyname", variable("GPG_TTY").or(terminal)),
        ("ttytype", variable("TERM")),
        ("lc-ctype", locale("LC_CTYPE")),
        ("lc-messages", locale("LC_MESSAGES")),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    let handed_on = HANDED_ON.iter().filter_map(|name| Some(format!("putenv={name}={}", variable(name)?)));
    own.chain(handed_on).collect()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The terminal of one of the three standard streams.
fn terminal() -> Option<String> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let name = rustix::termios::ttyname(&stdin, Vec::new())
        .or_else(|_| rustix::termios::ttyname(&stdout, Vec::new()))
        .or_else(|_| rustix::termios::ttyname(&stderr, Vec::new()));
    name.ok()?.into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_told_what_gpg_tells_it() {
        let environment =
            [("TERM", "xterm"), ("LANG", "C.UTF-8"), ("LC_MESSAGES", "de_DE"), ("XAUTHORITY", "/x")];
        let variable = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(
            from(variable, Some("/dev/pts/1".to_owned())),
            [
                "ttyname=/dev/pts/1",
                "ttytype=xterm",
                "lc-ctype=C.UTF-8",
                "lc-messages=de_DE",
                "putenv=XAUTHORITY=/x"
            ]
        );
    }
}
