//! Certificates on a card: written, listed, shown, read back, removed; and what is refused.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::world::{Home, Reader, Scdaemon, Seen, repository};
use crate::{Desk, claviger, run, word};

/// Typed at `key-attr` for three Ed25519 and X25519 keys.
const ED25519: [&str; 6] = ["2", "1", "2", "1", "2", "1"];

/// A certificate of a card's key, made by openssl: it issues for any key, given one to sign with.
fn certificate_of_slot(home: &Home, slot: &str) -> String {
    let [public, certificate, issuer] =
        ["key.pem", "made.pem", "issuer.pem"].map(|name| word(&home.path(name)));
    claviger(home, &["key", "spki", slot, "--output", &public]).ok();
    run(home, "openssl", &["genpkey", "-algorithm", "ed25519", "-out", &issuer]).ok();
    let subject = "/O=A House/CN=Carla \u{1b}Card";
    let made = ["x509", "-new", "-force_pubkey", &public, "-subj", subject, "-key", &issuer];
    run(home, "openssl", &[&made[..], &["-days", "30", "-out", &certificate]].concat()).ok();
    certificate
}

#[test]
fn a_certificate_is_written_listed_shown_read_back_and_removed() {
    let desk = Desk::with_keys(&ED25519);
    let home = &desk.home;
    claviger(home, &["cert", "list"]).ok().shows("no certificate on a card here or in the local store\n");
    let file = certificate_of_slot(home, "OPENPGP.3");
    claviger(home, &["cert", "write", "OPENPGP.1", &file]).fails().shows("not a certificate of the key");
    claviger(home, &["cert", "write", "OPENPGP.3", &file]).ok();

    let listed = claviger(home, &["cert", "list"]).ok();
    let listed = listed.shows("/OPENPGP.3\n    CN=Carla \\1BCard,O=A House\n    valid 2");
    assert!(listed.text().lines().all(|line| line.chars().count() <= 80), "{listed}");
    let json = claviger(home, &["cert", "list", "--json", "--no-ca", "OPENPGP.3"]).ok();
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(
        (json[0]["slot"].as_str(), json[0]["flags"].as_array()),
        (Some("OPENPGP.3"), Some(&Vec::new()))
    );
    let id = json[0]["id"].as_str().expect("an id");
    claviger(home, &["cert", "list", "--ca"]).ok().shows("in the local store fits\n");

    let shown = claviger(home, &["cert", "show", id]).ok();
    let serial = run(home, "openssl", &["x509", "-in", &file, "-noout", "-serial"]).ok();
    let shown = shown.shows(&serial.text().replace("serial=", "Serial       "));
    shown.shows("\nKey          ed25519\n").shows(json[0]["sha256"].as_str().expect("a fingerprint"));
    let json = claviger(home, &["cert", "show", id, "--json"]).ok();
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["subject"], "CN=Carla \\1BCard,O=A House");

    let out = word(&home.path("out.der"));
    run(home, "openssl", &["x509", "-in", &file, "-outform", "DER", "-out", &out]).ok();
    let expected = std::fs::read(&out).expect("openssl wrote it");
    let sha256 = format!("sha256:{}", json["sha256"].as_str().expect("a fingerprint"));
    for reference in ["OPENPGP.3", id, &sha256, json["keygrip"].as_str().expect("a keygrip")] {
        let read = claviger(home, &["cert", "export", reference, "--der"]).ok();
        assert!(read.stdout == expected, "{reference}: {read}");
    }
    claviger(home, &["cert", "export", id, "--chain", "--output", &out]).ok();
    assert_eq!(std::fs::read(&out).expect("it was written"), std::fs::read(&file).expect("openssl wrote it"));

    claviger(home, &["cert", "show", "nonsense"]).fails().shows("this is no reference");
    let by_keygrip = claviger(home, &["key", "spki", json["keygrip"].as_str().expect("a keygrip")]).ok();
    assert_eq!(by_keygrip.stdout, std::fs::read(home.path("key.pem")).expect("it was written"));

    claviger(home, &["cert", "delete", id]).fails().shows("--yes");
    claviger(home, &["cert", "delete", id, "--yes"]).ok();
    claviger(home, &["cert", "show", id]).fails().shows("there is no such certificate");
    claviger(home, &["cert", "write", "OPENPGP.1", &file, "--force"]).ok();
    std::fs::write(&out, [b"\x30\x82\x24\x00", &[0; 0x2400][..]].concat()).expect("the folder is ours");
    claviger(home, &["cert", "write", "OPENPGP.1", &out, "--force"]).fails().shows("it is too large");
    claviger(home, &["cert", "list"]).ok().shows("/OPENPGP.1\n").shows(", OTHER-KEY\n");
}

#[test]
fn on_a_terminal_a_person_is_asked_and_spared_binary() {
    let reader = Reader::start();
    let home = Home::new(&reader, Scdaemon::Ours);
    let leaf = word(&repository("testdata/certificates/leaf.pem"));
    let id = claviger(&home, &["cert", "import", &leaf]).ok().line("imported ");
    on_terminal(&home, &["cert", "export", &id, "--der"], "").fails().shows("DER is not for a terminal");
    let question = format!("Remove CN=Leaf,O=Example from {id}? (y/N) ");
    on_terminal(&home, &["cert", "delete", &id], "n").fails().shows(&question).shows("nothing was changed");
    claviger(&home, &["cert", "show", &id]).ok();
    on_terminal(&home, &["cert", "delete", &id], "y").ok().shows(&question);
    claviger(&home, &["cert", "show", &id]).fails();
}

/// Our program on a terminal, where `typed` is typed.
fn on_terminal(home: &Home, words: &[&str], typed: &str) -> Seen {
    let line = format!("{} {}", env!("CARGO_BIN_EXE_claviger"), words.join(" "));
    let mut script = home.command("script");
    script.args(["-qec", &line, "/dev/null"]);
    Seen::of(&mut script, format!("{typed}\n").as_bytes())
}

#[test]
fn a_daemon_that_is_slow_or_not_there_is_said() {
    let reader = Reader::start();
    let home = Home::new(&reader, Scdaemon::Ours);
    let slow = home.write("slow", "#!/bin/sh\nsleep 1.5\nexec \"${0%/*}/claviger-scdaemon\" \"$@\"\n");
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o700)).expect("the file is ours");
    home.write("gpg-agent.conf", &format!("scdaemon-program {}\n", slow.display()));
    let seen = claviger(&home, &["cert", "list"]).ok();
    seen.shows("claviger: waiting for the smartcard daemon\n");
    home.kill_agent();
    home.write("gpg-agent.conf", "scdaemon-program /nonexistent\n");
    claviger(&home, &["cert", "list"]).fails().shows("claviger: gpg-agent has no smartcard daemon");
}

#[test]
fn the_local_store_is_filled_listed_and_emptied() {
    let reader = Reader::start();
    let home = Home::new(&reader, Scdaemon::Ours);
    let path = |name: &str| word(&repository(&format!("testdata/certificates/{name}.pem")));
    let [leaf, middle, root, readme] = ["leaf", "middle", "root", "../../README"].map(path);
    claviger(&home, &["cert", "import", &leaf, &readme]).fails();
    claviger(&home, &["cert", "list"]).ok().shows("no certificate on a card here");
    let imported = claviger(&home, &["cert", "import", &leaf, &middle, &root]).ok();
    let id = imported.line("imported ");
    claviger(&home, &["cert", "import", &leaf]).ok().shows(&format!("unchanged {id}\n"));

    let listed = claviger(&home, &["cert", "list", "--token", "store", "--json"]).ok();
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let rows = listed.as_array().expect("a list");
    let authorities = rows.iter().filter(|row| row["authority"] == true).count();
    assert_eq!((rows.len(), authorities, &rows[0]["card"]), (3, 2, &Value::Null));
    let chain = word(&home.path("chain.pem"));
    claviger(&home, &["cert", "export", &id, "--chain", "--output", &chain]).ok();
    let verified = run(&home, "certtool", &["--verify-chain", "--infile", &chain]).ok();
    verified.shows("Verified. The certificate is trusted.");

    claviger(&home, &["cert", "delete", "--yes", &id]).ok();
    claviger(&home, &["cert", "show", &id]).fails();
    let left = claviger(&home, &["cert", "list", "--json"]).ok();
    let left: Value = serde_json::from_slice(&left.stdout).expect("JSON");
    assert_eq!(left.as_array().expect("a list").len(), 2);
}

#[test]
fn a_key_without_room_is_served_from_the_store_and_two_certificates_for_it_are_told_apart() {
    let desk = Desk::with_keys(&ED25519);
    let home = &desk.home;
    let ids = ["one.pem", "two.pem"].map(|name| {
        let file = word(&home.path(name));
        claviger(home, &["cert", "self-sign", "OPENPGP.3", "--output", &file]).ok();
        let id = claviger(home, &["cert", "import", &file]).ok().line("imported ");
        if name == "one.pem" {
            claviger(home, &["cert", "show", "OPENPGP.3"]).ok().shows(&id["sha256:".len()..]);
        }
        id
    });
    let refused = claviger(home, &["cert", "show", "OPENPGP.3"]).fails().shows("several certificates fit");
    assert!(ids.iter().all(|id| refused.text().contains(id)), "{refused}");
}

#[test]
fn what_cannot_be_done_is_said_with_its_exit_code() {
    let reader = Reader::start();
    let mut home = Home::new(&reader, Scdaemon::Ours);
    let leaf = word(&repository("testdata/certificates/leaf.pem"));
    let readme = word(&repository("README.md"));
    for (words, code, said) in [
        (&["cert", "show", "OPENPGP.1"][..], 1, "claviger: no card is here\n"),
        (&["cert", "write", "OPENPGP.1", &leaf], 1, "claviger: no card is here\n"),
        (&["cert", "write", "OPENPGP.1", &readme], 1, "neither PEM nor DER"),
        (&["cert", "write", "OPENPGP.1", "/nonexistent"], 1, "/nonexistent: No such file"),
        (&["cert", "lst"], 2, "there are: list, show, "),
        (&["cert", "show"], 2, "claviger cert show REF"),
        (&["cert", "list", "--jsn"], 2, "it has: --token, "),
        (&["cert", "list", "--ca", "--no-ca"], 2, "--ca and --no-ca exclude each other"),
        (&["nonsense"], 2, "there are: scdaemon, cert"),
    ] {
        let seen = claviger(&home, words);
        assert_eq!(seen.code, Some(code), "{seen}");
        seen.shows(said);
    }
    let json = claviger(&home, &["cert", "list", "--json"]).ok();
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).expect("JSON"), Value::Array(Vec::new()));

    home.switch_to(Scdaemon::Stock);
    let seen = claviger(&home, &["cert", "list"]).fails();
    seen.shows("gpg-agent is not claviger").shows("\n  scdaemon-program /").shows("gpg-agent.conf");
    // Without the variable, and with an agent that has to be started.
    home.switch_to(Scdaemon::Ours);
    let mut elsewhere = home.command(env!("CARGO_BIN_EXE_claviger"));
    elsewhere.env_remove("GNUPGHOME").args(["cert", "list", "--homedir", &word(&home.path(""))]);
    Seen::of(&mut elsewhere, b"").ok().shows("no certificate on a card here");
}
