//! Looking for tokens: at the start, when the daemon asks, when a task found something wrong, and from time to time.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use cryptoki_sys::*;

use super::sys::module::Refusal;
use super::token::{Identity, Token, text};
use super::{Helper, hold, memory, opening, sys};
use crate::pkcs11::opensc::is_in_reader;
use crate::pkcs11::wire::{FromHelper, User};

/// Between two looks, whatever is configured: the least.
const MIN_POLL: Duration = Duration::from_millis(50);

/// Where the module tells of events, only every so many times is looked without one.
const LOOKS_PER_EVENT: u32 = 30;

/// Between two attempts to bring tokens back by initialising the module anew: the first wait and the longest.
const FIRST_REVIVAL: Duration = Duration::from_secs(1);
const LAST_REVIVAL: Duration = Duration::from_secs(60);

/// Looks until the process ends.
pub(super) fn watch(helper: &Helper, woken: &Receiver<u64>) -> ! {
    let mut watcher = Watcher::new(helper);
    watcher.look(true);
    helper.link.send(&FromHelper::Looked { number: 0 }, &[]);
    let poll = Duration::from_millis(helper.opening.poll).max(MIN_POLL);
    loop {
        match woken.recv_timeout(poll) {
            Ok(number) => {
                // Whoever asks all the time must not keep a missing token away.
                watcher.revive();
                watcher.look(true);
                helper.link.send(&FromHelper::Looked { number }, &[]);
            }
            Err(RecvTimeoutError::Timeout) => watcher.tick(),
            Err(RecvTimeoutError::Disconnected) => helper.end(),
        }
    }
}

/// What is remembered between looks.
struct Watcher<'a> {
    helper: &'a Helper,
    /// Whether the module has told of an event: others say that there was none, and look away.
    has_events: bool,
    idle_ticks: u32,
    revival: Duration,
    next_revival: Instant,
}

impl<'a> Watcher<'a> {
    fn new(helper: &'a Helper) -> Self {
        let next_revival = Instant::now() + FIRST_REVIVAL;
        Self { helper, has_events: false, idle_ticks: 0, revival: FIRST_REVIVAL, next_revival }
    }

    /// From time to time.
    fn tick(&mut self) {
        if self.helper.link.is_closed() {
            self.helper.end();
        }
        if let Some(closely) = self.is_due() {
            self.look(closely);
        }
        self.revive();
        self.mind_memory();
    }

    /// Whether to look now, and whether closely.
    fn is_due(&mut self) -> Option<bool> {
        let event = self.helper.alone_if_serial(|| self.helper.module.slot_event());
        self.has_events |= event == Ok(true);
        self.idle_ticks = self.idle_ticks.wrapping_add(1);
        let is_quiet = self.has_events && event == Ok(false);
        let is_due = !is_quiet || self.idle_ticks.is_multiple_of(LOOKS_PER_EVENT);
        is_due.then_some(event == Ok(true))
    }

    /// Compares what is there with what was reported.
    fn look(&mut self, closely: bool) {
        let found = self.helper.alone_if_serial(|| self.helper.module.slots());
        let Ok(found) = found else { return };
        let known: Vec<_> = hold(&self.helper.tokens).keys().copied().collect();
        for slot in known.into_iter().filter(|slot| !found.contains(slot)) {
            self.helper.lose(slot);
        }
        for slot in found {
            self.look_into(slot, closely);
        }
    }

    fn look_into(&mut self, slot: CK_SLOT_ID, closely: bool) {
        let (helper, slots) = (self.helper, &self.helper.opening.slots);
        if !slots.is_empty() && !slots.contains(&slot) {
            return;
        }
        let looked = helper.alone_if_serial(|| self.look_at(slot, closely));
        if looked.is_err() {
            self.helper.lose(slot);
        }
    }

    fn look_at(&mut self, slot: CK_SLOT_ID, closely: bool) -> Result<(), Refusal> {
        let helper = self.helper;
        let place = helper.module.slot(slot)?;
        let known = helper.token(slot);
        if known.is_some() && !closely && is_reader(place.flags) {
            return Ok(());
        }
        let description = text(&place.slotDescription);
        if helper.opening.without_readers.iter().any(|reader| is_in_reader(&description, reader)) {
            return Ok(());
        }
        let info = helper.module.token(slot)?;
        let identity = Identity::of(&info);
        match known {
            Some(known) if known.identity == identity => known.refresh(helper, info),
            Some(_) => {
                self.helper.lose(slot);
                self.meet(slot, description, info)?;
            }
            None => self.meet(slot, description, info)?,
        }
        Ok(())
    }

    /// A new token. One without a name of its own yet (uninitialised) is none.
    fn meet(&mut self, slot: CK_SLOT_ID, description: String, info: CK_TOKEN_INFO) -> Result<(), Refusal> {
        if info.flags & CKF_TOKEN_INITIALIZED == 0 {
            return Ok(());
        }
        let token = Arc::new(Token::new(&self.helper.module, slot, description, info));
        hold(&self.helper.missing).retain(|missing| *missing != token.identity);
        hold(&self.helper.tokens).insert(slot, Arc::clone(&token));
        token.enumerate(self.helper, true)
    }

    /// Some modules look for tokens at the start only, and are started anew while one is missing; those that tell of events
    /// do not need this. It ends all logins, so it is given up after a while where somebody is logged in.
    fn revive(&mut self) {
        if !self.is_to_revive() {
            return;
        }
        let Ok(alone) = self.helper.gate.try_write() else { return };
        self.revival = (self.revival * 2).min(LAST_REVIVAL);
        self.next_revival = Instant::now() + self.revival;
        let known = std::mem::take(&mut *hold(&self.helper.tokens));
        known.values().for_each(|token| token.forget());
        // It may not have been initialised, if it could not be the last time.
        let _ = self.helper.module.finalize();
        let begun = opening::initialize(&self.helper.module, &self.helper.opening);
        if begun.is_ok() {
            // Before tasks go on: no token that is there is to be missed by one.
            known.keys().for_each(|slot| self.look_again(*slot));
        }
        drop(alone);
        if begun.is_ok() {
            self.look(true);
        }
        for token in known.into_values().filter(|token| self.helper.token(token.slot).is_none()) {
            self.helper.miss(&token);
        }
    }

    /// Looks for a token where it was.
    fn look_again(&mut self, slot: CK_SLOT_ID) {
        if self.look_at(slot, true).is_err() {
            hold(&self.helper.tokens).remove(&slot);
        }
    }

    fn is_to_revive(&mut self) -> bool {
        if hold(&self.helper.missing).is_empty() {
            (self.revival, self.next_revival) = (FIRST_REVIVAL, Instant::now() + FIRST_REVIVAL);
            return false;
        }
        let is_given_up = self.revival == LAST_REVIVAL && self.helper.is_in_use();
        !self.has_events && !is_given_up && Instant::now() >= self.next_revival
    }

    /// Ends a process that has grown too much, while nothing is at work in it.
    fn mind_memory(&self) {
        let limit = self.helper.opening.memory;
        let Some(octets) = memory::resident().filter(|octets| *octets > limit) else { return };
        if self.helper.gate.try_write().is_ok() {
            eprintln!("pkcs11-helper: {octets} octets of memory are too many, ending");
            sys::process::end(1);
        }
    }
}

/// A slot that knows by itself whether its token is there. Asking for more may ask the token: OpenSC asks a card how many
/// tries its PIN has.
fn is_reader(flags: CK_FLAGS) -> bool {
    flags & (CKF_HW_SLOT | CKF_REMOVABLE_DEVICE) != 0
}

impl Helper {
    /// A token is gone, if there was one.
    pub(super) fn lose(&self, slot: CK_SLOT_ID) {
        let lost = hold(&self.tokens).remove(&slot);
        if let Some(token) = lost {
            self.miss(&token);
        }
    }

    fn is_in_use(&self) -> bool {
        hold(&self.tokens).values().any(|token| token.is_logged_in(User::User))
    }

    fn miss(&self, token: &Token) {
        hold(&self.missing).push(token.identity.clone());
        self.link.send(&FromHelper::Gone { slot: token.slot }, &[]);
    }

    /// Calls the module beside tasks, or alone if it wants one call at a time.
    fn alone_if_serial<T>(&self, call: impl FnOnce() -> T) -> T {
        if self.serial {
            let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            call()
        } else {
            let _beside = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            call()
        }
    }
}
