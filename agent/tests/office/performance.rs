//! A job carried out: once through each scdaemon, at the same time, and what was left behind.

use std::thread;

use super::contents::Contents;
use super::letters::{only_in, said};
use super::{Job, gnupg_release};
use crate::world::{Card, Home, Reader, Scdaemon};

/// The same job through both.
pub(crate) struct Pair {
    /// Through GnuPG's.
    pub(crate) stock: Performance,
    /// Through ours.
    pub(crate) ours: Performance,
}

/// What a job left behind.
pub(crate) struct Performance {
    /// The card, read at rest.
    pub(crate) contents: Contents,
    /// What pinentry was told.
    pub(crate) questions: Vec<String>,
    /// What gpg said, without what differs from run to run.
    pub(crate) said: Vec<String>,
    /// The commands that went to the card, as lines of its log.
    pub(crate) apdus: Vec<String>,
}

impl Pair {
    /// Does the job.
    pub(crate) fn of(job: &Job) -> Self {
        let reader = Reader::start();
        let play = |scdaemon, slot| Performance::of(job, &reader, slot, scdaemon);
        thread::scope(|scope| {
            let stock = scope.spawn(|| play(Scdaemon::Stock, 1));
            let ours = play(Scdaemon::Ours, 0);
            Self { stock: stock.join().expect("the job through stock tells why above"), ours }
        })
    }

    /// Commands that ours may send: as many as stock, and a probe before each secret that stock sends without. None where
    /// something failed through stock alone: then it did not come as far, and cost less.
    pub(crate) fn budget(&self) -> Option<usize> {
        let failure = |line: &String| line.contains("Bad PIN") || line.starts_with("exit ");
        let failed = only_in(&self.stock.said, &self.ours.said).iter().any(failure);
        (!failed).then(|| self.stock.apdus.len() + unprobed_secrets(&self.stock.apdus))
    }
}

impl Performance {
    fn of(job: &Job, reader: &Reader, slot: usize, scdaemon: Scdaemon) -> Self {
        let memory = job.start.memory();
        let state = memory.path().display().to_string();
        let card = Card::insert(&reader.slot_number(slot), &["--state", &state]);
        let home = Home::new(reader, scdaemon);
        home.write("scdaemon.conf", &format!("disable-ccid\nreader-port {}\n", reader_port(scdaemon, slot)));
        job.start.introduce(&home);
        home.wait_for_card();
        home.answers(job.answers);
        home.questions();
        card.apdus();
        let seen = (job.act)(&home);
        let apdus = card.apdus();
        let questions = home.questions();
        (job.check)(&home);
        home.kill_agent();
        drop(card);
        let said = seen.iter().flat_map(|seen| said(seen, &home)).collect();
        Self { contents: Contents::of(&memory, job.pins), questions, said, apdus }
    }
}

/// How a scdaemon is told to use one reader and no other. GnuPG's from 2.3 on takes a number for PC/SC, and any reader if
/// that is 0.
fn reader_port(scdaemon: Scdaemon, slot: usize) -> String {
    if scdaemon == Scdaemon::Stock && gnupg_release() > "2.2" {
        slot.to_string()
    } else {
        format!("Virtual PCD 00 0{slot}")
    }
}

/// How many commands carry a PIN or a key and are not preceded by a look at 6E.
fn unprobed_secrets(apdus: &[String]) -> usize {
    let header = |line: &str| line.split(' ').nth(3).unwrap_or_default().to_owned();
    let mut before = String::new();
    let mut unprobed = 0;
    for line in apdus {
        let header = header(line);
        let secret = ["0020", "0024", "002C", "00DB", "00DA00D1", "00DA00D2", "00DA00D3", "00DA00D5"];
        if secret.iter().any(|start| header.starts_with(start)) && before != "00CA006E" {
            unprobed += 1;
        }
        before = header;
    }
    unprobed
}
