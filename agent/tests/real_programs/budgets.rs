//! No job sends a card more commands than its budget, nor more than stock scdaemon sends for it.

use crate::world::Scdaemon;
use crate::world::bill::{Desk, JOBS};

#[test]
fn no_job_sends_more_apdus_than_its_budget_or_than_stock() {
    let mut desk = Desk::new();
    let stock = desk.bill(Scdaemon::Stock);
    let ours = desk.bill(Scdaemon::Ours);
    let mut too_dear = String::new();
    for ((job, stock), ours) in JOBS.iter().zip(&stock.entries).zip(&ours.entries) {
        let (sent, limit) = (ours.apdus.len(), job.budget.min(stock.apdus.len()));
        if sent > limit {
            too_dear += &format!("{}: {sent} APDUs, not {limit}:\n{}\n", job.name, ours.apdus.join("\n"));
        }
    }
    assert!(too_dear.is_empty(), "{too_dear}");
}
