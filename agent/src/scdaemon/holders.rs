//! Which card serves a key, where several have it.
//!
//! | before others comes | because |
//! |---|---|
//! | the card that the session demanded by its serial number | agents of GnuPG 2.2 compare serial numbers and ask for that card to be inserted otherwise |
//! | one that is verified; then one whose PIN is remembered; last one whose PIN is blocked | nobody is to be asked where another card would not ask |
//! | one for which fewer jobs wait | two cards do twice the work of one |
//! | the session's own; then the newest | that is what a plain SERIALNO means |
//!
//! Keys are looked for on cards whose keys were read before; only if none of them has it, the others are read; only if that
//! does not help, PKCS#11 modules that are starting are waited for, and at last readers and modules are asked for what has
//! come this moment.

use claviger_cards::deck::TokenHandle;
use claviger_cards::pkcs11::KeyNumber;
use claviger_cards::token::{PinRef, Slot};
use claviger_keys::Keygrip;
use tokio::time::Instant;

use super::key_reference::load_keys;
use super::perform::LAST_TRY;
use super::session::Session;
use super::token_status;

/// A token that has a key.
pub(super) struct Holder {
    pub(super) token: TokenHandle,
    pub(super) place: Place,
}

/// Where on its token a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a slot of an OpenPGP card.
    Slot(Slot),
    /// On a PKCS#11 token.
    Key(KeyNumber),
}

impl Place {
    /// The slot, on an OpenPGP card.
    pub(super) fn slot(self) -> Option<Slot> {
        match self {
            Self::Slot(slot) => Some(slot),
            Self::Key(_) => None,
        }
    }
}

/// Where on a token the key with this keygrip is, for all that was read of it.
pub(super) fn place_of(token: &TokenHandle, grip: &Keygrip) -> Option<Place> {
    if let Some(card) = token.card() {
        return card.slot_of(grip).map(Place::Slot);
    }
    token.pkcs11()?.key_of(grip).map(|key| Place::Key(key.number))
}

/// What speaks against a card; the least is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    not_demanded: bool,
    asks: Asks,
    waiting: usize,
    not_own: bool,
}

/// Who is asked before the card does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asks {
    Nobody,
    Memory,
    Person,
    /// It would be in vain.
    Blocked,
}

/// The cards that have this key, the session's own first, then the newest. Reads keys only as far as needed to find one.
pub(super) async fn of(session: &Session, grip: &Keygrip) -> Vec<Holder> {
    let own = session.token().ok();
    if let Some(own) = &own {
        load_keys(own).await;
    }
    let known = known(session, own.as_ref(), grip);
    if !known.is_empty() {
        return known;
    }
    if let Some(found) = first_of_others(session, grip).await {
        return vec![found];
    }
    session.hub.deck.settled().await;
    if let Some(found) = first_of_others(session, grip).await {
        return vec![found];
    }
    // Its events may still be on their way. A reader layer that fails has no card either.
    if session.hub.deck.scan_anew().await.is_err() {
        return Vec::new();
    }
    first_of_others(session, grip).await.into_iter().collect()
}

/// The one of `holders` that is to do something with the key; they are in the order of [`of`].
pub(super) fn best(session: &Session, holders: Vec<Holder>) -> Option<Holder> {
    holders.into_iter().min_by_key(|holder| rank(session, holder))
}

fn known(session: &Session, own: Option<&TokenHandle>, grip: &Keygrip) -> Vec<Holder> {
    let is_own = |token: &TokenHandle| own.is_some_and(|own| own.insertion() == token.insertion());
    let others = session.hub.deck.tokens().into_iter().filter(|token| !is_own(token));
    let all = own.cloned().into_iter().chain(others).filter(TokenHandle::is_present);
    all.filter_map(|token| place_of(&token, grip).map(|place| Holder { token, place })).collect()
}

async fn first_of_others(session: &Session, grip: &Keygrip) -> Option<Holder> {
    for token in session.hub.deck.tokens() {
        load_keys(&token).await;
        if let Some(place) = place_of(&token, grip) {
            return Some(Holder { token, place });
        }
    }
    None
}

fn rank(session: &Session, Holder { token, place }: &Holder) -> Rank {
    let own = session.token().is_ok_and(|own| own.insertion() == token.insertion());
    Rank {
        not_demanded: !(own && session.has_demanded()),
        asks: asks(session, token, *place),
        waiting: token.pending(),
        not_own: !own,
    }
}

fn asks(session: &Session, token: &TokenHandle, place: Place) -> Asks {
    let (Some(facts), Some(slot)) = (token.card(), place.slot()) else {
        return asks_of_token(session, token, place);
    };
    let pin = if slot == Slot::Sign { PinRef::Sign } else { PinRef::User };
    let forced = pin == PinRef::Sign && facts.pin_status.forced();
    let remembered = || session.hub.pins.has(token.insertion(), pin, Instant::now());
    match facts.pin_status.tries(pin) {
        0 => Asks::Blocked,
        _ if forced => Asks::Person,
        _ if facts.is_verified(pin) => Asks::Nobody,
        tries if tries > LAST_TRY && remembered() => Asks::Memory,
        _ => Asks::Person,
    }
}

fn asks_of_token(session: &Session, token: &TokenHandle, place: Place) -> Asks {
    let (Some(facts), Place::Key(number)) = (token.pkcs11(), place) else { return Asks::Nobody };
    let remembered = || session.hub.pins.has(token.insertion(), PinRef::User, Instant::now());
    let tries = token_status::user_tries(&facts);
    match facts.key(number) {
        _ if !facts.flags.login_required() => Asks::Nobody,
        _ if tries == 0 => Asks::Blocked,
        Some(key) if key.always_authenticate => Asks::Person,
        _ if facts.logged_in => Asks::Nobody,
        _ if tries > LAST_TRY && remembered() => Asks::Memory,
        _ => Asks::Person,
    }
}

#[cfg(test)]
mod tests {
    use claviger_cards::pkcs11::Facts;
    use claviger_cards::pkcs11::wire::TokenFlags;

    use super::super::sample_token::{Office, SIGN, grip, token};
    use super::*;

    const OWN: Rank = Rank { not_demanded: true, asks: Asks::Person, waiting: 0, not_own: false };
    const OTHER: Rank = Rank { not_own: true, ..OWN };

    #[test]
    fn the_demanded_card_comes_before_a_verified_one() {
        assert!(Rank { not_demanded: false, waiting: 9, ..OWN } < Rank { asks: Asks::Nobody, ..OTHER });
    }

    #[test]
    fn a_verified_card_comes_before_the_session_s_own() {
        assert!(Rank { asks: Asks::Nobody, waiting: 9, ..OTHER } < Rank { asks: Asks::Memory, ..OWN });
        assert!(Rank { asks: Asks::Memory, ..OTHER } < OWN);
        assert!(OTHER < Rank { asks: Asks::Blocked, ..OWN });
    }

    #[test]
    fn of_equal_cards_the_less_busy_serves_and_of_idle_ones_the_own() {
        assert!(Rank { waiting: 1, ..OTHER } < Rank { waiting: 2, ..OWN });
        assert!(OWN < OTHER);
    }

    /// Which of two tokens with the same key serves; without a reason it is the newer one.
    async fn serving(change_older: impl FnOnce(&mut Facts), change_newer: impl FnOnce(&mut Facts)) -> String {
        let mut tokens = ["OLDER", "NEWER"].map(|serial| {
            let mut token = token().with_key(&[1], "leaf", SIGN);
            token.0.serial = serial.to_owned();
            token
        });
        change_older(&mut tokens[0].0);
        change_newer(&mut tokens[1].0);
        let said = Office::new(tokens, &[]).says(&[&format!("KEYINFO {}", grip("leaf"))]).await;
        said[0].split(' ').nth(4).unwrap().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_on_which_the_user_is_logged_in_comes_before_one_that_asks() {
        assert_eq!(serving(|_| (), |_| ()).await, "NEWER");
        assert_eq!(serving(|older| older.logged_in = true, |_| ()).await, "OLDER");
        assert_eq!(
            serving(|older| older.flags = TokenFlags(0x400), |_| ()).await,
            "OLDER",
            "it takes no login"
        );
        let login_for_each_use = |older: &mut Facts| {
            older.logged_in = true;
            older.keys[0].always_authenticate = true;
        };
        assert_eq!(serving(login_for_each_use, |_| ()).await, "NEWER");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_whose_pin_is_locked_comes_last() {
        let lock = |newer: &mut Facts| newer.flags = TokenFlags(0x0004_040D);
        assert_eq!(serving(|_| (), lock).await, "OLDER");
    }
}
