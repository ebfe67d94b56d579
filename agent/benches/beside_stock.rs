//! `make bench`: what our scdaemon and GnuPG's cost, on the same machine, in the same run, as a table.
//!
//! Same gpg, same card in software, same pcscd. The APDUs are counted by the card; times are of this machine and of a
//! card without a chip's slowness, so compare the columns, not the rows (the last table has a slow card). The budgets are asserted by the test
//! `budgets`, not here.

#[path = "../tests/office/mod.rs"]
mod office;
#[path = "../tests/world/mod.rs"]
mod world;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use claviger::store::FOLDER;
use claviger_keys::x509;
use world::bill::{Desk, JOBS};
use world::fleet::Fleet;
use world::jobs::sign;
use world::throng::{self, Choice};
use world::{Home, Scdaemon, Wire};

const BOTH: [Scdaemon; 2] = [Scdaemon::Ours, Scdaemon::Stock];
/// How often the two take turns, so that a busy moment of the machine meets both.
const TURNS: usize = 10;
const STARTS_PER_TURN: usize = 10;
const ROUND_TRIPS_PER_TURN: usize = 1_000;

fn main() {
    let mut desk = Desk::new();
    let bills: Vec<_> = (0..TURNS).map(|_| BOTH.map(|scdaemon| desk.bill(scdaemon))).collect();
    println!("\n{:38} {:>8} {:>8} {:>8} {:>10} {:>10}", "job", "APDUs", "stock", "budget", "ms", "stock ms");
    for (number, job) in JOBS.iter().enumerate() {
        let [ours, stock] = [0, 1].map(|who| bills[0][who].entries[number].apdus.len());
        let [time, time_of_stock] =
            [0, 1].map(|who| median(bills.iter().map(|bill| bill[who].entries[number].time).collect()));
        let (name, budget) = (job.name, job.budget);
        let (time, time_of_stock) = (time * 1e3, time_of_stock * 1e3);
        println!("{name:38} {ours:>8} {stock:>8} {budget:>8} {time:>10.1} {time_of_stock:>10.1}");
    }
    println!("\n{:38} {:>8} {:>8}", "the daemon", "ours", "stock");
    let [ours, stock] = in_turns(&mut desk.home, starts_to_greetings).map(|seconds| seconds * 1e3);
    println!("{:38} {ours:>8.2} {stock:>8.2}", "start to greeting, median, ms");
    let [ours, stock] = in_turns(&mut desk.home, round_trips).map(|seconds| seconds * 1e6);
    println!("{:38} {ours:>8.1} {stock:>8.1}", "NOP through the socket, median, µs");
    let [ours, stock] = BOTH.map(|scdaemon| {
        desk.home.switch_to(scdaemon);
        pss_after_a_signature(&desk.home)
    });
    println!("{:38} {ours:>8} {stock:>8}", "PSS after a signature, KiB");
    stored_certificates(&mut desk.home);
    drop(desk);
    administration();
    several_cards();
}

/// What a listing of the local store costs when everything is read, when nothing changed, and in memory. GnuPG's scdaemon
/// has no store.
fn stored_certificates(home: &mut Home) {
    println!(
        "\n{:38} {:>8} {:>8} {:>8}",
        "LISTCERTS, certificates in the store", "cold, ms", "warm, ms", "PSS, KiB"
    );
    home.switch_to(Scdaemon::Ours);
    for count in [0, 100, 1_000, 10_000] {
        shelve(home, count);
        home.kill_agent();
        let mut wire = Wire::to_scdaemon(home);
        // What is on the card is read once; that is no cost of the store.
        assert_eq!(wire.ask("LEARN --force"), "OK");
        let mut list = |filter: &str| {
            let start = Instant::now();
            assert_eq!(wire.ask(&format!("LISTCERTS {filter}")), "OK");
            start.elapsed()
        };
        let cold = list("--token=store").as_secs_f64() * 1e3;
        let warm = median((0..TURNS).map(|_| list("--token=store")).collect()) * 1e3;
        println!("{count:38} {cold:>8.1} {warm:>8.1} {:>8}", pss(home));
    }
}

/// Puts so many certificates into the store's folder, each in a file of its own.
fn shelve(home: &Home, count: usize) {
    let leaf = fs::read(world::repository("testdata/certificates/leaf.pem")).expect("it is there");
    let leaf = x509::read_file(&leaf).expect("a certificate").remove(0);
    let serial = leaf.fields().expect("a certificate").serial();
    let at = leaf.der().windows(serial.len()).position(|part| part == serial).expect("it is in there");
    let folder = home.path(FOLDER);
    fs::create_dir_all(&folder).expect("the home is ours");
    for number in 0..count {
        let mut der = leaf.der().to_vec();
        der[at + 1..at + 9].copy_from_slice(&number.to_be_bytes());
        fs::write(folder.join(format!("{number}.crt")), der).expect("the folder is ours");
    }
}

/// What administration costs the card: the jobs of the test `administration`, which asserts the budgets. A job in which
/// something failed through stock alone has none.
fn administration() {
    println!("\n{:50} {:>8} {:>8} {:>8}", "administration", "APDUs", "stock", "budget");
    for job in office::jobs::all() {
        let pair = office::Pair::of(job);
        let [ours, stock] = [&pair.ours, &pair.stock].map(|performance| performance.apdus.len());
        let budget = pair.budget().map_or_else(|| "-".to_owned(), |budget| budget.to_string());
        println!("{:50} {ours:>8} {stock:>8} {budget:>8}", job.name);
    }
}

/// What a second card with the same key is worth. Stock scdaemon has one PC/SC reader, so there is nothing beside it.
#[tokio::main(flavor = "current_thread")]
async fn several_cards() {
    println!(
        "\n{:38} {:>8} {:>8} {:>8}",
        "8 clients, 500 signatures, 50 ms each", "1 card", "2 cards", "times"
    );
    let fleet = Fleet::new(&[]);
    let mut cards = Vec::new();
    let mut rates = Vec::new();
    for number in ["00000001", "00000002"] {
        cards.push(fleet.plug_in_with_keys(number, &["--latency", "50"]).await);
        fleet.client().await.sign_with(number).await;
        rates.push(throng::sign(&fleet, 8, 63, Choice::Any).await.rate);
    }
    let (one, two) = (rates[0], rates[1]);
    println!("{:38} {one:>8.1} {two:>8.1} {:>8.2}", "signatures in a second", two / one);
}

/// Measures one and the other by turns, and gives both medians in seconds.
fn in_turns(home: &mut Home, measure: fn(&Home) -> Vec<Duration>) -> [f64; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for (scdaemon, times) in BOTH.into_iter().zip(&mut times) {
            home.switch_to(scdaemon);
            times.extend(measure(home));
        }
    }
    times.map(median)
}

/// From the start of the process to its first line.
fn starts_to_greetings(home: &Home) -> Vec<Duration> {
    (0..STARTS_PER_TURN).map(|_| start_to_greeting(home)).collect()
}

fn start_to_greeting(home: &Home) -> Duration {
    let start = Instant::now();
    let mut child = home
        .command_without_deadline(&home.scdaemon_program())
        .args(["--multi-server", "--homedir"])
        .arg(home.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the scdaemon starts");
    let mut greeting = String::new();
    BufReader::new(child.stdout.take().expect("stdout is a pipe"))
        .read_line(&mut greeting)
        .expect("a greeting");
    let time = start.elapsed();
    assert!(greeting.starts_with("OK "), "{greeting}");
    drop(child.stdin.take());
    child.wait().expect("the child is ours");
    time
}

/// From a NOP to its OK.
fn round_trips(home: &Home) -> Vec<Duration> {
    let mut wire = Wire::to_scdaemon(home);
    let round_trip = |_| {
        let start = Instant::now();
        assert_eq!(wire.ask("NOP"), "OK");
        start.elapsed()
    };
    (0..ROUND_TRIPS_PER_TURN).map(round_trip).collect()
}

/// What the daemon takes of the machine's memory, its share of shared pages included, in KiB. Only root can see that of a
/// process that is closed to its own user.
fn pss_after_a_signature(home: &Home) -> String {
    sign(home).ok();
    pss(home)
}

fn pss(home: &Home) -> String {
    let pid = home.agent(&["SCD GETINFO pid"]).ok().line("D ");
    let Ok(rollup) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
        return "as root".to_owned();
    };
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a PSS");
    pss.trim().trim_end_matches(" kB").to_owned()
}

/// In seconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}
