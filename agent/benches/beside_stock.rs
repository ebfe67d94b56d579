//! `make bench`: what our scdaemon and GnuPG's cost, on the same machine, in the same run, as a table.
//!
//! Same gpg, same card in software, same pcscd. The APDUs are counted by the card; times are of this machine and of a
//! card without a chip's slowness, so compare the columns, not the rows. The budgets are asserted by the test
//! `budgets`, not here.

#[path = "../tests/world/mod.rs"]
mod world;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use world::bill::{Desk, JOBS};
use world::jobs::sign;
use world::{Home, Scdaemon};

const STARTS: usize = 100;
const ROUND_TRIPS: usize = 10_000;

fn main() {
    let mut desk = Desk::new();
    let both = [Scdaemon::Ours, Scdaemon::Stock];
    let [ours, stock] = both.map(|scdaemon| desk.bill(scdaemon));
    println!("\n{:38} {:>8} {:>8} {:>8} {:>10} {:>10}", "job", "APDUs", "stock", "budget", "ms", "stock ms");
    for ((job, ours), stock) in JOBS.iter().zip(&ours.entries).zip(&stock.entries) {
        let (sent, of_stock) = (ours.apdus.len(), stock.apdus.len());
        let (time, time_of_stock) = (millis(ours.time), millis(stock.time));
        println!(
            "{:38} {sent:>8} {of_stock:>8} {:>8} {time:>10.1} {time_of_stock:>10.1}",
            job.name, job.budget
        );
    }
    println!("\n{:38} {:>8} {:>8}", "the daemon", "ours", "stock");
    for (name, figure) in [
        ("start to greeting, median, ms", start_to_greeting as fn(&Home) -> f64),
        ("PSS after a signature, KiB", pss_after_a_signature),
        ("NOP through the socket, median, µs", round_trip),
    ] {
        let [ours, stock] = both.map(|scdaemon| {
            desk.home.switch_to(scdaemon);
            figure(&desk.home)
        });
        println!("{name:38} {ours:>8.1} {stock:>8.1}");
    }
}

/// From the start of the process to its first line, in milliseconds.
fn start_to_greeting(home: &Home) -> f64 {
    let program = home.scdaemon_program();
    median(STARTS, || {
        let start = Instant::now();
        let mut command = home.command_without_deadline(&program);
        let mut child = command
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
    }) * 1e3
}

/// What the daemon takes of the machine's memory, its share of shared pages included, in KiB.
fn pss_after_a_signature(home: &Home) -> f64 {
    sign(home).ok();
    let pid = home.agent(&["SCD GETINFO pid"]).ok().line("D ");
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process is ours");
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a PSS");
    pss.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// From a NOP to its OK, in microseconds.
fn round_trip(home: &Home) -> f64 {
    let socket = home.agent(&["SCD GETINFO socket_name"]).ok().line("D ");
    let mut stream = UnixStream::connect(socket).expect("the socket is there");
    let mut replies = BufReader::new(stream.try_clone().expect("a descriptor"));
    let mut line = String::new();
    replies.read_line(&mut line).expect("a greeting");
    median(ROUND_TRIPS, || {
        line.clear();
        let start = Instant::now();
        stream.write_all(b"NOP\n").expect("the daemon listens");
        replies.read_line(&mut line).expect("a reply");
        let time = start.elapsed();
        assert_eq!(line, "OK\n");
        time
    }) * 1e6
}

/// The median of `count` runs, in seconds.
fn median(count: usize, run: impl FnMut() -> Duration) -> f64 {
    let mut times: Vec<_> = std::iter::repeat_with(run).take(count).collect();
    times.sort_unstable();
    times[count / 2].as_secs_f64()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
