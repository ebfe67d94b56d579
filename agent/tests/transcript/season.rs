//! Plays every transcript at one height, several at a time, and keeps what came of it for the table test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::play::{Failure, Played, play};
use super::record::record;
use super::script::{Side, Transcript};
use super::theatre::{Height, Theatre, transcripts};

/// Plays at a time. Most of a play is waiting for pcscd.
const TROUPES: usize = 10;

/// What came of all plays at one height.
#[derive(Debug, Default)]
pub(crate) struct Report {
    plays: BTreeMap<String, Outcome>,
    /// Those that no GnuPG here could confirm.
    source_only: usize,
    seconds: f32,
}

/// What came of one play.
#[derive(Debug)]
enum Outcome {
    /// The server said what the transcript says.
    Good(Played),
    /// Ours did not, and the transcript has a `gap:` line.
    Gap,
    /// The server said something else.
    Wrong(String),
}

impl Outcome {
    fn failure(&self) -> Option<&str> {
        match self {
            Self::Wrong(what) => Some(what),
            Self::Good(_) | Self::Gap => None,
        }
    }
}

impl Report {
    /// Pairs of command and code that were seen.
    pub(crate) fn pairs(&self) -> BTreeSet<(String, u32)> {
        self.good().flat_map(|played| played.pairs.iter().cloned()).collect()
    }

    /// Commands with the words behind them that were said.
    pub(crate) fn words(&self) -> BTreeSet<(String, String)> {
        self.good().flat_map(|played| played.words.iter().cloned()).collect()
    }

    /// Texts of all failures.
    pub(crate) fn failures(&self) -> Vec<&str> {
        self.plays.values().filter_map(Outcome::failure).collect()
    }

    /// One line for the test's output.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} transcripts, {} failed, {} known gaps, {} wanted differences{}, {} known from source only, {} pairs of command \
             and error, {:.0} s",
            self.plays.len(),
            self.failures().len(),
            self.plays.values().filter(|outcome| matches!(outcome, Outcome::Gap)).count(),
            self.good().map(|played| played.differences).sum::<usize>(),
            self.confirmed(),
            self.source_only,
            self.pairs().len(),
            self.seconds
        )
    }

    /// The differences that GnuPG 2.4 has confirmed, if it was asked.
    fn confirmed(&self) -> String {
        match self.good().map(|played| played.confirmed).sum() {
            0 => String::new(),
            count @ 1_usize.. => format!(", {count} that 2.4 shares with ours"),
        }
    }

    fn good(&self) -> impl Iterator<Item = &Played> {
        self.plays
            .values()
            .filter_map(|outcome| if let Outcome::Good(played) = outcome { Some(played) } else { None })
    }
}

/// The transcripts of `testdata/transcripts/scdaemon/`, by name.
pub(crate) fn library() -> Vec<Transcript> {
    files(&transcripts().join("scdaemon"), "transcript").iter().map(|path| read(path)).collect()
}

/// The transcripts of `testdata/transcripts/pkcs11/`, by name.
pub(crate) fn library_of_tokens() -> Vec<Transcript> {
    let read = |path: &PathBuf| {
        let transcript = read(path);
        Transcript { name: format!("pkcs11/{}", transcript.name), ..transcript }
    };
    files(&transcripts().join("pkcs11"), "transcript").iter().map(read).collect()
}

fn read(path: &Path) -> Transcript {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path).expect("a transcript is UTF-8");
    Transcript::parse(&name, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The plays of GnuPG's own scdaemon, made once in a test process.
pub(crate) fn stock() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| play_all(Height::Stock))
}

/// The transcripts to be played: `CLAVIGER_TRANSCRIPTS` holds a part of their names.
pub(super) fn chosen() -> Vec<Transcript> {
    let part = std::env::var("CLAVIGER_TRANSCRIPTS").unwrap_or_default();
    let mut library = library();
    library.extend(library_of_tokens());
    library.retain(|transcript| transcript.name.contains(&part));
    library
}

/// Plays every transcript that makes sense at this height.
pub(crate) fn play_all(height: Height) -> Report {
    let start = Instant::now();
    let mut queue = chosen();
    queue.retain(|transcript| height.can_play(&transcript.scene));
    let source_only = queue.iter().filter(|transcript| transcript.scene.source_only.is_some()).count();
    let plays = several_at_a_time(queue, |transcript| {
        let outcome = play_one(&transcript, height);
        (transcript.name, outcome)
    });
    let plays = plays.into_iter().collect();
    let report = Report { plays, source_only, seconds: start.elapsed().as_secs_f32() };
    // Not println!, which the test harness hides when a test passes.
    let _ = writeln!(std::io::stderr(), "{height:?}: {}", report.summary());
    report
}

/// Records every `*.draft` of a directory, each into a `*.transcript` beside it. Gives the names of those that could not
/// be recorded, with the reason.
pub(crate) fn record_all(directory: &Path, height: Height) -> Vec<String> {
    let theatre = Theatre::open().expect("a theatre");
    several_at_a_time(files(directory, "draft"), |path| {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let recorded = record(&path.to_string_lossy(), &text, theatre, height)?;
        fs::write(path.with_extension("transcript"), recorded).map_err(|error| error.to_string())
    })
    .into_iter()
    .filter_map(Result::err)
    .collect()
}

pub(super) fn several_at_a_time<T: Send, R: Send>(queue: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let queue = Mutex::new(queue);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..TROUPES {
            scope.spawn(|| {
                loop {
                    let Some(item) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop() else {
                        return;
                    };
                    let result = work(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    files
}

fn play_one(transcript: &Transcript, height: Height) -> Outcome {
    let gap = transcript.scene.gap.is_some() && height.side() == Side::Ours;
    match (played(transcript, height), gap) {
        (Ok(played), false) => Outcome::Good(played),
        (Err(_), true) => Outcome::Gap,
        (Err(what), false) => Outcome::Wrong(what),
        (Ok(_), true) => Outcome::Wrong(format!("{}: the gap is closed; take its line out", transcript.name)),
    }
}

fn played(transcript: &Transcript, height: Height) -> Result<Played, String> {
    let mut stage = Theatre::open()?
        .stage(&transcript.scene, height)
        .map_err(|what| format!("{}: the scene could not be set: {what}", transcript.name))?;
    play(transcript, stage.as_mut()).map_err(|failure: Box<Failure>| failure.to_string())
}
