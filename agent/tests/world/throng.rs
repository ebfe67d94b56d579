//! Many clients who sign at the same time: who is served when, and how many in a second.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::fleet::{Client, Fleet};

/// How the clients come to their card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice<'a> {
    /// Each demands one of these by its number, as agents of GnuPG 2.2 do; by turns.
    Demanded(&'a [&'a str]),
    /// Any card that has the key may serve, as for later agents.
    Any,
}

/// A signature as it came to its client.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Done {
    client: usize,
    card: String,
}

/// What was seen of a throng.
pub(crate) struct Seen {
    order: Vec<Done>,
    /// Signatures in a second.
    pub(crate) rate: f64,
}

/// Lets so many clients make so many signatures each. All of them are asked for at once; a session carries them out one
/// after the other.
pub(crate) async fn sign(fleet: &Fleet, clients: usize, each: usize, choice: Choice<'_>) -> Seen {
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut throng = Vec::new();
    for number in 0..clients {
        let mut client = fleet.client().await;
        match choice {
            Choice::Demanded(cards) => client.demand(cards[number % cards.len()]).await,
            Choice::Any => drop(client.ok("SERIALNO --all").await),
        }
        throng.push((number, client));
    }
    let start = Instant::now();
    let works = throng
        .into_iter()
        .map(|(number, client)| tokio::spawn(signatures(client, number, each, Arc::clone(&order))));
    for work in works.collect::<Vec<_>>() {
        work.await.expect("the client got what it asked for");
    }
    let time = start.elapsed().as_secs_f64();
    let order = std::mem::take(&mut *order.lock().expect("nobody failed"));
    Seen { rate: order.len() as f64 / time, order }
}

/// One client: asks for all its signatures, and checks that each is the one that it asked for at this place. Ed25519
/// gives the same signature for the same digest, so the first round of the same digests tells.
async fn signatures(mut client: Client, number: usize, each: usize, order: Arc<Mutex<Vec<Done>>>) {
    let key = client.signing_key().await;
    let digest = |n: usize| format!("{number:04X}{:04X}{}", n % DIFFERENT, "5A".repeat(28));
    let requests: Vec<_> = (0..each)
        .map(|n| format!("SETDATA {}\nPKSIGN --hash=sha256 {key}\nGETATTR SERIALNO", digest(n)))
        .collect();
    client.send(&requests.join("\n")).await;
    let mut seen: Vec<String> = Vec::new();
    for n in 0..each {
        assert_eq!(client.reply().await, "OK");
        let signature = client.reply().await;
        assert!(signature.starts_with("D ") && signature.ends_with("OK"), "{signature}");
        match seen.get(n % DIFFERENT) {
            Some(first) => assert_eq!(*first, signature, "client {number}, signature {n}"),
            None => {
                assert!(!seen.contains(&signature), "client {number} got signature {n} before");
                seen.push(signature);
            }
        }
        let card = client.reply().await;
        order.lock().expect("nobody failed").push(Done { client: number, card });
    }
    assert_eq!(client.questions, 0, "the cards are verified");
}

/// After so many digests a client begins again with its first.
const DIFFERENT: usize = 10;

impl Seen {
    /// How many signatures there were.
    pub(crate) fn count(&self) -> usize {
        self.order.len()
    }

    /// How many of them each card made, the fewest first.
    pub(crate) fn shares(&self) -> Vec<usize> {
        let mut cards: Vec<_> = self.order.iter().map(|done| &done.card).collect();
        cards.sort_unstable();
        let mut shares: Vec<_> = cards.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
        shares.sort_unstable();
        shares
    }

    /// The most signatures of others that a card made while one client waited for its next one from it.
    pub(crate) fn longest_wait(&self) -> usize {
        let waits = self.order.iter().enumerate().map(|(at, done)| {
            let before = self.order[..at].iter().rposition(|earlier| earlier.client == done.client);
            let since = before.map_or(0, |at| at + 1);
            self.order[since..at].iter().filter(|other| other.card == done.card).count()
        });
        waits.max().unwrap_or(0)
    }
}
