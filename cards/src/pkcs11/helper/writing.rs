//! Objects that come and go (PKCS#11, 5.7 and 5.18): key pairs, imported keys, certificates.

use std::collections::VecDeque;

use claviger_secret::Secret;
use cryptoki_sys::*;

use super::sys::mechanism::Mechanism;
use super::sys::session::Session;
use super::sys::template::Pair;
use super::tasks::{Job, Outcome};
use super::token::login_needed;
use crate::pkcs11::wire::{Answer, Attribute, AttributeValue, Fault, User};

/// `C_GenerateKeyPair`.
pub(super) fn generate(
    job: &mut Job<'_>,
    mechanism: u64,
    public: &[Attribute],
    private: &[Attribute],
) -> Outcome {
    job.unlock()?;
    let secrets = secrets(job, &[public, private].concat())?;
    let mut rest = secrets.iter().collect();
    let (public, private) = (pairs(public, &mut rest), pairs(private, &mut rest));
    let made = write(job, |session| Ok(session.generate(Mechanism::Plain(mechanism), &public, &private)?))?;
    Ok((Answer::Created(made.to_vec()), None))
}

/// `C_CreateObject`.
pub(super) fn create(job: &mut Job<'_>, attributes: &[Attribute]) -> Outcome {
    job.unlock()?;
    let secrets = secrets(job, attributes)?;
    let pairs = pairs(attributes, &mut secrets.iter().collect());
    let made = write(job, |session| Ok(session.create(&pairs)?))?;
    Ok((Answer::Created(vec![made]), None))
}

/// `C_DestroyObject`.
pub(super) fn destroy(job: &mut Job<'_>, handle: u64) -> Result<(), Fault> {
    job.unlock()?;
    if !job.token.has(handle) {
        return Err(Fault::NoObject);
    }
    write(job, |session| Ok(session.destroy(handle)?))
}

/// Writes in a session for it, and reports the token as it is then.
fn write<T>(job: &Job<'_>, act: impl FnOnce(&Session) -> Result<T, Fault>) -> Result<T, Fault> {
    let session = Session::open(&job.helper.module, job.token.slot, true)?;
    let result = act(&session).map_err(|fault| match fault {
        Fault::Module { code: CKR_USER_NOT_LOGGED_IN, .. } => {
            job.token.logged_out(job.helper);
            login_needed(job.helper, &job.token, User::User)
        }
        fault => fault,
    })?;
    drop(session);
    job.token.enumerate(job.helper, false)?;
    Ok(result)
}

/// The secrets that these attributes want, in order.
fn secrets(job: &mut Job<'_>, attributes: &[Attribute]) -> Result<Vec<Secret>, Fault> {
    let wanted = attributes.iter().filter(|attribute| attribute.value == AttributeValue::Secret);
    wanted.map(|_| job.secret()).collect()
}

fn pairs<'a>(attributes: &'a [Attribute], secrets: &mut VecDeque<&'a Secret>) -> Vec<Pair<'a>> {
    let pairs = attributes.iter().map(|Attribute { kind, value }| match value {
        AttributeValue::Bool(value) => Pair::bool(*kind, *value),
        AttributeValue::Ulong(value) => Pair::ulong(*kind, *value),
        AttributeValue::Octets(octets) => Pair::octets(*kind, octets),
        AttributeValue::Secret => {
            Pair::octets(*kind, secrets.pop_front().map_or(&[], |secret| secret.as_bytes()))
        }
    });
    pairs.collect()
}
