//! The scripted reader.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use card_backend::{CardBackend, CardCaps, CardTransaction, PinType, SmartcardError};

use crate::facts::Facts;
use crate::openpgp::{Lengths, OpenPgp, tlv};
use crate::reader::{Pinpad, Reader};
use crate::token::{Job, Outcome, Request, Token, TokenError};

pub(super) const SELECT: &str = "00A40400 06 D27600012401";
pub(super) const RELATED: &str = "00CA006E 000000";

/// What the card of the script says of itself.
pub(super) struct Model {
    pub(super) aid: [u8; 16],
    pub(super) capabilities: [u8; 10],
    pub(super) length_information: Option<&'static [u8]>,
    pub(super) algorithms: [&'static [u8]; 3],
    pub(super) pin_status: [u8; 7],
    pub(super) fingerprints: [u8; 3],
    /// D7 alone, to see which one is found.
    pub(super) user_interaction: Option<&'static [u8]>,
    pub(super) key_information: Option<&'static [u8]>,
    /// What the reader's own keys can do.
    pub(super) pinpad: Pinpad,
}

pub(super) const RSA_2048: &[u8] = b"\x01\x08\x00\x00\x20\x00";
pub(super) const RSA_4096: &[u8] = b"\x01\x10\x00\x00\x20\x00";
pub(super) const ED25519: &[u8] = b"\x16\x2b\x06\x01\x04\x01\xda\x47\x0f\x01";
pub(super) const CV25519: &[u8] = b"\x12\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01";

impl Default for Model {
    fn default() -> Self {
        Self {
            aid: *b"\xd2\x76\x00\x01\x24\x01\x03\x04\xff\xfe\x12\x34\x56\x78\x00\x00",
            capabilities: [0x7c, 0, 0x08, 0, 0x08, 0, 0x01, 0, 0, 0],
            length_information: None,
            algorithms: [ED25519, CV25519, ED25519],
            pin_status: [1, 64, 64, 64, 3, 0, 3],
            fingerprints: [1, 2, 3],
            user_interaction: None,
            key_information: None,
            pinpad: Pinpad::default(),
        }
    }
}

/// The model's 6E.
pub(super) fn related(model: &Model) -> Vec<u8> {
    let object = |tag: &[u8], value: &[u8]| tlv::write(tag, value);
    let fingerprints: Vec<u8> = model.fingerprints.iter().flat_map(|octet| [*octet; 20]).collect();
    let inner = [
        object(&[0xc0], &model.capabilities),
        object(&[0xc1], model.algorithms[0]),
        object(&[0xc2], model.algorithms[1]),
        object(&[0xc3], model.algorithms[2]),
        object(&[0xc4], &model.pin_status),
        object(&[0xc5], &fingerprints),
        object(&[0xc6], &[0; 60]),
        object(&[0xcd], &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]),
        model.user_interaction.map(|flag| object(&[0xd7], flag)).unwrap_or_default(),
        model.key_information.map(|pairs| object(&[0xde], pairs)).unwrap_or_default(),
    ];
    let information = model.length_information.map(|octets| object(&[0x7f, 0x66], octets));
    let outer = [
        object(&[0x4f], &model.aid),
        object(&[0x5f, 0x52], b"\x00\x31\xf5\x73\xc0\x01\xe0\x05\x90\x00"),
        information.unwrap_or_default(),
        object(&[0x73], &inner.concat()),
    ];
    object(&[0x6e], &outer.concat())
}

/// A card that follows a script. When it is dropped, nothing of the script may be left.
pub(super) struct Bench {
    token: OpenPgp,
    script: Shared,
    pub(super) model: Model,
}

type Shared = Arc<Mutex<Script>>;

#[derive(Default)]
struct Script {
    steps: VecDeque<(String, Answer)>,
    sent: usize,
    transactions: usize,
    reset_by_neighbour: bool,
}

enum Answer {
    Octets(Vec<u8>),
    Fault,
    Reset,
    Gone,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Model::default())
    }

    /// A card that is open: SELECT and 6E are behind it.
    pub(super) fn with(model: Model) -> Self {
        let answer = format!("{}9000", hex(&related(&model)));
        let steps = [(SELECT, "9000"), (RELATED, answer.as_str())];
        Self::opened_by(model, &steps)
    }

    pub(super) fn opened_by(model: Model, steps: &[(&str, &str)]) -> Self {
        Self::opened(model, script(steps))
    }

    /// The same, where the first 6E, which asks for extended length, fails on its way.
    pub(super) fn opened_after_a_fault(model: Model, steps: &[(&str, &str)]) -> Self {
        let script = script(&[(SELECT, "9000")]);
        push(&script, RELATED, Answer::Fault);
        for (command, answer) in steps {
            push(&script, command, answered(answer));
        }
        Self::opened(model, script)
    }

    fn opened(model: Model, script: Shared) -> Self {
        let token = token(&script, model.pinpad).unwrap().expect("the application");
        Self { token, script, model }
    }

    /// The next command and its answer with the status word at the end.
    pub(super) fn expect(&mut self, command: &str, answer: &str) {
        push(&self.script, command, answered(answer));
    }

    /// The next command fails on its way.
    pub(super) fn expect_fault(&mut self, command: &str) {
        push(&self.script, command, Answer::Fault);
    }

    /// A neighbour's reset comes before the next command.
    pub(super) fn expect_reset(&mut self, command: &str) {
        push(&self.script, command, Answer::Reset);
    }

    /// The card is pulled out at the next command.
    pub(super) fn expect_removal(&mut self, command: &str) {
        push(&self.script, command, Answer::Gone);
    }

    /// A probe comes and finds the card as the model is now.
    pub(super) fn probe_is_answered(&mut self) {
        let command = self.related_command();
        let answer = format!("{}9000", hex(&related(&self.model)));
        self.expect(&command, &answer);
    }

    /// A probe comes and finds another application.
    pub(super) fn probe_finds_another(&mut self) {
        let command = self.related_command();
        self.expect(&command, "6D00");
        self.expect(SELECT, "9000");
        self.probe_is_answered();
    }

    pub(super) fn a_neighbour_resets_the_card(&mut self) {
        self.script.lock().unwrap().reset_by_neighbour = true;
    }

    /// PINs are typed on the reader as far as it says that it can.
    pub(super) fn use_pinpad(&mut self, any_length: bool) {
        self.token.use_pinpad(any_length);
    }

    pub(super) fn perform(&mut self, request: Request) -> Result<Outcome, TokenError> {
        self.resume(Job::new(request))
    }

    pub(super) fn resume(&mut self, job: Job) -> Result<Outcome, TokenError> {
        self.token.perform(job)
    }

    pub(super) fn facts(&self) -> Arc<Facts> {
        self.token.facts()
    }

    pub(super) fn sent(&self) -> usize {
        self.script.lock().unwrap().sent
    }

    pub(super) fn transactions(&self) -> usize {
        self.script.lock().unwrap().transactions
    }

    /// 6E is asked short where extended length was refused, and with the announced length where there is one.
    fn related_command(&self) -> String {
        match self.model.length_information {
            Some(&[_, _, _, _, _, _, high, low]) => format!("00CA006E 00{high:02X}{low:02X}"),
            _ if self.token.lengths().may_extend(0) => RELATED.to_owned(),
            _ => "00CA006E 00".to_owned(),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let left: Vec<_> = self.script.lock().unwrap().steps.drain(..).map(|step| step.0).collect();
            assert!(left.is_empty(), "never sent: {left:?}");
        }
    }
}

pub(super) fn open(steps: &[(&str, &str)]) -> Result<Option<OpenPgp>, TokenError> {
    token(&script(steps), Pinpad::default())
}

fn script(steps: &[(&str, &str)]) -> Shared {
    let script = Shared::default();
    for (command, answer) in steps {
        push(&script, command, answered(answer));
    }
    script
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

pub(super) fn octets(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn token(script: &Shared, pinpad: Pinpad) -> Result<Option<OpenPgp>, TokenError> {
    let reader = Box::new(ScriptReader { script: Arc::clone(script), pinpad });
    OpenPgp::open(reader, "script".to_owned(), vec![0x3b], Lengths::default())
}

fn push(script: &Shared, command: &str, answer: Answer) {
    let command = command.split_whitespace().collect();
    script.lock().unwrap().steps.push_back((command, answer));
}

fn answered(hex: &str) -> Answer {
    Answer::Octets(octets(hex))
}

/// Stars fit any digit.
fn fits(expected: &str, sent: &str) -> bool {
    expected.len() == sent.len() && expected.chars().zip(sent.chars()).all(|(e, s)| e == '*' || e == s)
}

struct ScriptReader {
    script: Shared,
    pinpad: Pinpad,
}

impl CardBackend for ScriptReader {
    fn limit_card_caps(&self, caps: CardCaps) -> CardCaps {
        caps
    }

    fn transaction(
        &mut self,
        _: Option<&[u8]>,
    ) -> Result<Box<dyn CardTransaction + Send + Sync + '_>, SmartcardError> {
        let mut script = self.script.lock().unwrap();
        script.transactions += 1;
        let was_reset = std::mem::take(&mut script.reset_by_neighbour);
        let script = Arc::clone(&self.script);
        Ok(Box::new(ScriptTransaction { script, was_reset, pinpad: self.pinpad }))
    }
}

impl Reader for ScriptReader {
    fn reset(&mut self) -> Result<(), SmartcardError> {
        Ok(())
    }

    fn power_down(&mut self) -> Result<(), SmartcardError> {
        Ok(())
    }

    fn pinpad(&self) -> Pinpad {
        self.pinpad
    }
}

struct ScriptTransaction {
    script: Shared,
    was_reset: bool,
    pinpad: Pinpad,
}

impl ScriptTransaction {
    fn answer(&self, command: &str) -> Result<Vec<u8>, SmartcardError> {
        let step = self.script.lock().unwrap().steps.pop_front();
        let (expected, answer) = step.unwrap_or_else(|| panic!("unexpected {command}"));
        assert!(fits(&expected, command), "{command} instead of {expected}");
        match answer {
            Answer::Octets(octets) => Ok(octets),
            Answer::Fault => Err(SmartcardError::Error("scripted fault".to_owned())),
            Answer::Reset => {
                self.script.lock().unwrap().reset_by_neighbour = true;
                Err(SmartcardError::NotTransacted)
            }
            Answer::Gone => Err(SmartcardError::CardNotFound("script".to_owned())),
        }
    }
}

/// What the script has for a PIN that is typed on the reader: `VERIFY 82 6`, the last number is its length, 0 for any.
fn typed(what: &str, pin: PinType, caps: Option<CardCaps>) -> String {
    let caps = caps.expect("the lengths");
    let length = if pin == PinType::Admin { caps.pw3_max_len() } else { caps.pw1_max_len() };
    format!("{what}{:02X}{length}", pin.id())
}

impl CardTransaction for ScriptTransaction {
    fn transmit(&mut self, command: &[u8], _: usize) -> Result<Vec<u8>, SmartcardError> {
        self.script.lock().unwrap().sent += 1;
        self.answer(&hex(command))
    }

    fn feature_pinpad_verify(&self) -> bool {
        self.pinpad.verifies
    }

    fn feature_pinpad_modify(&self) -> bool {
        self.pinpad.modifies
    }

    fn pinpad_verify(&mut self, pin: PinType, caps: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        self.answer(&typed("VERIFY", pin, *caps))
    }

    fn pinpad_modify(&mut self, pin: PinType, caps: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        self.answer(&typed("MODIFY", pin, *caps))
    }

    fn was_reset(&self) -> bool {
        self.was_reset
    }
}
