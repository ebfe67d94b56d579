//! At which call something goes wrong, and what.

use std::env;
use std::str::FromStr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Touches memory that is not there.
    Crash,
    /// Does not come back.
    Sleep,
    /// Ends the process as if nothing were wrong.
    Exit,
    /// Says `CKR_DEVICE_ERROR` and does nothing.
    Refuse,
    /// Says `CKR_SESSION_HANDLE_INVALID` and does nothing.
    Lose,
    /// Says something wrong of the length of what it gives.
    Lengths,
    /// Gives octets that mean nothing.
    Garbage,
    /// Closes descriptors of others.
    Descriptors,
    /// Takes memory and forgets it.
    Leak,
}

/// All of them, by name.
const FAULTS: [(&str, Fault); 9] = [
    ("crash", Fault::Crash),
    ("sleep", Fault::Sleep),
    ("exit", Fault::Exit),
    ("refuse", Fault::Refuse),
    ("lose", Fault::Lose),
    ("lengths", Fault::Lengths),
    ("garbage", Fault::Garbage),
    ("descriptors", Fault::Descriptors),
    ("leak", Fault::Leak),
];

/// Among how many calls a random one is chosen, if nothing else is said.
const WITHIN: u64 = 300;

struct Plan {
    random: Random,
    faults: Vec<(&'static str, Fault)>,
    function: Option<String>,
    call: Option<u64>,
    within: u64,
    /// Calls until the next fault.
    left: u64,
}

/// What goes wrong in this call, if anything.
pub(crate) fn next(function: &str) -> Option<Fault> {
    with(|plan| plan.next(function))
}

/// A random number below `limit`.
pub(crate) fn random(limit: u64) -> u64 {
    with(|plan| plan.random.below(limit))
}

fn with<T>(act: impl FnOnce(&mut Plan) -> T) -> T {
    static PLAN: OnceLock<Mutex<Plan>> = OnceLock::new();
    let plan = PLAN.get_or_init(|| Mutex::new(Plan::from_environment()));
    act(&mut plan.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Plan {
    fn from_environment() -> Self {
        let seed = number("HOSTILE_SEED").unwrap_or_else(seed_of_now);
        let chosen = env::var("HOSTILE_FAULTS").unwrap_or_default();
        let is_chosen = |name: &str| chosen.is_empty() || chosen.split(' ').any(|it| it == name);
        let faults: Vec<_> = FAULTS.into_iter().filter(|(name, _)| is_chosen(name)).collect();
        let (function, call) = (env::var("HOSTILE_FUNCTION").ok(), number("HOSTILE_CALL"));
        let within = number("HOSTILE_WITHIN").unwrap_or(WITHIN);
        let mut random = Random(seed);
        let left = call.unwrap_or_else(|| 1 + random.below(within));
        eprintln!("hostile module: seed {seed}, a fault in {left} calls");
        Self { random, faults, function, call, within, left }
    }

    fn next(&mut self, function: &str) -> Option<Fault> {
        if self.left == 0 || self.function.as_ref().is_some_and(|only| only != function) {
            return None;
        }
        self.left -= 1;
        if self.left > 0 {
            return None;
        }
        if self.call.is_none() {
            self.left = 1 + self.random.below(self.within);
        }
        let chosen = usize::try_from(self.random.below(self.faults.len() as u64)).unwrap_or_default();
        let (name, fault) = self.faults.get(chosen)?;
        eprintln!("hostile module: {name} in {function}");
        Some(*fault)
    }
}

fn number(variable: &str) -> Option<u64> {
    u64::from_str(&env::var(variable).ok()?).ok()
}

fn seed_of_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| u64::from(now.subsec_nanos()))
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(limit).unwrap_or_default()
    }
}
