//! pcscd is killed and started again while two clients sign without end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::jobs::{SIGN, card_with_keys, finds_the_card, tries};
use super::session::{SILENCE, Session};
use crate::world::{Home, Reader, Scdaemon};

const RESTARTS: usize = 3;
const CLIENTS: usize = 2;

/// How long signatures are waited for after a restart.
const RECOVERY: Duration = Duration::from_secs(5);

/// How long all goes well between two restarts.
const PEACE: Duration = Duration::from_millis(500);

#[test]
fn a_pcscd_that_is_killed_under_load_is_used_again_as_soon_as_it_is_back() {
    let (mut reader, _card, mut home, session) = card_with_keys();
    drop(session);
    let ours = under_load(&mut reader, &home);
    println!("ours: {ours}");
    assert_eq!((ours.recoveries.len(), ours.served), (RESTARTS, CLIENTS), "{ours}");
    // Once for each stay of the card: nobody knows whether another was put in meanwhile.
    assert!((1..=RESTARTS + 1).contains(&ours.questions), "{ours}");
    let mut session = Session::with(&home);
    finds_the_card(&mut session);
    assert_eq!(tries(&mut session), (3, 3));
    home.switch_to(Scdaemon::Stock);
    println!("stock: {}", under_load(&mut reader, &home));
}

/// What came of it.
struct Seen {
    /// From pcscd's return to the first signature after it, where one came.
    recoveries: Vec<Duration>,
    signatures: usize,
    errors: usize,
    questions: usize,
    /// Clients that got an answer to everything.
    served: usize,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recoveries, signatures, errors, questions, served } = self;
        write!(
            f,
            "recovered {} times of {RESTARTS}, after {recoveries:?}; {signatures} signatures, {errors} errors, ",
            recoveries.len()
        )?;
        write!(f, "{questions} questions; {served} clients of {CLIENTS} were always answered")
    }
}

fn under_load(reader: &mut Reader, home: &Home) -> Seen {
    let load = Load::default();
    let clients = [(); CLIENTS].map(|()| {
        let (session, load) = (Session::with(home), load.clone());
        thread::spawn(move || load.sign(session))
    });
    let first = Instant::now();
    load.signs_within(RECOVERY, first);
    let recoveries = (0..RESTARTS).filter_map(|_| {
        thread::sleep(PEACE);
        let words = reader.kill_pcscd();
        reader.start_pcscd(&words);
        load.signs_within(RECOVERY, Instant::now())
    });
    let recoveries: Vec<_> = recoveries.collect();
    load.over.store(true, Ordering::Relaxed);
    let ends = clients.map(|client| client.join().expect("it counts its errors"));
    Seen {
        recoveries,
        signatures: load.signatures.load(Ordering::Relaxed),
        errors: load.errors.load(Ordering::Relaxed),
        questions: ends.iter().flatten().sum(),
        served: ends.iter().flatten().count(),
    }
}

/// What the clients do, and count.
#[derive(Clone, Default)]
struct Load {
    over: Arc<AtomicBool>,
    signatures: Arc<AtomicUsize>,
    errors: Arc<AtomicUsize>,
}

impl Load {
    /// Signs, and looks for the card again when that failed; how many PINs were asked for, if the daemon always answered.
    fn sign(&self, mut session: Session) -> Option<usize> {
        while !self.over.load(Ordering::Relaxed) {
            match (SIGN.run)(&mut session) {
                Ok(_) => drop(self.signatures.fetch_add(1, Ordering::Relaxed)),
                Err(error) if error.starts_with(SILENCE) => return None,
                Err(_) => {
                    self.errors.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(10));
                    // Whether it is there shows in the next signature.
                    drop(session.ask("SERIALNO", b""));
                }
            }
        }
        Some(session.questions)
    }

    /// Waits for a signature that is made after `since`, at most as long as `limit`; how long it took.
    fn signs_within(&self, limit: Duration, since: Instant) -> Option<Duration> {
        let before = self.signatures.load(Ordering::Relaxed);
        while since.elapsed() < limit {
            if self.signatures.load(Ordering::Relaxed) > before {
                return Some(since.elapsed());
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }
}
