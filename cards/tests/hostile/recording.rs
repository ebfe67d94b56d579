//! What the virtual card answered to the jobs, by job.

use std::fs;
use std::ops::Range;
use std::path::Path;

use claviger_cards::deck::{Deck, DeckConfig};

use crate::common::{PATIENCE, VirtualCard, submit, tokens};
use crate::jobs::JOBS;

/// A command's header and its answer, status word and all.
pub(crate) struct Exchange {
    pub(crate) header: [u8; 4],
    pub(crate) answer: Vec<u8>,
}

/// All exchanges, and which belong to which job.
pub(crate) struct Recording {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) jobs: Vec<Range<usize>>,
}

/// Does the jobs, each with a card that was just put in, and lets the card write down what it heard and said.
pub(crate) async fn recording() -> Recording {
    let dir = tempfile::tempdir().unwrap();
    let [socket, record] = ["reader", "record"].map(|name| dir.path().join(name));
    let config = DeckConfig { pcsc: false, reader_socket: Some(socket.clone()), ..DeckConfig::default() };
    let deck = Deck::new(DeckConfig { deadline: PATIENCE, ..config });
    deck.listen().unwrap();
    let options = ["--record", record.to_str().unwrap()];
    let card = VirtualCard::start(&["--socket", socket.to_str().unwrap()], &options);
    let mut jobs = Vec::new();
    let mut end = 0;
    for job in &JOBS {
        let token = tokens(&deck, 1).await.remove(0);
        let done = submit(&token, (job.request)()).await;
        assert!(done.is_ok(), "{}: {done:?}", job.name);
        let begin = end;
        end = exchanges(&record).len();
        jobs.push(begin..end);
        card.tell("remove");
        token.removed().await;
        card.tell("insert");
    }
    Recording { exchanges: exchanges(&record), jobs }
}

/// The format is that of the virtual card's scripts.
fn exchanges(record: &Path) -> Vec<Exchange> {
    let text = fs::read_to_string(record).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let command = pair[0].strip_prefix("> ")?;
        let answer = pair[1].strip_prefix("< ").expect("an answer behind each command");
        Some(Exchange { header: octets(&command[..8]).try_into().unwrap(), answer: octets(answer) })
    });
    pairs.collect()
}

fn octets(digits: &str) -> Vec<u8> {
    let digits: Vec<_> = digits.bytes().filter(|digit| *digit != b' ').collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}
