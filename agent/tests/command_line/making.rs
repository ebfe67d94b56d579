//! Certificates and requests that a card's key signs, as openssl and certtool judge them.

use serde_json::Value;

use crate::world::Home;
use crate::{Desk, claviger, run, word};

/// All that certtool has to say against a good certificate of ours: it did not issue itself, since it is no authority.
/// keys/tests/real_programs/make.rs tells more.
const NO_AUTHORITY: &str = "Not verified. The certificate is NOT trusted. The certificate issuer is not a CA. \
                            The certificate chain violates the signer's constraints.";

#[test]
fn an_ed25519_card_signs_certificates_and_requests() {
    signs_certificates_and_requests(&["2", "1", "2", "1", "2", "1"], "ED25519");
}

#[test]
fn a_nist_p256_card_signs_certificates_and_requests() {
    signs_certificates_and_requests(&["2", "3", "2", "3", "2", "3"], "ecdsa-with-SHA256");
}

#[test]
fn a_nist_p384_card_signs_certificates_and_requests() {
    signs_certificates_and_requests(&["2", "4", "2", "4", "2", "4"], "ecdsa-with-SHA384");
}

#[test]
fn a_nist_p521_card_signs_certificates_and_requests() {
    signs_certificates_and_requests(&["2", "5", "2", "5", "2", "5"], "ecdsa-with-SHA512");
}

#[test]
fn an_rsa_2048_card_signs_certificates_and_requests() {
    signs_certificates_and_requests(&[], "sha256WithRSAEncryption");
}

#[test]
fn rsa_3072_and_4096_cards_sign_certificates_and_requests() {
    for bits in [3072, 4096] {
        let desk = Desk::with_rsa(bits);
        signs_at(&desk, "sha256WithRSAEncryption");
        let key = claviger(&desk.home, &["cert", "show", "OPENPGP.3"]).ok();
        key.shows(&format!("Key          rsa{bits}\n"));
    }
}

#[track_caller]
fn signs_certificates_and_requests(types: &[&str], algorithm: &str) {
    signs_at(&Desk::with_keys(types), algorithm);
}

#[track_caller]
fn signs_at(desk: &Desk, algorithm: &str) {
    let home = &desk.home;
    home.kill_agent();
    home.questions();
    for slot in ["OPENPGP.1", "OPENPGP.3"] {
        certificate(home, slot, algorithm);
        request(home, slot, algorithm);
    }
    // The card's keeper was asked in the usual place: for the PIN, and to write.
    let questions = home.questions();
    let asked = |kind: &str| questions.iter().any(|question| question.starts_with(kind));
    assert!(asked("user ") && asked("admin "), "{questions:?}");
}

/// Made with the user id that gpg knows, put on the card, and told by all as it was meant.
#[track_caller]
fn certificate(home: &Home, slot: &str, algorithm: &str) {
    let file = word(&home.path("made.pem"));
    claviger(home, &["cert", "self-sign", slot, "--days", "30", "--output", &file, "--write"])
        .ok()
        .shows(&format!("/{slot} is of Carla Card <carla@example.org>, as "))
        .shows("/pubring.kbx says\n");
    let verify =
        ["verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslclient", "-CAfile", &file, &file];
    run(home, "openssl", &verify).ok();
    let certtool = ["--verify", "--load-ca-certificate", &file, "--infile", &file];
    run(home, "certtool", &certtool).shows(&format!("Chain verification output: {NO_AUTHORITY}"));

    let fingerprint = fingerprint_of_slot(home, slot);
    let text = run(home, "openssl", &["x509", "-in", &file, "-noout", "-text"]).ok();
    let text = text.shows(&format!("email:carla@example.org, URI:openpgp4fpr:{fingerprint}\n"));
    text.shows(algorithm).shows("TLS Web Client Authentication");
    let subject = ["x509", "-in", &file, "-noout", "-subject", "-nameopt", "RFC2253"];
    run(home, "openssl", &subject).shows("subject=CN=Carla Card\n");

    let read = claviger(home, &["cert", "export", slot]).ok();
    assert_eq!(read.stdout, std::fs::read(&file).expect("it was written"), "{read}");
    let shown = claviger(home, &["cert", "show", slot, "--json"]).ok();
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((&shown["subject"], &shown["flags"]), (&"CN=Carla Card".into(), &Value::Array(Vec::new())));
    assert!(shown["usages"].to_string().contains("\"clientAuth\""), "{shown}");
}

/// Made for the key's fingerprint, with a user id that was given.
#[track_caller]
fn request(home: &Home, slot: &str, algorithm: &str) {
    let key = format!("fpr:{}", fingerprint_of_slot(home, slot));
    let file = word(&home.path("made.csr"));
    let made = claviger(home, &["cert", "csr", &key, "--user-id", "Zoë Example <zoe@example.org>"]).ok();
    std::fs::write(&file, &made.stdout).expect("the folder is ours");
    let shown = run(home, "openssl", &["req", "-in", &file, "-noout", "-verify", "-text"]).ok();
    shown.shows("verify OK").shows(algorithm).shows("email:zoe@example.org, URI:openpgp4fpr:");
    run(home, "certtool", &["--crq-info", "--infile", &file]).ok().shows("Self signature: verified");
    let public = run(home, "openssl", &["req", "-in", &file, "-noout", "-pubkey"]).ok();
    assert_eq!(claviger(home, &["key", "spki", slot]).ok().stdout, public.stdout);
}

/// The fingerprint that gpg shows for a slot of the card.
#[track_caller]
fn fingerprint_of_slot(home: &Home, slot: &str) -> String {
    let card = home.gpg(&["--card-status", "--with-colons"]).ok().line("fpr:");
    let number: usize = slot.trim_start_matches("OPENPGP.").parse().expect("a slot");
    card.split(':').nth(number - 1).expect("three fingerprints").to_owned()
}

#[test]
fn what_cannot_be_made_is_said() {
    let desk = Desk::with_keys(&["2", "1", "2", "1", "2", "1"]);
    let home = &desk.home;
    claviger(home, &["cert", "self-sign", "OPENPGP.2"]).fails().shows("cannot sign");
    let name = "x".repeat(65);
    claviger(home, &["cert", "csr", "OPENPGP.1", "--user-id", &name]).fails().shows("room for 64");
    let days = claviger(home, &["cert", "self-sign", "OPENPGP.1", "--days", "0"]);
    assert_eq!(days.code, Some(2), "{days}");
    claviger(home, &["key", "spki", &"A".repeat(40)]).fails().shows("no card here has that key");

    let public = home.path("pubring.kbx");
    std::fs::remove_file(public).expect("gpg made it");
    claviger(home, &["cert", "self-sign", "OPENPGP.1"]).fails().shows("say whose it is with --user-id");
    home.kill_agent();
    home.answers("user cancel\n");
    claviger(home, &["cert", "csr", "OPENPGP.1", "--user-id", "Carla"])
        .fails()
        .shows("claviger: cancelled\n");
}

#[test]
fn who_has_the_card_is_asked_of_it_where_no_store_knows_and_who_says_so_is_told() {
    let desk = Desk::with_keys(&["2", "1", "2", "1", "2", "1"]);
    let home = &desk.home;
    home.card_edit(&["admin", "name", "Card", "Carla Maria", "login", "maria@example.org", "quit"]).ok();
    std::fs::remove_file(home.path("pubring.kbx")).expect("gpg made it");
    let file = word(&home.path("made.csr"));
    let made = claviger(home, &["cert", "csr", "OPENPGP.3", "--output", &file]).ok();
    made.shows("/OPENPGP.3 is of Carla Maria Card <maria@example.org>, as the card says\n");
    let shown = run(home, "openssl", &["req", "-in", &file, "-noout", "-verify", "-text"]).ok();
    shown.shows("verify OK").shows("email:maria@example.org, URI:openpgp4fpr:");
    let subject = ["req", "-in", &file, "-noout", "-subject", "-nameopt", "RFC2253"];
    run(home, "openssl", &subject).ok().shows("subject=CN=Carla Maria Card\n");
}

#[test]
fn a_touch_that_the_card_waits_for_is_said() {
    // Well over the second after which a card is taken to wait for one.
    let desk = Desk::with_card(&["--touch", "delayed=3"], &["2", "1", "2", "1", "2", "1"]);
    // PW3, and the first key's user interaction flag (DO D6).
    desk.home.agent(&["SCD APDU 00200083083132333435363738", "SCD APDU 00DA00D6020120"]).ok();
    desk.home.kill_agent();
    claviger(&desk.home, &["cert", "csr", "OPENPGP.1"]).ok().shows("claviger: touch the card now");
}
