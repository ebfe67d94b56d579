//! A token in its slot: its sessions, who is logged in, and what was read of it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use cryptoki_sys::*;

use super::faults::SESSION_LOST;
use super::objects::Objects;
use super::sys::module::{Module, Refusal};
use super::sys::session::Session;
use super::{Helper, hold};
use crate::pkcs11::wire::{Fault, FromHelper, KeyRef, TokenFlags, TokenReport, User};

/// The most sessions with one token that are kept open for the next task.
const MAX_IDLE: usize = 16;

/// A token.
pub(super) struct Token {
    pub(super) slot: CK_SLOT_ID,
    pub(super) identity: Identity,
    slot_description: String,
    mechanisms: Vec<CK_MECHANISM_TYPE>,
    /// Tasks hold it for reading; those that end sessions or the login of others, for writing.
    pub(super) exclusive: RwLock<()>,
    /// Whether it wants points of others in an OCTET STRING.
    pub(super) wraps_points: AtomicBool,
    state: Mutex<State>,
}

/// What changes.
struct State {
    info: CK_TOKEN_INFO,
    /// Stays open, so that the login stays.
    anchor: Option<Session>,
    idle: Vec<Session>,
    user: Option<User>,
    objects: Objects,
    seen_private: bool,
}

/// Which token it is, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    manufacturer: String,
    model: String,
    serial: String,
    label: String,
}

impl Identity {
    /// As the token says.
    pub(super) fn of(info: &CK_TOKEN_INFO) -> Self {
        Self {
            manufacturer: text(&info.manufacturerID),
            model: text(&info.model),
            serial: text(&info.serialNumber),
            label: text(&info.label),
        }
    }
}

impl Token {
    /// A token that was not here before; nothing is read of it yet.
    pub(super) fn new(
        module: &Module,
        slot: CK_SLOT_ID,
        slot_description: String,
        info: CK_TOKEN_INFO,
    ) -> Self {
        let mut mechanisms = module.mechanisms(slot).unwrap_or_default();
        mechanisms.sort_unstable();
        mechanisms.dedup();
        let (anchor, idle, user, objects) = (None, Vec::new(), None, Objects::default());
        Self {
            slot,
            identity: Identity::of(&info),
            slot_description,
            mechanisms,
            exclusive: RwLock::default(),
            wraps_points: AtomicBool::default(),
            state: Mutex::new(State { info, anchor, idle, user, objects, seen_private: false }),
        }
    }

    /// Reads its flags and the objects that are new, or all, and reports the token.
    ///
    /// # Errors
    /// What the module says.
    pub(super) fn enumerate(&self, helper: &Helper, all: bool) -> Result<(), Refusal> {
        let mut state = hold(&self.state);
        let state = &mut *state;
        state.info = self.info(&helper.module)?;
        if all {
            state.objects = Objects::default();
        }
        match self.read(&helper.module, state) {
            Err(refusal) if is_lost(&refusal) => {
                // The sessions ended without us, and the login with them: it is read once more, in a new one.
                (state.idle, state.user, state.objects) = (Vec::new(), None, Objects::default());
                self.read(&helper.module, state)?;
            }
            read => read?,
        }
        state.seen_private |= state.user == Some(User::User) || state.info.flags & CKF_LOGIN_REQUIRED == 0;
        self.announce(helper, state);
        Ok(())
    }

    /// Reads the objects that are new.
    fn read(&self, module: &Arc<Module>, state: &mut State) -> Result<(), Refusal> {
        let anchor = match state.anchor.take() {
            Some(anchor) => anchor,
            None => Session::open(module, self.slot, false)?,
        };
        state.objects.update(&anchor)?;
        state.anchor = Some(anchor);
        Ok(())
    }

    /// What the token says of itself. Another one in its slot is not it.
    fn info(&self, module: &Module) -> Result<CK_TOKEN_INFO, Refusal> {
        let info = module.token(self.slot)?;
        let is_other = Identity::of(&info) != self.identity;
        let other = Refusal::Code { function: "C_GetTokenInfo", code: CKR_TOKEN_NOT_RECOGNIZED };
        if is_other { Err(other) } else { Ok(info) }
    }

    /// Takes note of what the token says of itself now, and reports what changed.
    pub(super) fn refresh(&self, helper: &Helper, info: CK_TOKEN_INFO) {
        let mut state = hold(&self.state);
        let changed = state.info.flags != info.flags;
        state.info = info;
        if changed {
            self.announce(helper, &state);
        }
    }

    /// Its flags at the moment, or the last known ones.
    pub(super) fn flags(&self, helper: &Helper) -> TokenFlags {
        if let Ok(info) = helper.module.token(self.slot) {
            self.refresh(helper, info);
        }
        TokenFlags(hold(&self.state).info.flags)
    }

    /// Whether nothing private can be done before the user's login.
    pub(super) fn needs_login(&self) -> bool {
        let state = hold(&self.state);
        state.info.flags & CKF_LOGIN_REQUIRED != 0 && state.user != Some(User::User)
    }

    /// Whether a login could show more than is seen.
    pub(super) fn hides(&self) -> bool {
        let state = hold(&self.state);
        state.info.flags & (CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED) != 0
            && state.user != Some(User::User)
    }

    /// Whether this user is logged in, as far as is known.
    pub(super) fn is_logged_in(&self, user: User) -> bool {
        hold(&self.state).user == Some(user)
    }

    /// Somebody has logged in or out. Handles of private objects end with the login.
    pub(super) fn set_user(&self, user: Option<User>) {
        let mut state = hold(&self.state);
        state.user = user;
        if user != Some(User::User) {
            state.objects.forget_private();
        }
    }

    /// Somebody has logged out, which is reported.
    pub(super) fn logged_out(&self, helper: &Helper) {
        self.set_user(None);
        self.announce(helper, &hold(&self.state));
    }

    /// Closes all sessions, which ends the login. What was read of public objects stays.
    pub(super) fn close_sessions(&self) {
        let mut state = hold(&self.state);
        state.idle.clear();
        state.anchor = None;
        drop(state);
        self.set_user(None);
    }

    /// The token was away: nothing of what was known is worth anything.
    pub(super) fn forget(&self) {
        self.close_sessions();
        hold(&self.state).objects = Objects::default();
    }

    /// A session to read and to work with.
    pub(super) fn session(&self, module: &Arc<Module>) -> Result<Session, Refusal> {
        let idle = hold(&self.state).idle.pop();
        idle.map_or_else(|| Session::open(module, self.slot, false), Ok)
    }

    /// For the next task; sessions in which something failed are dropped instead.
    pub(super) fn give_back(&self, session: Session) {
        let mut state = hold(&self.state);
        if state.idle.len() < MAX_IDLE {
            state.idle.push(session);
        }
    }

    /// The private key that is meant, and whether it wants a PIN for each use.
    pub(super) fn private_key(&self, key: &KeyRef) -> Option<(CK_OBJECT_HANDLE, bool)> {
        let state = hold(&self.state);
        let candidates =
            || state.objects.keys.iter().filter(|known| known.private && known.key_type == key.key_type);
        let same = |known: &&_| is_same(known, key);
        let named = || candidates().filter(same).filter(|known| known.label == key.label);
        // A module that begins anew gives handles anew, perhaps of other keys: alone they say nothing.
        let found = named().find(|known| Some(known.handle) == key.handle).or_else(|| named().next());
        found.or_else(|| candidates().find(same)).map(|known| (known.handle, known.always_authenticate))
    }

    /// Whether there is an object with this handle.
    pub(super) fn has(&self, handle: CK_OBJECT_HANDLE) -> bool {
        hold(&self.state).objects.has(handle)
    }

    /// Whether the token still has what was read of it: one that was taken away under a module's feet may look as before.
    pub(super) fn is_alive(&self, module: &Arc<Module>) -> bool {
        let mut state = hold(&self.state);
        let session = self.info(module).and_then(|_| Session::open(module, self.slot, false));
        let Ok(session) = session else { return false };
        let mut now = Objects::default();
        std::mem::swap(&mut now, &mut state.objects);
        let was_empty = now.is_empty();
        let alive = now.update(&session).is_ok() && (was_empty || !now.is_empty());
        state.objects = now;
        alive
    }

    fn announce(&self, helper: &Helper, state: &State) {
        helper.link.send(&FromHelper::Token(self.report(state)), &[]);
    }

    fn report(&self, state: &State) -> TokenReport {
        let Identity { manufacturer, model, serial, label } = self.identity.clone();
        let (info, version) = (&state.info, state.info.firmwareVersion);
        TokenReport {
            slot: self.slot,
            slot_description: self.slot_description.clone(),
            manufacturer,
            model,
            serial,
            label,
            firmware: (version.major, version.minor),
            flags: TokenFlags(info.flags),
            pin_length: (info.ulMinPinLen, info.ulMaxPinLen),
            mechanisms: self.mechanisms.clone(),
            logged_in: state.user == Some(User::User),
            seen_private: state.seen_private,
            keys: state.objects.keys.clone(),
            certificates: state.objects.certificates.clone(),
        }
    }
}

/// Whether a private key is the one of which id and number are known.
fn is_same(known: &crate::pkcs11::wire::KeyObject, key: &KeyRef) -> bool {
    known.id == key.id && (key.modulus.is_empty() || known.modulus == key.modulus)
}

/// A text of a fixed length, without what pads it.
pub(super) fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).trim_end_matches([' ', '\0']).to_owned()
}

/// A session that was lost takes all with it: the token was away.
pub(super) fn is_lost(refusal: &Refusal) -> bool {
    refusal.is_any(&SESSION_LOST)
}

/// The login that a task needs, with the flags of the moment.
pub(super) fn login_needed(helper: &Helper, token: &Token, user: User) -> Fault {
    Fault::LoginNeeded { user, flags: token.flags(helper) }
}
