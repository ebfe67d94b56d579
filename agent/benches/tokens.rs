//! `make bench`, the part about PKCS#11 tokens: what a signature costs through our scdaemon, through gnupg-pkcs11-scd, and by
//! `C_Sign` directly, on the same SoftHSM, in the same run.
//!
//! Times are from before SETDATA to the signature, on the daemon's socket: what an agent waits for. A dash says that it cannot be
//! done; gnupg-pkcs11-scd, whose time grows with the square of the certificates, is not asked where there are a thousand.

#[path = "../tests/world/mod.rs"]
mod world;

use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use world::crowd::Crowd;
use world::token::{MODULE, PIN, SoftHsm, maker};
use world::{Home, Scdaemon, Wire};

const KINDS: [&str; 2] = ["rsa2048", "p256"];
const PAIRS: [u16; 3] = [1, 20, 1_000];
/// Signatures of a measurement, if there is time.
const SIGNATURES: usize = 400;
/// Pairs on a token that gnupg-pkcs11-scd is asked about.
const MOST_FOR_THE_INCUMBENT: u16 = 20;
/// How long a measurement may take.
const PATIENCE: Duration = Duration::from_secs(10);
const CLIENTS: usize = 4;
/// How often one client and several take turns, and how long each is.
const TURNS: usize = 4;
const TURN: Duration = Duration::from_millis(500);
/// How long the clients sign beside a hostile module.
const CROWDED: Duration = Duration::from_secs(20);
/// How often a warm listing is made.
const LISTINGS: usize = 5;
/// DigestInfo of SHA-256, and a digest.
const DIGEST_INFO: &str = "3031300D060960864801650304020105000420";
const DIGEST: [u8; 32] = [7; 32];

fn main() {
    if maker::work_if_asked() || sign_directly_if_asked() {
        return;
    }
    println!(
        "\n{:28} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>10} {:>9}",
        "signature, median, ms",
        "C_Sign",
        "ours, id",
        "keygrip",
        "over it",
        "0.10, id",
        "keygrip",
        "C_Sign 4/1",
        "ours 4/1"
    );
    for kind in KINDS {
        for pairs in PAIRS {
            signatures(kind, pairs);
        }
    }
    listings();
    beside_a_hostile_module();
}

/// One row: a kind of key, and how many such pairs are on the token.
fn signatures(kind: &str, pairs: u16) {
    let hsm = SoftHsm::with(&format!("token bench\nmany {kind} {pairs}"));
    let [direct, gain_directly] = directly(&hsm);
    let home = Home::with_tokens(&hsm, Scdaemon::Ours);
    let key = last_key(&home).expect("ours lists every key");
    let [by_id, by_grip] = [&key.id, &key.grip].map(|name| median(&sign(&home, name)).expect("ours signs"));
    let ours = gain(|clients| rate(clients, || client(&home, &key.grip)));
    drop(home);
    let incumbent = if pairs > MOST_FOR_THE_INCUMBENT { [None, None] } else { incumbent(&hsm) };
    println!(
        "{:28} {:>8.3} {by_id:>8.3} {by_grip:>8.3} {:>8.3} {:>9} {:>9} {:>10.2} {:>9.2}",
        format!("{kind}, {pairs} on the token"),
        direct,
        by_grip - direct,
        shown(incumbent[0]),
        shown(incumbent[1]),
        gain_directly,
        ours,
    );
}

/// gnupg-pkcs11-scd by key id and by keygrip.
fn incumbent(hsm: &SoftHsm) -> [Option<f64>; 2] {
    let home = Home::with_tokens(hsm, Scdaemon::Incumbent);
    let Some(key) = last_key(&home) else { return [None, None] };
    [&key.id, &key.grip].map(|name| median(&sign(&home, name)))
}

struct Key {
    grip: String,
    id: String,
}

/// The key that a daemon tells of last, if it tells of any.
fn last_key(home: &Home) -> Option<Key> {
    let said = home.agent(&["SCD LEARN --force"]).text();
    home.kill_agent();
    let line = said.lines().filter_map(|line| line.strip_prefix("S KEYPAIRINFO ")).next_back()?;
    let mut words = line.split(' ');
    Some(Key { grip: words.next()?.to_owned(), id: words.next()?.to_owned() })
}

/// Times of signatures in turn, after a first one that brought the PIN.
fn sign(home: &Home, key: &str) -> Vec<Duration> {
    let mut wire = Wire::to_scdaemon(home);
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() <= SIGNATURES && begun.elapsed() < PATIENCE {
        let Some(time) = sign_once(&mut wire, key) else { return Vec::new() };
        times.push(time);
    }
    times.split_off(1)
}

fn sign_once(wire: &mut Wire, key: &str) -> Option<Duration> {
    let start = Instant::now();
    wire.ask(&setdata());
    let reply = wire.sign(key, PIN);
    (reply == "OK").then(|| start.elapsed())
}

fn setdata() -> String {
    format!("SETDATA {DIGEST_INFO}{}", world::scripted::hex(&DIGEST))
}

/// How much more than one as many clients as there are get done. Both are measured by turns, and the best turn of each
/// counts: what else the machine does spoils a turn, and helps none.
fn gain(mut rate: impl FnMut(usize) -> f64) -> f64 {
    let mut best = [0.0_f64; 2];
    for _ in 0..TURNS {
        for (best, clients) in best.iter_mut().zip([1, CLIENTS]) {
            *best = best.max(rate(clients));
        }
    }
    best[1] / best[0]
}

/// Signatures in a second, by so many workers that `begin` makes.
fn rate<T, W: FnMut() -> T>(workers: usize, begin: impl Fn() -> W + Sync) -> f64 {
    let barrier = Barrier::new(workers);
    let work = || {
        let mut sign = begin();
        barrier.wait();
        let begun = Instant::now();
        let mut count = 0_u32;
        while begun.elapsed() < TURN {
            sign();
            count += 1;
        }
        f64::from(count) / begun.elapsed().as_secs_f64()
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("it signs")).sum()
    })
}

/// A client of our daemon that has given the PIN.
fn client(home: &Home, key: &str) -> impl FnMut() -> Duration {
    let mut wire = Wire::to_scdaemon(home);
    let key = key.to_owned();
    let mut sign = move || sign_once(&mut wire, &key).expect("ours signs");
    sign();
    sign
}

/// What a listing costs with so many certificates: at the daemon's start, and again.
fn listings() {
    println!("\n{:38} {:>10} {:>10}", "certificates on the token", "cold, ms", "warm, ms");
    for command in ["LEARN --force", "LISTCERTS"] {
        for pairs in PAIRS {
            let hsm = SoftHsm::with(&format!("token bench\nmany p256 {pairs}"));
            let home = Home::with_tokens(&hsm, Scdaemon::Ours);
            let mut wire = Wire::to_scdaemon(&home);
            let mut list = || {
                let start = Instant::now();
                assert_eq!(wire.ask(command), "OK");
                start.elapsed()
            };
            let cold = list().as_secs_f64() * 1e3;
            let warm: Vec<_> = (0..LISTINGS).map(|_| list()).collect();
            let warm = median(&warm).expect("there are some");
            println!("{:38} {cold:>10.1} {warm:>10.1}", format!("{command}, {pairs}"));
        }
    }
}

/// How long others wait for card and tokens while a module does its worst.
fn beside_a_hostile_module() {
    let crowd = Crowd::gather();
    let served = crowd.sign(CROWDED);
    let percentile = |percent: usize| {
        let at = (served.times.len() * percent / 100).min(served.times.len().saturating_sub(1));
        served.times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    println!(
        "\n{:38} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "8 clients beside a hostile module, ms", "50 %", "90 %", "99 %", "all", "failed"
    );
    let [half, most, nearly, all] = [50, 90, 99, 100].map(percentile);
    let title = format!("{} signatures", served.times.len());
    println!("{title:38} {half:>8.1} {most:>8.1} {nearly:>8.1} {all:>8.1} {:>8}", served.failures.len());
}

/// Says that the program is to sign by itself.
const DIRECTLY: &str = "CLAVIGER_BENCH_DIRECTLY";

/// The median time of `C_SignInit` and `C_Sign`, in milliseconds, and the gain by as many threads as there are clients: in a
/// process of its own, since SoftHSM has one directory in each.
fn directly(hsm: &SoftHsm) -> [f64; 2] {
    let child = Command::new(std::env::current_exe().expect("we run"))
        .env(DIRECTLY, "yes")
        .env("SOFTHSM2_CONF", hsm.configuration())
        .stdin(Stdio::null())
        .output()
        .expect("we run");
    let text = String::from_utf8_lossy(&child.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    numbers.try_into().expect("two numbers")
}

fn sign_directly_if_asked() -> bool {
    if std::env::var_os(DIRECTLY).is_none() {
        return false;
    }
    let module = Pkcs11::new(MODULE).expect("SoftHSM is installed");
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).expect("SoftHSM starts");
    let slot = module.get_slots_with_initialized_token().expect("slots")[0];
    let session = module.open_ro_session(slot).expect("a session");
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).expect("that is its PIN");
    let begin = || {
        let session = module.open_ro_session(slot).expect("a session");
        let (key, rsa) = a_key(&session);
        move || sign_with(&session, key, rsa)
    };
    let sign = begin();
    let times: Vec<_> = (0..SIGNATURES).map(|_| sign()).collect();
    let gain = gain(|threads| rate(threads, begin));
    println!("{} {gain}", median(&times).expect("there are some"));
    true
}

fn sign_with(session: &Session, key: ObjectHandle, rsa: bool) -> Duration {
    let start = Instant::now();
    let info = [&world::packets::octets(DIGEST_INFO)[..], &DIGEST].concat();
    let (mechanism, data) =
        if rsa { (Mechanism::RsaPkcs, &info[..]) } else { (Mechanism::Ecdsa, &DIGEST[..]) };
    session.sign(&mechanism, key, data).expect("it signs");
    start.elapsed()
}

/// Any private key, and whether it is an RSA key.
fn a_key(session: &Session) -> (ObjectHandle, bool) {
    let find = |kind| {
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(kind)];
        session.find_objects(&template).expect("objects").first().copied()
    };
    let rsa = find(KeyType::RSA).map(|key| (key, true));
    rsa.or_else(|| find(KeyType::EC).map(|key| (key, false))).expect("a key")
}

/// In milliseconds; none if nothing was measured.
fn median(times: &[Duration]) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).map(|time| time.as_secs_f64() * 1e3)
}

fn shown(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3}"))
}
