//! What jobs cost: the commands that a card gets for them, and the time that a person waits.

use std::time::{Duration, Instant};

use super::jobs::{decrypt, generate, seal, sign};
use super::{Card, Home, Reader, Scdaemon, Seen, Sshd};

/// A job and the most commands that ours may send for it.
pub(crate) struct Job {
    /// Its name.
    pub(crate) name: &'static str,
    /// The budget.
    pub(crate) budget: usize,
}

/// The jobs in the order of [`Bill::entries`]. A budget is a promise to the person: cards are slow.
pub(crate) const JOBS: [Job; 9] = [
    // SELECT, 6E, three public keys, 65, 5F50, 5E, 7A, F9, four private objects, three certificates.
    Job { name: "gpg --card-status, cold", budget: 17 },
    // 6E, which is the probe and brings the PIN tries; 7A.
    Job { name: "gpg --card-status, warm", budget: 2 },
    // Probe, VERIFY 81, COMPUTE DIGITAL SIGNATURE.
    Job { name: "signature, forced PIN", budget: 3 },
    Job { name: "signature, PIN not forced, first", budget: 3 },
    // COMPUTE DIGITAL SIGNATURE goes first.
    Job { name: "signature, PIN not forced, verified", budget: 1 },
    // Probe, VERIFY 82, DECIPHER; VERIFY 81 waits for a signature.
    Job { name: "decryption, first", budget: 3 },
    // DECIPHER goes first.
    Job { name: "decryption, next", budget: 1 },
    // Probe, VERIFY 82, INTERNAL AUTHENTICATE.
    Job { name: "ssh log-in, first", budget: 3 },
    // INTERNAL AUTHENTICATE goes first.
    Job { name: "ssh log-in, next", budget: 1 },
];

/// The cost of each of the [`JOBS`].
pub(crate) struct Bill {
    /// In their order.
    pub(crate) entries: Vec<Entry>,
}

/// What one job cost.
pub(crate) struct Entry {
    /// The commands, in hexadecimal.
    pub(crate) apdus: Vec<String>,
    /// From the start of gpg to its end.
    pub(crate) time: Duration,
}

/// A card with Curve25519 keys, in a reader, with a home where its jobs are done.
pub(crate) struct Desk {
    /// Where the jobs are done.
    pub(crate) home: Home,
    sshd: Sshd,
    card: Card,
    _reader: Reader,
}

impl Desk {
    /// Makes one; gpg makes the keys on the card.
    pub(crate) fn new() -> Self {
        let reader = Reader::start();
        let card = Card::insert(&reader.slot(), &[]);
        let home = Home::new(&reader, Scdaemon::Stock);
        home.wait_for_card();
        generate(&home, &["2", "1", "2", "1", "2", "1"]);
        seal(&home);
        let sshd = Sshd::for_key(&home.ssh_keys().ok().text());
        Self { home, sshd, card, _reader: reader }
    }

    /// Does every job with one of the scdaemons.
    pub(crate) fn bill(&mut self, scdaemon: Scdaemon) -> Bill {
        self.home.switch_to(scdaemon);
        let mut entries = vec![
            self.cost(|home| home.gpg(&["--card-status"])),
            self.cost(|home| home.gpg(&["--card-status"])),
            self.cost(sign),
        ];
        self.toggle_forced_pin();
        self.forget_verifications();
        entries.extend([self.cost(sign), self.cost(sign)]);
        self.forget_verifications();
        entries.extend([self.cost(decrypt), self.cost(decrypt)]);
        self.forget_verifications();
        entries.extend([self.cost(|home| self.sshd.log_in(home)), self.cost(|home| self.sshd.log_in(home))]);
        self.toggle_forced_pin();
        Bill { entries }
    }

    fn cost(&self, job: impl FnOnce(&Home) -> Seen) -> Entry {
        self.card.apdus();
        let start = Instant::now();
        job(&self.home).ok();
        Entry { time: start.elapsed(), apdus: self.card.apdus() }
    }

    fn toggle_forced_pin(&self) {
        self.home.card_edit(&["admin", "forcesig", "quit"]).ok();
    }

    /// Resets the card, which only a session that has it can do, and lets the scdaemon read again what it keeps of it.
    fn forget_verifications(&self) {
        self.home.agent(&["SCD SERIALNO", "SCD RESET", "SCD SERIALNO"]).ok().shows("S SERIALNO ");
        self.home.gpg(&["--card-status"]).ok();
    }
}
