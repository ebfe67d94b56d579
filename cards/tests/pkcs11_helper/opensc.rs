//! OpenSC's module on a card in a reader: it tells of events, and what it is asked may cost the card something.

use std::thread::sleep;
use std::time::Duration;

use claviger_cards::pkcs11::wire::{Answer, KeyObject, SignMechanism, Task};
use claviger_cards::token::{Request, Slot};
use openssl::bn::BigNum;
use openssl::rsa::{Padding, Rsa};

use crate::client::{Client, opening};
use crate::common::{VirtualCard, submit, tokens};
use crate::softhsm::refer;
use crate::world::{deck, inside, plug};

/// Where Debian has it.
const MODULE: &str = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so";

/// RSA with 2048 bits, as the card's algorithm attributes have it.
const RSA_2048: &[u8] = b"\x01\x08\x00\x00\x20\x00";

/// DER in front of a SHA-256 digest.
const DIGEST_INFO: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

/// Ten times as long as from one look to the next.
const SOME_LOOKS: Duration = Duration::from_secs(1);

/// A card with an RSA key for signatures.
async fn card() -> VirtualCard {
    let card = plug();
    let deck = deck();
    let token = tokens(&deck, 1).await.remove(0);
    let (slot, attributes) = (Slot::Sign, Some(RSA_2048.to_vec()));
    submit(&token, Request::Generate { slot, force: false, created: 1, attributes, ecdh: None })
        .await
        .unwrap();
    card
}

/// The first public key, and the slot of its token.
fn public(client: &Client) -> (u64, KeyObject) {
    let found = client.tokens.values().find_map(|token| {
        let key = token.keys.iter().find(|key| !key.private && !key.modulus.is_empty())?;
        Some((token.slot, key.clone()))
    });
    found.expect("a public key")
}

#[test]
fn a_card_signs_through_opensc_and_is_followed() {
    inside("opensc::a_card_signs_through_opensc_and_is_followed", async {
        let card = card().await;
        let mut client = Client::start(opening(MODULE), &[]);
        let (slot, key) = public(&client);
        let signed = [DIGEST_INFO, &[7; 32]].concat();
        let mut meant = refer(&key);
        meant.handle = None;
        let task = Task::Sign { key: meant, mechanism: SignMechanism::RsaPkcs, data: signed.clone() };
        let outcome = client.unlocked(slot, task);
        let Ok((Answer::Signature(signature), _)) = outcome else { panic!("{outcome:?}") };
        let number = |octets: &[u8]| BigNum::from_slice(octets).unwrap();
        let rsa = Rsa::from_public_components(number(&key.modulus), number(&key.exponent)).unwrap();
        let mut plain = vec![0; 256];
        let length = rsa.public_decrypt(&signature, &mut plain, Padding::PKCS1).unwrap();
        assert_eq!(plain[..length], signed);

        // The module tells of its card only now, and it is looked at once more.
        sleep(SOME_LOOKS);
        let before = card.apdus();
        sleep(SOME_LOOKS);
        assert_eq!(card.apdus(), before, "a card is not asked for news");
        card.tell("remove");
        client.wait_until("the card is gone", |tokens| tokens.is_empty());
        card.tell("insert");
        client.wait_until("the card is back", |tokens| tokens.contains_key(&slot));
    });
}
