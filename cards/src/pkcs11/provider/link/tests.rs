//! The link against a scripted other end of its socket.

use tokio::io::AsyncWriteExt as _;
use tokio::task::{JoinHandle, yield_now};

use super::scripted::{linked, listen};
use super::*;
use crate::pkcs11::wire::frame::{MAX_SECRET, encode};
use crate::pkcs11::wire::{Attribute, AttributeValue};

/// What a task, and a long one, may take.
const LIMIT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(300);

fn errand(task: Task) -> Errand {
    Errand { slot: 7, login: None, task, secrets: Vec::new(), patient: false }
}

/// A task on its way: the octet that it brings.
type Running = JoinHandle<Result<u8, Lost>>;

fn start(link: &Arc<Link>, errand: Errand, limit: Duration) -> Running {
    let link = Arc::clone(link);
    tokio::spawn(async move { link.run(errand, limit).await.map(octet) })
}

fn start_random(link: &Arc<Link>) -> Running {
    start(link, errand(Task::Random { length: 1 }), LIMIT)
}

fn octet(ended: Ended) -> u8 {
    match ended {
        Ok((Answer::Random(octets), None)) => octets[0],
        other => panic!("{other:?}"),
    }
}

/// Lets everything that can go on do so.
async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[tokio::test]
async fn answers_find_those_who_asked_in_any_order() {
    let (link, mut other) = linked(2);
    let _listening = listen(&link);
    let first = start_random(&link);
    let one = other.task().await;
    let second = start_random(&link);
    let two = other.task().await;
    other.answer(two, 2).await;
    other.answer(one, 1).await;
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(1), Ok(2)));
}

#[tokio::test]
async fn an_answer_that_comes_twice_or_to_nobody_changes_nothing() {
    let (link, mut other) = linked(1);
    let listening = listen(&link);
    let first = start_random(&link);
    let one = other.task().await;
    for number in [one + 1, one, one, 0, u64::MAX] {
        other.answer(number, 1).await;
    }
    other.say(FromHelper::Looked { number: 99 }).await;
    assert_eq!(first.await.unwrap(), Ok(1));
    let second = start_random(&link);
    let two = other.task().await;
    let third = start_random(&link);
    settle().await;
    assert!(other.is_quiet(), "there is one turn as before");
    other.answer(two, 2).await;
    let three = other.task().await;
    other.answer(three, 3).await;
    assert_eq!((second.await.unwrap(), third.await.unwrap()), (Ok(2), Ok(3)));
    drop(other);
    assert_eq!(listening.await.unwrap(), (Vec::new(), true));
}

#[tokio::test]
async fn news_are_handed_on_before_the_answer_behind_them() {
    let (link, mut other) = linked(1);
    let task = start_random(&link);
    let number = other.task().await;
    other.say(FromHelper::Gone { slot: 7 }).await;
    other.answer(number, 1).await;
    let mut inbox = Reader::new();
    assert_eq!(link.news(&mut inbox).await, Ok(Some(FromHelper::Gone { slot: 7 })));
    settle().await;
    assert!(!task.is_finished(), "what the news say may be taken note of first");
    drop(other);
    assert_eq!(link.news(&mut inbox).await, Ok(None));
    assert_eq!(task.await.unwrap(), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_late_costs_the_helper_its_life() {
    let (link, mut other) = linked(2);
    let listening = listen(&link);
    let (late, neighbour) = (start_random(&link), start(&link, errand(Task::Login), LIMIT * 2));
    other.task().await;
    assert_eq!(late.await.unwrap(), Err(Lost::Late));
    assert!(listening.await.unwrap().1 && link.is_late());
    assert_eq!(neighbour.await.unwrap(), Err(Lost::Helper));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_late_costs_it_too() {
    let (link, _other) = linked(1);
    assert_eq!(Arc::clone(&link).look(LIMIT).await, Err(Lost::Late));
    assert!(link.is_late());
}

#[tokio::test(start_paused = true)]
async fn while_a_long_task_runs_others_may_have_to_wait_for_it() {
    let (link, mut other) = linked(2);
    let _listening = listen(&link);
    let long = start(&link, Errand { patient: true, ..errand(Task::Login) }, LONG);
    let long_number = other.task().await;
    let short = start_random(&link);
    let short_number = other.task().await;
    let look = tokio::spawn(Arc::clone(&link).look(LIMIT));
    let ToHelper::Look { number: look_number } = other.hear().await else { panic!("no look") };
    tokio::time::sleep(LONG - LIMIT).await;
    other.answer(long_number, 1).await;
    other.answer(short_number, 2).await;
    other.say(FromHelper::Looked { number: look_number }).await;
    assert_eq!((long.await.unwrap(), short.await.unwrap()), (Ok(1), Ok(2)));
    assert_eq!(look.await.unwrap(), Ok(()));
    assert!(!link.is_late());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_long_task_s_time_is_the_end_for_all() {
    let (link, mut other) = linked(2);
    let _listening = listen(&link);
    let long = start(&link, Errand { patient: true, ..errand(Task::Login) }, LONG);
    other.task().await;
    let short = start_random(&link);
    assert_eq!(long.await.unwrap(), Err(Lost::Late));
    assert_eq!(short.await.unwrap(), Err(Lost::Helper));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_nobody_waits_for_keeps_its_turn_and_its_deadline() {
    let (link, mut other) = linked(1);
    let listening = listen(&link);
    let left = start_random(&link);
    let one = other.task().await;
    left.abort();
    let second = start_random(&link);
    settle().await;
    assert!(other.is_quiet());
    other.answer(one, 1).await;
    let two = other.task().await;
    other.answer(two, 2).await;
    assert_eq!(second.await.unwrap(), Ok(2));
    let left = start_random(&link);
    other.task().await;
    left.abort();
    assert!(listening.await.unwrap().1 && link.is_late());
}

#[tokio::test]
async fn a_task_that_was_not_sent_leaves_nothing_behind() {
    let (link, mut other) = linked(1);
    let writing = link.writing.lock().await;
    let task = start_random(&link);
    settle().await;
    let waiting = Arc::clone(&link);
    let idle = tokio::spawn(async move { waiting.idle().await });
    settle().await;
    assert!(!idle.is_finished());
    task.abort();
    idle.await.unwrap();
    drop(writing);
    assert!(other.is_quiet() && !*link.broken.borrow());
    let too_large = Errand { secrets: vec![Secret::copy_of(&[0; MAX_SECRET + 1])], ..errand(Task::Login) };
    assert_eq!(start(&link, too_large, LIMIT).await.unwrap(), Err(Lost::TooLarge));
    assert_eq!(link.turns.available_permits(), 1);
}

#[tokio::test]
async fn a_message_that_was_begun_and_left_breaks_the_link() {
    let (link, _other) = linked(1);
    let attribute = Attribute { kind: 0, value: AttributeValue::Octets(vec![0; 8 << 20]) };
    let task = start(&link, errand(Task::Create(vec![attribute])), LIMIT);
    settle().await;
    assert!(!*link.broken.borrow());
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(link.news(&mut Reader::new()).await, Ok(None));
}

#[tokio::test]
async fn an_end_within_a_message_is_an_end() {
    let (link, mut other) = linked(1);
    let listening = listen(&link);
    let task = start_random(&link);
    let number = other.task().await;
    let whole = encode(&FromHelper::Done { number, result: Ok(Answer::Done) }, &[]).unwrap().head;
    other.stream.write_all(&whole[..whole.len() - 1]).await.unwrap();
    drop(other);
    assert_eq!(task.await.unwrap(), Err(Lost::Helper));
    assert_eq!(listening.await.unwrap(), (Vec::new(), true));
}

#[tokio::test]
async fn nothing_is_sent_on_a_link_that_is_closed() {
    let (link, mut other) = linked(1);
    let turn = Arc::clone(&link.turns).acquire_owned().await.unwrap();
    let waiting = start_random(&link);
    settle().await;
    link.close();
    assert_eq!(waiting.await.unwrap(), Err(Lost::Helper));
    drop(turn);
    assert_eq!(start_random(&link).await.unwrap(), Err(Lost::Helper));
    assert_eq!(Arc::clone(&link).look(LIMIT).await, Err(Lost::Helper));
    assert!(other.is_quiet());
}

#[test]
fn a_runtime_that_ends_takes_waits_with_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (link, other) = runtime.block_on(async {
        let (link, mut other) = linked(1);
        start_random(&link);
        other.task().await;
        (link, other)
    });
    // What is spawned now is dropped at once: a wait that begets another one would never end.
    drop(runtime);
    drop((link, other));
}
