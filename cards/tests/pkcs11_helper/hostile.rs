//! A module that does its worst: what the daemon sees of it, and that the helper itself keeps its head.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use claviger_cards::pkcs11::wire::{
    Answer, Fault, FromHelper, Login, Opening, SignMechanism, Task, ToHelper, User,
};
use cryptoki_sys::CKR_DEVICE_ERROR;

use crate::client::{Client, Lost, PATIENCE, command, opening, variable};
use crate::hostile_module;
use crate::softhsm::{MODULE, P256, PIN, SoftHsm, generate, refer};

/// How long a test waits for what does not come.
const SHORT: Duration = Duration::from_millis(300);

/// With how many seeds the module does what it likes, and how often it is asked for a signature each time.
const SEEDS: u64 = 16;
const TASKS: u32 = 20;

const LOGIN: Login = Login { user: User::User, at_token: false };

/// A token with a key that signs, and what the hostile module is to do.
struct World {
    softhsm: SoftHsm,
    task: Task,
    slot: u64,
}

impl World {
    fn new() -> Self {
        let softhsm = SoftHsm::with(&["tls"]);
        let mut client = softhsm.helper();
        let slot = client.slot("tls");
        let (key, _) = generate(&mut client, slot, P256, 1);
        let mut key = refer(&key);
        key.handle = None;
        let task = Task::Sign { key, mechanism: SignMechanism::Ecdsa, data: vec![7; 32] };
        Self { softhsm, task, slot }
    }

    fn environment(&self, orders: &[(&'static str, &str)]) -> Vec<(&'static str, OsString)> {
        let orders = orders.iter().map(|(name, value)| variable(name, value));
        let real = variable("HOSTILE_MODULE", MODULE);
        self.softhsm.environment().into_iter().chain([real]).chain(orders).collect()
    }

    /// A helper whose module does this at its first `C_Sign`.
    fn signing(&self, fault: &str, more: &[(&'static str, &str)]) -> Client {
        let first = [("HOSTILE_FAULTS", fault), ("HOSTILE_FUNCTION", "C_Sign"), ("HOSTILE_CALL", "1")];
        let environment = self.environment(&[&first, more].concat());
        let mut client = Client::start(opening(hostile_module::path()), &environment);
        client.unlocked(self.slot, Task::Login).unwrap();
        client
    }
}

#[test]
fn a_crash_ends_the_helper_without_an_answer() {
    let world = World::new();
    let mut client = world.signing("crash", &[]);
    assert_eq!(client.try_task(world.slot, None, world.task.clone(), &[]).unwrap_err(), Lost::Closed);
    assert_eq!(client.ended().signal(), Some(libc::SIGSEGV));
}

#[test]
fn an_exit_ends_the_helper_without_an_answer() {
    let world = World::new();
    let mut client = world.signing("exit", &[]);
    assert_eq!(client.try_task(world.slot, None, world.task.clone(), &[]).unwrap_err(), Lost::Closed);
    client.ended();
}

#[test]
fn one_that_sleeps_leaves_the_other_threads_at_work() {
    let world = World::new();
    let mut client = world.signing("sleep", &[]);
    // Threads take them at the same time: either may come first, and sleep.
    let both = [(); 2].map(|()| client.send(world.slot, None, world.task.clone(), &[]));
    let is_one =
        |message: &FromHelper| matches!(message, FromHelper::Done { number, .. } if both.contains(number));
    let Ok((FromHelper::Done { number: awake, result: Ok(_) }, _)) = client.until(is_one, PATIENCE) else {
        panic!("neither was carried out")
    };
    let asleep = if awake == both[0] { both[1] } else { both[0] };
    for _ in 0..9 {
        assert!(client.task(world.slot, world.task.clone()).is_ok());
    }
    client.look();
    let is_it =
        |message: &FromHelper| matches!(message, FromHelper::Done { number, .. } if *number == asleep);
    assert_eq!(client.until(is_it, SHORT).unwrap_err(), Lost::Silent);
    client.hang_up();
}

#[test]
fn a_signature_that_fails_is_not_made_again() {
    let world = World::new();
    let mut client = world.signing("refuse", &[]);
    let fault = Fault::Module { function: "C_Sign".to_owned(), code: CKR_DEVICE_ERROR };
    assert_eq!(client.task(world.slot, world.task.clone()).unwrap_err(), fault);
    assert_eq!(fault.to_string(), "C_Sign: CKR_DEVICE_ERROR");
    assert!(client.task(world.slot, world.task.clone()).is_ok(), "the next one is");
}

#[test]
fn where_a_session_has_ended_what_is_read_is_read_once_more() {
    let world = World::new();
    for (function, task) in [
        ("C_GenerateRandom", Task::Random { length: 4 }),
        ("C_GetAttributeValue", Task::Enumerate),
        ("C_FindObjects", Task::Enumerate),
    ] {
        // The first look has been, and took some calls.
        let orders =
            |call| [("HOSTILE_FAULTS", "lose"), ("HOSTILE_FUNCTION", function), ("HOSTILE_CALL", call)];
        for call in ["1", "6"] {
            let environment = world.environment(&orders(call));
            let mut client = Client::start(opening(hostile_module::path()), &environment);
            for _ in 0..4 {
                client.try_task(world.slot, None, task.clone(), &[]).unwrap().unwrap();
            }
        }
    }
}

#[test]
fn a_signature_is_not_asked_for_again_where_a_session_has_ended() {
    let world = World::new();
    let mut client = world.signing("lose", &[]);
    let fault = client.task(world.slot, world.task.clone()).unwrap_err();
    assert!(matches!(&fault, Fault::Module { function, .. } if function == "C_Sign"), "{fault:?}");
}

#[test]
fn wrong_lengths_are_an_error_or_an_answer_within_bounds() {
    let world = World::new();
    for seed in 0..8 {
        let mut client = world.signing("lengths", &[("HOSTILE_SEED", &seed.to_string())]);
        match client.task(world.slot, world.task.clone()) {
            Err(Fault::Malformed { function }) => assert_eq!(function, "C_Sign"),
            Ok((Answer::Signature(signature), _)) => assert!(signature.len() < 2048),
            other => panic!("{other:?}"),
        }
        assert!(client.task(world.slot, world.task.clone()).is_ok(), "seed {seed}");
    }
}

#[test]
fn a_module_without_locks_gets_one_call_at_a_time() {
    let world = World::new();
    let environment = world.environment(&[("HOSTILE_LOCKS", "none"), ("HOSTILE_CALL", "0")]);
    let mut client = Client::start(opening(hostile_module::path()), &environment);
    assert_eq!(client.threads, 1);
    client.unlocked(world.slot, Task::Login).unwrap();
    let sent: Vec<_> = (0..20).map(|_| client.send(world.slot, None, world.task.clone(), &[])).collect();
    for _ in sent {
        let (heard, _) =
            client.until(|message| matches!(message, FromHelper::Done { .. }), PATIENCE).unwrap();
        assert!(matches!(heard, FromHelper::Done { result: Ok(Answer::Signature(_)), .. }), "{heard:?}");
    }
}

#[test]
fn a_helper_whose_descriptors_were_closed_ends() {
    let world = World::new();
    let mut client = world.signing("descriptors", &[]);
    client.send(world.slot, None, world.task.clone(), &[]);
    client.ended();
}

#[test]
fn a_helper_that_has_grown_ends_with_a_word() {
    let world = World::new();
    let first = [("HOSTILE_FAULTS", "leak"), ("HOSTILE_FUNCTION", "C_Sign"), ("HOSTILE_CALL", "1")];
    let mut command = command(&world.environment(&first));
    let mut client = Client::spawn(command.stderr(Stdio::piped()));
    client.say(&ToHelper::Open(Opening { memory: 60 << 20, ..opening(hostile_module::path()) }), &[]);
    client.until(|message| matches!(message, FromHelper::Looked { .. }), SHORT * 10).unwrap();
    assert!(client.unlocked(world.slot, world.task.clone()).is_ok());
    assert_eq!(client.ended().code(), Some(1));
    let said = words(&mut client);
    assert!(said.contains("octets of memory are too many"), "{said}");
}

#[test]
fn whatever_the_module_does_the_helper_keeps_its_head() {
    let world = World::new();
    for seed in 0..SEEDS {
        let orders = [("HOSTILE_SEED", &*seed.to_string()), ("HOSTILE_WITHIN", "60")];
        let mut command = command(&world.environment(&orders));
        let mut client = Client::spawn(command.stderr(Stdio::piped()));
        client.say(&ToHelper::Open(opening(hostile_module::path())), &[]);
        // One that sleeps is silent, and others are gone. Whatever is said is a message, or the client panics.
        let looked = client.until(|message| matches!(message, FromHelper::Looked { .. }), SHORT);
        let mut sent = if looked.is_ok() { TASKS } else { 0 };
        for _ in 0..sent {
            client.send(world.slot, Some(LOGIN), world.task.clone(), &[PIN]);
        }
        while sent > 0 && client.until(|message| matches!(message, FromHelper::Done { .. }), SHORT).is_ok() {
            sent -= 1;
        }
        client.child.kill().unwrap();
        let status = client.ended();
        let said = words(&mut client);
        assert!(status.code() != Some(101) && !said.contains("panicked"), "seed {seed}: {status:?}\n{said}");
    }
}

/// What the helper and its module have said on standard error until their end.
fn words(client: &mut Client) -> String {
    let mut said = String::new();
    client.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    said
}
