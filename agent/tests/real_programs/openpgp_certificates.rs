//! `READCERT --openpgp` and `LISTCERTS --openpgp` find what gpg keeps, without gpg.

use crate::world::jobs::generate;
use crate::world::{Card, Home, Reader, Scdaemon, Seen};

/// A card whose keys gpg made, and that home's answer to a command through the agent.
struct Holder {
    home: Home,
    _card: Card,
    _reader: Reader,
}

impl Holder {
    fn new() -> Self {
        let reader = Reader::start();
        let card = Card::insert(&reader.slot(), &[]);
        let home = Home::new(&reader, Scdaemon::Ours);
        home.wait_for_card();
        generate(&home, &["2", "1", "2", "1", "2", "1"]);
        Self { home, _card: card, _reader: reader }
    }

    fn data(&self, command: &str) -> Vec<u8> {
        let answer = self.home.path("answer").display().to_string();
        self.home.agent(&[&format!("/datafile {answer}"), command]).ok();
        std::fs::read(answer).expect("an answer")
    }

    fn primary(&self) -> String {
        self.home.agent(&["SCD GETATTR KEY-FPR"]).ok().line("S KEY-FPR 1 ")
    }

    /// The validity that is told for a slot, and for its certificate as it is read.
    fn validity(&self, slot: &str) -> String {
        let listed =
            self.home.agent(&[&format!("SCD LISTCERTS --openpgp {slot}")]).ok().line("S OPENPGPCERT ");
        let read = self.home.agent(&[&format!("SCD READCERT --openpgp {slot}")]).ok().line("S OPENPGPCERT ");
        assert_eq!(listed, read);
        listed.split(' ').nth(4).expect("a field").to_owned()
    }
}

#[test]
fn every_key_of_a_card_leads_to_what_gpg_exports() {
    let holder = Holder::new();
    let exported = holder.home.gpg(&["--export", "carla@example.org"]).ok().stdout;
    for slot in ["OPENPGP.1", "OPENPGP.2", "OPENPGP.3"] {
        assert_eq!(holder.data(&format!("SCD READCERT --openpgp {slot}")), exported, "{slot}");
    }
    let primary = holder.primary();
    assert_eq!(holder.data(&format!("SCD READCERT --openpgp fpr:{primary}")), exported);
    let line = holder.home.agent(&["SCD LISTCERTS --openpgp OPENPGP.2"]).ok().line("S OPENPGPCERT ");
    let fields: Vec<_> = line.split(' ').collect();
    assert_eq!((fields[2], fields[3], fields[4]), ("OPENPGP.2", primary.as_str(), "valid"), "{line}");
    assert_eq!(fields[6], "Carla+Card+<carla@example.org>");
}

#[test]
fn no_program_is_needed_to_find_a_certificate() {
    let holder = Holder::new();
    let exported = holder.home.gpg(&["--armor", "--export", "carla@example.org"]).ok().text();
    holder.home.kill_agent();
    let mut alone = holder.home.command_without_deadline(&holder.home.scdaemon_program());
    let lines = b"SERIALNO\nREADCERT --openpgp --armor OPENPGP.1\n";
    let answer = Seen::of(alone.env("PATH", "/nonexistent").arg("--server"), lines).text();
    let data: String = answer.lines().filter_map(|line| line.strip_prefix("D ")).collect();
    assert_eq!(data.replace("%0A", "\n"), exported, "{answer}");
}

#[test]
fn a_minimal_armored_certificate_is_taken_by_gpg() {
    let holder = Holder::new();
    let text = holder.data("SCD READCERT --openpgp --minimal --armor OPENPGP.3");
    assert!(text.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"));
    let shown =
        holder.home.gpg_reads(&["--show-keys", "--with-colons", "--with-subkey-fingerprint"], &text).ok();
    let text = shown.shows("Carla Card <carla@example.org>").text();
    assert_eq!(text.lines().filter(|line| line.starts_with("sub:")).count(), 1, "{text}");
}

#[test]
fn a_certificate_that_is_revoked_or_expired_says_so() {
    let holder = Holder::new();
    assert_eq!(holder.validity("OPENPGP.1"), "valid");
    let primary = holder.primary();
    holder.home.gpg(&["--quick-set-expire", &primary, "seconds=1"]).ok();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(holder.validity("OPENPGP.3"), "expired");
    holder.home.gpg(&["--quick-set-expire", &primary, "0"]).ok();
    assert_eq!(holder.validity("OPENPGP.1"), "valid");
    let words = ["key 2", "revkey", "y", "0", "", "y", "save"];
    holder.home.gpg_dialogue(&["--edit-key", &primary], &words).ok();
    let mut subkeys = ["OPENPGP.2", "OPENPGP.3"].map(|slot| holder.validity(slot));
    subkeys.sort();
    assert_eq!(subkeys, ["revoked", "valid"]);
}
