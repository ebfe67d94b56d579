//! A finger that does not come.

use crate::world::fleet::Fleet;

const CARDS: [&str; 2] = ["00000001", "00000002"];

/// PW3, and the first key's user interaction flag (DO D6).
const WANT_A_TOUCH: [&str; 2] = ["APDU 00200083083132333435363738", "APDU 00DA00D6020120"];

#[tokio::test]
async fn a_finger_is_not_waited_for_longer_than_the_deadline_and_another_card_serves_meanwhile() {
    let fleet = Fleet::new(&[]);
    let _cards = [
        fleet.plug_in_with_keys(CARDS[0], &["--touch", "withheld"]).await,
        fleet.plug_in_with_keys(CARDS[1], &[]).await,
    ];
    let mut waiting = fleet.client().await;
    waiting.demand(CARDS[0]).await;
    for command in WANT_A_TOUCH {
        assert_eq!(waiting.ok(command).await, "D \u{90}\0");
    }
    waiting.demand(CARDS[0]).await;
    waiting.ok(&format!("SETDATA {}", "01".repeat(32))).await;
    let grip = waiting.signing_key().await;
    waiting.send("PKSIGN --hash=sha256 OPENPGP.1").await;
    assert_eq!(waiting.line_after_questions().await, format!("S TOUCH_AWAITED {grip}"));
    fleet.client().await.sign_with(CARDS[1]).await;
    // Nothing happens until the deadline: from here on the clock goes there by itself.
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    assert_eq!(waiting.reply().await, "ERR 100663358 Timeout <SCD>");
    let waited = start.elapsed().as_secs();
    assert!((50..=60).contains(&waited), "{waited} s");
}
