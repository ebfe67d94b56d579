//! Between wire and commands: finds the row, lets the gate look at it, has it carried out; OPTION and RESET.

use claviger_assuan::args::Args;
use claviger_assuan::conversation::{BoxFuture, Conversation};
use claviger_assuan::error::{Code, Error};
use claviger_assuan::server::After;
use claviger_assuan_tokio::server::Service;

use super::errors::scd;
use super::parse::leading_number;
use super::session::Session;
use super::{command, control};

impl Service for Session {
    fn command<'a>(
        &'a mut self,
        index: usize,
        args: &'a [u8],
        talk: &'a mut dyn Conversation,
    ) -> BoxFuture<'a, Result<After, Error>> {
        Box::pin(async move {
            let command = command(index).ok_or(scd(Code::ASS_UNKNOWN_CMD))?;
            let act = (command.start)(Args::new(args))?;
            self.pass(command.allowed).await?;
            let result = act(self, talk).await;
            self.give_back();
            if let Err(error) = &result {
                tracing::info!(command = command.name, %error, "command failed");
            }
            result.map(|()| if self.kill { After::Close } else { After::Continue })
        })
    }

    /// `event-signal=N`: the signal that the client wants when a card comes, goes, or is reset. Unknown options are fine.
    fn option(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        if name == b"event-signal" {
            if value.is_empty() || value.starts_with(b"-") {
                return Err(scd(Code::ASS_PARAMETER));
            }
            self.client.set_event_signal(i32::try_from(leading_number(value)).unwrap_or(0));
        }
        Ok(())
    }

    fn reset<'a>(&'a mut self, args: &'a [u8]) -> BoxFuture<'a, Result<(), Error>> {
        let keep_lock = Args::new(args).flag("--keep-lock");
        Box::pin(control::reset(self, keep_lock))
    }
}
