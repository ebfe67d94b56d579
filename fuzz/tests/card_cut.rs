//! Every answer of a recorded session with a card, cut at every byte: an error or a card that says less, never a
//! panic.

use std::fs;
use std::path::Path;

use claviger_fuzz::cards::card_tlv;

/// The answers of a session as the corpus has them: each with two octets of length in front.
fn answers(session: &[u8]) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    let mut rest = session;
    while let [high, low, more @ ..] = rest {
        let (answer, behind) = more.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        answers.push(answer.to_vec());
        rest = behind;
    }
    answers
}

fn session(answers: &[Vec<u8>]) -> Vec<u8> {
    let framed = answers.iter().map(|answer| {
        let length = u16::try_from(answer.len()).expect("an answer shorter than 64 KiB");
        [&length.to_be_bytes(), answer.as_slice()].concat()
    });
    framed.collect::<Vec<_>>().concat()
}

/// Cuts every answer at every byte; how many cuts there were.
fn cut_everywhere(name: &str) -> usize {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/card_tlv");
    let whole = answers(&fs::read(corpus.join(name)).expect("a recorded session"));
    assert_eq!(answers(&session(&whole)), whole);
    for at in 0..whole.len() {
        for length in 0..whole[at].len() {
            let mut cut = whole.clone();
            cut[at].truncate(length);
            card_tlv(&session(&cut));
        }
    }
    whole.iter().map(Vec::len).sum()
}

#[test]
fn a_card_where_all_goes_well_may_cut_any_answer_at_any_byte() {
    assert!(cut_everywhere("session-all-well") > 4000);
}
