//! What one line of the server means to a client within a transaction.

use zeroize::Zeroizing;

use super::ClientError;
use crate::error::Error;
use crate::escape::data_octets;
use crate::frame::Frame;
use crate::line::read::{self, Reply};

/// One step of a transaction.
#[derive(Debug)]
pub enum Step<'a> {
    /// Nothing to do.
    Nothing,
    /// Octets of data.
    Data(Zeroizing<Vec<u8>>),
    /// A status line: keyword and value.
    Status(String, &'a [u8]),
    /// An inquiry, which has to be answered: keyword and arguments.
    Inquiry(String, &'a [u8]),
    /// The end.
    Final(Result<(), Error>),
}

/// Reads a line of the server.
///
/// # Errors
/// [`ClientError::NoReply`] when it is none.
pub fn step(frame: &Frame) -> Result<Step<'_>, ClientError> {
    let Frame::Line(line) = frame else { return Err(ClientError::NoReply) };
    Ok(match read::reply(line.as_bytes()).ok_or(ClientError::NoReply)? {
        Reply::Ok(_) => Step::Final(Ok(())),
        Reply::Err(error) => Step::Final(Err(error)),
        Reply::Status(keyword, value) => Step::Status(lossy(keyword), value),
        Reply::Inquire(keyword, args) => Step::Inquiry(lossy(keyword), args),
        Reply::Data(payload) => Step::Data(data(payload)),
        Reply::End | Reply::Ignored => Step::Nothing,
    })
}

/// A client takes a broken escape as plain text, as libassuan's does.
fn data(payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(payload.len()));
    octets.extend(data_octets(payload).map(|octet| octet.unwrap_or(b'%')));
    octets
}

fn lossy(keyword: &[u8]) -> String {
    String::from_utf8_lossy(keyword).into_owned()
}
