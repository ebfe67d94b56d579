//! An OpenPGP card and two tokens at work for many clients, beside a module that does its worst.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::home::Provider;
use super::jobs::generate;
use super::token::{MODULE, PIN, SoftHsm};
use super::{Card, Home, Reader, Scdaemon, Wire};

#[path = "../../../cards/tests/common/hostile_module.rs"]
mod hostile_module;

/// How many clients sign.
const CLIENTS: usize = 8;
/// A digest of SHA-256.
const SETDATA: &str = "SETDATA 0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20";

/// Everything at once; gone when it is dropped.
pub(crate) struct Crowd {
    /// The home whose scdaemon serves all.
    pub(crate) home: Home,
    /// Keygrips of the card and the two good tokens.
    pub(crate) good: Vec<String>,
    /// Keygrips behind the hostile module.
    hostile: Vec<String>,
    /// What the module's choices follow from.
    pub(crate) seed: u64,
    _card: Card,
    _reader: Reader,
    _tokens: [SoftHsm; 3],
}

/// What the clients saw.
#[derive(Debug)]
pub(crate) struct Served {
    /// How long each signature of card and good tokens took, in ascending order.
    pub(crate) times: Vec<Duration>,
    /// Those that failed.
    pub(crate) failures: Vec<String>,
    /// What was asked of the hostile module, and how much of it was done.
    pub(crate) hostile: (usize, usize),
}

impl Crowd {
    /// Sets it up. `CLAVIGER_TEST_SEED` is the seed of an earlier run that is to come again.
    pub(crate) fn gather() -> Self {
        let seed = std::env::var("CLAVIGER_TEST_SEED")
            .map_or_else(|_| now(), |seed| seed.parse().expect("a number"));
        println!("CLAVIGER_TEST_SEED={seed}");
        let tokens = [
            SoftHsm::with("token left\nkey rsa2048 id=01 certificate\nkey p256 id=02"),
            SoftHsm::with("token right\nkey p384 id=01\nkey ed25519 id=02 certificate"),
            SoftHsm::with("token worst\nkey p521 id=01\nkey rsa3072 id=02 certificate"),
        ];
        let reader = Reader::start();
        let card = Card::insert(&reader.slot(), &[]);
        let home = Home::new(&reader, Scdaemon::Ours);
        home.wait_for_card();
        generate(&home, &["2", "1", "2", "1", "2", "1"]);
        home.kill_agent();
        home.providers(&providers(&tokens, None));
        let hostile = grips(&home, "worst");
        let good = grips(&home, "").into_iter().filter(|grip| !hostile.contains(grip)).collect();
        home.kill_agent();
        home.providers(&providers(&tokens, Some(seed)));
        Self { home, good, hostile, seed, _card: card, _reader: reader, _tokens: tokens }
    }

    /// Lets the clients sign for this long, while others ask the hostile module for signatures.
    pub(crate) fn sign(&self, duration: Duration) -> Served {
        let end = Instant::now() + duration;
        let over = AtomicBool::new(false);
        let (asked, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (times, failures) = (Mutex::default(), Mutex::default());
        thread::scope(|scope| {
            for key in &self.hostile {
                let (over, asked, done) = (&over, &asked, &done);
                scope.spawn(move || {
                    let mut wire = Wire::to_scdaemon(&self.home);
                    while !over.load(Ordering::Relaxed) {
                        asked.fetch_add(1, Ordering::Relaxed);
                        done.fetch_add(usize::from(sign(&mut wire, key).is_ok()), Ordering::Relaxed);
                    }
                });
            }
            let work = |number| self.client(number, end, &times, &failures);
            let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || work(number))).collect();
            clients.into_iter().for_each(|client| client.join().expect("the daemon answers"));
            over.store(true, Ordering::Relaxed);
        });
        let mut times: Vec<Duration> = times.into_inner().expect("nobody failed");
        times.sort_unstable();
        let failures = failures.into_inner().expect("nobody failed");
        Served { times, failures, hostile: (asked.into_inner(), done.into_inner()) }
    }

    /// Signs with one key after the other, beginning elsewhere than its neighbours.
    fn client(
        &self,
        number: usize,
        end: Instant,
        times: &Mutex<Vec<Duration>>,
        failures: &Mutex<Vec<String>>,
    ) {
        let mut wire = Wire::to_scdaemon(&self.home);
        for key in self.good.iter().cycle().skip(number) {
            if Instant::now() > end {
                return;
            }
            let start = Instant::now();
            match sign(&mut wire, key) {
                Ok(()) => times.lock().expect("nobody failed").push(start.elapsed()),
                Err(reply) => failures.lock().expect("nobody failed").push(format!("{key}: {reply}")),
            }
        }
    }
}

fn sign(wire: &mut Wire, key: &str) -> Result<(), String> {
    assert_eq!(wire.ask(SETDATA), "OK");
    let reply = wire.sign(key, PIN);
    if reply == "OK" { Ok(()) } else { Err(reply) }
}

fn providers(tokens: &[SoftHsm; 3], hostile: Option<u64>) -> Vec<Provider> {
    let [left, right, worst] = tokens;
    let worst = match hostile {
        None => Provider::of("worst", worst),
        Some(seed) => Provider {
            module: hostile_module::path(),
            more: "operation = 2\nstart = 2\n".to_owned(),
            ..Provider::of("worst", worst)
                .with("HOSTILE_MODULE", MODULE)
                .with("HOSTILE_SEED", &seed.to_string())
        },
    };
    vec![Provider::of("left", left), Provider::of("right", right), worst]
}

/// The keygrips of keys that sign, on the tokens whose key ids have this label in them.
fn grips(home: &Home, label: &str) -> Vec<String> {
    let said = home.agent(&["SCD SERIALNO", "SCD KEYINFO --list=sign"]).ok().text();
    let lines = said.lines().filter_map(|line| line.strip_prefix("S KEYINFO "));
    let lines = lines.filter(|line| label.is_empty() || line.contains(&format!("/{label}/")));
    lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs()
}
