//! Two slow cards do twice the work of one, and nobody is kept waiting.

use crate::world::fleet::{Fleet, Plugged};
use crate::world::throng::{self, Choice};

const CARDS: [&str; 2] = ["00000001", "00000002"];
/// As long as a real card takes for an answer.
const SLOW: [&str; 2] = ["--latency", "50"];
const CLIENTS: usize = 8;
/// 500 signatures, as near as 8 clients get.
const EACH: usize = 63;

/// How much more than one two cards must do.
const AT_LEAST: f64 = 1.8;
/// How often that is measured until it is so: a machine that stops for a while spoils a measurement.
const MEASUREMENTS: usize = 4;

#[tokio::test]
async fn two_cards_with_the_same_key_share_the_work_of_eight_clients() {
    let fleet = Fleet::new(&[]);
    let _cards = two_verified_cards(&fleet).await;
    let two = throng::sign(&fleet, CLIENTS, EACH, Choice::Any).await;
    assert_eq!(two.count(), CLIENTS * EACH);
    assert!(two.longest_wait() <= 3, "somebody waited for {} of others", two.longest_wait());
    assert!(matches!(two.shares()[..], [least, _] if least * 10 >= two.count() * 4), "{:?}", two.shares());
    let one = throng::sign(&fleet, CLIENTS, 10, Choice::Demanded(&CARDS[..1])).await;
    assert_eq!(one.longest_wait(), CLIENTS - 1, "with one card everybody waits for all others");
    let mut rates = vec![(two.rate, one.rate)];
    while !rates.last().is_some_and(|(two, one)| *two >= one * AT_LEAST) && rates.len() < MEASUREMENTS {
        let two = throng::sign(&fleet, CLIENTS, 10, Choice::Any).await;
        let one = throng::sign(&fleet, CLIENTS, 10, Choice::Demanded(&CARDS[..1])).await;
        rates.push((two.rate, one.rate));
    }
    println!("signatures in a second, by two cards and by one: {rates:.1?}");
    assert!(rates.iter().any(|(two, one)| *two >= one * AT_LEAST), "{rates:?}");
}

#[tokio::test]
async fn clients_of_one_card_do_not_wait_for_those_of_another() {
    let fleet = Fleet::new(&[]);
    let _cards = two_verified_cards(&fleet).await;
    let two = throng::sign(&fleet, CLIENTS, EACH, Choice::Demanded(&CARDS)).await;
    assert_eq!(two.shares(), [CLIENTS / 2 * EACH; 2], "each gets the card that it demands");
    assert!(two.longest_wait() <= 3, "somebody waited for {} of others", two.longest_wait());
}

async fn two_verified_cards(fleet: &Fleet) -> Vec<Plugged> {
    let mut cards = Vec::new();
    for number in CARDS {
        cards.push(fleet.plug_in_with_keys(number, &SLOW).await);
        fleet.client().await.sign_with(number).await;
    }
    cards
}
