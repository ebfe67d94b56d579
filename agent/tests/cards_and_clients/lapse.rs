//! A card that was unlocked does not stay so for ever, where `card-verified-ttl` says so.

use crate::world::fleet::Fleet;

const CARD: &str = "00000001";

/// VERIFY for signatures, and the same with P1=FF, in the card's own log.
const VERIFY: &str = " 00200081 ";
const FORGET: &str = " 0020FF81 ";

#[tokio::test]
async fn a_card_is_locked_when_its_time_is_over_and_the_pin_asked_again() {
    let fleet = Fleet::new(&["--card-verified-ttl=2", "--pin-cache-ttl=0"]);
    let _card = fleet.plug_in_with_keys(CARD, &[]).await;
    let mut client = fleet.client().await;
    client.sign_with(CARD).await;
    client.sign_with(CARD).await;
    assert_eq!((client.questions, fleet.count(CARD, FORGET)), (1, 0));
    fleet.wait_for(CARD, FORGET, 1).await;
    client.sign_with(CARD).await;
    assert_eq!((client.questions, fleet.count(CARD, VERIFY)), (2, 2));
}

#[tokio::test]
async fn a_locked_card_is_unlocked_silently_by_a_pin_within_its_time() {
    let fleet = Fleet::new(&["--card-verified-ttl=1", "--pin-cache-ttl=600"]);
    let _card = fleet.plug_in_with_keys(CARD, &[]).await;
    let mut client = fleet.client().await;
    client.sign_with(CARD).await;
    fleet.wait_for(CARD, FORGET, 1).await;
    client.sign_with(CARD).await;
    assert_eq!((client.questions, fleet.count(CARD, VERIFY)), (1, 2));
}

#[tokio::test]
async fn with_no_time_at_all_every_signature_asks() {
    let fleet = Fleet::new(&["--card-verified-ttl=0", "--pin-cache-ttl=0"]);
    let _card = fleet.plug_in_with_keys(CARD, &[]).await;
    let mut client = fleet.client().await;
    for signature in 1..=3 {
        client.sign_with(CARD).await;
        assert_eq!(client.questions, signature);
        fleet.wait_for(CARD, FORGET, signature).await;
    }
}

#[tokio::test]
async fn without_the_option_a_card_stays_unlocked() {
    let fleet = Fleet::new(&["--pin-cache-ttl=0"]);
    let _card = fleet.plug_in_with_keys(CARD, &[]).await;
    let mut client = fleet.client().await;
    client.sign_with(CARD).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    client.sign_with(CARD).await;
    assert_eq!((client.questions, fleet.count(CARD, FORGET)), (1, 0));
}
