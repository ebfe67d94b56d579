//! Every kind of key at work with every program, with a certificate on the token and without.

use crate::desk::Desk;
use crate::kinds::{Goes, Job, KINDS, Kind};
use crate::world::{Seen, Sshd};

#[test]
fn gpg_signs_with_keys_with_a_certificate() {
    for_each(Job::GpgSigns, "certificate", gpg_signs);
}

#[test]
fn gpg_signs_with_keys_without_a_certificate() {
    for_each(Job::GpgSigns, "", gpg_signs);
}

#[test]
fn gpg_decrypts_with_keys_with_a_certificate() {
    for_each(Job::GpgDecrypts, "certificate", gpg_decrypts);
}

#[test]
fn gpg_decrypts_with_keys_without_a_certificate() {
    for_each(Job::GpgDecrypts, "", gpg_decrypts);
}

#[test]
fn ssh_logs_in_with_keys_with_a_certificate() {
    for_each(Job::SshLogsIn, "certificate", ssh_logs_in);
}

#[test]
fn ssh_logs_in_with_keys_without_a_certificate() {
    for_each(Job::SshLogsIn, "", ssh_logs_in);
}

#[test]
fn gpgsm_signs() {
    for_each(Job::GpgsmSigns, "certificate", |desk, kind, goes| {
        desk.learn_certificates();
        if refused(goes, desk.is_old(), || desk.sign_with_certificate(kind.file)) {
            return;
        }
        match goes {
            Goes::Unverified(says) if desk.is_old() => {
                desk.sign_with_certificate(kind.file).ok();
                desk.verify_with_certificate().fails().shows(says);
                some_are_right(desk, kind.file);
            }
            _ => desk.signs_with_certificate(kind.file),
        }
    });
}

#[test]
fn gpgsm_decrypts() {
    for_each(Job::GpgsmDecrypts, "certificate", |desk, kind, goes| {
        desk.learn_certificates();
        if refused(goes, desk.is_old(), || desk.encrypt_to_certificate(kind.file)) {
            return;
        }
        desk.encrypt_to_certificate(kind.file).ok();
        desk.decrypt_with_certificate().ok().shows("Signed and sealed.\n");
    });
}

#[test]
fn a_key_of_which_only_the_private_half_is_there_is_listed_at_the_login() {
    let desk = Desk::with("token office\nkey p256 id=01 public=none\nkey rsa2048 id=02 certificate");
    let [rsa] = &desk.keys()[..] else { panic!("one is seen") };
    desk.certify(rsa).ok();
    desk.signs();
    // SoftHSM gives no point with a private key on a curve: nobody can say which key it is, but that it is there.
    let grips: Vec<_> = desk.keys().into_iter().map(|key| key.grip).collect();
    assert_eq!(grips, ["X".to_owned(), rsa.grip.clone()]);
}

#[test]
fn keys_and_certificates_for_a_logged_in_user_are_listed_at_the_login() {
    let desk = Desk::with("token office\nkey p256 id=01 public=private\nkey rsa2048 id=02 certificate");
    let [rsa] = &desk.keys()[..] else { panic!("one is seen") };
    desk.certify(rsa).ok();
    desk.signs();
    assert_eq!(desk.keys().len(), 2);
}

/// How often a signature is made until openssl takes one.
const ATTEMPTS: usize = 40;

fn for_each(job: Job, more: &str, work: impl Fn(&Desk, &Kind, Goes)) {
    for kind in KINDS.iter().filter(|kind| kind.goes(job) != Goes::Never) {
        println!("{job:?}, {}", kind.file);
        work(&Desk::with(&kind.recipe(more)), kind, kind.goes(job));
    }
}

/// Whether this is what the program itself cannot do; then it says so.
fn refused(goes: Goes, old: bool, attempt: impl FnOnce() -> Seen) -> bool {
    match goes {
        Goes::Not(says) => drop(attempt().fails().shows(says)),
        Goes::Since24(says) if old => drop(attempt().fails().shows(says)),
        _ => return false,
    }
    true
}

/// gpg-agent leaves zeros in front of a number where DER has none, and openssl is strict about it: it takes about every other
/// signature of P-521.
fn some_are_right(desk: &Desk, name: &str) {
    let right = (0..ATTEMPTS).any(|_| {
        desk.sign_with_certificate(name).ok();
        desk.verify_with_openssl().code == Some(0)
    });
    assert!(right, "openssl takes none of {ATTEMPTS} signatures");
}

fn gpg_signs(desk: &Desk, _: &Kind, _: Goes) {
    desk.certify(&desk.key()).ok();
    desk.signs();
}

fn gpg_decrypts(desk: &Desk, _: &Kind, _: Goes) {
    desk.adopt(&desk.key()).ok();
    desk.decrypts();
}

fn ssh_logs_in(desk: &Desk, _: &Kind, _: Goes) {
    let keys = desk.home.ssh_keys().ok().text();
    Sshd::for_key(&keys).log_in(&desk.home).ok().shows("logged in\n");
}
