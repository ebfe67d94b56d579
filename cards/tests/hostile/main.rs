//! A hostile card. Real jobs with the virtual card are recorded; then each job is played again as often as there is
//! something to do to one of its answers: cut it at each octet, replace each octet, another status word, an answer without
//! an end, a fault, the card pulled out. Exhaustive, and none of it random.
//!
//! Whatever it is, the job ends, within a number of commands; no PIN is sent more often than it was given; and with the
//! card put in again the job is done.

#![allow(clippy::unwrap_used, reason = "helpers of tests may do what tests may")]

#[path = "../common/mod.rs"]
mod common;

mod jobs;
mod player;
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use claviger_cards::openpgp::{Lengths, OpenPgp};
use claviger_cards::token::{Job, NeedsPin, Outcome, PinPurpose, PinRef, Token, TokenError};
use claviger_secret::Secret;

use jobs::JOBS;
use player::{Counts, Form, Mischief, Player};
use recording::{Recording, recording};

/// More commands than these no card can get out of us for one job, whatever it answers: 512 GET RESPONSE for one answer,
/// and the job's own.
const MOST_COMMANDS: usize = 600;

/// More questions than these no card can get out of us for one job.
const MOST_QUESTIONS: usize = 6;

/// What one octet is replaced with: lengths that lie, in each form.
const OCTETS: [u8; 4] = [0x00, 0x7f, 0x82, 0xff];

/// Status words in place of an answer, once.
const STATUS_WORDS: [u16; 27] = [
    0x0000, 0x6100, 0x6101, 0x61ff, 0x6285, 0x6300, 0x63c0, 0x63c2, 0x6400, 0x6581, 0x6600, 0x6700, 0x6882,
    0x6982, 0x6983, 0x6985, 0x6a80, 0x6a82, 0x6a86, 0x6a88, 0x6b00, 0x6c00, 0x6cff, 0x6d00, 0x6e00, 0x9000,
    0xffff,
];

#[tokio::test]
async fn every_job_ends_whatever_a_card_does_to_any_of_its_answers() {
    abuse_all(Form::Extended, 25_000).await;
}

#[tokio::test]
async fn every_job_ends_whatever_a_card_does_to_any_piece_of_its_answers() {
    abuse_all(Form::Short, 10_000).await;
}

/// Plays all jobs. There are `at_least` so many ways to do mischief: fewer were no test.
async fn abuse_all(form: Form, at_least: usize) {
    let recording = Arc::new(recording().await);
    let begun = Instant::now();
    let (mut sum, mut seen) = (Sum::default(), Seen::new());
    for at in 0..JOBS.len() {
        abuse(&recording, form, at, &mut seen, &mut sum);
    }
    println!("{} jobs ({form:?}), {sum}, in {:?}", JOBS.len(), begun.elapsed());
    assert!(sum.cases > at_least, "{sum}");
}

/// Answers to commands, and whether they belonged to the card's opening, whose octets were all replaced already. What is
/// the same is not tried again, with every job.
type Seen = BTreeSet<(Vec<u8>, Vec<u8>, bool)>;

/// The commands that open a card: SELECT and 6E.
const OPENING: usize = 2;

/// Plays a job with everything that can be done to each of its answers.
fn abuse(recording: &Arc<Recording>, form: Form, job: usize, seen: &mut Seen, sum: &mut Sum) {
    let honest = play(recording, form, job, None);
    assert!(honest.ended.is_ok(), "{} cannot be played: {:?}", JOBS[job].name, honest.ended);
    for (at, (header, answer)) in honest.counts.answers.iter().enumerate() {
        let new = seen.insert((header.clone(), answer.clone(), at < OPENING));
        // The octets of pieces are those of the whole.
        let new = new && (form == Form::Extended || at < OPENING);
        for mischief in mischiefs(answer.len(), new) {
            let played = play(recording, form, job, Some((at, mischief)));
            let what = || format!("{} ({form:?}), answer {at}, {mischief:?}: {played:?}", JOBS[job].name);
            assert!(played.counts.answers.len() <= MOST_COMMANDS, "{}", what());
            assert!(played.counts.secrets <= played.pins, "a PIN was sent twice: {}", what());
            if !mischief.may_go_unnoticed() {
                assert!(played.ended.is_err(), "no error: {}", what());
            }
            sum.add(&played);
        }
        let again = play(recording, form, job, None);
        assert!(again.ended.is_ok(), "{}: {:?}", JOBS[job].name, again.ended);
    }
}

/// Everything that can be done to an answer of this length, its status word included; to its octets only if it is new.
fn mischiefs(length: usize, new: bool) -> impl Iterator<Item = Mischief> {
    let octets = if new { 0..length } else { 0..0 };
    let cuts = octets.clone().map(Mischief::Cut);
    let octets = octets.flat_map(|at| OCTETS.map(|octet| Mischief::Octet(at, octet)));
    let words = STATUS_WORDS.into_iter().flat_map(|word| [Mischief::Status(word), Mischief::OwnStatus(word)]);
    let endless = [0x6100, 0x61ff, 0x6c00, 0x6cff, 0x6d00, 0x6982, 0x63c0].map(Mischief::Endless);
    let full = [0x6100, 0x61ff, 0x9000].map(Mischief::EndlessData);
    let faults = [Mischief::Removal, Mischief::Fault, Mischief::Faults, Mischief::Longest];
    cuts.chain(octets).chain(words).chain(endless).chain(full).chain(faults)
}

/// How a job went.
#[derive(Debug)]
struct Played {
    ended: Result<(), TokenError>,
    counts: Counts,
    /// PINs that were given.
    pins: usize,
}

fn play(recording: &Arc<Recording>, form: Form, job: usize, mischief: Option<(usize, Mischief)>) -> Played {
    let player = Player::new(Arc::clone(recording), form, job, mischief);
    let counts = player.counts();
    let mut pins = 0;
    let ended = run(player, job, &mut pins);
    let counts = counts.lock().unwrap().clone();
    Played { ended, counts, pins }
}

fn run(player: Player, job: usize, pins: &mut usize) -> Result<(), TokenError> {
    let opened = OpenPgp::open(Box::new(player), "hostile".to_owned(), Vec::new(), Lengths::default())?;
    let mut token = opened.ok_or(TokenError::NotSupported("no application"))?;
    let mut outcome = token.perform(Job::new((JOBS[job].request)()))?;
    for _ in 0..MOST_QUESTIONS {
        let Outcome::NeedsPin(question) = outcome else { return Ok(()) };
        *pins += 1;
        outcome = token.perform(answered(question))?;
    }
    panic!("{} asks without an end", JOBS[job].name);
}

fn answered(question: NeedsPin) -> Job {
    let (PinPurpose::Unlock(pin) | PinPurpose::Old(pin) | PinPurpose::New(pin)) = question.purpose;
    let text: &[u8] = if pin == PinRef::Admin { b"12345678" } else { b"123456" };
    // The code may have any length from 8 on.
    let text = if pin == PinRef::ResetCode { b"12345678" } else { text };
    question.with_pin(Secret::copy_of(text))
}

/// What came of all.
#[derive(Default)]
struct Sum {
    cases: usize,
    errors: usize,
    most_commands: usize,
    kinds: BTreeMap<String, usize>,
}

impl Sum {
    fn add(&mut self, played: &Played) {
        self.cases += 1;
        self.errors += usize::from(played.ended.is_err());
        self.most_commands = self.most_commands.max(played.counts.answers.len());
        if let Err(error) = &played.ended {
            let kind = format!("{error:?}");
            let kind = kind.split([' ', '(']).next().unwrap_or_default().to_owned();
            *self.kinds.entry(kind).or_default() += 1;
        }
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cases, errors, most_commands, kinds } = self;
        write!(f, "{cases} cases, {errors} errors {kinds:?}, {most_commands} commands at most")
    }
}
