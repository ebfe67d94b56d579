//! Administration by gpg: each job is done through GnuPG's scdaemon and through ours, with the same gpg, on equal cards;
//! afterwards the cards are compared object by object, and with them what pinentry was told, what gpg said and what it
//! cost the card.
//!
//! Key material, fingerprints and times of keys that a card made are looked at by use: gpg signs and decrypts with them,
//! ssh logs in, and the certificate says the same of them as the card.

mod office;
#[path = "world/mod.rs"]
mod world;

use office::dialogue::Dialogue;
use office::{Job, Pair, gnupg_release, jobs};

#[test]
fn whose_card_it_is() {
    all_the_same(jobs::person::JOBS);
}

#[test]
fn private_objects_and_certificates() {
    all_the_same(jobs::objects::JOBS);
}

#[test]
fn pins_and_the_resetting_code() {
    all_the_same(jobs::pins::JOBS);
}

#[test]
fn keys_that_the_card_makes() {
    all_the_same(jobs::keys::JOBS);
}

#[test]
fn keys_that_come_from_gpg() {
    all_the_same(jobs::import::JOBS);
}

#[test]
fn the_key_derivation() {
    all_the_same(jobs::kdf::JOBS);
}

#[test]
fn what_newer_gnupgs_do() {
    all_the_same(jobs::newer::JOBS);
}

fn all_the_same(jobs: &[Job]) {
    let only = std::env::var("CLAVIGER_JOBS").unwrap_or_default();
    let possible = jobs.iter().filter(|job| job.since <= gnupg_release() && job.name.contains(&only));
    let complaints: Vec<_> = possible.filter_map(complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What is not as it should be.
fn complaint(job: &Job) -> Option<String> {
    let pair = Pair::of(job);
    let seen = Dialogue::seen(&pair, job.varies);
    seen.record(job);
    let wanted = Dialogue::of(job);
    let mut complaints = Vec::new();
    let mut same = |what: &str, seen: &[String], wanted: &[String]| {
        if seen != wanted {
            let [seen, wanted] = [seen, wanted].map(|lines| lines.join("\n"));
            complaints.push(format!("{what}\n-- seen:\n{seen}\n-- wanted:\n{wanted}"));
        }
    };
    same("stock's pinentry was told", &seen.stock, &wanted.stock);
    same("our pinentry was told", &seen.ours, &wanted.ours);
    same("gpg said through stock alone", &seen.said_through_stock, &wanted.said_through_stock);
    same("gpg said through ours alone", &seen.said_through_ours, &wanted.said_through_ours);
    same("objects differ", &seen.objects, &wanted.objects);
    // Where stock did not come to the end of the job, it cost less.
    let is_comparable = seen.said_through_stock.is_empty();
    let (ours, stock, budget) = (&pair.ours.apdus, &pair.stock.apdus, pair.budget());
    if ours.len() > budget && is_comparable {
        let (count, ours, stock) = (ours.len(), ours.join("\n"), stock.join("\n"));
        complaints.push(format!("{count} commands, not {budget}\n-- ours:\n{ours}\n-- stock:\n{stock}"));
    }
    (!complaints.is_empty()).then(|| format!("== {}\n{}", job.name, complaints.join("\n")))
}
