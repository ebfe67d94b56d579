//! From a request to the task that a module carries out: which mechanism, which input, whose PIN. Pure: nothing is sent here.

use claviger_keys::pkcs11::attributes::CurveSpelling;
use claviger_keys::{CurveKind, Hash, PublicKey, padding};
use claviger_secret::Secret;
use rustix::rand::GetRandomFlags;

use super::facts::{Facts, Key, KeyNumber};
use super::objects;
use super::outcome::{Ending, SignatureForm, Unpad};
use super::pairing::Known;
use super::pins::{self, Asking};
use super::request::{Cryptogram, NewKey, Request, SignScheme};
use super::wire::{DecryptMechanism, KeyRef, SignMechanism, Task, User};
use crate::token::{self, Job, PinPurpose, PinRef, Progress, Reply, TokenError};

const CKM_RSA_PKCS: u64 = 0x0001;
const CKM_RSA_X_509: u64 = 0x0003;
const CKM_RSA_PKCS_OAEP: u64 = 0x0009;
const CKM_RSA_PKCS_PSS: u64 = 0x000D;

/// The most octets of salt: getrandom gives so many at once.
const MAX_SALT: usize = 256;

/// A task, the secrets that go with it, and what becomes of its answer.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) task: Task,
    /// Those of the task itself; a login's PIN goes before them.
    pub(super) secrets: Vec<Secret>,
    /// Who has to be logged in for it, where the token wants that.
    pub(super) user: User,
    /// Whether it may take as long as a key takes to be made, or a person to type.
    pub(super) patient: bool,
    pub(super) ending: Ending,
}

/// How far a job goes without the token.
#[derive(Debug)]
pub(super) enum Step {
    /// To its end.
    Done(Reply),
    /// To a question.
    Ask(Asking),
    /// To a task.
    Task(Plan),
}

impl Plan {
    /// Whether it uses or changes what a token hides from everybody but its user. PINs are changed without a login: the old one
    /// goes with the new one.
    pub(super) fn is_private(&self) -> bool {
        match self.task {
            Task::Sign { .. }
            | Task::Decrypt { .. }
            | Task::Derive { .. }
            | Task::Generate { .. }
            | Task::Create(_)
            | Task::Destroy { .. } => true,
            Task::Random { .. }
            | Task::Enumerate
            | Task::Login
            | Task::Logout
            | Task::SetPin { .. }
            | Task::InitPin { .. } => false,
        }
    }

    /// A task that brings nothing but that it is done.
    pub(super) fn plain(task: Task, user: User) -> Self {
        Self { task, secrets: Vec::new(), user, patient: false, ending: Ending::Done }
    }
}

/// What is to be done for a job.
pub(super) fn plan(known: &Known, job: &mut Job) -> Result<Step, TokenError> {
    let Job { request, progress } = job;
    match request {
        token::Request::Refresh => Ok(Step::Task(Plan::plain(Task::Enumerate, User::User))),
        token::Request::Random(length) => Ok(Step::Task(random(*length))),
        token::Request::Verify(pin) => Ok(verify(progress, *pin)),
        token::Request::EnsureVerified(PinRef::Sign | PinRef::User) if known.facts.logged_in => {
            Ok(Step::Done(Reply::Done))
        }
        token::Request::EnsureVerified(pin) => Ok(verify(progress, *pin)),
        token::Request::ChangePin(pin) => Ok(change_pin(&known.facts, progress, *pin)),
        token::Request::UnblockAsAdmin => Ok(unblock(&known.facts, progress)),
        token::Request::ForgetVerifications(pins) => Ok(forget(&known.facts, pins)),
        token::Request::Lapse(pins) => Ok(forget(&known.facts, pins)),
        token::Request::Pkcs11(request) => of_token(known, progress, request).map(Step::Task),
        _ => Err(TokenError::NotSupported("this is a PKCS#11 token and no OpenPGP card")),
    }
}

/// Takes note that a task of the job was carried out; whether there is another one.
pub(super) fn goes_on(job: &mut Job) -> bool {
    match &job.request {
        token::Request::Pkcs11(Request::Import { .. }) if job.progress.steps_done == 0 => {
            job.progress.steps_done = 1;
            true
        }
        _ => false,
    }
}

/// Whether a key that the token would not make may be asked for in other words: modules spell curves differently.
pub(super) fn spelled_otherwise(job: &mut Job) -> bool {
    let token::Request::Pkcs11(Request::Generate { kind: NewKey::Ecc(_), .. }) = &job.request else {
        return false;
    };
    job.progress.steps_done = job.progress.steps_done.saturating_add(1);
    job.progress.steps_done < CurveSpelling::ALL.len()
}

fn of_token(known: &Known, progress: &Progress, request: &Request) -> Result<Plan, TokenError> {
    match request {
        Request::Sign { key, scheme, data } => sign(known, *key, *scheme, data),
        Request::Decipher { key, cryptogram } => decipher(known, *key, cryptogram),
        Request::Enumerate => Ok(Plan::plain(Task::Enumerate, User::User)),
        Request::Generate { kind, name, usage } => {
            let spelling = CurveSpelling::ALL.get(progress.steps_done).copied();
            let spelling = spelling.ok_or(TokenError::NotSupported("a key on that curve"))?;
            Ok(objects::generate(&known.facts, *kind, name, *usage, spelling))
        }
        // The private half first: it is the one that may be refused.
        Request::Import { key, name, usage } if progress.steps_done == 0 => {
            objects::import_private(&known.facts, key, name, *usage)
        }
        Request::Import { key, name, usage } => Ok(objects::import_public(&known.facts, key, name, *usage)),
        Request::PutCertificate { octets, name } => objects::put_certificate(octets, name),
        Request::RemoveCertificate(number) => {
            let handle = known.certificate(*number).ok_or(TokenError::NoObject)?;
            Ok(Plan::plain(Task::Destroy { handle }, User::User))
        }
    }
}

fn random(length: usize) -> Plan {
    let ending = Ending::Random { length };
    Plan { ending, ..Plan::plain(Task::Random { length }, User::User) }
}

fn verify(progress: &Progress, pin: PinRef) -> Step {
    let user = pins::user_of(pin);
    let purpose = PinPurpose::Unlock(pins::pin_of(user));
    if !pins::has(progress, purpose) && progress.typed_on_pinpad != Some(purpose) {
        return Step::Ask(Asking::unlock(user));
    }
    Step::Task(Plan { patient: progress.typed_on_pinpad.is_some(), ..Plan::plain(Task::Login, user) })
}

/// Old and new PIN go together; at the token both are typed there, one after the other.
fn change_pin(facts: &Facts, progress: &mut Progress, pin: PinRef) -> Step {
    let user = pins::user_of(pin);
    let pin = pins::pin_of(user);
    let (old, new) = (PinPurpose::Old(pin), PinPurpose::New(pin));
    if facts.flags.protected_path() {
        return match progress.typed_on_pinpad.take() {
            Some(_) => {
                Step::Task(Plan { patient: true, ..Plan::plain(Task::SetPin { user, at_token: true }, user) })
            }
            None => Step::Ask(Asking::new(old)),
        };
    }
    if let Some(missing) = [old, new].into_iter().find(|purpose| !pins::has(progress, *purpose)) {
        return Step::Ask(Asking::new(missing));
    }
    let secrets = [old, new].into_iter().filter_map(|purpose| progress.take_pin(purpose)).collect();
    Step::Task(Plan { secrets, ..Plan::plain(Task::SetPin { user, at_token: false }, user) })
}

/// The security officer's PIN, then the user's new one.
fn unblock(facts: &Facts, progress: &mut Progress) -> Step {
    let user = User::SecurityOfficer;
    let (unlock, new) = (PinPurpose::Unlock(PinRef::Admin), PinPurpose::New(PinRef::User));
    if facts.flags.protected_path() {
        return match progress.typed_on_pinpad {
            Some(_) => {
                Step::Task(Plan { patient: true, ..Plan::plain(Task::InitPin { at_token: true }, user) })
            }
            None => Step::Ask(Asking::new(unlock)),
        };
    }
    if let Some(missing) = [unlock, new].into_iter().find(|purpose| !pins::has(progress, *purpose)) {
        return Step::Ask(Asking::new(missing));
    }
    let secrets = progress.take_pin(new).into_iter().collect();
    Step::Task(Plan { secrets, ..Plan::plain(Task::InitPin { at_token: false }, user) })
}

/// A token knows one login; whoever gives up one verification gives up that.
fn forget(facts: &Facts, pins: &[PinRef]) -> Step {
    let users = pins.iter().any(|pin| pins::user_of(*pin) == User::User);
    if users && facts.logged_in {
        return Step::Task(Plan::plain(Task::Logout, User::User));
    }
    Step::Done(Reply::Done)
}

/// A signature.
fn sign(known: &Known, number: KeyNumber, scheme: SignScheme, data: &[u8]) -> Result<Plan, TokenError> {
    let (facts, (key, reference)) = (&known.facts, find(known, number)?);
    let public = key.public().ok_or(TokenError::NotSupported("a key of this kind"))?;
    let (mechanism, data) = signing(facts, public, scheme, data)?;
    let user = user_of(&reference);
    let ending = Ending::Signature(SignatureForm::of(public));
    Ok(Plan { ending, ..Plan::plain(Task::Sign { key: reference, mechanism, data }, user) })
}

/// A decipherment or a key agreement.
fn decipher(known: &Known, number: KeyNumber, cryptogram: &Cryptogram) -> Result<Plan, TokenError> {
    let (facts, (key, reference)) = (&known.facts, find(known, number)?);
    let public = key.public().ok_or(TokenError::NotSupported("a key of this kind"))?;
    let user = user_of(&reference);
    let (task, ending) = match (cryptogram, public) {
        (Cryptogram::Ecdh(point), PublicKey::Ecc(ecc)) => {
            let size = ecc.curve().field_size();
            let task = Task::Derive { key: reference, point: point.clone(), length: size as u64 };
            (task, Ending::Plaintext(Unpad::Shared { size }))
        }
        (Cryptogram::RsaPkcs1(octets), PublicKey::Rsa(_)) => {
            let (mechanism, unpad) = pkcs1_decryption(facts)?;
            (Task::Decrypt { key: reference, mechanism, data: octets.clone() }, Ending::Plaintext(unpad))
        }
        (Cryptogram::RsaOaep { octets, hash }, PublicKey::Rsa(_)) => {
            let (mechanism, unpad) = oaep_decryption(facts, *hash)?;
            (Task::Decrypt { key: reference, mechanism, data: octets.clone() }, Ending::Plaintext(unpad))
        }
        _ => return Err(TokenError::BadValue("the cryptogram is not one for a key of this kind")),
    };
    Ok(Plan { ending, ..Plan::plain(task, user) })
}

fn find(known: &Known, number: KeyNumber) -> Result<(&Key, KeyRef), TokenError> {
    let (key, reference) = known.key(number).ok_or(TokenError::NoObject)?;
    Ok((key, reference.clone()))
}

/// Whose PIN the use of a key takes.
fn user_of(reference: &KeyRef) -> User {
    if reference.always_authenticate { User::ContextSpecific } else { User::User }
}

fn signing(
    facts: &Facts,
    public: &PublicKey,
    scheme: SignScheme,
    data: &[u8],
) -> Result<(SignMechanism, Vec<u8>), TokenError> {
    match (scheme, public) {
        (SignScheme::RsaPkcs1, PublicKey::Rsa(rsa)) => pkcs1_signing(facts, rsa.n().len(), data),
        (SignScheme::RsaPss { hash, salt }, PublicKey::Rsa(rsa)) => {
            pss_signing(facts, rsa.bits(), hash, salt, data)
        }
        (SignScheme::Ecdsa, PublicKey::Ecc(ecc)) if ecc.curve().kind() == CurveKind::Weierstrass => {
            // Of a digest that is longer than the order, its leftmost bits are signed (FIPS 186-5, 6.4.1); not all modules cut.
            let most = ecc.curve().field_size();
            Ok((SignMechanism::Ecdsa, data.get(..most).unwrap_or(data).to_vec()))
        }
        (SignScheme::EdDsa, PublicKey::Ecc(ecc)) if ecc.curve().kind() == CurveKind::Edwards => {
            Ok((SignMechanism::EdDsa, data.to_vec()))
        }
        _ => Err(TokenError::BadValue("the signature is not one for a key of this kind")),
    }
}

fn pkcs1_signing(facts: &Facts, modulus: usize, data: &[u8]) -> Result<(SignMechanism, Vec<u8>), TokenError> {
    if may(facts, CKM_RSA_PKCS) {
        return Ok((SignMechanism::RsaPkcs, data.to_vec()));
    }
    raw(facts)?;
    let padded =
        padding::emsa_pkcs1_v1_5(data, modulus).map_err(|_| TokenError::BadValue("too long for the key"))?;
    Ok((SignMechanism::RsaRaw, padded))
}

fn pss_signing(
    facts: &Facts,
    bits: usize,
    hash: Hash,
    salt: usize,
    digest: &[u8],
) -> Result<(SignMechanism, Vec<u8>), TokenError> {
    let of_hash = of_hash(hash).ok_or(TokenError::NotSupported("PSS with this hash"))?;
    if digest.len() != hash.digest_len() {
        return Err(TokenError::BadValue("the digest is not one of the hash that is named"));
    }
    if may(facts, CKM_RSA_PKCS_PSS) {
        return Ok((SignMechanism::RsaPss { hash: of_hash, salt: salt as u64 }, digest.to_vec()));
    }
    raw(facts)?;
    let octets = random_octets(salt)?;
    let padded = padding::emsa_pss(hash, digest, &octets, bits)
        .map_err(|_| TokenError::BadValue("the key is too short for PSS with this hash and salt"))?;
    Ok((SignMechanism::RsaRaw, padded))
}

fn pkcs1_decryption(facts: &Facts) -> Result<(DecryptMechanism, Unpad), TokenError> {
    if may(facts, CKM_RSA_PKCS) {
        return Ok((DecryptMechanism::RsaPkcs, Unpad::Nothing));
    }
    raw(facts)?;
    Ok((DecryptMechanism::RsaRaw, Unpad::Pkcs1))
}

fn oaep_decryption(facts: &Facts, hash: Hash) -> Result<(DecryptMechanism, Unpad), TokenError> {
    let of_hash = of_hash(hash).ok_or(TokenError::NotSupported("OAEP with this hash"))?;
    if may(facts, CKM_RSA_PKCS_OAEP) {
        return Ok((DecryptMechanism::RsaOaep { hash: of_hash }, Unpad::Nothing));
    }
    raw(facts)?;
    Ok((DecryptMechanism::RsaRaw, Unpad::Oaep(hash)))
}

/// Salt from the system, where the token does not pad by itself.
fn random_octets(length: usize) -> Result<Vec<u8>, TokenError> {
    if length > MAX_SALT {
        return Err(TokenError::BadValue("so much salt fits into no key"));
    }
    let mut octets = vec![0; length];
    match rustix::rand::getrandom(&mut octets, GetRandomFlags::empty()) {
        Ok(got) if got == length => Ok(octets),
        _ => Err(TokenError::NotSupported("PSS without random octets from the system")),
    }
}

/// The `CKM_` number of a hash.
fn of_hash(hash: Hash) -> Option<u64> {
    match hash {
        Hash::Sha1 => Some(0x0220),
        Hash::Rmd160 => Some(0x0240),
        Hash::Sha224 => Some(0x0255),
        Hash::Sha256 => Some(0x0250),
        Hash::Sha384 => Some(0x0260),
        Hash::Sha512 => Some(0x0270),
        Hash::Md5 => None,
    }
}

/// Whether the token has a mechanism. One that lists none is tried.
fn may(facts: &Facts, mechanism: u64) -> bool {
    facts.mechanisms.is_empty() || facts.has_mechanism(mechanism)
}

fn raw(facts: &Facts) -> Result<(), TokenError> {
    if facts.has_mechanism(CKM_RSA_X_509) {
        return Ok(());
    }
    Err(TokenError::NotSupported("this padding, nor RSA without one"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkcs11::pairing::sample;

    /// A DigestInfo would stand here.
    const DATA: &[u8] = b"what is signed";

    fn signing(
        mechanisms: &[u64],
        scheme: SignScheme,
        data: &[u8],
    ) -> Result<(SignMechanism, Vec<u8>), TokenError> {
        let (known, key) = sample::token("rsa2048", mechanisms);
        match sign(&known, key, scheme, data)?.task {
            Task::Sign { mechanism, data, .. } => Ok((mechanism, data)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_pads_if_it_can() {
        let (mechanism, data) = signing(&[CKM_RSA_PKCS], SignScheme::RsaPkcs1, DATA).unwrap();
        assert_eq!((mechanism, data.as_slice()), (SignMechanism::RsaPkcs, DATA));
        let pss = SignScheme::RsaPss { hash: Hash::Sha256, salt: 32 };
        let (mechanism, _) = signing(&[CKM_RSA_PKCS_PSS], pss, &[7; 32]).unwrap();
        assert_eq!(mechanism, SignMechanism::RsaPss { hash: 0x250, salt: 32 });
        assert_eq!(signing(&[], SignScheme::RsaPkcs1, DATA).unwrap().0, SignMechanism::RsaPkcs);
    }

    #[test]
    fn where_it_cannot_we_do() {
        let (mechanism, block) = signing(&[CKM_RSA_X_509], SignScheme::RsaPkcs1, DATA).unwrap();
        assert_eq!((mechanism, block.len()), (SignMechanism::RsaRaw, 256));
        assert!(block.starts_with(&[0, 1, 0xff]) && block.ends_with(DATA));
        let pss = SignScheme::RsaPss { hash: Hash::Sha256, salt: 32 };
        let (mechanism, block) = signing(&[CKM_RSA_X_509], pss, &[7; 32]).unwrap();
        assert_eq!((mechanism, block.len(), block.last()), (SignMechanism::RsaRaw, 256, Some(&0xbc)));
        assert_ne!(signing(&[CKM_RSA_X_509], pss, &[7; 32]).unwrap().1, block, "the salt is random");
    }

    #[test]
    fn what_no_token_can_do_is_refused_before_it_is_sent() {
        let pss = SignScheme::RsaPss { hash: Hash::Sha256, salt: 32 };
        assert!(matches!(signing(&[CKM_RSA_PKCS], pss, &[7; 32]), Err(TokenError::NotSupported(_))));
        for (scheme, data) in [
            (pss, &[7; 20][..]),
            (SignScheme::RsaPss { hash: Hash::Sha256, salt: 10_000 }, &[7; 32]),
            (SignScheme::Ecdsa, &[7; 32]),
            (SignScheme::EdDsa, DATA),
        ] {
            let refused = signing(&[CKM_RSA_X_509], scheme, data);
            assert!(matches!(refused, Err(TokenError::BadValue(_))), "{scheme:?}");
        }
        assert!(matches!(
            signing(&[CKM_RSA_X_509], SignScheme::RsaPkcs1, &[7; 250]),
            Err(TokenError::BadValue(_))
        ));
    }

    #[test]
    fn decipherment_follows_the_mechanisms_too() {
        for (mechanisms, expected, unpad) in [
            (&[CKM_RSA_PKCS][..], DecryptMechanism::RsaPkcs, Unpad::Nothing),
            (&[CKM_RSA_X_509], DecryptMechanism::RsaRaw, Unpad::Pkcs1),
        ] {
            let (known, key) = sample::token("rsa2048", mechanisms);
            let plan = decipher(&known, key, &Cryptogram::RsaPkcs1(vec![7; 256])).unwrap();
            assert!(matches!(plan.task, Task::Decrypt { mechanism, .. } if mechanism == expected));
            assert_eq!(plan.ending, Ending::Plaintext(unpad));
        }
        let (known, key) = sample::token("rsa2048", &[CKM_RSA_PKCS]);
        let point = Cryptogram::Ecdh(vec![4; 65]);
        assert!(matches!(decipher(&known, key, &point), Err(TokenError::BadValue(_))));
        assert!(matches!(decipher(&known, KeyNumber(99), &point), Err(TokenError::NoObject)));
    }

    #[test]
    fn a_new_curve_is_spelled_in_all_ways_before_it_is_given_up() {
        let name = crate::pkcs11::ObjectName { id: vec![1], label: String::new() };
        let kind = NewKey::Ecc(claviger_keys::Curve::Ed25519);
        let usage = crate::pkcs11::Usage { sign: true, ..Default::default() };
        let mut job = Job::new(token::Request::Pkcs11(Request::Generate { kind, name, usage }));
        let (known, _) = sample::token("rsa2048", &[]);
        let mut spellings = Vec::new();
        loop {
            let Step::Task(Plan { task: Task::Generate { public, .. }, .. }) =
                plan(&known, &mut job).unwrap()
            else {
                panic!("no key is made")
            };
            assert!(!spellings.contains(&public));
            spellings.push(public);
            if !spelled_otherwise(&mut job) {
                break;
            }
        }
        assert_eq!(spellings.len(), CurveSpelling::ALL.len());
    }
}
