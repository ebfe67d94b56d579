//! What trussed's services stand on: random numbers of the system, the card's memory, and a finger that may touch.
//!
//! trussed's own virtual platform runs the services in a second thread that sleeps a millisecond per call and draws its
//! random numbers from a constant seed. Here a call is carried out where it is made, so an APDU takes the time of its
//! arithmetic, and every key is a fresh one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use littlefs2::object_safe::DynFilesystem;
use rand_core::OsRng;
use trussed::{
    pipe::ServiceEndpoint,
    platform::{Platform, Syscall, UserInterface},
    service::Service,
    store::Store,
    types::ui::Status,
};
use trussed_core::types::consent::Level;

use super::backends::{Backends, Contexts, Id};
use crate::touch::Finger;

/// How long the services pause between two looks at the finger.
const LOOK: Duration = Duration::from_millis(2);

/// Added to the clock of a card that was pulled while it waited for a finger: every wait is over then.
const PULLED: Duration = Duration::from_secs(3600);

/// The machine under trussed.
pub(super) struct Machine<'a> {
    random: OsRng,
    memory: Memory<'a>,
    surface: Surface,
}

impl<'a> Machine<'a> {
    pub(super) fn new(memory: Memory<'a>, finger: Arc<Finger>) -> Self {
        Self { random: OsRng, memory, surface: Surface::new(finger) }
    }
}

impl<'a> Platform for Machine<'a> {
    type R = OsRng;
    type S = Memory<'a>;
    type UI = Surface;

    fn rng(&mut self) -> &mut OsRng {
        &mut self.random
    }

    fn store(&self) -> Memory<'a> {
        self.memory
    }

    fn user_interface(&mut self) -> &mut Surface {
        &mut self.surface
    }
}

/// The mounted file systems.
#[derive(Clone, Copy)]
pub(super) struct Memory<'a> {
    /// Survives a power loss.
    pub(super) kept: &'a dyn DynFilesystem,
    /// Keys that are open because a PIN was given.
    pub(super) open: &'a dyn DynFilesystem,
}

impl Store for Memory<'_> {
    fn ifs(&self) -> &dyn DynFilesystem {
        self.kept
    }

    fn efs(&self) -> &dyn DynFilesystem {
        self.kept
    }

    fn vfs(&self) -> &dyn DynFilesystem {
        self.open
    }
}

/// The outside of the card: its button and its clock.
pub(super) struct Surface {
    finger: Arc<Finger>,
    started: Instant,
    status: Status,
}

impl Surface {
    fn new(finger: Arc<Finger>) -> Self {
        Self { finger, started: Instant::now(), status: Status::Idle }
    }

    fn waiting(&self) -> bool {
        matches!(self.status, Status::WaitingForUserPresence)
    }
}

impl UserInterface for Surface {
    fn check_user_presence(&mut self) -> Level {
        if self.finger.touches() { Level::Normal } else { Level::None }
    }

    fn set_status(&mut self, status: Status) {
        let before = self.waiting();
        self.status = status;
        match (before, self.waiting()) {
            (false, true) => self.finger.wanted(),
            (true, false) => self.finger.unwanted(),
            _ => {}
        }
    }

    fn status(&self) -> Status {
        self.status
    }

    fn refresh(&mut self) {
        if self.waiting() && !self.finger.touches() {
            std::thread::sleep(LOOK);
        }
    }

    fn uptime(&mut self) -> Duration {
        let past = self.started.elapsed();
        if self.waiting() && self.finger.pulled() { past + PULLED } else { past }
    }
}

/// The services together with the one application that uses them.
pub(super) struct Services<'a> {
    /// trussed itself.
    pub(super) service: Service<Machine<'a>, Backends>,
    /// Where the application's requests arrive.
    pub(super) endpoint: [ServiceEndpoint<'a, Id, Contexts>; 1],
}

impl Syscall for Services<'_> {
    fn syscall(&mut self) {
        self.service.process(&mut self.endpoint);
    }
}
