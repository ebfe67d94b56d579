//! An OpenPGP card and two tokens at once, many clients, and a module that does its worst beside them.

use std::time::{Duration, Instant};

use crate::world::crowd::Crowd;

/// How long the clients sign.
const DURATION: Duration = Duration::from_secs(10);
/// How long all of it may take.
const BOUND: Duration = Duration::from_secs(300);

#[test]
fn a_card_and_two_tokens_sign_for_eight_clients_beside_a_module_that_does_its_worst() {
    let begun = Instant::now();
    let crowd = Crowd::gather();
    let listed = crowd.home.agent(&["SCD SERIALNO", "SCD KEYINFO --list"]).ok();
    assert_eq!(listed.text().matches(" T D276000124010304").count(), 3, "keys of the card: {listed}");
    // One of the card signs, and all of the two tokens.
    assert_eq!(crowd.good.len(), 1 + 4);
    let listed = crowd.good.iter().fold(listed, |listed, grip| listed.shows(&format!("S KEYINFO {grip} T ")));
    let served = crowd.sign(DURATION);
    let (asked, done) = served.hostile;
    println!(
        "{} signatures, none failed: {}; of the hostile module {done} of {asked}; {:?} in all",
        served.times.len(),
        served.failures.is_empty(),
        begun.elapsed()
    );
    assert_eq!(served.failures, Vec::<String>::new(), "seed {}: {listed}", crowd.seed);
    assert!(served.times.len() > 200, "only {} signatures, seed {}", served.times.len(), crowd.seed);
    assert!(asked > done, "the hostile module did no harm: {done} of {asked}, seed {}", crowd.seed);
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
}
