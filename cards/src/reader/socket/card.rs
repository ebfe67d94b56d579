//! One virtual card at the reader socket: vpicc's messages.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use card_backend::{CardBackend, CardCaps, CardTransaction, PinType, SmartcardError};
use zeroize::Zeroizing;

use crate::deck::Connected;
use crate::reader::{Reader, fault};
use crate::token::TokenError;

/// The longest answer to reset (ISO 7816-3).
const MAX_ATR: usize = 33;

/// How long a card may take for its ATR.
const ATR_PATIENCE: Duration = Duration::from_secs(2);

/// How long a card may take for an answer: the generation of a large key in software is slow.
const ANSWER_PATIENCE: Duration = Duration::from_secs(600);

/// The controls of vpicc's protocol.
const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const SEND_ATR: u8 = 4;

/// Powers the card on and asks for its ATR.
pub(super) fn connect(line: &UnixStream, name: &str) -> Result<Connected, TokenError> {
    let mut reader = open(line, name).map_err(|error| fault("powering the card on", &error))?;
    let atr = reader.power_on().map_err(|error| fault("powering the card on", &error))?;
    Ok(Connected { reader: Box::new(reader), atr })
}

fn open(line: &UnixStream, name: &str) -> Result<SocketReader, SmartcardError> {
    let line = line.try_clone().map_err(|error| SmartcardError::Error(error.to_string()))?;
    Ok(SocketReader { line, name: name.to_owned() })
}

struct SocketReader {
    line: UnixStream,
    name: String,
}

impl SocketReader {
    fn power_on(&mut self) -> Result<Vec<u8>, SmartcardError> {
        self.send(&[POWER_ON])?;
        let atr = self.exchange(&[SEND_ATR], ATR_PATIENCE)?;
        if atr.len() > MAX_ATR {
            return Err(SmartcardError::Error(format!("an ATR of {} octets", atr.len())));
        }
        Ok(atr)
    }

    fn send(&mut self, message: &[u8]) -> Result<(), SmartcardError> {
        let written = write_message(&mut self.line, message);
        written.map_err(|error| self.lost(&error))
    }

    fn exchange(&mut self, message: &[u8], patience: Duration) -> Result<Vec<u8>, SmartcardError> {
        self.send(message)?;
        let answer = self.line.set_read_timeout(Some(patience)).and_then(|()| read_message(&mut self.line));
        answer.map_err(|error| self.lost(&error))
    }

    /// After a broken or late message nobody knows where the next one begins: the card is pulled out.
    fn lost(&self, error: &io::Error) -> SmartcardError {
        tracing::debug!(%error, reader = self.name, "the card hung up");
        // If it is shut down already, so much the better.
        let _ = self.line.shutdown(Shutdown::Both);
        SmartcardError::CardNotFound(self.name.clone())
    }
}

fn write_message(line: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut framed = Zeroizing::new(Vec::with_capacity(message.len() + 2));
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    line.write_all(&framed)
}

/// At most 65,535 octets: more the length cannot say.
fn read_message(line: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    line.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    line.read_exact(&mut message)?;
    Ok(message)
}

impl CardBackend for SocketReader {
    fn limit_card_caps(&self, caps: CardCaps) -> CardCaps {
        caps
    }

    /// Nobody else can reach the card: there is nothing to lock, and nobody who could have reset it.
    fn transaction(
        &mut self,
        _: Option<&[u8]>,
    ) -> Result<Box<dyn CardTransaction + Send + Sync + '_>, SmartcardError> {
        Ok(Box::new(SocketTransaction { reader: self }))
    }
}

impl Reader for SocketReader {
    fn reset(&mut self) -> Result<(), SmartcardError> {
        self.send(&[RESET])
    }

    fn power_down(&mut self) -> Result<(), SmartcardError> {
        self.send(&[POWER_OFF])?;
        self.send(&[POWER_ON])
    }
}

struct SocketTransaction<'card> {
    reader: &'card mut SocketReader,
}

impl CardTransaction for SocketTransaction<'_> {
    fn transmit(&mut self, command: &[u8], _: usize) -> Result<Vec<u8>, SmartcardError> {
        if command.len() < 2 {
            return Err(SmartcardError::Error("no command is that short".to_owned()));
        }
        self.reader.exchange(command, ANSWER_PATIENCE)
    }

    fn feature_pinpad_verify(&self) -> bool {
        false
    }

    fn feature_pinpad_modify(&self) -> bool {
        false
    }

    fn pinpad_verify(&mut self, _: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        Err(SmartcardError::Error("this reader has no pinpad".to_owned()))
    }

    fn pinpad_modify(&mut self, _: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        Err(SmartcardError::Error("this reader has no pinpad".to_owned()))
    }

    fn was_reset(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_length_in_front() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        write_message(&mut here, &[1, 2, 3]).unwrap();
        let mut raw = [0; 5];
        there.read_exact(&mut raw).unwrap();
        assert_eq!(raw, [0, 3, 1, 2, 3]);
        there.write_all(&[0, 2, 0x90, 0]).unwrap();
        assert_eq!(read_message(&mut here).unwrap(), [0x90, 0]);
    }

    #[test]
    fn a_message_longer_than_its_length_can_say_is_refused() {
        let (mut here, _there) = UnixStream::pair().unwrap();
        assert!(write_message(&mut here, &vec![0; 0x1_0000]).is_err());
    }

    #[test]
    fn a_card_that_hangs_up_is_gone_for_good() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut reader = open(&here, "reader").unwrap();
        drop(there);
        let answer = reader.exchange(&[0, 0xca, 0, 0x6e, 0], ATR_PATIENCE);
        assert!(matches!(answer, Err(SmartcardError::CardNotFound(_))));
        assert!(matches!(reader.send(&[RESET]), Err(SmartcardError::CardNotFound(_))));
    }

    #[test]
    fn an_atr_longer_than_any_is_refused() {
        let (here, mut there) = UnixStream::pair().unwrap();
        there.write_all(&[0, 34]).unwrap();
        there.write_all(&[0x3b; 34]).unwrap();
        assert!(matches!(connect(&here, "reader"), Err(TokenError::Transport { .. })));
    }
}
