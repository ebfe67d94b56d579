//! GnuPG's programs at the other end: its scdaemon for our clients, its gpg-connect-agent for our server.
#![allow(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod example;
#[path = "../../tests/world/mod.rs"]
#[allow(dead_code, reason = "the dialogues are played elsewhere")]
mod world;

use std::path::Path;
use std::process::Stdio;

use claviger_assuan::client::{Answer, ClientError};
use claviger_assuan::conversation::BoxFuture;
use claviger_assuan::error::{Code, Error, Source};
use claviger_assuan::server::Session;
use claviger_assuan_tokio::client::{Caller, Client};
use claviger_assuan_tokio::{Connection, serve};
use claviger_secret::Secret;
use example::Example;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::process::Command;
use world::{GREETING, TABLE};

const SCDAEMON: &str = "/usr/lib/gnupg/scdaemon";

#[tokio::test]
async fn a_pipe_child_is_asked_and_says_goodbye() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(SCDAEMON);
    command.args(["--server", "--homedir"]).arg(home.path()).stderr(Stdio::null());
    let (mut client, mut child) = Client::spawn(&mut command).await.unwrap();

    let version = client.request(b"GETINFO version", 100).await.unwrap();
    assert!(version.data().unwrap().starts_with(b"2."), "{version:?}");
    let Err(ClientError::Refused(error)) = client.request(b"GETINFO nonsense", 0).await else {
        panic!("not refused")
    };
    let expected = Error::new(Source::Scd, Code::ASS_PARAMETER).with_text("unknown value for WHAT");
    assert_eq!(error, expected);
    client.request(b"BYE", 0).await.unwrap();
    assert!(matches!(client.request(b"NOP", 0).await, Err(ClientError::Closed | ClientError::Io(_))));
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_program_that_is_no_server_is_noticed() {
    let gone = Client::spawn(&mut Command::new("/bin/true")).await;
    assert!(matches!(gone, Err(ClientError::Closed)));
    let talks = Client::spawn(Command::new("/bin/echo").arg("Hello")).await;
    assert!(matches!(talks, Err(ClientError::NoReply)));
    let absent = Client::spawn(&mut Command::new("/nonexistent/scdaemon")).await;
    assert!(matches!(absent, Err(ClientError::Io(_))));
}

#[tokio::test]
async fn gpg_connect_agent_talks_to_our_server() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("S.example");
    let server = tokio::spawn(serve_on(UnixListener::bind(&socket).unwrap()));
    let script =
        "/let pin 12%3456\n/definq WHAT pin\nASK 100\nDATA 3 %\nSTATUS 2\nNOSUCH\nHELP STATUS\nBYE\n";
    let said = gpg_connect_agent(&socket, script).await;
    let expected = "INQUIRE WHAT now\nD 12%253456\nOK\nD %25%25%25\nOK\nS X xx\nOK\nERR 100663571 Unknown IPC command <SCD>\n# STATUS <n>\nOK\n\
                    OK closing connection\n";
    assert_eq!(said, expected);
    server.abort();
}

#[tokio::test]
async fn clients_follow_a_redirect_file() {
    let place = tempfile::tempdir().unwrap();
    let (socket, redirect) = (place.path().join("S.real"), place.path().join("S.example"));
    std::fs::write(&redirect, format!("%Assuan%\nsocket={}\n", socket.display())).unwrap();
    let server = tokio::spawn(serve_on(UnixListener::bind(&socket).unwrap()));

    let mut client = Client::connect(&redirect).await.unwrap();
    let data = client.request(b"DATA 3 x", 3).await.unwrap();
    assert_eq!(data.data(), Some(&b"xxx"[..]));
    assert_eq!(gpg_connect_agent(&redirect, "NOP\n").await, "OK\n");
    let blocking = tokio::task::spawn_blocking(move || {
        let mut client = claviger_assuan::client::Client::connect(&redirect).unwrap();
        client.request(b"DATA 2 %", 10).unwrap().data().unwrap().to_vec()
    });
    assert_eq!(blocking.await.unwrap(), b"%%");
    server.abort();
}

#[tokio::test]
async fn an_inquiry_may_take_its_time_and_may_be_refused() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("S.example");
    let server = tokio::spawn(serve_on(UnixListener::bind(&socket).unwrap()));
    let mut client = Client::connect(&socket).await.unwrap();

    let mut person = Person { knows: Some("12%\n34"), answer: Answer::with_limit(100) };
    client.transact(b"ASK 100", &mut person).await.unwrap();
    assert_eq!(person.answer.data(), Some(&b"12%\n34"[..]));
    person.knows = None;
    let Err(ClientError::Refused(error)) = client.transact(b"ASK 100", &mut person).await else {
        panic!("no ERR")
    };
    assert_eq!(error.code(), Code::ASS_CANCELED);
    client.request(b"NOP", 0).await.unwrap();
    server.abort();
}

#[tokio::test]
async fn a_dropped_transaction_leaves_its_connection_out_of_step() {
    struct Asleep;
    impl Caller for Asleep {
        fn data(&mut self, _octets: &[u8]) {}
        fn status(&mut self, _keyword: &str, _value: &[u8]) {}
        fn inquire<'a>(&'a mut self, _keyword: &'a str, _args: &'a [u8]) -> BoxFuture<'a, Option<Secret>> {
            Box::pin(std::future::pending())
        }
    }
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("S.example");
    let server = tokio::spawn(serve_on(UnixListener::bind(&socket).unwrap()));
    let mut client = Client::connect(&socket).await.unwrap();
    let patience = std::time::Duration::from_millis(20);
    assert!(tokio::time::timeout(patience, client.transact(b"ASK 9", &mut Asleep)).await.is_err());
    assert!(matches!(client.request(b"NOP", 0).await, Err(ClientError::OutOfStep)));
    server.abort();
}

/// Answers after a moment, with what it knows.
struct Person {
    knows: Option<&'static str>,
    answer: Answer,
}

impl Caller for Person {
    fn data(&mut self, octets: &[u8]) {
        Caller::data(&mut self.answer, octets);
    }

    fn status(&mut self, keyword: &str, value: &[u8]) {
        Caller::status(&mut self.answer, keyword, value);
    }

    fn inquire<'a>(&'a mut self, keyword: &'a str, args: &'a [u8]) -> BoxFuture<'a, Option<Secret>> {
        assert_eq!((keyword, args), ("WHAT", &b"now"[..]));
        Box::pin(async {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            self.knows.map(|answer| Secret::copy_of(answer.as_bytes()))
        })
    }
}

/// Serves the example to one client after the other.
async fn serve_on(listener: UnixListener) {
    loop {
        let (reader, writer) = listener.accept().await.unwrap().0.into_split();
        let session = Session::new(Source::Scd, TABLE, GREETING);
        tokio::spawn(async move { serve(Connection::new(reader, writer), session, &mut Example).await });
    }
}

/// What gpg-connect-agent prints when it reads `script`.
async fn gpg_connect_agent(socket: &Path, script: &str) -> String {
    let mut command = Command::new("gpg-connect-agent");
    command.arg("--raw-socket").arg(socket).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(script.as_bytes()).await.unwrap();
    String::from_utf8(process.wait_with_output().await.unwrap().stdout).unwrap()
}
