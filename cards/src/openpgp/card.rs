//! What is remembered of a card from one transaction to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::facts::{Facts, KeyState};
use crate::openpgp::Lengths;
use crate::reader::Pinpad;
use crate::token::{DataObject, PinRef, Slot};

/// How many tries a PIN has after it was right, unless the card was seen with more (OpenPGP card 3.4, section 4.3).
const FULL_TRIES: u8 = 3;

/// The memory of a card.
pub(crate) struct Card {
    pub(crate) facts: Arc<Facts>,
    pub(crate) lengths: Lengths,
    /// Data objects as they were read; `None` inside where the card has none.
    pub(crate) objects: BTreeMap<DataObject, Option<Zeroizing<Vec<u8>>>>,
    /// Whether our application is the current one, as far as we know.
    pub(crate) selected: bool,
    /// The occurrence that GET DATA 7F21 means now (SELECT DATA).
    pub(crate) occurrence: u8,
    /// Whether GET NEXT DATA may be used for certificates: until the card answers it in a way that tells nothing.
    pub(crate) in_a_row: bool,
    /// Somebody's raw command may have changed anything: 6E comes first.
    pub(crate) stale: bool,
    /// A PIN was refused in a way that does not tell whether it cost a try: 6E comes before the next question.
    pub(crate) tries_unknown: bool,
    /// What the reader's own keys may be used for.
    pub(crate) pinpad: Pinpad,
    /// How often our application was selected; every time it forgets what was verified.
    pub(crate) selections: u32,
    most_tries: [u8; 3],
}

impl Card {
    pub(crate) fn new(facts: Facts, lengths: Lengths) -> Self {
        Self {
            facts: Arc::new(facts),
            lengths,
            objects: BTreeMap::new(),
            in_a_row: true,
            selected: false,
            occurrence: 0,
            stale: false,
            tries_unknown: false,
            pinpad: Pinpad::default(),
            selections: 0,
            most_tries: [FULL_TRIES; 3],
        }
    }

    /// The facts, to change them. Who holds the snapshot keeps it as it was.
    pub(crate) fn facts_mut(&mut self) -> &mut Facts {
        Arc::make_mut(&mut self.facts)
    }

    pub(crate) fn is_verified(&self, pin: PinRef) -> bool {
        self.facts.is_verified(pin)
    }

    pub(crate) fn set_verified(&mut self, pin: PinRef, verified: bool) {
        if let Some(at) = pin.index()
            && self.facts.verified[at] != verified
        {
            self.facts_mut().verified[at] = verified;
        }
    }

    pub(crate) fn forget_verifications(&mut self) {
        if self.facts.verified != [false; 3] {
            self.facts_mut().verified = [false; 3];
        }
    }

    /// The application was selected anew: the card forgot what was verified and which certificate was meant.
    pub(crate) fn application_was_selected(&mut self) {
        self.selected = true;
        self.selections = self.selections.wrapping_add(1);
        self.occurrence = 0;
        self.forget_verifications();
    }

    /// The card was reset, by a neighbour or by ourselves.
    pub(crate) fn was_reset(&mut self) {
        self.selected = false;
        self.occurrence = 0;
        self.forget_verifications();
        self.facts_mut().resets += 1;
    }

    /// Nothing that was read can be relied on.
    pub(crate) fn forget_all(&mut self) {
        self.stale = true;
        self.objects.clear();
        self.forget_verifications();
        let facts = self.facts_mut();
        facts.certificates = Default::default();
        facts.public_keys = Default::default();
        facts.signature_counter = None;
    }

    /// A slot's key is another one now, or none.
    pub(crate) fn forget_key(&mut self, slot: Slot) {
        self.objects.remove(&DataObject::KeyInformation);
        let facts = self.facts_mut();
        facts.public_keys[slot.index()] = KeyState::Unread;
        facts.key_information = None;
    }

    /// Whether the key of a slot may want a touch: as its flag says (DOs D6–D8), and where that is not known, if the
    /// card has a button at all.
    pub(crate) fn may_want_touch(&self, slot: Slot) -> bool {
        let read = self.objects.get(&DataObject::UserInteraction(slot));
        let read = read.and_then(|object| object.as_deref().map(Vec::as_slice));
        let flag = self.facts.user_interaction[slot.index()].as_deref().or(read).and_then(<[u8]>::first);
        flag.map_or(self.facts.has_button, |flag| *flag != 0)
    }

    /// A PIN was right: its tries are full again.
    pub(crate) fn pin_was_right(&mut self, pin: PinRef) {
        self.tries_are_full(pin);
        self.set_verified(pin, true);
    }

    /// A PIN was set anew, or was right.
    pub(crate) fn tries_are_full(&mut self, pin: PinRef) {
        let full = self.most_tries[counter(pin)];
        self.facts_mut().pin_status.set_tries(pin, full);
    }

    /// A PIN was wrong; `left` if the card said how many tries there are now.
    pub(crate) fn pin_was_wrong(&mut self, pin: PinRef, left: Option<u8>) {
        let left = left.unwrap_or_else(|| self.facts.pin_status.tries(pin).saturating_sub(1));
        self.facts_mut().pin_status.set_tries(pin, left);
        self.set_verified(pin, false);
    }

    /// Remembers the most tries that a counter showed, for cards that have more than usual.
    pub(crate) fn tries_were_read(&mut self) {
        self.tries_unknown = false;
        for pin in [PinRef::User, PinRef::ResetCode, PinRef::Admin] {
            let tries = self.facts.pin_status.tries(pin);
            let most = &mut self.most_tries[counter(pin)];
            *most = tries.max(*most);
        }
    }
}

/// Which of the three counters of C4 counts a PIN's tries.
fn counter(pin: PinRef) -> usize {
    match pin {
        PinRef::Sign | PinRef::User => 0,
        PinRef::ResetCode => 1,
        PinRef::Admin => 2,
    }
}
