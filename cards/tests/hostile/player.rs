//! A reader whose card says what was recorded, but for one answer.

use std::sync::{Arc, Mutex};

use card_backend::{CardBackend, CardCaps, CardTransaction, PinType, SmartcardError};
use claviger_cards::reader::Reader;

use crate::recording::Recording;

/// How a card takes and gives what is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In extended length.
    Extended,
    /// In pieces: commands by chaining, answers by GET RESPONSE.
    Short,
}

/// What is done to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// So many octets of it come.
    Cut(usize),
    /// The octet at a place is another.
    Octet(usize, u8),
    /// This status word comes instead of it.
    Status(u16),
    /// This status word comes behind its data.
    OwnStatus(u16),
    /// This status word comes from now on.
    Endless(u16),
    /// 256 octets and this status word come from now on.
    EndlessData(u16),
    /// As many octets come as a reader can give.
    Longest,
    /// The transmission fails.
    Fault,
    /// All transmissions fail from now on.
    Faults,
    /// The card is pulled out.
    Removal,
}

impl Mischief {
    /// Whether a job can go well in spite of it: an octet may matter to nobody, an optional object may be missing.
    pub(crate) fn may_go_unnoticed(self) -> bool {
        !matches!(self, Self::Faults | Self::Removal)
    }

    /// Whether it happens to answer number `now`, when it was to begin at `at`.
    fn happens(self, at: usize, now: usize) -> bool {
        let lasts = matches!(
            self,
            Self::Endless(_) | Self::EndlessData(_) | Self::Longest | Self::Faults | Self::Removal
        );
        now == at || (lasts && now > at)
    }

    /// What comes instead of the true answer.
    fn of(self, mut answer: Vec<u8>) -> Result<Vec<u8>, SmartcardError> {
        let data = answer.len().saturating_sub(2);
        match self {
            Self::Cut(length) => answer.truncate(length),
            Self::Octet(at, octet) => answer[at] = octet,
            Self::Status(word) | Self::Endless(word) => return Ok(word.to_be_bytes().to_vec()),
            Self::OwnStatus(word) => answer.splice(data.., word.to_be_bytes()).for_each(drop),
            Self::EndlessData(word) => return Ok([&[0x42; 256][..], &word.to_be_bytes()].concat()),
            Self::Longest => return Ok([&[0x42; 0x1_0000][..], &[0x61, 0xff]].concat()),
            Self::Fault | Self::Faults => return Err(SmartcardError::Error("a fault".to_owned())),
            Self::Removal => return Err(SmartcardError::CardNotFound("hostile".to_owned())),
        }
        Ok(answer)
    }
}

/// What went over the line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// The headers of commands, with the true answers.
    pub(crate) answers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many PINs were sent.
    pub(crate) secrets: usize,
}

/// A reader for one job.
pub(crate) struct Player {
    recording: Arc<Recording>,
    form: Form,
    job: usize,
    /// Where the job's next exchange is looked for.
    cursor: usize,
    mischief: Option<(usize, Mischief)>,
    counts: Arc<Mutex<Counts>>,
    /// What GET RESPONSE brings.
    rest: Vec<u8>,
}

impl Player {
    pub(crate) fn new(
        recording: Arc<Recording>,
        form: Form,
        job: usize,
        mischief: Option<(usize, Mischief)>,
    ) -> Self {
        let cursor = recording.jobs[job].start;
        Self { recording, form, job, cursor, mischief, counts: Arc::default(), rest: Vec::new() }
    }

    pub(crate) fn counts(&self) -> Arc<Mutex<Counts>> {
        Arc::clone(&self.counts)
    }

    fn answer(&mut self, command: &[u8]) -> Result<Vec<u8>, SmartcardError> {
        let answer = self.true_answer(command);
        let now = {
            let mut counts = self.counts.lock().unwrap();
            counts.secrets += pins_in(command);
            counts.answers.push((command.iter().take(4).copied().collect(), answer.clone()));
            counts.answers.len() - 1
        };
        match self.mischief {
            Some((at, mischief)) if mischief.happens(at, now) => mischief.of(answer),
            _ => Ok(answer),
        }
    }

    fn true_answer(&mut self, command: &[u8]) -> Vec<u8> {
        let [class, instruction, p1, p2, body @ ..] = command else { return vec![0x67, 0] };
        if *instruction == 0xc0 {
            let whole = std::mem::take(&mut self.rest);
            return self.in_pieces(whole);
        }
        if *class == 0x10 {
            return vec![0x90, 0];
        }
        let extended = body.len() >= 3 && body[0] == 0;
        if self.form == Form::Short && extended {
            return vec![0x67, 0];
        }
        let answer = self.recorded([*class, *instruction, *p1, *p2]);
        if self.form == Form::Short { self.in_pieces(answer) } else { answer }
    }

    /// The next exchange with this header, or else the last one before.
    fn recorded(&mut self, header: [u8; 4]) -> Vec<u8> {
        let (exchanges, job) = (&self.recording.exchanges, self.recording.jobs[self.job].clone());
        let next = (self.cursor..job.end).find(|at| exchanges[*at].header == header);
        self.cursor = next.map_or(self.cursor, |at| at + 1);
        let before = || job.clone().rfind(|at| exchanges[*at].header == header);
        next.or_else(before).map_or_else(|| vec![0x6d, 0], |at| exchanges[at].answer.clone())
    }

    /// The first 256 octets, and how many follow.
    fn in_pieces(&mut self, answer: Vec<u8>) -> Vec<u8> {
        if answer.len() <= 256 + 2 {
            return answer;
        }
        let (piece, rest) = answer.split_at(256);
        let more = u8::try_from(rest.len() - 2).unwrap_or(0);
        self.rest = rest.to_vec();
        [piece, &[0x61, more]].concat()
    }
}

/// VERIFY has one, CHANGE REFERENCE DATA and RESET RETRY COUNTER with a code have two.
fn pins_in(command: &[u8]) -> usize {
    match command {
        [_, 0x20, 0, _, _, _, ..] | [_, 0x2c, 2, _, _, ..] | [_, 0xda, 0, 0xd3, _, _, ..] => 1,
        [_, 0x24, ..] | [_, 0x2c, ..] => 2,
        _ => 0,
    }
}

impl CardBackend for Player {
    fn limit_card_caps(&self, caps: CardCaps) -> CardCaps {
        caps
    }

    fn transaction(
        &mut self,
        _: Option<&[u8]>,
    ) -> Result<Box<dyn CardTransaction + Send + Sync + '_>, SmartcardError> {
        Ok(Box::new(Turn(self)))
    }
}

impl Reader for Player {
    fn reset(&mut self) -> Result<(), SmartcardError> {
        Ok(())
    }

    fn power_down(&mut self) -> Result<(), SmartcardError> {
        Ok(())
    }
}

struct Turn<'a>(&'a mut Player);

impl CardTransaction for Turn<'_> {
    fn transmit(&mut self, command: &[u8], _: usize) -> Result<Vec<u8>, SmartcardError> {
        self.0.answer(command)
    }

    fn feature_pinpad_verify(&self) -> bool {
        false
    }

    fn feature_pinpad_modify(&self) -> bool {
        false
    }

    fn pinpad_verify(&mut self, _: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        Err(SmartcardError::NotTransacted)
    }

    fn pinpad_modify(&mut self, _: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        Err(SmartcardError::NotTransacted)
    }

    fn was_reset(&self) -> bool {
        false
    }
}
