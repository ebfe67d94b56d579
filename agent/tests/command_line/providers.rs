//! Configuration of PKCS#11 providers as a person finds out about it: what is used, what is wrong, and that the daemon goes
//! on.

use std::fs;
use std::path::Path;

use crate::world::{Home, Scdaemon, Seen};

/// A home without a reader, with these files.
fn home(files: &[(&str, &str)]) -> Home {
    let home = Home::with_pcsc(Path::new("/nonexistent"), Scdaemon::Ours);
    for (name, text) in files {
        home.write(name, text);
    }
    home
}

fn scdaemon(home: &Home, words: &[&str], input: &[u8]) -> Seen {
    let program = home.scdaemon_program();
    Seen::of(home.command(&program.to_string_lossy()).args(words), input)
}

const WRONG: (&str, &str) =
    ("claviger.toml", "p11-kit = false\n\n[[provider]]\nname = \"a\"\nmodul = \"a.so\"\n");
const MEANT: &str = "claviger.toml:5: unknown key \"modul\"; did you mean \"module\"?";

#[test]
fn what_is_wrong_is_told_to_whoever_checks_it() {
    let home = home(&[WRONG]);
    for check in ["--gpgconf-test", "--list-providers"] {
        let seen = scdaemon(&home, &[check], b"");
        assert!(seen.code == Some(2) && seen.text().contains(MEANT), "{seen:?}");
        let seen = scdaemon(&home, &[check, "--no-pkcs11"], b"");
        assert!(seen.code == Some(0) && seen.text().is_empty(), "{seen:?}");
    }
}

#[test]
fn the_daemon_goes_on_without_providers_and_says_so_in_its_log() {
    let home = home(&[WRONG]);
    let log = home.path("log");
    let words = ["--server", "--log-file", &log.to_string_lossy()];
    let seen = scdaemon(&home, &words, b"GETINFO version\n");
    assert!(seen.code == Some(0) && seen.text().contains("\nD 2."), "{seen:?}");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(MEANT), "{log}");
}

#[test]
fn another_file_can_be_named_and_has_to_be_there() {
    let home = home(&[
        WRONG,
        ("mine.so", ""),
        ("mine.toml", "[[provider]]\nname = \"mine\"\nmodule = \"~/mine.so\"\n"),
    ]);
    let seen = scdaemon(&home, &["--list-providers", "--providers-config", "mine.toml"], b"");
    let folder = home.path("");
    let expected = format!("mine: {0}mine.so ({0}mine.toml)\n", folder.display());
    assert!(seen.code == Some(0) && seen.text() == expected, "{seen:?}");
    let seen = scdaemon(&home, &["--list-providers", "--providers-config", "none.toml"], b"");
    assert!(
        seen.code == Some(2) && seen.text().contains("none.toml: cannot be read: No such file"),
        "{seen:?}"
    );
}

#[test]
fn what_p11_kit_has_registered_is_used_where_a_person_wants_it() {
    let files = [("claviger.toml", "p11-kit = true\nexclude = [\"b\"]\n"), ("m.so", "")];
    let home = home(&files);
    fs::create_dir(home.path("modules")).unwrap();
    let registered =
        [("a", "module: m.so\n"), ("b", "module: m.so\n"), ("c", "module: m.so\nenable-in: ssh\n")];
    for (name, text) in registered {
        home.write(&format!("modules/{name}.module"), text);
    }
    let program = home.scdaemon_program();
    let mut command = home.command(&program.to_string_lossy());
    command.envs([
        ("P11_PACKAGE_CONFIG_MODULES", home.path("modules")),
        ("P11_SYSTEM_CONFIG_MODULES", home.path("none")),
        ("P11_SYSTEM_CONFIG_FILE", home.path("none")),
        ("P11_MODULE_PATH", home.path("")),
    ]);
    let seen = Seen::of(command.arg("--list-providers"), b"");
    let folder = home.path("");
    assert_eq!(
        seen.text(),
        format!(
            "a: {0}m.so ({0}modules/a.module)\n\
             p11-kit's module \"b\" is not used: claviger.toml excludes it\n\
             p11-kit's module \"c\" is not used: it is for other programs (\"enable-in\", \"disable-in\")\n",
            folder.display()
        )
    );
}

#[test]
fn a_user_of_gnupg_pkcs11_scd_keeps_log_and_habits() {
    let conf = "log-file scd.log\nverbose\nproviders p\nprovider-p-library /nonexistent/p.so\nprovider-p-cert-private\n";
    let home = home(&[("gnupg-pkcs11-scd.conf", conf)]);
    let seen = scdaemon(&home, &["--server"], b"GETINFO version\n");
    assert!(seen.code == Some(0), "{seen:?}");
    let log = fs::read_to_string(home.path("scd.log")).unwrap();
    assert!(log.contains("provider \"p\": there is no /nonexistent/p.so"), "{log}");
    assert!(log.contains("gnupg-pkcs11-scd.conf:5: \"cert-private\" is not needed any more"), "{log}");
}
