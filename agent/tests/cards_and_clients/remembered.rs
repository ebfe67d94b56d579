//! PINs that are remembered, and those that are not any more.

use crate::world::fleet::{Client, Fleet};

const CARD: &str = "00000001";

/// CHANGE REFERENCE DATA: 123456 becomes 654321.
const CHANGE: &str = "APDU 002400810C313233343536363534333231";

#[tokio::test]
async fn a_pin_that_a_raw_command_changed_is_not_tried() {
    let fleet = Fleet::new(&[]);
    let _card = fleet.plug_in_with_keys(CARD, &[]).await;
    let mut client = fleet.client().await;
    client.sign_with(CARD).await;
    client.ok(CHANGE).await;
    let said = client.ask("PKSIGN --hash=sha256 OPENPGP.1").await;
    assert!(said.contains("ERR 100663383 Bad PIN"), "{said}");
    assert_eq!((client.questions, tries(&mut client).await), (2, '2'), "only what was typed is tried");
}

#[tokio::test]
async fn a_pin_is_remembered_for_one_stay_of_the_card() {
    let fleet = Fleet::new(&[]);
    let card = fleet.plug_in_with_keys(CARD, &[]).await;
    let mut client = fleet.client().await;
    client.sign_with(CARD).await;
    drop(card);
    client.is_gone(CARD).await;
    let _card = fleet.plug_in(CARD, &[]);
    client.sign_with(CARD).await;
    assert_eq!(client.questions, 2);
}

/// How many tries the user PIN has.
async fn tries(client: &mut Client) -> char {
    let status = client.ok("GETATTR CHV-STATUS").await;
    status.split('+').nth(5).and_then(|tries| tries.chars().next()).expect("seven numbers")
}
