//! `keytocard` for the curves that opcard lacks: the card in the reader knows the only right way to be given these keys. Those
//! that opcard has are among the jobs of the test `administration`.

use super::curves::{BRAINPOOL_P256, BRAINPOOL_P384, BRAINPOOL_P512, Curve, SECP256K1, insert, padded};
use crate::world::packets::{octets, soft_keys};
use crate::world::scripted::{Import, script_of_imports};
use crate::world::{Home, Reader, Scdaemon};

#[test]
fn gpg_moves_brainpool_p256_keys_to_a_card() {
    moves_keys_to_a_card(&BRAINPOOL_P256);
}

#[test]
fn gpg_moves_brainpool_p384_keys_to_a_card() {
    moves_keys_to_a_card(&BRAINPOOL_P384);
}

#[test]
fn gpg_moves_brainpool_p512_keys_to_a_card() {
    moves_keys_to_a_card(&BRAINPOOL_P512);
}

#[test]
fn gpg_moves_secp256k1_keys_to_a_card() {
    moves_keys_to_a_card(&SECP256K1);
}

/// gpg makes keys on disk and moves them, through ours and through GnuPG's scdaemon: both send the same octets.
fn moves_keys_to_a_card(curve: &Curve) {
    let reader = Reader::start();
    let soft = Home::new(&reader, Scdaemon::Ours);
    let gpg =
        |what: &[&str]| soft.gpg(&[&["--pinentry-mode", "loopback", "--passphrase", ""], what].concat()).ok();
    gpg(&["--quick-gen-key", "Carla Card <carla@example.org>", curve.name, "sign", "0"]);
    let fingerprint = soft.gpg(&["--with-colons", "--list-keys"]).line("fpr:::::::::").replace(':', "");
    gpg(&["--quick-add-key", &fingerprint, curve.name, "encr", "0"]);
    let imports = (1..).zip(soft_keys(&soft)).map(|(number, key)| Import {
        number,
        secret: padded(&octets(key.secret.trim_start_matches("00")), curve.size),
        fingerprint: key.fingerprint,
        created: key.created,
    });
    let script = script_of_imports(
        [0x13, 0x12].map(|algorithm| [&[algorithm], curve.oid].concat()),
        &imports.collect::<Vec<_>>(),
    );
    let secret = gpg(&["--export-secret-keys"]).stdout;
    soft.kill_agent();
    for scdaemon in [Scdaemon::Ours, Scdaemon::Stock] {
        let home = Home::new(&reader, scdaemon);
        home.gpg_reads(&["--import"], &secret).ok();
        let card = insert(&reader, &home, &script);
        let words = ["keytocard", "y", "1", "key 1", "keytocard", "2", "save"];
        home.gpg_dialogue(&["--edit-key", "carla@example.org"], &words).ok();
        card.control("verdict");
        home.kill_agent();
    }
}
