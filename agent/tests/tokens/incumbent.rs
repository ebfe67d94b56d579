//! Users of gnupg-pkcs11-scd change one line of gpg-agent.conf, and go on: its configuration and the stubs that were made
//! through it stay as they are.

use std::collections::BTreeMap;
use std::fs;

use crate::desk::Desk;
use crate::world::Scdaemon;

const RECIPE: &str =
    "token office serial=00000000c1a51e01\nkey rsa2048 id=01 certificate\nkey rsa3072 id=02 certificate";

#[test]
fn signing_and_decryption_go_on_after_one_line_was_changed() {
    let mut desk = Desk::behind(Scdaemon::Incumbent, RECIPE);
    let keys = desk.keys();
    let key = |id: &str| keys.iter().find(|key| key.id.ends_with(id)).expect("it is learnt");
    desk.certify(key("/01")).ok();
    desk.add(key("/02")).ok();
    desk.learn_certificates();
    everything_works(&desk);
    let (conf, stubs) = (configuration(&desk), stubs(&desk));

    desk.home.switch_to(Scdaemon::Ours);
    assert_eq!(lines_that_differ(&conf, &configuration(&desk)), 1);
    desk.home.agent(&["SCD GETINFO version"]).ok().shows("D 2.4.");
    everything_works(&desk);
    // gpg-agent notes the token's own number now; where the key is there stays as it was.
    let now = self::stubs(&desk);
    assert_eq!(now.keys().collect::<Vec<_>>(), stubs.keys().collect::<Vec<_>>());
    for (name, stub) in &stubs {
        let key_id = |stub: &str| stub.rsplit('"').nth(1).expect("the key id is quoted").replace("\n ", "");
        assert_eq!(key_id(&now[name]), key_id(stub));
    }
}

/// Their serial number was that of SoftHSM's free slot, and not the token's.
#[test]
fn stubs_of_the_incumbent_name_a_serial_number_that_ours_takes() {
    let mut desk = Desk::behind(Scdaemon::Incumbent, RECIPE);
    desk.learn();
    let serial = desk.home.agent(&["SCD SERIALNO"]).ok().line("S SERIALNO ").replace(" 0", "");
    let stubs = stubs(&desk);
    assert_eq!(stubs.len(), 2);
    assert!(stubs.values().all(|stub| stub.contains(&serial)), "{stubs:#?}");
    desk.home.switch_to(Scdaemon::Ours);
    let demand = format!("SCD SERIALNO --demand={serial}");
    desk.home.agent(&[&demand]).ok().shows(&format!("S SERIALNO {serial}"));
}

fn everything_works(desk: &Desk) {
    desk.signs();
    desk.decrypts();
    desk.signs_with_certificate("rsa2048");
    desk.encrypt_to_certificate("rsa3072").ok();
    desk.decrypt_with_certificate().ok().shows("Signed and sealed.\n");
    for name in ["letter.sig", "letter.gpg", "letter.p7s", "letter.p7m"] {
        fs::remove_file(desk.path(name)).expect("it was made");
    }
}

fn configuration(desk: &Desk) -> String {
    let read = |name: &str| fs::read_to_string(desk.path(name)).expect("the home has it");
    read("gpg-agent.conf") + &read("gnupg-pkcs11-scd.conf")
}

/// gpg-agent's files, by their names.
fn stubs(desk: &Desk) -> BTreeMap<String, String> {
    let files = fs::read_dir(desk.path("private-keys-v1.d")).expect("gpg-agent made it");
    let read = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).expect("it is text");
        (entry.file_name().to_string_lossy().into_owned(), text)
    };
    files.map(|entry| read(entry.expect("an entry"))).collect()
}

fn lines_that_differ(one: &str, other: &str) -> usize {
    assert_eq!(one.lines().count(), other.lines().count());
    one.lines().zip(other.lines()).filter(|(one, other)| one != other).count()
}
