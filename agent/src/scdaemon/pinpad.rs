//! PINs on a reader's own keys: the person is told to use them, and told no more when they were used.
//!
//! ```text
//!   S: INQUIRE POPUPPINPADPROMPT ||Please unlock the card…      C: END     (the agent shows it and does not wait)
//!   …the person types, the reader verifies…
//!   S: INQUIRE DISMISSPINPADPROMPT                              C: END
//! ```

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::Error;
use claviger_cards::deck::TokenHandle;
use claviger_cards::pkcs11::KeyNumber;
use claviger_cards::token::{NeedsPin, PinPurpose};

use super::errors::scd;
use super::prompt;
use super::session::Session;

/// The longest answer to these inquiries, in octets; it means nothing (GnuPG's MAXLEN_PIN).
pub(super) const MAX_ANSWER: usize = 100;

impl Session {
    /// Has the client tell the person to use the reader's or token's keys; `key` is the token's key that the PIN is for.
    pub(super) async fn show_pinpad_prompt(
        &mut self,
        token: &TokenHandle,
        need: &NeedsPin,
        key: Option<KeyNumber>,
        talk: &mut dyn Conversation,
    ) -> Result<(), Error> {
        let text = match need.purpose {
            PinPurpose::Old(pin) if token.card().is_some() => prompt::old_and_new(pin).as_bytes().to_vec(),
            _ => self.question(token, need, key).await?,
        };
        let shown = talk.inquire("POPUPPINPADPROMPT", &text, MAX_ANSWER).await;
        shown.map(drop).map_err(|error| scd(error.code()))
    }

    /// The reader's keys have been used, or not.
    pub(super) async fn dismiss_pinpad_prompt(&self, talk: &mut dyn Conversation) {
        // What was done is done, whatever a client says to it; if it is gone, its session hears so next.
        if let Err(error) = talk.inquire("DISMISSPINPADPROMPT", b"", MAX_ANSWER).await {
            tracing::debug!(%error, "the prompt was not dismissed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use card_backend::{CardBackend, CardCaps, CardTransaction, PinType, SmartcardError};
    use claviger_cards::reader::{Pinpad, Reader};
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

    use super::super::core::Scdaemon;
    use super::super::settings::Settings;
    use super::super::typed::Typed;

    /// A reader with keys, and a card in it that has none; what is typed is answered as the test says.
    #[derive(Clone)]
    struct Keyed {
        answers: Arc<Mutex<Vec<[u8; 2]>>>,
        typed: Arc<Mutex<Vec<String>>>,
        known_lengths: bool,
    }

    const SERIAL: &str = "D276000124010304FFFE123456780000";

    /// 6E of a new card: AID, C0, C4 with three tries of each PIN, RSA everywhere.
    const RELATED: &[u8] =
        b"\x6e\x41\x4f\x10\xd2\x76\x00\x01\x24\x01\x03\x04\xff\xfe\x12\x34\x56\x78\x00\x00\
        \x73\x2d\xc0\x0a\x7c\x00\x08\x00\x08\x00\x01\x00\x00\x00\xc4\x07\x01\x40\x40\x40\x03\x00\x03\
        \xc1\x06\x01\x08\x00\x00\x20\x00\xc2\x06\x01\x08\x00\x00\x20\x00\xc3\x06\x01\x08\x00\x00\x20\x00";

    impl CardBackend for Keyed {
        fn limit_card_caps(&self, caps: CardCaps) -> CardCaps {
            caps
        }

        fn transaction(
            &mut self,
            _: Option<&[u8]>,
        ) -> Result<Box<dyn CardTransaction + Send + Sync + '_>, SmartcardError> {
            Ok(Box::new(self.clone()))
        }
    }

    impl Reader for Keyed {
        fn reset(&mut self) -> Result<(), SmartcardError> {
            Ok(())
        }

        fn power_down(&mut self) -> Result<(), SmartcardError> {
            Ok(())
        }

        fn pinpad(&self) -> Pinpad {
            let any_length = !self.known_lengths;
            Pinpad { verifies: true, modifies: true, any_length, shortest: 4, longest: 12 }
        }
    }

    impl Keyed {
        fn typed(&self, what: &str, pin: PinType) -> Result<Vec<u8>, SmartcardError> {
            self.typed.lock().unwrap().push(format!("{what} {:02X}", pin.id()));
            Ok(self.answers.lock().unwrap().remove(0).to_vec())
        }
    }

    impl CardTransaction for Keyed {
        fn transmit(&mut self, command: &[u8], _: usize) -> Result<Vec<u8>, SmartcardError> {
            Ok(match command {
                [0x00, 0xca, 0x00, 0x6e, ..] => [RELATED, &[0x90, 0x00]].concat(),
                [0x00, 0xca, 0x00, 0x65, ..] => b"\x65\x0b\x5b\x09Doe<<Jane\x90\x00".to_vec(),
                [0x00, 0xca, 0x00, 0x7a, ..] => b"\x7a\x05\x93\x03\x00\x00\x04\x90\x00".to_vec(),
                [0x00, 0x47, ..] => vec![0x6a, 0x88],
                [0x00, 0x20, 0x00, ..] | [0x00, 0x24, ..] => panic!("a PIN that was not typed on the reader"),
                _ => vec![0x90, 0x00],
            })
        }

        fn feature_pinpad_verify(&self) -> bool {
            true
        }

        fn feature_pinpad_modify(&self) -> bool {
            true
        }

        fn pinpad_verify(&mut self, pin: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
            self.typed("verify", pin)
        }

        fn pinpad_modify(&mut self, pin: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
            self.typed("modify", pin)
        }

        fn was_reset(&self) -> bool {
            false
        }
    }

    /// A client of a scdaemon that has this reader alone.
    struct Client {
        stream: BufReader<DuplexStream>,
        reader: Keyed,
    }

    impl Client {
        async fn new(typed: Typed, known_lengths: bool, answers: &[[u8; 2]]) -> Self {
            let typed = Typed { reader_socket: Some("/nonexistent/unused".into()), ..typed };
            let core = Scdaemon::new(Settings::resolve(&typed), None);
            let answers = Arc::new(Mutex::new(answers.to_vec()));
            let reader = Keyed { answers, typed: Arc::default(), known_lengths };
            core.hub.deck.plug_in("Keys", Box::new(reader.clone()));
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let (input, output) = tokio::io::split(theirs);
            tokio::spawn(core.serve(input, output));
            let mut client = Self { stream: BufReader::new(ours), reader };
            assert!(client.line().await.starts_with("OK "));
            assert_eq!(client.says("SERIALNO").await, [&format!("S SERIALNO {SERIAL}"), "OK"]);
            client
        }

        /// What is answered to a command; inquiries are ended.
        async fn says(&mut self, line: &str) -> Vec<String> {
            self.send(line).await;
            let mut lines = Vec::new();
            loop {
                let line = self.line().await;
                if line.starts_with("INQUIRE ") {
                    self.send("END").await;
                }
                let last = line.starts_with("OK") || line.starts_with("ERR");
                lines.push(line);
                if last {
                    return lines;
                }
            }
        }

        fn typed(&self) -> Vec<String> {
            std::mem::take(&mut *self.reader.typed.lock().unwrap())
        }

        async fn send(&mut self, line: &str) {
            self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }

        async fn line(&mut self) -> String {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.unwrap();
            line.trim_end_matches('\n').to_owned()
        }
    }

    const UNLOCK: &str = "INQUIRE POPUPPINPADPROMPT ||Please unlock the card%0A%0A\x1eNumber\x1f: FFFE 12345678\
                          %0AHolder\x1f: Jane Doe%0ACounter\x1f: 4";
    const DISMISS: &str = "INQUIRE DISMISSPINPADPROMPT";

    #[tokio::test]
    async fn the_person_is_told_to_use_the_readers_keys() {
        let mut client = Client::new(Typed::default(), false, &[[0x90, 0]]).await;
        assert_eq!(client.says(&format!("CHECKPIN {SERIAL}")).await, [UNLOCK, DISMISS, "OK"]);
        assert_eq!(client.typed(), ["verify 81"]);
        assert_eq!(client.says(&format!("CHECKPIN {SERIAL}")).await, ["OK"], "it is verified");
    }

    #[tokio::test]
    async fn the_prompt_goes_away_whatever_came_of_it() {
        let answers = [[0x63, 0xc2], [0x64, 0x01], [0x64, 0x00], [0x69, 0x83]];
        let mut client = Client::new(Typed::default(), false, &answers).await;
        for last in [
            "ERR 100663383 Bad PIN <SCD>",
            "ERR 100663395 Operation cancelled <SCD>",
            "ERR 100663358 Timeout <SCD>",
            "ERR 100663426 PIN blocked <SCD>",
        ] {
            let said = client.says(&format!("CHECKPIN {SERIAL}")).await;
            assert!(said[0].starts_with("INQUIRE POPUPPINPADPROMPT ||Please unlock"), "{said:?}");
            assert_eq!(said[1..], [DISMISS, last]);
        }
    }

    #[tokio::test]
    async fn both_pins_are_typed_there_when_one_is_changed() {
        let mut client = Client::new(Typed::default(), false, &[[0x90, 0], [0x64, 0x02]]).await;
        let popup = "INQUIRE POPUPPINPADPROMPT ||Please enter the PIN and New PIN";
        assert_eq!(client.says("PASSWD 1").await, [popup, DISMISS, "OK"]);
        let popup = "INQUIRE POPUPPINPADPROMPT ||Please enter the Admin PIN and New Admin PIN";
        assert_eq!(client.says("PASSWD 3").await, [popup, DISMISS, "ERR 100663410 Not confirmed <SCD>"]);
        assert_eq!(client.typed(), ["modify 82", "modify 83"]);
    }

    #[tokio::test]
    async fn options_decide_whether_the_keys_are_used() {
        let disabled = || Typed { disable_pinpad: true, ..Typed::default() };
        let any_length = || Typed { enable_pinpad_varlen: true, ..Typed::default() };
        for (typed, known_lengths, inquiry) in [
            (disabled(), false, "NEEDPIN"),
            (Typed::default(), true, "NEEDPIN"),
            (any_length(), true, "POPUPPINPADPROMPT"),
        ] {
            let mut client = Client::new(typed, known_lengths, &[[0x90, 0]]).await;
            let said = client.says(&format!("CHECKPIN {SERIAL}")).await;
            assert!(said[0].starts_with(&format!("INQUIRE {inquiry} ||Please unlock")), "{said:?}");
        }
    }
}
