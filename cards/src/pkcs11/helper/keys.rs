//! What is done with a private key (PKCS#11, 5.11, 5.13 and 5.18): sign, decrypt, derive.

use std::sync::atomic::Ordering;

use claviger_secret::Secret;
use cryptoki_sys::*;

use super::faults::NO_OBJECT;
use super::login;
use super::sys::mechanism::Mechanism;
use super::sys::module::Refusal;
use super::sys::session::Session;
use super::sys::template::Pair;
use super::tasks::{Job, Outcome};
use super::token::{is_lost, login_needed};
use crate::pkcs11::wire::frame::MAX_SECRET;
use crate::pkcs11::wire::{Answer, DecryptMechanism, Fault, KeyRef, Login, SignMechanism, User};

/// Octets of the longest signature or plaintext, where the key does not say: RSA with 16,384 bits.
const LONGEST: usize = 2048;

/// What a module says of a point in a form that it does not take.
const WRONG_FORM: [CK_RV; 8] = [
    CKR_MECHANISM_PARAM_INVALID,
    CKR_ARGUMENTS_BAD,
    CKR_DATA_INVALID,
    CKR_DATA_LEN_RANGE,
    CKR_DOMAIN_PARAMS_INVALID,
    CKR_PUBLIC_KEY_INVALID,
    CKR_FUNCTION_FAILED,
    CKR_GENERAL_ERROR,
];

/// `C_SignInit`, `C_Sign`.
pub(super) fn sign(job: &mut Job<'_>, key: &KeyRef, mechanism: SignMechanism, data: &[u8]) -> Outcome {
    let mechanism = match mechanism {
        SignMechanism::RsaPkcs => Mechanism::Plain(CKM_RSA_PKCS),
        SignMechanism::RsaPss { hash, salt } => Mechanism::Pss { hash, salt },
        SignMechanism::RsaRaw => Mechanism::Plain(CKM_RSA_X_509),
        SignMechanism::Ecdsa => Mechanism::Plain(CKM_ECDSA),
        SignMechanism::EdDsa => Mechanism::Plain(CKM_EDDSA),
    };
    let start = |session: &Session, key| session.sign_init(mechanism, key);
    let signature = with_key(job, key, start, |session, _| session.sign(data, longest(key, 0)))?;
    Ok((Answer::Signature(signature), None))
}

/// `C_DecryptInit`, `C_Decrypt`.
pub(super) fn decrypt(job: &mut Job<'_>, key: &KeyRef, mechanism: DecryptMechanism, data: &[u8]) -> Outcome {
    let mechanism = match mechanism {
        DecryptMechanism::RsaPkcs => Mechanism::Plain(CKM_RSA_PKCS),
        DecryptMechanism::RsaOaep { hash } => Mechanism::Oaep { hash },
        DecryptMechanism::RsaRaw => Mechanism::Plain(CKM_RSA_X_509),
    };
    let start = |session: &Session, key| session.decrypt_init(mechanism, key);
    let plaintext = with_key(job, key, start, |session, _| session.decrypt(data, longest(key, data.len())))?;
    Ok((Answer::Secret, Some(plaintext)))
}

/// `C_DeriveKey` and the value of what was derived.
pub(super) fn derive(job: &mut Job<'_>, key: &KeyRef, point: &[u8], length: u64) -> Outcome {
    let token = std::sync::Arc::clone(&job.token);
    let shared = with_key(
        job,
        key,
        |_, _| Ok(()),
        |session, key| {
            let wrapped = token.wraps_points.load(Ordering::Relaxed);
            match agree(session, key, point, wrapped, length) {
                Err(refusal) if refusal.is_any(&WRONG_FORM) => {
                    // If neither form is taken, what was said to the first one counts.
                    let shared = agree(session, key, point, !wrapped, length).map_err(|_| refusal)?;
                    token.wraps_points.store(!wrapped, Ordering::Relaxed);
                    Ok(shared)
                }
                agreed => agreed,
            }
        },
    )?;
    Ok((Answer::Secret, Some(shared)))
}

fn agree(
    session: &Session,
    key: CK_OBJECT_HANDLE,
    point: &[u8],
    wrapped: bool,
    length: u64,
) -> Result<Secret, Refusal> {
    let template = [
        Pair::ulong(CKA_CLASS, CKO_SECRET_KEY),
        Pair::ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
        Pair::bool(CKA_TOKEN, false),
        Pair::bool(CKA_PRIVATE, false),
        Pair::bool(CKA_SENSITIVE, false),
        Pair::bool(CKA_EXTRACTABLE, true),
        Pair::ulong(CKA_VALUE_LEN, length),
    ];
    let octets = if wrapped { octet_string(point) } else { point.to_vec() };
    let derived = session.derive(Mechanism::Ecdh(&octets), key, &template)?;
    let longest = usize::try_from(length).unwrap_or(MAX_SECRET).min(MAX_SECRET);
    let shared = session.secret_value(derived, longest);
    session.destroy(derived)?;
    shared
}

/// DER: a point has at most 133 octets, so two of length are enough.
fn octet_string(point: &[u8]) -> Vec<u8> {
    let length = point.len().to_be_bytes();
    let header: &[u8] = match point.len() {
        0..128 => &[0x04, length[7]],
        128..256 => &[0x04, 0x81, length[7]],
        _ => &[0x04, 0x82, length[6], length[7]],
    };
    [header, point].concat()
}

/// Octets of what comes out: as many as an RSA key's modulus has.
fn longest(key: &KeyRef, data: usize) -> usize {
    if key.modulus.is_empty() { LONGEST.max(data) } else { key.modulus.len().max(data) }
}

/// Does something with a private key: what starts it may be said once more if the session or the handle was stale; what
/// does it is called once.
fn with_key<T>(
    job: &mut Job<'_>,
    key: &KeyRef,
    start: impl Fn(&Session, CK_OBJECT_HANDLE) -> Result<(), Refusal>,
    act: impl FnOnce(&Session, CK_OBJECT_HANDLE) -> Result<T, Refusal>,
) -> Result<T, Fault> {
    job.unlock()?;
    let (session, handle, always) = match started(job, key, &start)? {
        Some(started) => started,
        None => started(job, key, &start)?.ok_or(Fault::NoObject)?,
    };
    if always || key.always_authenticate {
        confirm(job, &session)?;
    }
    let result = act(&session, handle).map_err(|refusal| failed(job, &session, refusal))?;
    job.token.give_back(session);
    Ok(result)
}

/// A session in which the operation has begun, or nothing where it should be tried anew.
fn started(
    job: &Job<'_>,
    key: &KeyRef,
    start: impl Fn(&Session, CK_OBJECT_HANDLE) -> Result<(), Refusal>,
) -> Result<Option<(Session, CK_OBJECT_HANDLE, bool)>, Fault> {
    let session = job.token.session(&job.helper.module)?;
    let (handle, always) = find(job, key)?;
    match start(&session, handle) {
        Ok(()) => Ok(Some((session, handle, always))),
        Err(refusal) if is_lost(&refusal) || refusal.is_any(&NO_OBJECT) => {
            let lost = is_lost(&refusal) || !login::is_known(&session);
            drop(session);
            renew(job, lost).map(|()| None)
        }
        Err(refusal) => Err(failed(job, &session, refusal)),
    }
}

/// Reads the token anew after a stale session or handle. A login that is lost has to come from the daemon.
fn renew(job: &Job<'_>, lost: bool) -> Result<(), Fault> {
    let was_logged_in = job.token.is_logged_in(User::User);
    if lost {
        job.token.forget();
    }
    job.token.enumerate(job.helper, true)?;
    if lost && was_logged_in { Err(login_needed(job.helper, &job.token, User::User)) } else { Ok(()) }
}

fn find(job: &Job<'_>, key: &KeyRef) -> Result<(CK_OBJECT_HANDLE, bool), Fault> {
    if let Some(found) = job.token.private_key(key) {
        return Ok(found);
    }
    if job.token.hides() {
        return Err(login_needed(job.helper, &job.token, User::User));
    }
    // Another program may have made it.
    job.token.enumerate(job.helper, false)?;
    job.token.private_key(key).ok_or(Fault::NoObject)
}

/// `C_Login` for this one use of the key.
fn confirm(job: &mut Job<'_>, session: &Session) -> Result<(), Fault> {
    let Some(Login { user: User::ContextSpecific, at_token }) = job.login else {
        return Err(login_needed(job.helper, &job.token, User::ContextSpecific));
    };
    let pin = job.pin(at_token)?;
    login::log_in(job.helper, &job.token, session, User::ContextSpecific, pin.as_ref())
}

/// A module that misses a login means that of the user, or one for this use of the key.
fn failed(job: &Job<'_>, session: &Session, refusal: Refusal) -> Fault {
    if refusal.code() != Some(CKR_USER_NOT_LOGGED_IN) {
        return refusal.into();
    }
    if job.token.is_logged_in(User::User) && login::is_known(session) {
        return login_needed(job.helper, &job.token, User::ContextSpecific);
    }
    job.token.logged_out(job.helper);
    login_needed(job.helper, &job.token, User::User)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_wrapped_as_der_has_it() {
        assert_eq!(octet_string(&[7; 65])[..3], [0x04, 65, 7]);
        assert_eq!(octet_string(&[7; 133])[..4], [0x04, 0x81, 133, 7]);
        assert_eq!(octet_string(&[7; 300])[..5], [0x04, 0x82, 1, 44, 7]);
    }
}
