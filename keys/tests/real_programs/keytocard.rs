//! KEYDATA as a real gpg-agent sends it: its scdaemon is a script here that asks for the key and keeps what comes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use claviger_keys::{SecretKey, SecretMaterial};

use super::gpg::Home;
use super::run_with_input;

const SERIAL_NUMBER: &str = "D276000124010304FFFE000000010000";

/// What the agent says is kept raw by tee: the shell's `read` would drop NULs. It appends, so the file may be emptied.
const SCDAEMON: &str = r#"#!/bin/sh
exec tee -a "$0.heard" | {
    echo "OK ready"
    while read -r line; do
        case "$line" in
            SERIALNO*) echo "S SERIALNO {serial}"; echo "OK" ;;
            WRITEKEY*) echo "INQUIRE KEYDATA" ;;
            D\ *) ;;
            *) echo "OK" ;;
        esac
    done
}
"#;

/// Has the agent write the key to a card, and gives back the KEYDATA that the card's scdaemon got.
fn keydata(home: &Home, grip: &str) -> Vec<u8> {
    let heard = home.path().join("scdaemon.heard");
    fs::write(&heard, b"").unwrap();
    let command = format!("KEYTOCARD --force {grip} {SERIAL_NUMBER} OPENPGP.1 20240101T000000\n/bye\n");
    let answer = run_with_input(&mut home.command("gpg-connect-agent"), command.as_bytes());
    assert!(answer.starts_with(b"OK"), "{}", answer.escape_ascii());
    data_lines(&wait_for_end(&heard))
}

/// tee passes lines on before it writes them down.
fn wait_for_end(heard: &Path) -> Vec<u8> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let octets = fs::read(heard).unwrap();
        if octets.windows(5).any(|window| window == b"\nEND\n") {
            return octets;
        }
        assert!(Instant::now() < deadline, "no END in {}", octets.escape_ascii());
        sleep(Duration::from_millis(5));
    }
}

fn data_lines(heard: &[u8]) -> Vec<u8> {
    let data: Vec<u8> = heard
        .split(|octet| *octet == b'\n')
        .skip_while(|line| !line.starts_with(b"WRITEKEY "))
        .skip(1)
        .take_while(|line| *line != b"END")
        .flat_map(|line| line.strip_prefix(b"D ").unwrap().to_vec())
        .collect();
    let mut pieces = data.split(|octet| *octet == b'%');
    let mut octets = pieces.next().unwrap().to_vec();
    for piece in pieces {
        octets.push(u8::from_str_radix(str::from_utf8(&piece[..2]).unwrap(), 16).unwrap());
        octets.extend(&piece[2..]);
    }
    octets
}

#[test]
fn keydata_of_a_real_agent_is_read() {
    let home = Home::new();
    let script = home.path().join("scdaemon");
    fs::write(&script, SCDAEMON.replace("{serial}", SERIAL_NUMBER)).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o700)).unwrap();
    fs::write(home.path().join("gpg-agent.conf"), format!("scdaemon-program {}\n", script.display()))
        .unwrap();
    for algorithm in ["rsa2048", "rsa4096", "ed25519", "nistp256", "nistp521", "brainpoolP384r1", "secp256k1"]
    {
        home.gpg(&["--quick-generate-key", &format!("{algorithm}@example.org"), algorithm, "sign", "never"]);
    }
    let primary = home.listed().first().unwrap().fingerprint.clone();
    home.gpg(&["--quick-add-key", &primary, "cv25519", "encrypt", "never"]);
    let listed = home.listed();
    assert_eq!(listed.len(), 8);
    for theirs in listed {
        let key = SecretKey::from_keydata(&keydata(&home, &theirs.grip)).unwrap();
        assert_eq!((key.public().keygrip().to_string(), key.created()), (theirs.grip, 1_704_067_200));
        match key.material() {
            SecretMaterial::Rsa(rsa) => assert!(rsa.crt().is_ok()),
            SecretMaterial::Ecc(ecc) => assert_eq!(ecc.d().len(), ecc.curve().field_size()),
        }
    }
}
