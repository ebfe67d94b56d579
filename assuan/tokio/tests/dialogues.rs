//! Plays the dialogues of the core's tests to the async shell.
#![allow(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod example;
#[path = "../../tests/world/mod.rs"]
mod world;

use std::path::Path;

use claviger_assuan::error::Source;
use claviger_assuan::server::Session;
use claviger_assuan_tokio::{Connection, serve};
use example::Example;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use world::{GREETING, TABLE, dialogues, written};

const DIALOGUES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/dialogues");

#[tokio::test]
async fn the_shell_says_what_the_dialogues_say() {
    for dialogue in dialogues(Path::new(DIALOGUES)) {
        let (said, end) = play(dialogue.client).await;
        let expected = format!("OK {GREETING}\n{}", written(&dialogue.server));
        assert_eq!(written(&said), expected, "{}", dialogue.name);
        assert_eq!(end, dialogue.end, "{}", dialogue.name);
    }
}

/// What the shell says to a client that sends `client` at once and hangs up, over a stream with little room.
async fn play(client: Vec<u8>) -> (Vec<u8>, String) {
    let (ours, theirs) = duplex(512);
    let (reader, writer) = split(theirs);
    let server = async {
        let session = Session::new(Source::Scd, TABLE, GREETING);
        serve(Connection::new(reader, writer), session, &mut Example).await.unwrap()
    };
    let (mut hear, mut say) = split(ours);
    let talk = async {
        // Where the server hangs up it does not read on.
        let _ = say.write_all(&client).await;
        let _ = say.shutdown().await;
    };
    let mut said = Vec::new();
    let listen = hear.read_to_end(&mut said);
    let (end, (), heard) = tokio::join!(async { format!("{:?}", server.await) }, talk, listen);
    heard.unwrap();
    (said, end)
}
