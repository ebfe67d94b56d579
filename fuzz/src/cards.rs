//! What a card may answer: its data objects, and a whole card that answers anything.

use std::collections::VecDeque;

use card_backend::{CardBackend, CardCaps, CardTransaction, PinType, SmartcardError};
use claviger_cards::atr;
use claviger_cards::openpgp::kdf::Kdf;
use claviger_cards::openpgp::related::Related;
use claviger_cards::openpgp::{Lengths, OpenPgp, operations, pinpad, public_key, tlv};
use claviger_cards::reader::{Pinpad, Reader};
use claviger_cards::token::{Cryptogram, DataObject, Job, Outcome, PinRef, Request, Slot, Token, TokenError};

/// A PIN that a question is answered with, and how often one job is answered before it is given up.
const PIN: &[u8] = b"12345678";
const MAX_QUESTIONS: usize = 8;

/// Octets of a session whose answers are the input: so many that every room is entered.
const LONGEST_ANSWER: usize = 1024;

/// An answer to reset is explained, whatever it is.
pub fn card_atr(data: &[u8]) {
    let words = atr::in_words(data);
    assert!(words.ends_with('\n') && words.lines().all(|line| !line.is_empty()), "{words}");
}

/// Every parser of what a card says of itself, and then a card that answers with this, whatever it is asked.
pub fn card_tlv(data: &[u8]) {
    objects(data);
    if let Ok(related) = Related::parse(data) {
        assert!(related.aid.starts_with(b"\xd2\x76\x00\x01\x24\x01"));
        for attributes in &related.algorithms {
            // Whether it fits is another matter.
            let _ = public_key::parse(attributes, data);
        }
    }
    for attributes in [&b"\x01\x08\x00\x00\x20\x00"[..], b"\x13\x2b\x81\x04\x00\x22", b"\x12\x2b\x65\x6f"] {
        let _ = public_key::parse(attributes, data);
    }
    if let Ok(counter) = operations::counter(data) {
        assert!(counter < 1 << 24);
    }
    let _ = Kdf::parse(Some(data));
    let wish = pinpad::wish(data, PinRef::Admin).or(pinpad::wish(data, PinRef::User));
    assert!(wish.is_none() || data.windows(2).any(|pair| pair == b"P="));
    card(data, false);
    card(data, true);
}

/// What is found lies within, and nothing is found twice over.
fn objects(data: &[u8]) {
    let Ok(objects) = tlv::objects(data) else { return };
    let total: usize = objects.iter().map(|object| object.value.len()).sum();
    assert!(total + 2 * objects.len() <= data.len());
    if let Some(first) = objects.first() {
        assert_eq!(tlv::find(data, first.tag), Ok(Some(first.value)));
    }
}

/// Jobs of all kinds for a card whose answers are `data`, cut by length octets, in a reader with keys of its own or
/// without. It may refuse all; it may not make us
/// panic, hang or grow.
fn card(data: &[u8], has_keys: bool) {
    let reader = Box::new(Puppet { answers: answers(data), has_keys });
    let Ok(Some(mut token)) = OpenPgp::open(reader, "puppet".to_owned(), Vec::new(), Lengths::default())
    else {
        return;
    };
    token.use_pinpad(false);
    for request in requests() {
        if matches!(serve(&mut token, Job::new(request)), Err(TokenError::Gone)) {
            return;
        }
    }
}

fn requests() -> Vec<Request> {
    let login = || DataObject::Login;
    vec![
        Request::Refresh,
        Request::SignatureCounter,
        Request::Object(DataObject::Name),
        Request::Object(login()),
        Request::PublicKey(Slot::Sign),
        Request::PublicKey(Slot::Decrypt),
        Request::Certificate(Slot::Sign),
        Request::Sign(vec![7; 32]),
        Request::Authenticate(vec![7; 300]),
        Request::Decipher(Cryptogram::Rsa(vec![7; 256])),
        Request::Put(login(), vec![7; 300]),
        Request::SetAlgorithm(Slot::Sign, b"\x01\x08\x00\x00\x20\x00".to_vec()),
        Request::Generate { slot: Slot::Sign, force: true, created: 1, attributes: None, ecdh: None },
        Request::ChangePin(PinRef::Admin),
        Request::UnblockWithResetCode,
        Request::UnblockAsAdmin,
        Request::Random(300),
        Request::Apdu { command: vec![0, 0x20, 0, 0x81], more: true },
        Request::Reset,
        Request::ForgetVerifications(PinRef::VERIFIED),
        Request::Lapse(vec![PinRef::Sign, PinRef::User, PinRef::Admin]),
    ]
}

fn serve(token: &mut OpenPgp, job: Job) -> Result<(), TokenError> {
    let mut outcome = token.perform(job)?;
    for _ in 0..MAX_QUESTIONS {
        let Outcome::NeedsPin(question) = outcome else { return Ok(()) };
        let job = match question.on_pinpad {
            true => question.typed_on_pinpad(),
            false => question.with_pin(claviger_secret::Secret::copy_of(PIN)),
        };
        outcome = token.perform(job)?;
    }
    Ok(())
}

/// Two octets of length before each answer.
fn answers(mut data: &[u8]) -> VecDeque<Vec<u8>> {
    let mut answers = VecDeque::new();
    while let [high, low, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len()).min(LONGEST_ANSWER);
        let (answer, rest) = rest.split_at(length);
        answers.push_back(answer.to_vec());
        data = rest;
    }
    answers
}

/// A card that says what it was told to, and is pulled out then.
struct Puppet {
    answers: VecDeque<Vec<u8>>,
    has_keys: bool,
}

impl Puppet {
    fn answer(&mut self) -> Result<Vec<u8>, SmartcardError> {
        self.answers.pop_front().ok_or_else(|| SmartcardError::CardNotFound("puppet".to_owned()))
    }
}

impl CardBackend for Puppet {
    fn limit_card_caps(&self, caps: CardCaps) -> CardCaps {
        caps
    }

    fn transaction(
        &mut self,
        _: Option<&[u8]>,
    ) -> Result<Box<dyn CardTransaction + Send + Sync + '_>, SmartcardError> {
        Ok(Box::new(Turn { puppet: self }))
    }
}

impl Reader for Puppet {
    fn reset(&mut self) -> Result<(), SmartcardError> {
        Ok(())
    }

    fn power_down(&mut self) -> Result<(), SmartcardError> {
        Ok(())
    }

    fn pinpad(&self) -> Pinpad {
        let can = self.has_keys;
        Pinpad { verifies: can, modifies: can, any_length: can, shortest: 4, longest: 12 }
    }
}

struct Turn<'a> {
    puppet: &'a mut Puppet,
}

impl CardTransaction for Turn<'_> {
    fn transmit(&mut self, _: &[u8], _: usize) -> Result<Vec<u8>, SmartcardError> {
        self.puppet.answer()
    }

    fn feature_pinpad_verify(&self) -> bool {
        self.puppet.has_keys
    }

    fn feature_pinpad_modify(&self) -> bool {
        self.puppet.has_keys
    }

    fn pinpad_verify(&mut self, _: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        self.puppet.answer()
    }

    fn pinpad_modify(&mut self, _: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        self.puppet.answer()
    }

    fn was_reset(&self) -> bool {
        false
    }
}
