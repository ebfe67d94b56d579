//! Jobs of a token whose helper a test speaks for: which PINs are asked for, and what is sent.

use super::*;
use crate::pkcs11::pairing::sample;
use crate::pkcs11::provider::link::scripted::{Other, linked, listen};
use crate::pkcs11::wire::{FromHelper, Task, ToHelper};
use crate::pkcs11::{KeyNumber, Request as OfToken, SignScheme};
use crate::token::{NeedsPin, Request};

const USER: PinPurpose = PinPurpose::Unlock(PinRef::User);
const FLAGS: TokenFlags = TokenFlags(4);
const CKM_RSA_PKCS: u64 = 1;

/// A token with an RSA key, and its helper.
struct World {
    carrier: Arc<TokenCarrier>,
    key: KeyNumber,
    other: Other,
    _known: watch::Sender<Arc<Known>>,
}

impl World {
    fn new(login: LoginMode) -> Self {
        let (link, other) = linked(1);
        drop(listen(&link));
        let (known, key) = sample::token("rsa2048", &[CKM_RSA_PKCS]);
        let (known, facts) = watch::channel(Arc::new(known));
        let carrier = Arc::new(TokenCarrier::new(link, 7, facts, login, ProviderLimits::default()));
        Self { carrier, key, other, _known: known }
    }

    fn sign(&self) -> Job {
        let (key, scheme) = (self.key, SignScheme::RsaPkcs1);
        Job::new(Request::Pkcs11(OfToken::Sign { key, scheme, data: b"what is signed".to_vec() }))
    }

    /// What comes of a job that sends nothing.
    async fn unsent(&mut self, job: Job) -> Result<Outcome, TokenError> {
        let outcome = self.carrier.carry(job).await;
        assert!(self.other.is_quiet(), "{outcome:?}");
        outcome
    }

    /// What comes of a job whose task the helper answers so; with the task, and whose login came with it.
    async fn sent(
        &mut self,
        job: Job,
        result: Result<Answer, Fault>,
    ) -> (Task, Option<User>, Result<Outcome, TokenError>) {
        let carrier = Arc::clone(&self.carrier);
        let running = tokio::spawn(async move { carrier.carry(job).await });
        let ToHelper::Do { number, login, task, .. } = self.other.hear().await else { panic!("no task") };
        self.other.say(FromHelper::Done { number, result }).await;
        (task, login.map(|login| login.user), running.await.unwrap())
    }
}

fn login_needed() -> Result<Answer, Fault> {
    Err(Fault::LoginNeeded { user: User::User, flags: FLAGS })
}

fn asked(outcome: Result<Outcome, TokenError>) -> NeedsPin {
    match outcome {
        Ok(Outcome::NeedsPin(need)) => need,
        other => panic!("{other:?}"),
    }
}

fn pin() -> Secret {
    Secret::copy_of(b"123456")
}

#[tokio::test]
async fn a_pin_is_asked_for_when_the_token_wants_one_and_goes_with_the_task() {
    let mut world = World::new(LoginMode::WhenNeeded);
    let (_, login, outcome) = world.sent(world.sign(), login_needed()).await;
    let need = asked(outcome);
    assert_eq!((login, need.purpose, need.may_use_cache, need.memory_failed), (None, USER, true, false));
    let signature = Ok(Answer::Signature(vec![7; 256]));
    let (task, login, outcome) = world.sent(need.with_pin(pin()), signature).await;
    assert!(matches!(task, Task::Sign { .. }) && login == Some(User::User));
    assert!(matches!(outcome, Ok(Outcome::Done(Reply::Signature(_)))), "{outcome:?}");
}

#[tokio::test]
async fn a_remembered_pin_is_tried_once_and_the_next_one_is_a_person_s() {
    let wrong = || Err(Fault::WrongPin { user: User::User, flags: FLAGS });
    for refusal in [login_needed(), wrong()] {
        let mut world = World::new(LoginMode::WhenNeeded);
        let need = asked(world.sent(world.sign(), login_needed()).await.2);
        let (_, login, outcome) = world.sent(need.with_remembered_pin(pin()), refusal).await;
        let need = asked(outcome);
        assert_eq!((login, need.purpose, need.memory_failed), (Some(User::User), USER, true));
        let (_, _, outcome) = world.sent(need.with_pin(pin()), wrong()).await;
        assert!(matches!(outcome, Err(TokenError::WrongPin { pin: PinRef::User, .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_locked_pin_is_not_asked_for() {
    let mut world = World::new(LoginMode::WhenNeeded);
    let locked = Err(Fault::LoginNeeded { user: User::User, flags: TokenFlags(0x0004_0004) });
    let (_, _, outcome) = world.sent(world.sign(), locked).await;
    assert!(matches!(outcome, Err(TokenError::PinBlocked(PinRef::User))), "{outcome:?}");
}

#[tokio::test]
async fn who_always_logs_in_is_asked_before_anything_is_sent() {
    let mut world = World::new(LoginMode::Always);
    let job = world.sign();
    let need = asked(world.unsent(job).await);
    assert_eq!(need.purpose, USER);
    let signature = Ok(Answer::Signature(vec![7; 256]));
    let (_, login, _) = world.sent(need.with_pin(pin()), signature).await;
    assert_eq!(login, Some(User::User));
}

#[tokio::test]
async fn a_change_of_pin_wants_the_old_and_the_new_one_and_no_login() {
    for mode in [LoginMode::WhenNeeded, LoginMode::Always, LoginMode::Never] {
        let mut world = World::new(mode);
        let need = asked(world.unsent(Job::new(Request::ChangePin(PinRef::User))).await);
        assert_eq!(need.purpose, PinPurpose::Old(PinRef::User));
        let need = asked(world.unsent(need.with_pin(pin())).await);
        assert_eq!(need.purpose, PinPurpose::New(PinRef::User));
        let (task, login, outcome) = world.sent(need.with_pin(pin()), Ok(Answer::Done)).await;
        assert_eq!((task, login), (Task::SetPin { user: User::User, at_token: false }, None));
        assert!(matches!(outcome, Ok(Outcome::Done(Reply::Done))), "{mode:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn who_never_logs_in_is_never_asked_for_the_user_s_pin() {
    let mut world = World::new(LoginMode::Never);
    let refused = world.unsent(Job::new(Request::Verify(PinRef::User))).await;
    assert!(matches!(refused, Err(TokenError::NotSupported(_))), "{refused:?}");
    let (_, _, refused) = world.sent(world.sign(), login_needed()).await;
    assert!(matches!(refused, Err(TokenError::NotSupported(_))), "{refused:?}");
    let need = asked(world.unsent(Job::new(Request::Verify(PinRef::Admin))).await);
    assert_eq!(need.purpose, PinPurpose::Unlock(PinRef::Admin));
}

#[tokio::test]
async fn a_signature_is_asked_for_once_whatever_comes_of_it() {
    for fault in [Fault::Gone, Fault::NoObject, Fault::Module { function: "C_Sign".to_owned(), code: 0x30 }] {
        let mut world = World::new(LoginMode::WhenNeeded);
        let (_, _, outcome) = world.sent(world.sign(), Err(fault)).await;
        assert!(outcome.is_err() && world.other.is_quiet(), "{outcome:?}");
    }
}
