//! What the world outside the protocol is told of cards: GnuPG's reader status files, and the person's own script
//! (reference: GnuPG's scd, `app.c`, `report_change`; scdaemon(1), *scd-event*).
//!
//! | in the home directory | what |
//! |---|---|
//! | `reader_N.status` | one word, rewritten when a card comes or goes: `USABLE`, `NOCARD` |
//! | `scd-event` | if it is there, it is run, detached: `--reader-port N --old-code H --new-code H --status WORD` |
//!
//! N is a *seat*: the lowest number that no other card has. GnuPG counts its open readers so. For two words of ours, which
//! GnuPG does not have, the script alone is run, with `--keygrip G` at the end: `TOUCH_AWAITED` when a card waits for a
//! finger, `TOUCH_OVER` when it waits no longer.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claviger_cards::token::Insertion;
use tokio::process::Command;
use tokio::sync::Semaphore;

/// The script's name.
const SCRIPT: &str = "scd-event";

/// Scripts that may run at a time; one that hangs must not make a crowd of a loose contact.
const MAX_SCRIPTS: usize = 16;

/// The mode of a status file.
const MODE: u32 = 0o644;

/// Tells the outside world.
pub(super) struct Events {
    home: PathBuf,
    /// Who sits where.
    seats: Mutex<Vec<Option<Insertion>>>,
    scripts: Arc<Semaphore>,
}

/// The state of a reader, as GnuPG numbers it: a sum of usable, present and active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Code(u32);

impl Code {
    /// It was not looked at before.
    const UNKNOWN: Self = Self(0xFFFF_FFFF);
    const NO_CARD: Self = Self(0);
    const USABLE: Self = Self(7);

    fn word(self) -> &'static str {
        if self == Self::USABLE { "USABLE" } else { "NOCARD" }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04X}", self.0)
    }
}

impl Events {
    /// With files and script in this directory.
    pub(super) fn new(home: PathBuf) -> Self {
        Self { home, seats: Mutex::default(), scripts: Arc::new(Semaphore::new(MAX_SCRIPTS)) }
    }

    /// A card is there. Saying it twice does no harm.
    pub(super) async fn inserted(&self, insertion: Insertion) {
        if self.seat_of(insertion).is_some() {
            return;
        }
        let seat = self.sit_down(insertion);
        self.changed(seat, Code::UNKNOWN, Code::USABLE).await;
    }

    /// A card is gone.
    pub(super) async fn removed(&self, insertion: Insertion) {
        if let Some(seat) = self.stand_up(insertion) {
            self.changed(seat, Code::USABLE, Code::NO_CARD).await;
        }
    }

    /// Events were missed: these are the cards that are there now.
    pub(super) async fn make_up(&self, present: &[Insertion]) {
        let seated: Vec<_> = self.seats().iter().copied().flatten().collect();
        for gone in seated.iter().filter(|insertion| !present.contains(insertion)) {
            self.removed(*gone).await;
        }
        for insertion in present {
            self.inserted(*insertion).await;
        }
    }

    /// A card waits for a finger until the value is dropped; `key` is the keygrip that wants it.
    pub(super) fn touch_awaited(&self, insertion: Insertion, key: &str) -> TouchAwaited<'_> {
        tracing::warn!(key, insertion = insertion.0, "the card waits for a touch");
        let awaited = TouchAwaited { events: self, insertion, key: key.to_owned() };
        awaited.tell("TOUCH_AWAITED");
        awaited
    }

    async fn changed(&self, seat: usize, old: Code, new: Code) {
        let file = self.home.join(format!("reader_{seat}.status"));
        let written = tokio::task::spawn_blocking(move || write_status(&file, new.word())).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, seat, "the reader's status file cannot be written");
        }
        self.run_script(seat, old, new, new.word(), &[]);
    }

    /// Runs the script, if the person has one.
    fn run_script(&self, seat: usize, old: Code, new: Code, status: &str, more: &[&str]) {
        let script = self.home.join(SCRIPT);
        if !script.exists() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.scripts).try_acquire_owned() else {
            tracing::warn!(status, "{SCRIPT} is not run: too many of them do not end");
            return;
        };
        let child = Command::new(&script)
            .args(["--reader-port", &seat.to_string(), "--old-code", &old.to_string()])
            .args(["--new-code", &new.to_string(), "--status", status])
            .args(more)
            .env("GNUPGHOME", &self.home)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match child {
            Ok(mut child) => drop(tokio::spawn(async move {
                let ended = child.wait().await;
                tracing::debug!(?ended, "{SCRIPT} has ended");
                drop(permit);
            })),
            Err(error) => {
                tracing::warn!(%error, "{} cannot be run; is it executable?", script.display());
            }
        }
    }

    fn sit_down(&self, insertion: Insertion) -> usize {
        let mut seats = self.seats();
        let free = seats.iter().position(Option::is_none).unwrap_or(seats.len());
        match seats.get_mut(free) {
            Some(seat) => *seat = Some(insertion),
            None => seats.push(Some(insertion)),
        }
        free
    }

    fn stand_up(&self, insertion: Insertion) -> Option<usize> {
        let mut seats = self.seats();
        let at = seats.iter().position(|seat| *seat == Some(insertion))?;
        if let Some(seat) = seats.get_mut(at) {
            *seat = None;
        }
        Some(at)
    }

    fn seat_of(&self, insertion: Insertion) -> Option<usize> {
        self.seats().iter().position(|seat| *seat == Some(insertion))
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Option<Insertion>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time in which a card waits for a finger.
pub(super) struct TouchAwaited<'a> {
    events: &'a Events,
    insertion: Insertion,
    key: String,
}

impl TouchAwaited<'_> {
    fn tell(&self, status: &str) {
        if let Some(seat) = self.events.seat_of(self.insertion) {
            let more = ["--keygrip", &self.key];
            self.events.run_script(seat, Code::USABLE, Code::USABLE, status, &more);
        }
    }
}

impl Drop for TouchAwaited<'_> {
    fn drop(&mut self) {
        self.tell("TOUCH_OVER");
    }
}

/// Writes into the file itself: those who watch it would miss one that takes its place.
fn write_status(file: &Path, word: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(file)?;
    file.write_all(format!("{word}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    const FIRST: Insertion = Insertion(1);
    const SECOND: Insertion = Insertion(2);

    struct Home {
        directory: tempfile::TempDir,
        events: Events,
    }

    impl Home {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let events = Events::new(directory.path().to_owned());
            Self { directory, events }
        }

        /// A home with a script that notes what it is told.
        fn with_script() -> Self {
            let home = Self::new();
            home.script("echo \"$PWD $*\" >> $GNUPGHOME/told");
            home
        }

        fn script(&self, line: &str) {
            let path = self.directory.path().join(SCRIPT);
            std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        }

        fn status(&self, seat: usize) -> String {
            let path = self.directory.path().join(format!("reader_{seat}.status"));
            std::fs::read_to_string(path).unwrap_or_default()
        }

        /// What the script was told, once that is so many lines. Scripts run beside each other, so they are sorted.
        async fn told(&self, lines: usize) -> Vec<String> {
            for _ in 0..500 {
                let told = std::fs::read_to_string(self.directory.path().join("told")).unwrap_or_default();
                if told.lines().count() >= lines {
                    let mut told: Vec<_> = told.lines().map(str::to_owned).collect();
                    told.sort();
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("the script was not told {lines} things")
        }
    }

    #[tokio::test]
    async fn a_status_file_says_whether_there_is_a_card() {
        let home = Home::new();
        home.events.inserted(FIRST).await;
        assert_eq!(home.status(0), "USABLE\n");
        home.events.removed(FIRST).await;
        assert_eq!(home.status(0), "NOCARD\n");
        let path = home.directory.path().join("reader_0.status");
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777 | 0o044, MODE);
    }

    #[tokio::test]
    async fn a_card_takes_the_lowest_free_seat() {
        let home = Home::new();
        home.events.inserted(FIRST).await;
        home.events.inserted(SECOND).await;
        assert_eq!((home.status(0), home.status(1)), ("USABLE\n".to_owned(), "USABLE\n".to_owned()));
        home.events.removed(FIRST).await;
        assert_eq!((home.status(0), home.status(1)), ("NOCARD\n".to_owned(), "USABLE\n".to_owned()));
        home.events.inserted(Insertion(3)).await;
        assert_eq!(home.status(0), "USABLE\n");
        home.events.removed(FIRST).await;
        assert_eq!(home.status(0), "USABLE\n", "it is gone already");
    }

    #[tokio::test]
    async fn what_was_missed_is_made_up_for() {
        let home = Home::new();
        home.events.inserted(FIRST).await;
        home.events.make_up(&[SECOND, Insertion(3)]).await;
        assert_eq!(*home.events.seats(), [Some(SECOND), Some(Insertion(3))]);
        home.events.make_up(&[Insertion(3)]).await;
        assert_eq!((home.status(0), home.status(1)), ("NOCARD\n".to_owned(), "USABLE\n".to_owned()));
    }

    #[tokio::test]
    async fn the_script_is_told_what_gnupg_tells_it() {
        let home = Home::with_script();
        home.events.inserted(FIRST).await;
        home.events.removed(FIRST).await;
        assert_eq!(
            home.told(2).await,
            [
                "/ --reader-port 0 --old-code 0x0007 --new-code 0x0000 --status NOCARD",
                "/ --reader-port 0 --old-code 0xFFFFFFFF --new-code 0x0007 --status USABLE",
            ]
        );
    }

    #[tokio::test]
    async fn the_script_is_told_of_a_touch_while_it_is_awaited() {
        let home = Home::with_script();
        home.events.inserted(FIRST).await;
        drop(home.events.touch_awaited(FIRST, "0123"));
        let touch = "/ --reader-port 0 --old-code 0x0007 --new-code 0x0007 --status TOUCH";
        let told = home.told(3).await;
        assert_eq!(
            told[..2],
            [format!("{touch}_AWAITED --keygrip 0123"), format!("{touch}_OVER --keygrip 0123")]
        );
        assert_eq!(home.status(0), "USABLE\n");
    }

    #[tokio::test]
    async fn scripts_that_do_not_end_do_not_become_a_crowd() {
        let home = Home::new();
        home.script("echo >> $GNUPGHOME/told; while [ -e $GNUPGHOME/told ]; do sleep 0.05; done");
        for n in 0..20 {
            home.events.inserted(Insertion(n)).await;
        }
        home.told(MAX_SCRIPTS).await;
        assert_eq!(home.events.scripts.available_permits(), 0);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(home.told(MAX_SCRIPTS).await.len(), MAX_SCRIPTS);
    }

    #[tokio::test]
    async fn a_script_that_cannot_be_run_harms_nothing() {
        let home = Home::new();
        std::fs::write(home.directory.path().join(SCRIPT), "not executable").unwrap();
        home.events.inserted(FIRST).await;
        assert_eq!(home.status(0), "USABLE\n");
        assert_eq!(home.events.scripts.available_permits(), MAX_SCRIPTS);
    }
}
