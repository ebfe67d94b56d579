//! A job at the card, and the finger that the card may wait for.
//!
//! Everybody whom it concerns is told when a finger is awaited. The wait is called off when the client goes away, when
//! [`TOUCH_DEADLINE`] is over, or when the process is to end. All that can be called off is our part in it: PC/SC has nothing
//! to stop a command that a card is busy with (SCardCancel ends waits for events only; a reset, and taking the power away,
//! wait for the answer). So the job stays with the card's worker until the card answers or gives up by itself; what comes of
//! it is thrown away, and wiped where it is secret. Other jobs for this card wait for that, other cards' do not.
//!
//! With the option `touch-prompt` the agent is asked to show a window, in the words that GnuPG's scdaemon has for it:
//!
//! ```text
//!   S: INQUIRE POPUPPINPADPROMPT --ack      C: END     (agents from 2.2 on: "Push ACK button on card/token.")
//!   ...the card waits...
//!   S: INQUIRE DISMISSPINPADPROMPT          C: END
//! ```
//!
//! GnuPG's uses them with its own USB driver, where a Gnuk tells that it waits; over PC/SC it tells nothing. It takes a
//! pinentry: an agent that cannot start one cancels, and then takes the next line for the end of its command. So it gets that,
//! and without the option nobody depends on a window.

use std::pin::pin;
use std::time::Duration;

use claviger_assuan::conversation::Conversation;
use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::token::{Job, Outcome, Slot, TokenError};
use tokio::time::sleep;

use super::errors::scd;
use super::pinpad::MAX_ANSWER;
use super::session::Session;
use crate::certificates::slot_name;

/// How long a finger is waited for. Cards give up by themselves before (YubiKeys after 15 s); this is for one that does not.
const TOUCH_DEADLINE: Duration = Duration::from_secs(60);

impl Session {
    /// Hands a job to the token. The outer error says that its outcome is not waited for any more.
    ///
    /// With `on_pinpad`, the job waits for the person from the start, at the reader's keys.
    pub(super) async fn submit(
        &self,
        token: &TokenHandle,
        job: Job,
        on_pinpad: bool,
        talk: &mut dyn Conversation,
    ) -> Result<Result<Outcome, TokenError>, Error> {
        let mut finger = job.finger();
        let mut outcome = pin!(token.submit(job));
        let slot = tokio::select! {
            biased;
            outcome = &mut outcome => return Ok(outcome),
            slot = finger.awaited() => slot,
            () = self.hub.ending(), if on_pinpad => return Err(called_off(Code::CANCELED)),
        };
        let key = key_in(token, slot);
        let _awaited = self.hub.events.touch_awaited(token.insertion(), &key);
        talk.status("TOUCH_AWAITED", key.as_bytes());
        // That the client is gone is noticed soon enough; the card waits all the same.
        let _ = talk.flush().await;
        // One window is enough.
        let shown = self.hub.settings.touch_prompt && !on_pinpad;
        if shown {
            let popup = talk.inquire("POPUPPINPADPROMPT", b"--ack", MAX_ANSWER).await;
            popup.map_err(|error| called_off(error.code()))?;
        }
        let outcome = tokio::select! {
            biased;
            outcome = outcome => Ok(outcome),
            () = sleep(TOUCH_DEADLINE) => Err(called_off(Code::TIMEOUT)),
            () = self.hub.ending() => Err(called_off(Code::CANCELED)),
        };
        if shown {
            self.dismiss_pinpad_prompt(talk).await;
        }
        outcome
    }
}

/// The keygrip of the key that wants the touch, as far as it is known.
fn key_in(token: &TokenHandle, slot: Slot) -> String {
    let grip = token.card().and_then(|card| card.keygrips()[slot.index()]).map(|grip| grip.to_string());
    grip.unwrap_or_else(|| slot_name(slot).to_owned())
}

fn called_off(code: Code) -> Error {
    tracing::info!("the wait is called off; other jobs for this card wait until it answers");
    scd(code)
}
