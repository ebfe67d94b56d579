//! Who is logged in, and what becomes of it.

use claviger_cards::pkcs11::wire::{Answer, Fault, SignMechanism, Task, TokenFlags, User};
use cryptoki_sys::*;

use crate::client::{Client, Outcome};
use crate::softhsm::{OFFICERS_PIN, P256, PIN, SoftHsm, generate, generate_with, refer, yes};

/// A token with a key, and a helper that has not logged in.
fn world() -> (SoftHsm, Client, u64) {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    generate(&mut client, slot, P256, 1);
    drop(client);
    let client = softhsm.helper();
    (softhsm, client, slot)
}

fn signing(client: &Client) -> Task {
    let key = client.tokens.values().next().unwrap().keys.first().expect("a public key");
    let mut key = refer(key);
    key.handle = None;
    Task::Sign { key, mechanism: SignMechanism::Ecdsa, data: vec![7; 32] }
}

fn has(flags: TokenFlags, flag: CK_FLAGS) -> bool {
    flags.0 & flag != 0
}

fn is_login_needed(outcome: &Outcome) -> bool {
    matches!(outcome, Err(Fault::LoginNeeded { user: User::User, .. }))
}

#[test]
fn private_keys_are_seen_after_the_login_which_is_kept() {
    let (_softhsm, mut client, slot) = world();
    let before = client.token("tls");
    assert!(!before.logged_in && !before.seen_private);
    assert_eq!(before.keys.iter().map(|key| key.private).collect::<Vec<_>>(), [false]);
    let task = signing(&client);
    assert!(is_login_needed(&client.task(slot, task.clone())));
    assert!(client.unlocked(slot, task.clone()).is_ok());
    let after = client.token("tls");
    assert!(after.logged_in && after.seen_private);
    assert_eq!(after.keys.iter().filter(|key| key.private).count(), 1);
    assert!(client.task(slot, task).is_ok());
}

#[test]
fn a_logout_ends_the_login_and_the_handles() {
    let (_softhsm, mut client, slot) = world();
    let task = signing(&client);
    client.unlocked(slot, task.clone()).unwrap();
    let seen = client.token("tls").keys.iter().find(|key| key.private).unwrap().clone();
    client.task(slot, Task::Logout).unwrap();
    let after = client.token("tls");
    assert!(!after.logged_in && after.seen_private && after.keys.iter().all(|key| !key.private));
    assert!(is_login_needed(&client.task(slot, task)));
    // The handle of before means nothing any more, and the key is found by the rest.
    let stale = Task::Sign { key: refer(&seen), mechanism: SignMechanism::Ecdsa, data: vec![7; 32] };
    assert!(client.unlocked(slot, stale).is_ok());
    client.task(slot, Task::Logout).unwrap();
    assert!(client.task(slot, Task::Logout).is_ok(), "once more does no harm");
}

#[test]
fn a_wrong_pin_is_said_with_the_flags_after_it() {
    let (_softhsm, mut client, slot) = world();
    let wrong = client.try_task(slot, Some(User::User), Task::Login, &[b"654321"]).unwrap();
    let Err(Fault::WrongPin { user: User::User, flags }) = wrong else { panic!("{wrong:?}") };
    assert!(has(flags, CKF_USER_PIN_COUNT_LOW));
    assert_eq!(client.token("tls").flags, flags, "the report came first");
    let task = signing(&client);
    assert!(client.try_task(slot, Some(User::User), task, &[b"654321"]).unwrap().is_err());
    client.unlocked(slot, Task::Login).unwrap();
    assert!(!has(client.token("tls").flags, CKF_USER_PIN_COUNT_LOW));
}

#[test]
fn the_user_changes_the_pin() {
    let (_softhsm, mut client, slot) = world();
    let change = Task::SetPin { user: User::User, at_token: false };
    let wrong = client.try_task(slot, None, change.clone(), &[b"000000", b"234567"]).unwrap();
    assert!(matches!(wrong, Err(Fault::WrongPin { user: User::User, .. })), "{wrong:?}");
    let short = client.try_task(slot, None, change.clone(), &[PIN, b"1"]).unwrap();
    assert_eq!(short.unwrap_err(), Fault::PinRefused(User::User));
    client.try_task(slot, None, change, &[PIN, b"234567"]).unwrap().unwrap();
    client.try_task(slot, Some(User::User), Task::Login, &[b"234567"]).unwrap().unwrap();
}

#[test]
fn the_officer_gives_the_user_a_new_pin_and_logs_them_out() {
    let (_softhsm, mut client, slot) = world();
    client.unlocked(slot, Task::Login).unwrap();
    let init = Task::InitPin { at_token: false };
    let unasked = client.task(slot, init.clone());
    assert!(matches!(unasked, Err(Fault::LoginNeeded { user: User::SecurityOfficer, .. })), "{unasked:?}");
    let officer = Some(User::SecurityOfficer);
    let wrong = client.try_task(slot, officer, init.clone(), &[b"00000000", b"234567"]).unwrap();
    assert!(matches!(wrong, Err(Fault::WrongPin { user: User::SecurityOfficer, .. })), "{wrong:?}");
    client.try_task(slot, officer, init, &[OFFICERS_PIN, b"234567"]).unwrap().unwrap();
    assert!(!client.token("tls").logged_in);
    let task = signing(&client);
    assert!(is_login_needed(&client.task(slot, task.clone())));
    assert!(client.try_task(slot, Some(User::User), task, &[b"234567"]).unwrap().is_ok());
}

#[test]
fn the_officer_changes_the_officers_pin() {
    let (_softhsm, mut client, slot) = world();
    let change = Task::SetPin { user: User::SecurityOfficer, at_token: false };
    client.try_task(slot, None, change, &[OFFICERS_PIN, b"12345678"]).unwrap().unwrap();
    let officer = Some(User::SecurityOfficer);
    let old = client.try_task(slot, officer, Task::Login, &[OFFICERS_PIN]).unwrap();
    assert!(matches!(old, Err(Fault::WrongPin { user: User::SecurityOfficer, .. })), "{old:?}");
    client.try_task(slot, officer, Task::Login, &[b"12345678"]).unwrap().unwrap();
    client.unlocked(slot, Task::Login).unwrap();
}

#[test]
fn tasks_of_many_threads_share_one_login() {
    let (_softhsm, mut client, slot) = world();
    let task = signing(&client);
    client.unlocked(slot, Task::Login).unwrap();
    let sent: Vec<_> = (0..200).map(|_| client.send(slot, None, task.clone(), &[])).collect();
    let mut missing: std::collections::BTreeSet<_> = sent.into_iter().collect();
    while !missing.is_empty() {
        if let (claviger_cards::pkcs11::wire::FromHelper::Done { number, result }, _) =
            client.hear(crate::client::PATIENCE).unwrap()
        {
            assert!(matches!(result, Ok(Answer::Signature(_))), "{result:?}");
            assert!(missing.remove(&number));
        }
    }
}

#[test]
fn a_task_without_its_secret_fails_and_harms_nothing() {
    let (_softhsm, mut client, slot) = world();
    assert!(matches!(client.try_task(slot, Some(User::User), Task::Login, &[]), Ok(Err(_))));
    client.unlocked(slot, Task::Login).unwrap();
}

#[test]
fn a_key_that_wants_a_pin_for_each_use_gets_one() {
    let softhsm = SoftHsm::with(&["tls"]);
    let mut client = softhsm.helper();
    let slot = client.slot("tls");
    let always = yes(&[CKA_ALWAYS_AUTHENTICATE]);
    let (key, _) = generate_with(&mut client, slot, P256, 1, &always);
    assert!(key.always_authenticate);
    let task = Task::Sign { key: refer(&key), mechanism: SignMechanism::Ecdsa, data: vec![7; 32] };
    for _ in 0..2 {
        let needed = client.task(slot, task.clone());
        assert!(matches!(needed, Err(Fault::LoginNeeded { user: User::ContextSpecific, .. })), "{needed:?}");
        let context = Some(User::ContextSpecific);
        let wrong = client.try_task(slot, context, task.clone(), &[b"654321"]).unwrap();
        assert!(matches!(wrong, Err(Fault::WrongPin { user: User::ContextSpecific, .. })), "{wrong:?}");
        client.try_task(slot, context, task.clone(), &[PIN]).unwrap().unwrap();
    }
    client.task(slot, Task::Logout).unwrap();
    assert!(is_login_needed(&client.task(slot, task.clone())));
    client
        .try_task(slot, Some(User::ContextSpecific), task, &[PIN])
        .unwrap()
        .expect("the user's login comes with it");
}
