//! SETDATA: collects what the next operation works on.

use claviger_assuan::args::Args;
use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};

use super::errors::{parameter, scd};
use super::session::Session;
use super::{Command, row};
use crate::hex;

/// The most that SETDATA collects, in octets (GnuPG's MAXLEN_SETDATA).
const MAX_DATA: usize = 4096;

pub(super) static COMMANDS: &[Command] = &[row!("SETDATA", Unlocked, request, setdata, HELP)];

const HELP: &str = "\
SETDATA [--append] <hexstring>

Set the data that PKSIGN, PKAUTH and PKDECRYPT work on, or with --append
add to what was set before; at most 4096 octets in all. The data stays
until it is set anew.";

/// Octets to set or add.
struct Request {
    append: bool,
    octets: Vec<u8>,
}

fn request(arguments: Args<'_>) -> Result<Request, Error> {
    let digits = arguments.rest();
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(parameter("invalid hexstring"));
    }
    if digits.is_empty() {
        return Err(parameter("no data given"));
    }
    let octets = hex::read(digits).ok_or(parameter("odd number of digits"))?;
    Ok(Request { append: arguments.flag("--append"), octets })
}

async fn setdata(session: &mut Session, request: Request, _talk: &mut dyn Conversation) -> Result<(), Error> {
    if !request.append {
        session.data = request.octets;
        return Ok(());
    }
    if session.data.len().saturating_add(request.octets.len()) > MAX_DATA {
        return Err(scd(Code::TOO_LARGE).with_text("limit on total size of data reached"));
    }
    session.data.extend(request.octets);
    Ok(())
}
