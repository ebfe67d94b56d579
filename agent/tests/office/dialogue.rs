//! Transcripts of administration: one a job, in `testdata/administration/`, with what pinentry was told, and what is wanted
//! to be otherwise through ours than through stock.
//!
//! A line is a question as testdata/world/pinentry notes it. Lines with a speaker belong to the `difference` before them,
//! which has the reason:
//!
//! ```text
//! # What pinentry is told, and what differs: keys come from gpg
//! admin Please enter the Admin PIN%0A%0ANumber: 0000 11223344%0AHolder:
//! difference: a PIN is asked for once
//! stock: admin Please enter the Admin PIN%0A%0ANumber: 0000 11223344%0AHolder:
//! gpg through stock: exit 2
//! gpg through ours: exit 0
//! object: 0103
//! ```
//!
//! Where gpg's words differ, the lines are those that only one of the two has. An object that is named differs.

use std::fs;
use std::path::PathBuf;

use super::letters::only_in;
use super::{Job, Pair, gnupg_release};
use crate::world::repository;

/// The GnuPG that transcripts hold for where nothing else is said.
const OLDEST: &str = "2.2";

/// What a job's outcome is to be, in both.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dialogue {
    /// What pinentry is told through GnuPG's scdaemon.
    pub(crate) stock: Vec<String>,
    /// The same through ours.
    pub(crate) ours: Vec<String>,
    /// What gpg says through GnuPG's alone.
    pub(crate) said_through_stock: Vec<String>,
    /// What gpg says through ours alone.
    pub(crate) said_through_ours: Vec<String>,
    /// The objects that differ.
    pub(crate) objects: Vec<String>,
    /// Why.
    pub(crate) reasons: Vec<String>,
}

impl Dialogue {
    /// What the transcript of a job wants. A GnuPG with which it goes otherwise has a transcript of its own.
    pub(crate) fn of(job: &Job) -> Self {
        let [own, usual] = paths_of(job);
        let path = if own.exists() { own } else { usual };
        let text = fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("{}: {error}; CLAVIGER_RECORD=1 writes what is missing", path.display())
        });
        Self::parse(&text)
    }

    /// What there was.
    pub(crate) fn seen(pair: &Pair, varies: &[&str]) -> Self {
        let differences = pair.ours.contents.differences(&pair.stock.contents, varies);
        Self {
            stock: pair.stock.questions.clone(),
            ours: pair.ours.questions.clone(),
            said_through_stock: only_in(&pair.stock.said, &pair.ours.said),
            said_through_ours: only_in(&pair.ours.said, &pair.stock.said),
            objects: differences,
            reasons: Vec::new(),
        }
    }

    fn parse(text: &str) -> Self {
        let mut wanted = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match wanted.list_of(line) {
                Some((list, what)) => list.push(what.to_owned()),
                None => {
                    wanted.stock.push(line.to_owned());
                    wanted.ours.push(line.to_owned());
                }
            }
        }
        let differs =
            wanted != Self { stock: wanted.stock.clone(), ours: wanted.stock.clone(), ..Self::default() };
        assert_eq!(differs, !wanted.reasons.is_empty(), "a difference has a reason: {text}");
        wanted
    }

    /// Where a line with a speaker belongs.
    fn list_of<'a>(&mut self, line: &'a str) -> Option<(&mut Vec<String>, &'a str)> {
        let (speaker, what) = line.split_once(": ")?;
        let list = match speaker {
            "difference" => &mut self.reasons,
            "stock" => &mut self.stock,
            "ours" => &mut self.ours,
            "gpg through stock" => &mut self.said_through_stock,
            "gpg through ours" => &mut self.said_through_ours,
            "object" => &mut self.objects,
            _ => return None,
        };
        Some((list, what))
    }

    /// As it stands in a transcript, but for the reasons.
    fn to_text(&self, job: &str) -> String {
        let mut text = format!("# What pinentry is told, and what differs: {job}.\n");
        let same = self.stock.iter().zip(&self.ours).take_while(|(stock, ours)| stock == ours).count();
        let mut add = |start: &str, lines: &[String]| {
            text.extend(lines.iter().map(|line| format!("{start}{line}\n")));
        };
        add("", &self.stock[..same]);
        let differs =
            Self { stock: self.stock[same..].to_vec(), ours: self.ours[same..].to_vec(), ..Self::default() };
        let rest = [
            ("stock: ", &differs.stock),
            ("ours: ", &differs.ours),
            ("gpg through stock: ", &self.said_through_stock),
            ("gpg through ours: ", &self.said_through_ours),
            ("object: ", &self.objects),
        ];
        if rest.iter().any(|(_, lines)| !lines.is_empty()) {
            add("difference: ", &["why?".to_owned()]);
        }
        for (start, lines) in rest {
            add(start, lines);
        }
        text
    }

    /// Writes it down, if `CLAVIGER_RECORD` is set: where there is nothing yet, or beside what holds for an older GnuPG.
    pub(crate) fn record(&self, job: &Job) {
        if std::env::var_os("CLAVIGER_RECORD").is_none() {
            return;
        }
        let [own, usual] = paths_of(job);
        let path = if usual.exists() { &own } else { &usual };
        let is_known = || Self { reasons: Vec::new(), ..Self::of(job) } == *self;
        let is_new = path == &usual || gnupg_release() > OLDEST && !path.exists() && !is_known();
        if is_new {
            fs::write(path, self.to_text(job.name)).expect("the repository can be written");
        }
    }
}

/// Where a job's transcript is: that of this GnuPG alone, and the one for all.
fn paths_of(job: &Job) -> [PathBuf; 2] {
    let name = job.name.replace(", ", " ").replace(' ', "_");
    [format!("{name}.gnupg-{}", gnupg_release()), format!("{name}.dialogue")]
        .map(|name| repository(&format!("testdata/administration/{name}")))
}
