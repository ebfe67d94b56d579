//! Administration by gpg: each job is done through GnuPG's scdaemon and through ours, with the same gpg, on equal cards;
//! afterwards the cards are compared object by object, and with them what pinentry was told, what gpg said and what it
//! cost the card.
//!
//! Key material, fingerprints and times of keys that a card made are looked at by use: gpg signs and decrypts with them,
//! ssh logs in, and the certificate says the same of them as the card.

mod office;
#[path = "world/mod.rs"]
mod world;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::{iter, thread};

use office::at_rest::{AtRest, Memory};
use office::contents::{Contents, NEW, Pins};
use office::dialogue::Dialogue;
use office::{Job, Pair, Start, gnupg_release, jobs};

#[test]
fn whose_card_it_is() {
    all_the_same(jobs::person::JOBS);
}

#[test]
fn private_objects_and_certificates() {
    all_the_same(jobs::objects::JOBS);
}

#[test]
fn pins_and_the_resetting_code() {
    all_the_same(jobs::pins::JOBS);
}

#[test]
fn keys_that_the_card_makes() {
    all_the_same(jobs::keys::JOBS);
}

#[test]
fn keys_that_come_from_gpg() {
    all_the_same(jobs::import::JOBS);
}

#[test]
fn the_key_derivation() {
    all_the_same(jobs::kdf::JOBS);
}

#[test]
fn what_newer_gnupgs_do() {
    all_the_same(jobs::newer::JOBS);
}

/// How many jobs of a family are done at a time.
const AT_ONCE: usize = 2;

fn all_the_same(jobs: &[Job]) {
    let only = std::env::var("CLAVIGER_JOBS").unwrap_or_default();
    let newer = jobs.iter().filter(|job| job.since > gnupg_release()).count();
    if newer > 0 {
        let _ = writeln!(std::io::stderr(), "{newer} jobs are for a newer GnuPG; Debian 13 has it");
    }
    let possible = jobs.iter().filter(|job| job.since <= gnupg_release() && job.name.contains(&only));
    let left = Mutex::new(possible);
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let some_of_them = || iter::from_fn(next).filter_map(complaint).collect::<Vec<_>>();
    // Most of a job is waiting.
    let complaints: Vec<_> = thread::scope(|scope| {
        let workers = [(); AT_ONCE].map(|()| scope.spawn(some_of_them));
        workers.into_iter().flat_map(|worker| worker.join().expect("it told why")).collect()
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn one_object_that_is_not_the_same_is_noticed_whichever_it_is() {
    let memory = Memory::blank();
    let before = Contents::of(&memory, NEW);
    let mut noticed = BTreeSet::new();
    for (name, tag, data, pin) in CHANGES {
        let changed = Memory::copy_of(&memory.image());
        change(&changed, *tag, data, *pin);
        let differences = Contents::of(&changed, NEW).differences(&before, &[]);
        assert!(differences.iter().any(|object| object == name), "{name}: {differences:?}");
        noticed.extend(differences);
    }
    let unnoticed: Vec<_> = before.names().filter(|name| !noticed.contains(*name)).collect();
    assert_eq!(unnoticed, NOT_WRITTEN);
}

/// Writes an object with a PIN of a new card; a tag in three octets begins with the number of the certificate.
fn change(memory: &Memory, tag: [u8; 3], data: &[u8], pin: u8) {
    let mut card = AtRest::with(memory);
    let typed = if pin == 0x83 { NEW.admin } else { NEW.user };
    assert_eq!(card.give([0x00, 0x20, 0x00, pin], typed.as_bytes()), [0x90, 0x00]);
    card.give([0x00, 0xA5, tag[0], 0x04], &[0x60, 0x04, 0x5C, 0x02, 0x7F, 0x21]);
    assert_eq!(card.give([0x00, 0xDA, tag[1], tag[2]], data), [0x90, 0x00], "{tag:02X?}");
}

#[test]
fn a_key_another_pin_and_a_lost_try_are_noticed() {
    let keys = Start::WithKeys.memory();
    let new = Memory::blank();
    let without_keys = Contents::of(&new, NEW);
    let differences = Contents::of(&keys, NEW).differences(&without_keys, &[]);
    for object in
        ["key B6", "key B8", "key A4", "6E/73/C1", "6E/73/C5", "6E/73/CD", "6E/73/DE", "DE", "7A/93"]
    {
        assert!(differences.iter().any(|different| different == object), "{object}: {differences:?}");
    }
    let with_another_pin = Contents::of(&new, Pins { user: "654321", ..NEW });
    let differences = with_another_pin.differences(&without_keys, &["VERIFY 82"]);
    assert!(differences.iter().any(|object| object == "VERIFY 81"), "{differences:?}");
    assert!(differences.iter().all(|object| object != "VERIFY 82"), "left out: {differences:?}");
    let differences = Contents::of(&new, NEW).differences(&without_keys, &[]);
    assert!(differences.iter().any(|object| object == "6E/73/C4"), "a try is lost: {differences:?}");
}

/// A change to each object that PUT DATA writes: name, tag, content, PIN.
const CHANGES: &[(&str, [u8; 3], &[u8], u8)] = &[
    ("65/5B", [0, 0x00, 0x5B], b"Doe<<Jane", 0x83),
    ("65/5F2D", [0, 0x5F, 0x2D], b"de", 0x83),
    ("65/5F35", [0, 0x5F, 0x35], b"1", 0x83),
    ("5E", [0, 0x00, 0x5E], b"jane", 0x83),
    ("5F50", [0, 0x5F, 0x50], b"https://example.org", 0x83),
    ("C4", [0, 0x00, 0xC4], &[1], 0x83),
    ("6E/73/C4", [0, 0x00, 0xC4], &[1], 0x83),
    ("6E/73/C1", [0, 0x00, 0xC1], &[1, 16, 0, 0, 32, 0], 0x83),
    ("6E/73/C2", [0, 0x00, 0xC2], &[1, 16, 0, 0, 32, 0], 0x83),
    ("6E/73/C3", [0, 0x00, 0xC3], &[1, 16, 0, 0, 32, 0], 0x83),
    ("6E/73/C5", [0, 0x00, 0xC8], &[7; 20], 0x83),
    ("6E/73/C6", [0, 0x00, 0xCB], &[7; 20], 0x83),
    ("6E/73/CD", [0, 0x00, 0xCF], &[7; 4], 0x83),
    ("D6", [0, 0x00, 0xD6], &[1, 0x20], 0x83),
    ("D7", [0, 0x00, 0xD7], &[1, 0x20], 0x83),
    ("D8", [0, 0x00, 0xD8], &[1, 0x20], 0x83),
    ("0101", [0, 0x01, 0x01], b"one", 0x82),
    ("0102", [0, 0x01, 0x02], b"two", 0x83),
    ("0103", [0, 0x01, 0x03], b"three", 0x82),
    ("0104", [0, 0x01, 0x04], b"four", 0x83),
    ("7F21 number 1", [2, 0x7F, 0x21], b"a certificate", 0x83),
    ("7F21 number 2", [1, 0x7F, 0x21], b"a certificate", 0x83),
    ("7F21 number 3", [0, 0x7F, 0x21], b"a certificate", 0x83),
    ("F9", [0, 0x00, 0xF9], &[0x81, 1, 0], 0x83),
];

/// What no PUT DATA changes: the card's nature, the AES key, which this card does not show, and what follows from keys and
/// PINs, which the next test changes.
const NOT_WRITTEN: &[&str] = &[
    "4F",
    "5F52",
    "6E/4F",
    "6E/5F52",
    "6E/73/C0",
    "6E/73/DE",
    "6E/7F66",
    "6E/7F74",
    "7A/93",
    "D5",
    "DE",
    "FA",
    "VERIFY 81",
    "VERIFY 82",
    "VERIFY 83",
    "key A4",
    "key B6",
    "key B8",
];

/// What is not as it should be.
fn complaint(job: &Job) -> Option<String> {
    let pair = Pair::of(job);
    let seen = Dialogue::seen(&pair, job.varies);
    seen.record(job);
    let wanted = Dialogue::of(job);
    let mut complaints = Vec::new();
    let mut same = |what: &str, seen: &[String], wanted: &[String]| {
        if seen != wanted {
            let [seen, wanted] = [seen, wanted].map(|lines| lines.join("\n"));
            complaints.push(format!("{what}\n-- seen:\n{seen}\n-- wanted:\n{wanted}"));
        }
    };
    same("stock's pinentry was told", &seen.stock, &wanted.stock);
    same("our pinentry was told", &seen.ours, &wanted.ours);
    same("gpg said through stock alone", &seen.said_through_stock, &wanted.said_through_stock);
    same("gpg said through ours alone", &seen.said_through_ours, &wanted.said_through_ours);
    same("objects differ", &seen.objects, &wanted.objects);
    for (pin, answer) in pair.ours.contents.pins() {
        let wanted = if job.pins.is_blocked(pin) { "63C0" } else { "9000" };
        if answer != wanted {
            complaints.push(format!("VERIFY {pin:02X} of the card is answered {answer}, not {wanted}"));
        }
    }
    let count = pair.ours.apdus.len();
    if let Some(budget) = pair.budget().filter(|budget| count > *budget) {
        let [ours, stock] = [&pair.ours, &pair.stock].map(|performance| performance.apdus.join("\n"));
        complaints.push(format!("{count} commands, not {budget}\n-- ours:\n{ours}\n-- stock:\n{stock}"));
    }
    (!complaints.is_empty()).then(|| format!("== {}\n{}", job.name, complaints.join("\n")))
}
