//! One key on two cards: which of them is used.

use crate::world::fleet::{Client, Fleet};

const OLDER: &str = "00000001";
const NEWER: &str = "00000002";

#[tokio::test]
async fn the_card_that_is_verified_already_serves_and_nobody_is_asked() {
    let fleet = Fleet::new(&["--pin-cache-ttl=0"]);
    let _older = fleet.plug_in_with_keys(OLDER, &[]).await;
    let mut first = fleet.client().await;
    first.ok("SERIALNO --all").await;
    sign(&mut first).await;
    assert_eq!(first.questions, 1);
    let _newer = fleet.plug_in_with_keys(NEWER, &[]).await;
    let mut second = fleet.client().await;
    second.ok("SERIALNO --all").await;
    assert_eq!(second.current().await, NEWER, "a plain SERIALNO means the newest");
    sign(&mut second).await;
    assert_eq!((second.current().await.as_str(), second.questions), (OLDER, 0));
}

#[tokio::test]
async fn a_card_that_was_demanded_serves_although_another_is_verified() {
    let fleet = Fleet::new(&[]);
    let _older = fleet.plug_in_with_keys(OLDER, &[]).await;
    let _newer = fleet.plug_in_with_keys(NEWER, &[]).await;
    let mut client = fleet.client().await;
    client.demand(OLDER).await;
    sign(&mut client).await;
    client.demand(NEWER).await;
    sign(&mut client).await;
    assert_eq!((client.current().await.as_str(), client.questions), (NEWER, 2));
}

#[tokio::test]
async fn a_key_is_found_on_whichever_card_has_it() {
    let fleet = Fleet::new(&[]);
    let _with_keys = fleet.plug_in_with_keys(OLDER, &[]).await;
    let mut client = fleet.client().await;
    client.ok("SERIALNO --all").await;
    let key = client.signing_key().await;
    let _without = fleet.plug_in(NEWER, &[]);
    let mut other = fleet.client().await;
    other.demand(NEWER).await;
    other.ok(&format!("SETDATA {}", "01".repeat(32))).await;
    other.ok(&format!("PKSIGN --hash=sha256 {key}")).await;
    assert_eq!(other.current().await, OLDER);
}

#[tokio::test]
async fn a_card_in_another_reader_goes_on_after_its_pin_was_asked() {
    let fleet = Fleet::new(&[]);
    let card = fleet.plug_in_with_keys(OLDER, &[]).await;
    let mut client = fleet.client().await;
    client.demand(OLDER).await;
    sign(&mut client).await;
    let before = reader(&mut client).await;
    drop(card);
    client.is_gone(OLDER).await;
    // Another card takes the reader that the first one was in.
    let _other = fleet.plug_in(NEWER, &[]);
    client.demand(NEWER).await;
    let _card = fleet.plug_in(OLDER, &[]);
    client.demand(OLDER).await;
    sign(&mut client).await;
    sign(&mut client).await;
    assert_eq!(client.questions, 2, "once in each reader");
    assert_ne!(reader(&mut client).await, before);
}

/// The reader that the session's card is in.
async fn reader(client: &mut Client) -> String {
    let learned = client.ok("LEARN --force").await;
    learned.lines().find(|line| line.starts_with("S READER ")).expect("its name").to_owned()
}

/// Signs with the key by its keygrip.
async fn sign(client: &mut Client) {
    let key = client.signing_key().await;
    client.ok(&format!("SETDATA {}", "01".repeat(32))).await;
    client.ok(&format!("PKSIGN --hash=sha256 {key}")).await;
}
