//! What people do with a card, in the words of gpg and ssh.

use super::packets::{octets, value_in_key_file};
use super::{Home, Scdaemon, Seen, Sshd};

/// Makes three keys on the card, after `types` were typed at `key-attr` (nothing: the types stay).
#[track_caller]
pub(crate) fn generate(home: &Home, types: &[&str]) {
    if !types.is_empty() {
        home.card_edit(&[&["admin", "key-attr"], types, &["quit"]].concat()).ok();
    }
    // gpg 2.2 wants the expiry confirmed, later ones do not.
    let sure = if home.gpg(&["--version"]).text().contains("GnuPG) 2.2.") { &["y"][..] } else { &[] };
    let who = ["Carla Card", "carla@example.org", "", "O", "quit"];
    home.card_edit(&[&["admin", "generate", "n", "0"], sure, &who].concat()).ok();
}

/// Makes three RSA keys with gpg and moves them onto the card, where large ones would take minutes to make. Gives a prime
/// of the first: something secret that went over the wire.
#[track_caller]
pub(crate) fn import_rsa(home: &Home, bits: u32) -> Vec<u8> {
    let keys = format!(
        "%no-protection\nKey-Type: RSA\nKey-Length: {bits}\nKey-Usage: sign,cert\nSubkey-Type: RSA\n\
         Subkey-Length: {bits}\nSubkey-Usage: encrypt\nName-Real: Carla Card\nName-Email: carla@example.org\n\
         Expire-Date: 0\n%commit\n"
    );
    home.gpg_reads(&["--gen-key"], keys.as_bytes()).ok();
    let listing = home.gpg(&["--with-colons", "--with-keygrip", "--list-keys"]).ok();
    let fingerprint = listing.line("fpr:::::::::").replace(':', "");
    home.gpg(&["--passphrase", "", "--quick-add-key", &fingerprint, &format!("rsa{bits}"), "auth"]).ok();
    let prime = value_in_key_file(home, &listing.line("grp:::::::::").replace(':', ""), "p");
    let moves = [
        ["keytocard", "y", "1"].as_slice(),
        &["key 1", "keytocard", "2", "key 1"],
        &["key 2", "keytocard", "3"],
        &["save"],
    ];
    home.gpg_dialogue(&["--edit-key", &fingerprint], &moves.concat()).ok();
    // A zero goes before a number whose first bit is set.
    octets(prime.trim_start_matches("00"))
}

/// A signature with `--detach-sign`.
pub(crate) fn sign(home: &Home) -> Seen {
    let letter = home.write("letter", "Signed and sealed.\n").display().to_string();
    home.gpg(&["--output", &format!("{letter}.sig"), "--detach-sign", &letter])
}

/// Signs, and has gpg verify.
#[track_caller]
pub(crate) fn signs(home: &Home) {
    sign(home).ok();
    let letter = home.path("letter").display().to_string();
    let verified = home.gpg(&["--verify", &format!("{letter}.sig"), &letter]).ok();
    verified.shows("Good signature from \"Carla Card <carla@example.org>\"");
}

/// Encrypts a letter to the card's key, for [`decrypt`].
#[track_caller]
pub(crate) fn seal(home: &Home) {
    let sealed = home.path("letter.gpg").display().to_string();
    let arguments = ["--output", &sealed, "--encrypt", "--recipient", "carla@example.org"];
    home.gpg_reads(&arguments, b"Signed and sealed.\n").ok();
}

/// Decrypts what [`seal`] left.
pub(crate) fn decrypt(home: &Home) -> Seen {
    home.gpg(&["--decrypt", &home.path("letter.gpg").display().to_string()])
}

/// Encrypts and decrypts.
#[track_caller]
pub(crate) fn decrypts(home: &Home) {
    seal(home);
    decrypt(home).ok().shows("Signed and sealed.\n");
}

/// Logs in to a throw-away sshd with the card's key.
#[track_caller]
pub(crate) fn logs_in(home: &Home) {
    let keys = home.ssh_keys().ok().shows(" cardno:").text();
    Sshd::for_key(&keys).log_in(home).ok().shows("logged in\n");
}

/// Compares `gpg --card-status`, octet by octet, with what it is through stock scdaemon.
#[track_caller]
pub(crate) fn is_shown_as_stock_shows_it(home: &mut Home) {
    let status = home.gpg(&["--card-status"]).ok();
    home.switch_to(Scdaemon::Stock);
    // pcscd may be a moment late to learn that the one before has gone.
    home.wait_for_card();
    let of_stock = home.gpg(&["--card-status"]).ok();
    home.switch_to(Scdaemon::under_test());
    home.wait_for_card();
    assert!(status.text() == of_stock.text(), "ours: {status}\nstock: {of_stock}");
}
