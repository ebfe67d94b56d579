//! The OpenPGP applet: opcard, as it runs in the Nitrokey 3, on a machine of our own ([`platform`]).
//!
//! opcard has RSA-2048 to 4096, the NIST curves, Ed25519 and X25519; other curves are for the
//! [scripted card](crate::script). It ships with the PIN forced for each signature, user PIN 123456, admin PIN 12345678.

mod backends;
mod disguise;
mod flash;
mod platform;

use std::sync::Arc;

use littlefs2::fs::Filesystem;
use trussed::{
    ClientImplementation,
    pipe::{ServiceEndpoint, TrussedChannel},
    service::Service,
    types::CoreContext,
};

pub use self::flash::{Flash, FlashError};
use self::{
    backends::{Backends, ORDER},
    platform::{Machine, Memory, Services},
};
use crate::{
    apdu::{Command, Response, Status},
    chip::Applet,
    framing::Lengths,
    touch::Finger,
};

/// How logs call it.
pub const NAME: &str = "openpgp";

/// The longest answer: opcard's longest data object and room for tags.
const MAX_REPLY: usize = 8192;

/// Who a card says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The four octets that are printed on the card.
    pub serial: [u8; 4],
    /// The two octets before them; 0000 is for test cards.
    pub manufacturer: [u8; 2],
    /// What the card announces of its lengths.
    pub lengths: Lengths,
}

/// The card's memory could not be mounted, or its services did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the card's memory is damaged; move its state directory away to begin with a fresh card")]
pub struct Damaged;

/// The answer to reset of such a card, with the historical bytes of its data object 5F52.
#[must_use]
pub fn answer_to_reset(lengths: Lengths) -> Vec<u8> {
    disguise::answer_to_reset(lengths)
}

/// Builds the applet on `flash` and hands it to `use_it`. What opcard stores is stored when it answers.
///
/// # Errors
/// [`Damaged`], before `use_it` was called.
pub fn with_applet<R>(
    mut flash: Flash,
    identity: Identity,
    finger: Arc<Finger>,
    use_it: impl FnOnce(Box<dyn Applet + '_>) -> R,
) -> Result<R, Damaged> {
    let mut volatile = Flash::ram().map_err(|_| Damaged)?;
    let mounted = Filesystem::mount_and_then(&mut flash, |kept| {
        Filesystem::mount_and_then(&mut volatile, |open| {
            let machine = Machine::new(Memory { kept, open }, finger);
            Ok(run(machine, identity, use_it))
        })
    });
    mounted.map_err(|_| Damaged)?
}

fn run<'m, R>(
    machine: Machine<'m>,
    identity: Identity,
    use_it: impl FnOnce(Box<dyn Applet + '_>) -> R,
) -> Result<R, Damaged> {
    let channel: TrussedChannel = TrussedChannel::new();
    let (requester, responder) = channel.split().ok_or(Damaged)?;
    let context = CoreContext::new(littlefs2::path!("opcard").into());
    let services = Services {
        service: Service::with_dispatch(machine, Backends::new().map_err(|_| Damaged)?),
        endpoint: [ServiceEndpoint::new(responder, context, ORDER)],
    };
    let client: ClientImplementation<'_, _, Backends> = ClientImplementation::new(requester, services, None);
    let mut options = opcard::Options::default();
    options.serial = identity.serial;
    options.manufacturer = identity.manufacturer;
    // scdaemon 2.4 reads the touch policies (D6 to D8) and gives up on a card that has none.
    options.button_available = true;
    options.storage = trussed_core::types::Location::Internal;
    let aid = options.aid();
    let card = opcard::Card::new(client, options);
    Ok(use_it(Box::new(OpenPgp { card, aid, lengths: identity.lengths })))
}

struct OpenPgp<T: opcard::Client> {
    card: opcard::Card<T>,
    aid: [u8; 16],
    lengths: Lengths,
}

impl<T: opcard::Client> OpenPgp<T> {
    fn ask(&mut self, apdu: &[u8]) -> Response {
        let Ok(command) = iso7816::command::CommandView::try_from(apdu) else {
            return Status::WRONG_LENGTH.into();
        };
        let mut reply: heapless::Vec<u8, MAX_REPLY> = heapless::Vec::new();
        match self.card.handle(command, &mut reply) {
            Ok(()) => Response { data: reply.to_vec(), status: Status::OK },
            Err(status) => Status(u16::from_be_bytes(status.into())).into(),
        }
    }
}

impl<T: opcard::Client> Applet for OpenPgp<T> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aid(&self) -> &[u8] {
        &self.aid
    }

    fn select(&mut self, _command: &Command<'_>) -> Response {
        let select = [&[0x00, 0xA4, 0x04, 0x00, 16], &self.aid[..]].concat();
        self.ask(&select)
    }

    fn command(&mut self, command: &Command<'_>) -> Response {
        let response = self.ask(&command.to_extended());
        match self.lengths {
            Lengths::Extended => response,
            Lengths::Short => disguise::without_extended_length(command, response),
        }
    }

    fn deselect(&mut self) {
        self.card.reset();
    }
}
