//! One client's session: what it has selected, what it has set, and the gate that commands pass.
//!
//! State between commands:
//!
//! | what | set by | used by | cleared by |
//! |---|---|---|---|
//! | the selected card | SERIALNO, SWITCHCARD, WAIT, the gate | all card commands | RESTART, removal, RESET, DEVINFO --watch |
//! | another card, for one command | a keygrip that this one has not | that command | its end |
//! | *demanded* | SERIALNO --demand, SWITCHCARD | the choice among cards with the same key | the next selection |
//! | *removed* | removal or reset of the selected card, SERIALNO that failed | the gate | SERIALNO that succeeds, WAIT, DEVINFO --watch |
//! | the data | SETDATA | PKSIGN, PKAUTH, PKDECRYPT | the next SETDATA |
//! | options | OPTION | the event signal | never: they outlive RESTART |

use std::sync::Arc;

use claviger_assuan::error::{Code, Error};
use claviger_cards::deck::TokenHandle;
use claviger_cards::facts::Facts;
use claviger_cards::token::Request;

use super::errors::{from_scan, not_for_tokens, scd};
use super::hub::{Client, Hub, SessionId};
use super::select;

/// A session with a client.
pub(super) struct Session {
    pub(super) hub: Arc<Hub>,
    pub(super) id: SessionId,
    pub(super) client: Arc<Client>,
    /// What SETDATA has collected.
    pub(super) data: Vec<u8>,
    /// Whether the client has used commands that only an agent of version 2.3 or later knows.
    pub(super) speaks_24: bool,
    /// Whether the client has asked for the end of the process.
    pub(super) kill: bool,
    selected: Option<Selected>,
    /// The session's own card, while another one serves the command that runs.
    aside: Option<Selected>,
    removed: bool,
}

/// The card of a session.
#[derive(Clone)]
pub(super) struct Selected {
    pub(super) token: TokenHandle,
    /// Selected as `SERIALNO undefined`: only raw commands make sense.
    pub(super) raw: bool,
    /// How often the card had been reset by clients when it was selected.
    resets: u64,
    /// It was demanded by its serial number: no other card with the same key is to serve instead.
    demanded: bool,
    /// It was opened just now, for this session: what is known of it needs no refreshing yet.
    fresh: bool,
}

/// When a command may be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Always.
    Always,
    /// Unless another session has the lock.
    Unlocked,
    /// As `Unlocked`, with a card that was not removed since it was selected; one is selected if none is.
    WithCard,
}

impl Session {
    /// A new session of a client.
    pub(super) fn new(hub: Arc<Hub>, client: Client) -> Self {
        let client = Arc::new(client);
        let id = hub.enter(client.clone());
        Self {
            hub,
            id,
            client,
            data: Vec::new(),
            speaks_24: false,
            kill: false,
            selected: None,
            aside: None,
            removed: false,
        }
    }

    /// Lets a command pass, or says why not.
    pub(super) async fn pass(&mut self, allowed: Allowed) -> Result<(), Error> {
        if allowed == Allowed::Always {
            return Ok(());
        }
        if allowed == Allowed::WithCard {
            self.notice_removal();
            if self.removed {
                return Err(scd(Code::CARD_REMOVED));
            }
        }
        if self.hub.is_locked_for(self.id) {
            return Err(scd(Code::LOCKED));
        }
        if allowed == Allowed::WithCard && self.selected.is_none() {
            self.select_default().await?;
        }
        Ok(())
    }

    /// The card that the session has selected. Commands that the gate let pass with a card have one.
    pub(super) fn token(&self) -> Result<TokenHandle, Error> {
        self.selected.as_ref().map(|selected| selected.token.clone()).ok_or(scd(Code::CARD_NOT_PRESENT))
    }

    /// What is known of the selected card; refused if it was selected as `undefined`, or is a PKCS#11 token.
    pub(super) fn facts(&self) -> Result<Arc<Facts>, Error> {
        match &self.selected {
            Some(selected) if selected.raw => Err(scd(Code::UNSUPPORTED_OPERATION)),
            Some(selected) => selected.token.card().ok_or_else(not_for_tokens),
            None => Err(scd(Code::CARD_NOT_PRESENT)),
        }
    }

    /// The selection, after a look whether its card is still there.
    pub(super) fn selected(&mut self) -> Option<&Selected> {
        self.notice_removal();
        self.selected.as_ref()
    }

    /// Looks for cards and selects the one that a plain SERIALNO means: the session's own, else the newest, else the newest
    /// PKCS#11 token.
    pub(super) async fn select_default(&mut self) -> Result<TokenHandle, Error> {
        let before: Vec<_> = self.hub.deck.tokens().iter().map(TokenHandle::insertion).collect();
        self.hub.deck.scan().await.map_err(|error| from_scan(&error))?;
        let tokens = self.hub.deck.tokens();
        let kept = self.selected.as_ref().filter(|own| own.token.is_present()).map(|own| own.token.clone());
        let usable = |token: &&TokenHandle| !select::is_disabled(&self.hub.settings, token);
        let first = || tokens.iter().find(usable).or(tokens.first()).cloned();
        let token = kept.or_else(first).ok_or(scd(Code::ENODEV))?;
        self.select(token.clone(), false);
        if let Some(selected) = &mut self.selected {
            selected.fresh = !before.contains(&token.insertion());
        }
        Ok(token)
    }

    /// Reads afresh what changes by itself (PIN tries), unless the card was opened just now.
    pub(super) async fn refresh(&mut self) -> Result<(), Error> {
        let fresh = self.selected.as_mut().is_some_and(|selected| std::mem::take(&mut selected.fresh));
        if !fresh {
            self.read(Request::Refresh).await?;
        }
        Ok(())
    }

    /// Refuses a command for the Admin PIN if the configuration says so.
    pub(super) fn refuse_if_admin_is_denied(&self) -> Result<(), Error> {
        if self.hub.settings.deny_admin { Err(scd(Code::EACCES)) } else { Ok(()) }
    }

    /// Selects a card; `raw` without an application.
    pub(super) fn select(&mut self, token: TokenHandle, raw: bool) {
        let insertion = token.insertion();
        let resets = self.hub.resets(insertion);
        self.client.set_insertion(Some(insertion));
        self.selected = Some(Selected { token, raw, resets, demanded: false, fresh: false });
        self.removed = false;
    }

    /// Has another card serve the command that runs.
    pub(super) fn borrow(&mut self, token: TokenHandle) {
        let own = self.selected.take();
        self.select(token, false);
        self.aside = self.aside.take().or(own);
    }

    /// The session's own card is its card again, if another one has served.
    pub(super) fn give_back(&mut self) {
        if let Some(own) = self.aside.take() {
            self.client.set_insertion(Some(own.token.insertion()));
            self.selected = Some(own);
            self.removed = false;
        }
    }

    /// Selects the card that a client has demanded by its serial number.
    pub(super) fn select_demanded(&mut self, token: TokenHandle, raw: bool) {
        self.select(token, raw);
        if let Some(selected) = &mut self.selected {
            selected.demanded = true;
        }
    }

    /// Whether the selected card was demanded by its serial number.
    pub(super) fn has_demanded(&self) -> bool {
        self.selected.as_ref().is_some_and(|selected| selected.demanded)
    }

    /// Drops the selection; the card is not told.
    pub(super) fn deselect(&mut self) {
        self.client.set_insertion(None);
        self.selected = None;
    }

    /// Forgets the selection, and that a removal was not yet answered by SERIALNO.
    pub(super) fn begin_anew(&mut self) {
        self.deselect();
        self.removed = false;
    }

    /// No command is served until a card was selected by name.
    pub(super) fn require_selection(&mut self) {
        self.removed = true;
    }

    /// The selected card is gone.
    pub(super) fn mark_removed(&mut self) {
        self.deselect();
        self.require_selection();
    }

    /// Drops the selection if its card was removed, or reset by a client, since it was selected.
    pub(super) fn notice_removal(&mut self) {
        let lost = self.selected.as_ref().is_some_and(|selected| {
            !selected.token.is_present() || self.hub.resets(selected.token.insertion()) != selected.resets
        });
        if lost {
            self.mark_removed();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.hub.leave(self.id);
    }
}
