//! The document that is made and not written: `docs/protocol.md`. And the two clients in `docs/examples`, which work.
//!
//! ```text
//!   command table ───────────► usage, when allowed ─┐
//!   WORDS.tsv ───────────────► since when ──────────┤
//!   transcripts ─────────────► what is sent ────────┼──► command ──► protocol ──► docs/protocol.md
//!   statuses.tsv, errors.tsv ► what it means ───────┤
//!   chapters/*.md ───────────► the rest ────────────┘
//! ```
//!
//! A test compares the file with what is made; `make docs` writes it. Which status lines, inquiries and errors a
//! command has is taken from the transcripts, so that it was seen; the tables say what each means, and a test fails where
//! one is missing or nobody sends it.

#[path = "../world/mod.rs"]
mod world;

mod command;
mod dialogue;
mod examples;
mod protocol;
mod tables;

use std::fs;

use world::repository;

/// Where the document stands.
const DOCUMENT: &str = "docs/protocol.md";

#[test]
fn the_document_is_up_to_date() {
    let found = fs::read_to_string(repository(DOCUMENT)).unwrap_or_default();
    let made = protocol::page();
    let differs = found.lines().zip(made.lines()).position(|(found, made)| found != made);
    let line = differs.unwrap_or_else(|| found.lines().count().min(made.lines().count())) + 1;
    assert!(found == made, "{DOCUMENT} is stale from line {line} on: run `make docs`");
}

#[test]
#[ignore = "a tool: `make docs` writes the document with it"]
fn write_the_document() {
    fs::write(repository(DOCUMENT), protocol::page()).expect("docs/ is writable");
}
