//! Modules that look at readers themselves, or that belong to a desktop: OpenSC beside a card that is served natively, and
//! GNOME's keyring.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::world::jobs::import_rsa;
use crate::world::token::PIN;
use crate::world::{Card, Home, Provider, Reader, Scdaemon, Seen, Wire, repository, wait_for};

#[test]
fn opensc_serves_one_card_and_leaves_the_other_one_alone() {
    let reader = Reader::start();
    let cards = [("00000001", 0), ("00000002", 1)].map(|(number, slot)| {
        let card = Card::insert(&reader.slot_number(slot), &["--serial", number]);
        let home = Home::new(&reader, Scdaemon::Ours);
        serve_natively(&home, slot);
        home.wait_for_card();
        import_rsa(&home, 2048);
        home.kill_agent();
        (card, home)
    });
    let [(native, home), (foreign, _)] = &cards;
    native.apdus();
    foreign.apdus();
    home.providers(&[Provider::module("opensc", &module("opensc-pkcs11.so"))]);
    let listed = wait_for("OpenSC's keys", || {
        let listed = home.agent(&["SCD SERIALNO", "SCD KEYINFO --list"]).ok();
        if listed.text().matches("/PKCS\\x2315\\x20emulated/").count() == 3 {
            Ok(listed)
        } else {
            Err(listed)
        }
    });
    let keys = grips(&listed);
    assert_eq!(keys.len(), 6, "three of the one card and three of the other: {listed}");
    assert!(foreign.apdus().iter().any(|line| line.contains(OPENSC_TRIES)), "OpenSC reads its card");
    // Signature keys and those for authentication, natively and by OpenSC.
    for number in [0, 2, 3, 5] {
        signs(home, &keys[number]);
    }
    let others = native.apdus().into_iter().filter(|line| line.contains(OPENSC_TRIES)).collect::<Vec<_>>();
    assert!(others.is_empty(), "OpenSC was at the card that is served natively: {others:#?}");
}

/// SELECT without a wish for an answer: OpenSC tries with it whether a card is one of the many that it knows.
const OPENSC_TRIES: &str = " 00A4040C ";

/// The keygrips in a listing.
fn grips(listed: &Seen) -> Vec<String> {
    let text = listed.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("S KEYINFO "));
    lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Has the daemon sign; it verifies what it gives out.
#[track_caller]
fn signs(home: &Home, key: &str) {
    let mut wire = Wire::to_scdaemon(home);
    assert_eq!(wire.ask(&format!("SETDATA {}", "01".repeat(32))), "OK");
    assert_eq!(wire.sign(key, PIN), "OK", "{key}");
}

fn serve_natively(home: &Home, slot: usize) {
    home.write("scdaemon.conf", &format!("disable-ccid\nreader-port Virtual PCD 00 0{slot}\n"));
}

/// Where p11-kit's modules are, on a machine of this kind.
fn module(name: &str) -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("it is there").filter_map(Result::ok);
    let mut modules = folders.map(|folder| folder.path().join("pkcs11").join(name));
    modules.find(|path| path.exists()).unwrap_or_else(|| panic!("no {name}; `make check` installs it"))
}

#[test]
fn keys_of_gnomes_keyring_sign() {
    let keyring = Keyring::start();
    let home = Home::with_pcsc(Path::new("/nonexistent"), Scdaemon::Ours);
    let provider = Provider::module("gnome-keyring", &module("gnome-keyring-pkcs11.so"));
    home.providers(&[provider.with("GNOME_KEYRING_CONTROL", &keyring.dir.path().display().to_string())]);
    let listed = home.agent(&["SCD SERIALNO", "SCD KEYINFO --list"]).ok();
    let keys = grips(&listed);
    assert_eq!(keys.len(), 2, "{listed}");
    keys.iter().for_each(|key| signs(&home, key));
}

/// A gnome-keyring-daemon with two ssh keys, of which its module makes a token.
struct Keyring {
    dir: tempfile::TempDir,
    daemon: Child,
}

impl Keyring {
    fn start() -> Self {
        let private = fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new()
            .prefix("gk")
            .permissions(private)
            .tempdir_in("/tmp")
            .expect("/tmp is writable");
        let ssh = dir.path().join(".ssh");
        fs::create_dir(&ssh).expect("the folder is ours");
        for (kind, name) in [("rsa2048", "id_rsa"), ("p256", "id_ecdsa")] {
            let from = repository(&format!("testdata/tokens/{kind}.pem")).display().to_string();
            let to = ssh.join(name).display().to_string();
            // It reads keys in the old form only.
            Seen::of(Command::new("openssl").args(["pkey", "-traditional", "-in", &from, "-out", &to]), b"")
                .ok();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("the file is ours");
            let public = Seen::of(Command::new("ssh-keygen").args(["-y", "-f", &to]), b"").ok();
            fs::write(ssh.join(format!("{name}.pub")), public.stdout).expect("the folder is ours");
        }
        let home = dir.path();
        let daemon = Command::new("gnome-keyring-daemon")
            .args(["--foreground", "--components=pkcs11", "--control-directory"])
            .arg(home)
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .envs([("HOME", home), ("XDG_DATA_HOME", home), ("XDG_RUNTIME_DIR", home)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gnome-keyring-daemon starts; `make check` installs it");
        let socket = home.join("pkcs11");
        wait_for("GNOME's keyring", || if socket.exists() { Ok(()) } else { Err("no socket") });
        Self { dir, daemon }
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.daemon.kill().expect("the child is ours");
        self.daemon.wait().expect("the child is ours");
    }
}
