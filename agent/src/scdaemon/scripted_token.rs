//! A PKCS#11 token for tests that does what it is told to, faults too; and what becomes of PINs, logins and signatures with it.
//! What real tokens do is seen in the tests with real programs.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use claviger_cards::deck::Carrier;
use claviger_cards::pkcs11::{self, KeyKind};
use claviger_cards::token::{Job, Outcome, PinPurpose, PinRef, Reply, Request, TokenError};
use claviger_keys::{Curve, PublicKey};
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;

use super::sample_token::{Office, SIGN, token};

/// What it does is written here.
#[derive(Default)]
struct Script {
    /// Whether the user is logged in.
    logged_in: bool,
    /// A PIN is wanted for each use of the key.
    each_use: bool,
    /// PINs are typed at the token.
    protected: bool,
    /// The next try is the last.
    last_try: bool,
    /// The next signature is wrong.
    wrong: bool,
    /// Requests that were carried out.
    done: Vec<&'static str>,
}

/// A token with an Ed25519 key.
struct Scripted {
    key: PKey<Private>,
    script: Mutex<Script>,
}

const PIN: &[u8] = b"123456";
const RIGHT: &str = "D 123456\0\0\nEND";
const WRONG: &str = "D 654321\0\0\nEND";

impl Scripted {
    fn carry(&self, mut job: Job) -> Result<Outcome, TokenError> {
        let mut script = self.script.lock().unwrap();
        let reply = match job.request() {
            Request::Lapse(_) | Request::ForgetVerifications(_) => {
                script.logged_in = false;
                script.done.push("logout");
                return Ok(Outcome::Done(Reply::Done));
            }
            Request::EnsureVerified(_) => Reply::Done,
            Request::Pkcs11(pkcs11::Request::Sign { data, .. }) => {
                let mut signer = Signer::new_without_digest(&self.key).unwrap();
                Reply::Signature(signer.sign_oneshot_to_vec(data).unwrap())
            }
            other => panic!("not in the script: {other:?}"),
        };
        let pin = if script.each_use { PinRef::Sign } else { PinRef::User };
        let unlock = PinPurpose::Unlock(pin);
        match job.take_pin(unlock) {
            None if script.each_use || !script.logged_in => return Ok(question(job, unlock, &mut script)),
            Some(given) if given.as_bytes() != PIN => {
                return Err(TokenError::WrongPin { pin, tries_left: None });
            }
            _ => {}
        }
        script.logged_in = true;
        script.done.push("signature");
        match reply {
            Reply::Signature(mut signature) if std::mem::take(&mut script.wrong) => {
                signature[7] ^= 1;
                Ok(Outcome::Done(Reply::Signature(signature)))
            }
            reply => Ok(Outcome::Done(reply)),
        }
    }
}

fn question(job: Job, unlock: PinPurpose, script: &mut Script) -> Outcome {
    if script.protected {
        // It was typed by the time that the job comes back.
        script.logged_in = true;
    }
    let mut need = job.needs_pin(unlock);
    need.tries_left = script.last_try.then_some(1);
    need.may_use_cache = !script.each_use && !script.last_try;
    need.on_pinpad = script.protected;
    Outcome::NeedsPin(need)
}

impl Carrier for Scripted {
    fn submit(&self, job: Job) -> Pin<Box<dyn Future<Output = Result<Outcome, TokenError>> + Send + '_>> {
        Box::pin(async { self.carry(job) })
    }
}

/// A scdaemon with such a token, and how to sign with it.
struct Desk {
    office: Office,
    token: Arc<Scripted>,
    sign: String,
}

const SETDATA: &str = "SETDATA 0707070707070707070707070707070707070707070707070707070707070707";
const OK: &str = "OK";

impl Desk {
    fn new(script: Script, options: &[&str]) -> Self {
        let key = PKey::generate_ed25519().unwrap();
        let public = PublicKey::ecc(Curve::Ed25519, &key.raw_public_key().unwrap()).unwrap();
        let grip = public.keygrip();
        let mut sample = token().with_key_of_kind(&[1], KeyKind::Known(public, grip), SIGN).labelled("mail");
        sample.0.by_grip.insert(grip, 0);
        let token = Arc::new(Scripted { key, script: Mutex::new(script) });
        let mut office = Office::new([], options);
        office.plug_in_with(sample, token.clone());
        Self { office, token, sign: format!("PKSIGN --hash=sha256 {grip}") }
    }

    /// What is said to the answers to questions that signing brings, without the signatures themselves.
    async fn signing(&self, answers: &[&str]) -> Vec<String> {
        let commands = [&[SETDATA, &self.sign], answers].concat();
        let said = self.office.says(&commands).await;
        said.into_iter().skip(1).filter(|line| !line.starts_with("D ")).collect()
    }

    fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.token.script.lock().unwrap());
    }

    fn done(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.token.script.lock().unwrap().done)
    }
}

const UNLOCK: &str =
    "INQUIRE NEEDPIN ||Please unlock the token%0A%0A\x1eToken\x1f: tls%0ANumber\x1f: 4dd5289f1942f77a";

#[tokio::test(start_paused = true)]
async fn within_the_pin_s_time_a_lost_login_is_made_good_silently() {
    let desk = Desk::new(Script::default(), &[]);
    assert_eq!(desk.signing(&[RIGHT]).await, [UNLOCK, OK]);
    desk.script(|script| script.logged_in = false);
    assert_eq!(desk.signing(&[]).await, [OK]);
    assert_eq!(desk.done(), ["signature", "signature"]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_pin_is_the_command_s_error_and_remembered_nowhere() {
    let desk = Desk::new(Script::default(), &[]);
    assert_eq!(desk.signing(&[WRONG]).await, [UNLOCK, "ERR 100663383 Bad PIN <SCD> - wrong PIN"]);
    assert_eq!(desk.signing(&["CAN"]).await, [UNLOCK, "ERR 100663573 IPC call has been cancelled <SCD>"]);
    assert_eq!(desk.signing(&[RIGHT]).await, [UNLOCK, OK]);
}

#[tokio::test(start_paused = true)]
async fn many_who_want_the_same_pin_cause_one_question() {
    let desk = Desk::new(Script::default(), &[]);
    let sessions = std::iter::repeat_with(|| async { desk.office.says(&[SETDATA, &desk.sign, RIGHT]).await });
    let all = at_once(sessions.take(8).collect()).await;
    let asked = all.iter().filter(|said| said[1].starts_with("INQUIRE")).count();
    assert_eq!((asked, desk.done().len()), (1, 8));
}

/// Lets all of them run at the same time.
async fn at_once<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut running {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if running.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test(start_paused = true)]
async fn a_pin_for_one_use_is_asked_for_each_time_and_names_the_key() {
    let desk = Desk::new(Script { each_use: true, ..Script::default() }, &[]);
    let question = "INQUIRE NEEDPIN ||Please enter the PIN for this one use of the key%0A%0A\x1eToken\x1f: tls\
                    %0ANumber\x1f: 4dd5289f1942f77a%0AKey\x1f: mail";
    for _ in 0..2 {
        assert_eq!(desk.signing(&[RIGHT]).await, [question, OK]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_try_is_the_person_s() {
    let desk = Desk::new(Script::default(), &[]);
    assert_eq!(desk.signing(&[RIGHT]).await, [UNLOCK, OK]);
    desk.script(|script| (script.logged_in, script.last_try) = (false, true));
    let question = format!("{UNLOCK}%0A%0ARemaining attempts: 1");
    assert_eq!(desk.signing(&[RIGHT]).await, [question.as_str(), OK]);
}

#[tokio::test(start_paused = true)]
async fn where_pins_are_typed_at_the_token_the_person_is_told_so() {
    let desk = Desk::new(Script { protected: true, ..Script::default() }, &[]);
    let popup = UNLOCK.replace("NEEDPIN", "POPUPPINPADPROMPT");
    let dismiss = "INQUIRE DISMISSPINPADPROMPT";
    assert_eq!(desk.signing(&["END", "END"]).await, [popup.as_str(), dismiss, OK]);
}

#[tokio::test(start_paused = true)]
async fn a_false_signature_does_not_leave_the_house() {
    let desk = Desk::new(Script { logged_in: true, wrong: true, ..Script::default() }, &[]);
    let said = desk.office.says(&[SETDATA, &desk.sign]).await;
    assert!(said[1].starts_with("ERR 100663304 Bad signature <SCD> - "), "{said:?}");
    assert_eq!(desk.signing(&[]).await, [OK]);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_logged_out_when_its_time_is_over() {
    let desk = Desk::new(Script::default(), &["--card-verified-ttl", "60", "--pin-cache-ttl", "0"]);
    assert_eq!(desk.signing(&[RIGHT]).await, [UNLOCK, OK]);
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    assert_eq!(desk.done(), ["signature", "logout"]);
    assert_eq!(desk.signing(&[RIGHT]).await, [UNLOCK, OK]);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_forgets_everything_logs_tokens_out_too() {
    let desk = Desk::new(Script::default(), &[]);
    assert_eq!(desk.signing(&[RIGHT]).await, [UNLOCK, OK]);
    desk.office.scdaemon.hub.lock_all().await;
    assert_eq!(desk.done(), ["signature", "logout"]);
    assert_eq!(desk.signing(&[RIGHT]).await, [UNLOCK, OK], "nothing is remembered");
}

#[tokio::test(start_paused = true)]
async fn reset_and_disconnect_log_out_and_forget_the_pin() {
    let desk = Desk::new(Script::default(), &[]);
    for end in ["RESET", "DISCONNECT"] {
        let said = desk.office.says(&[SETDATA, &desk.sign, RIGHT, end]).await;
        assert_eq!((said[1].as_str(), said.last().unwrap().as_str()), (UNLOCK, OK));
        assert_eq!(desk.done(), ["signature", "logout"], "{end}");
    }
}
