//! The example server of `assuan/tests/dialogues/README.md`, as a service.

use claviger_assuan::conversation::{BoxFuture, Conversation};
use claviger_assuan::error::{Error, Source};
use claviger_assuan::server::After;
use claviger_assuan_tokio::Service;

use crate::world::TABLE;

/// The example server.
pub(crate) struct Example;

impl Service for Example {
    fn command<'a>(
        &'a mut self,
        index: usize,
        args: &'a [u8],
        talk: &'a mut dyn Conversation,
    ) -> BoxFuture<'a, Result<After, Error>> {
        Box::pin(command(TABLE[index].name, args, talk))
    }

    fn option(&mut self, _name: &[u8], _value: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn reset<'a>(&'a mut self, _args: &'a [u8]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

async fn command(name: &str, args: &[u8], talk: &mut dyn Conversation) -> Result<After, Error> {
    let args = std::str::from_utf8(args).unwrap();
    let (number, octet) = args.split_once(' ').unwrap_or((args, ""));
    let number: usize = number.parse().unwrap_or_default();
    match name {
        "ASK" => ask(talk, "WHAT", b"now", number).await?,
        "ASKEND" => ask(talk, "KNOWN", b"", 0).await?,
        "ASKLONG" => ask(talk, "", &vec![b'x'; number.saturating_sub(1)], 100).await?,
        "FAIL" => return Err(Error::from_number(u32::try_from(number).unwrap())),
        "CLOSE" => return Ok(After::Close),
        "DATA" => talk.data(octet.repeat(number).as_bytes()),
        "STATUS" => talk.status("X", &vec![b'x'; number]),
        "MIX" => {
            talk.data(b"abc");
            talk.status("X", b"y");
            talk.data(b"d");
        }
        _ => {}
    }
    Ok(After::Continue)
}

async fn ask(talk: &mut dyn Conversation, keyword: &str, args: &[u8], limit: usize) -> Result<(), Error> {
    let answer =
        talk.inquire(keyword, args, limit).await.map_err(|error| Error::new(Source::Scd, error.code()))?;
    talk.data(answer.as_bytes());
    Ok(())
}
