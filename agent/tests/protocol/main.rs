//! The documents that are made and not written: `docs/protocol.md`, the manual page `docs/claviger-scdaemon.1` and
//! `docs/claviger.toml.md`. And the two clients in `docs/examples`, which work.
//!
//! ```text
//!   command table ───────────► usage, when allowed ─┐
//!   WORDS.tsv ───────────────► since when ──────────┤
//!   transcripts ─────────────► what is sent ────────┼──► command ──► protocol ──► docs/protocol.md
//!   statuses.tsv, errors.tsv ► what it means ───────┤
//!   chapters/*.md ───────────► the rest ────────────┤
//!   options ─────────────────► what they do ────────┴──► manual ──► docs/claviger-scdaemon.1
//!   keys of claviger.toml ───► what they take ─────────► providers ► docs/claviger.toml.md
//! ```
//!
//! A test compares the files with what is made; `make docs` writes them. Which status lines, inquiries and errors a
//! command has is taken from the transcripts, so that it was seen; the tables say what each means, and a test fails where
//! one is missing or nobody sends it.

#[path = "../world/mod.rs"]
mod world;

mod command;
mod dialogue;
mod examples;
mod manual;
mod protocol;
mod providers;
mod tables;

use std::fs;

use world::repository;

/// A document: where it stands, and what makes it.
type Document = (&'static str, fn() -> String);

const DOCUMENTS: [Document; 3] = [
    ("docs/protocol.md", protocol::page),
    ("docs/claviger-scdaemon.1", manual::page),
    ("docs/claviger.toml.md", providers::page),
];

#[test]
fn the_documents_are_up_to_date() {
    for (path, page) in DOCUMENTS {
        let found = fs::read_to_string(repository(path)).unwrap_or_default();
        let made = page();
        let differs = found.lines().zip(made.lines()).position(|(found, made)| found != made);
        let line = differs.unwrap_or_else(|| found.lines().count().min(made.lines().count())) + 1;
        assert!(found == made, "{path} is stale from line {line} on: run `make docs`");
    }
}

#[test]
#[ignore = "a tool: `make docs` writes the documents with it"]
fn write_the_documents() {
    for (path, page) in DOCUMENTS {
        fs::write(repository(path), page()).expect("docs/ is writable");
    }
}
