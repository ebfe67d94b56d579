//! Frames between daemon and helper: reader and writer, without any input or output of their own.
//!
//! ```text
//!   u32 length of body │ u32 length of secrets │ body (postcard) │ secrets: each u32 length, octets
//! ```
//!
//! All lengths are big-endian. Octets of secrets go from the reader's buffer into locked memory, and the buffer is wiped
//! behind them. Neither side believes the other's lengths: memory is taken as octets come.

use std::marker::PhantomData;

use claviger_secret::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, Zeroizing};

/// The longest body: the report of a token with some thousand certificates.
pub const MAX_BODY: usize = 16 << 20;

/// The most secrets of one message: the parts of an RSA key, and a PIN.
pub const MAX_SECRETS: usize = 16;

/// The longest secret: what an RSA key of 16,384 bits deciphers, twice over.
pub const MAX_SECRET: usize = 4096;

/// Octets before the body, and before each secret.
const HEADER: usize = 8;
const LENGTH: usize = 4;

/// The longest part with secrets.
const MAX_SECRET_PART: usize = MAX_SECRETS * (LENGTH + MAX_SECRET);

/// Octets that are read at once.
const CHUNK: usize = 16 << 10;

/// Why octets are no message, or a message no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The body is longer than [`MAX_BODY`].
    #[error("a body of {0} octets")]
    BodyTooLong(usize),
    /// More secrets, or longer ones, than there may be.
    #[error("secrets of {0} octets")]
    SecretsTooLong(usize),
    /// The lengths of the secrets do not add up.
    #[error("secrets whose lengths do not add up")]
    SecretsMalformed,
    /// The body is no message of this direction.
    #[error("a body that is no message")]
    Body(#[from] postcard::Error),
    /// There are octets behind the message.
    #[error("{0} octets behind a message")]
    Surplus(usize),
}

/// A message as octets: the first part, and a second one in locked memory if there are secrets.
#[derive(Debug)]
pub struct Encoded {
    /// Lengths and body.
    pub head: Vec<u8>,
    /// The secrets with their lengths; empty if there are none.
    pub secrets: Secret,
}

/// A message as octets, with the secrets that belong to it.
///
/// # Errors
/// [`FrameError`] when something is over its limit.
pub fn encode<T: Serialize>(message: &T, secrets: &[Secret]) -> Result<Encoded, FrameError> {
    let secrets = encode_secrets(secrets)?;
    let head = postcard::to_extend(message, vec![0; HEADER])?;
    let body = head.len() - HEADER;
    let length =
        u32::try_from(body).ok().filter(|_| body <= MAX_BODY).ok_or(FrameError::BodyTooLong(body))?;
    let mut head = head;
    head[..LENGTH].copy_from_slice(&length.to_be_bytes());
    head[LENGTH..HEADER].copy_from_slice(&short(secrets.len()).to_be_bytes());
    Ok(Encoded { head, secrets })
}

fn encode_secrets(secrets: &[Secret]) -> Result<Secret, FrameError> {
    let total = secrets.iter().map(|secret| LENGTH + secret.len()).sum();
    if secrets.len() > MAX_SECRETS || secrets.iter().any(|secret| secret.len() > MAX_SECRET) {
        return Err(FrameError::SecretsTooLong(total));
    }
    let mut encoded = Secret::with_capacity(total);
    for secret in secrets {
        encoded.extend(&short(secret.len()).to_be_bytes()).expect("room for all");
        encoded.extend(secret.as_bytes()).expect("room for all");
    }
    Ok(encoded)
}

/// A length that was compared with its limit.
fn short(length: usize) -> u32 {
    u32::try_from(length).expect("far below the limits of the type")
}

/// Makes messages of octets. Fill [`Reader::room`] from the socket, say how much with [`Reader::filled`], then ask
/// [`Reader::next`] until there is nothing more.
#[derive(Debug)]
pub struct Reader<T> {
    buffer: Zeroizing<Vec<u8>>,
    /// Octets of the buffer that were read and not used, as a range.
    start: usize,
    end: usize,
    frame: Option<Partial>,
    message: PhantomData<fn() -> T>,
}

/// A frame whose lengths are known.
#[derive(Debug)]
struct Partial {
    body_length: usize,
    secrets_length: usize,
    body: Vec<u8>,
    secrets: Secret,
}

impl<T: DeserializeOwned> Default for Reader<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: DeserializeOwned> Reader<T> {
    /// A reader before the first octet.
    #[must_use]
    pub fn new() -> Self {
        Self { buffer: Zeroizing::new(vec![0; CHUNK]), start: 0, end: 0, frame: None, message: PhantomData }
    }

    /// Where the next octets go. Empty only while [`Reader::next`] has not used what is there.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            let moved = self.end - self.start;
            // A copy must not outlive what was moved.
            self.buffer[moved..self.end].zeroize();
            (self.start, self.end) = (0, moved);
        }
        &mut self.buffer[self.end..]
    }

    /// So many octets were written into the room.
    pub fn filled(&mut self, octets: usize) {
        self.end = self.end.saturating_add(octets).min(self.buffer.len());
    }

    /// Whether the last octet belonged to the last message: the other side may close here.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.frame.is_none() && self.start == self.end
    }

    /// The next message and its secrets, if it is there.
    ///
    /// # Errors
    /// [`FrameError`], after which the connection is of no use.
    #[expect(clippy::should_implement_trait, reason = "no iterator: there may be more after nothing")]
    pub fn next(&mut self) -> Result<Option<(T, Vec<Secret>)>, FrameError> {
        if self.frame.is_none() {
            self.frame = self.header()?;
        }
        let Some(mut frame) = self.frame.take() else { return Ok(None) };
        self.collect(&mut frame);
        if !frame.is_whole() {
            self.frame = Some(frame);
            return Ok(None);
        }
        Ok(Some((parse(&frame.body)?, split(&frame.secrets)?)))
    }

    fn header(&mut self) -> Result<Option<Partial>, FrameError> {
        let Some((header, _)) = self.unused().split_first_chunk::<HEADER>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h] = *header;
        self.used(HEADER);
        Partial::new(u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])).map(Some)
    }

    /// Moves what belongs to the frame out of the buffer.
    fn collect(&mut self, frame: &mut Partial) {
        let octets = self.unused();
        let (body, behind) = octets.split_at(octets.len().min(frame.body_length - frame.body.len()));
        let (secrets, _) = behind.split_at(behind.len().min(frame.secrets_length - frame.secrets.len()));
        let used = body.len() + secrets.len();
        frame.body.extend_from_slice(body);
        frame.secrets.extend(secrets).expect("room for all");
        self.used(used);
    }

    fn unused(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn used(&mut self, octets: usize) {
        let end = self.start + octets;
        self.buffer[self.start..end].zeroize();
        self.start = end;
    }
}

impl Partial {
    fn new(body: u32, secrets: u32) -> Result<Self, FrameError> {
        let (body_length, secrets_length) = (body as usize, secrets as usize);
        if body_length > MAX_BODY {
            return Err(FrameError::BodyTooLong(body_length));
        }
        if secrets_length > MAX_SECRET_PART {
            return Err(FrameError::SecretsTooLong(secrets_length));
        }
        let secrets = Secret::with_capacity(secrets_length);
        Ok(Self { body_length, secrets_length, body: Vec::new(), secrets })
    }

    fn is_whole(&self) -> bool {
        self.body.len() == self.body_length && self.secrets.len() == self.secrets_length
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let (message, rest) = postcard::take_from_bytes(body)?;
    if rest.is_empty() { Ok(message) } else { Err(FrameError::Surplus(rest.len())) }
}

fn split(part: &Secret) -> Result<Vec<Secret>, FrameError> {
    let mut rest = part.as_bytes();
    let mut secrets = Vec::new();
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk().ok_or(FrameError::SecretsMalformed)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (secret, behind) = behind.split_at_checked(length).ok_or(FrameError::SecretsMalformed)?;
        if secrets.len() == MAX_SECRETS || length > MAX_SECRET {
            return Err(FrameError::SecretsTooLong(part.len()));
        }
        secrets.push(Secret::copy_of(secret));
        rest = behind;
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkcs11::wire::{Answer, FromHelper, Login, Task, ToHelper, User};

    fn octets(encoded: &Encoded) -> Vec<u8> {
        [encoded.head.as_slice(), encoded.secrets.as_bytes()].concat()
    }

    /// Gives the octets in pieces and returns all messages.
    fn read<T: DeserializeOwned>(octets: &[u8], piece: usize) -> Result<Vec<(T, Vec<Secret>)>, FrameError> {
        let mut reader = Reader::new();
        let mut messages = Vec::new();
        for piece in octets.chunks(piece) {
            reader.room()[..piece.len()].copy_from_slice(piece);
            reader.filled(piece.len());
            while let Some(message) = reader.next()? {
                messages.push(message);
            }
        }
        assert_eq!(reader.buffer[..reader.start], vec![0; reader.start]);
        Ok(messages)
    }

    fn signing() -> ToHelper {
        let login = Some(Login { user: User::User, at_token: false });
        ToHelper::Do { number: 7, slot: 1, login, task: Task::Random { length: 9 } }
    }

    #[test]
    fn what_is_written_is_read_in_pieces_of_any_size() {
        let secrets = [Secret::copy_of(b"123456"), Secret::copy_of(b""), Secret::copy_of(&[7; MAX_SECRET])];
        let mut all = octets(&encode(&signing(), &secrets).unwrap());
        all.extend(octets(&encode(&ToHelper::Look { number: 8 }, &[]).unwrap()));
        for piece in [1, 3, 8, 100, CHUNK] {
            let messages = read::<ToHelper>(&all, piece).unwrap();
            assert_eq!(messages.len(), 2);
            assert_eq!(messages[0].0, signing());
            let read: Vec<_> = messages[0].1.iter().map(Secret::as_bytes).collect();
            assert_eq!(read, secrets.iter().map(Secret::as_bytes).collect::<Vec<_>>());
            assert_eq!(messages[1].0, ToHelper::Look { number: 8 });
            assert!(messages[1].1.is_empty());
        }
    }

    #[test]
    fn a_report_longer_than_the_buffer_is_read() {
        let result = Ok(Answer::Signature(vec![5; 5 * CHUNK]));
        let message = FromHelper::Done { number: 1, result };
        let messages = read::<FromHelper>(&octets(&encode(&message, &[]).unwrap()), CHUNK).unwrap();
        assert_eq!(messages.into_iter().map(|message| message.0).collect::<Vec<_>>(), [message]);
    }

    #[test]
    fn nothing_over_a_limit_is_written() {
        let long = FromHelper::Done { number: 1, result: Ok(Answer::Random(vec![0; MAX_BODY])) };
        assert!(matches!(encode(&long, &[]), Err(FrameError::BodyTooLong(_))));
        let secret = [Secret::copy_of(&[0; MAX_SECRET + 1])];
        assert!(matches!(encode(&signing(), &secret), Err(FrameError::SecretsTooLong(_))));
        let many: Vec<_> = (0..=MAX_SECRETS).map(|_| Secret::copy_of(b"1")).collect();
        assert!(matches!(encode(&signing(), &many), Err(FrameError::SecretsTooLong(_))));
    }

    #[test]
    fn lengths_over_a_limit_are_refused_before_their_octets_come() {
        let body = u32::try_from(MAX_BODY + 1).unwrap().to_be_bytes();
        let error = read::<FromHelper>(&[body, [0; 4]].concat(), 8).unwrap_err();
        assert_eq!(error, FrameError::BodyTooLong(MAX_BODY + 1));
        let secrets = u32::try_from(MAX_SECRET_PART + 1).unwrap().to_be_bytes();
        let error = read::<FromHelper>(&[[0; 4], secrets].concat(), 8).unwrap_err();
        assert_eq!(error, FrameError::SecretsTooLong(MAX_SECRET_PART + 1));
    }

    #[test]
    fn secrets_whose_lengths_do_not_add_up_are_refused() {
        let mut octets = octets(&encode(&signing(), &[Secret::copy_of(b"123456")]).unwrap());
        let length = octets.len() - 7;
        octets[length] = 7;
        assert_eq!(read::<ToHelper>(&octets, 100).unwrap_err(), FrameError::SecretsMalformed);
    }

    #[test]
    fn a_body_with_something_behind_the_message_is_refused() {
        let mut octets = octets(&encode(&FromHelper::Looked { number: 0 }, &[]).unwrap());
        octets.push(0);
        octets[3] += 1;
        assert_eq!(read::<FromHelper>(&octets, 100).unwrap_err(), FrameError::Surplus(1));
    }
}
