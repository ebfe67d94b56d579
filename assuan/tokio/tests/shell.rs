//! What the shell does when clients and handlers behave badly.
#![allow(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use claviger_assuan::conversation::{BoxFuture, Conversation, InquiryError};
use claviger_assuan::error::{Code, Error, Source};
use claviger_assuan::server::{After, End, Session};
use claviger_assuan::table::CommandInfo;
use claviger_assuan_tokio::{Connection, Service, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const TABLE: &[CommandInfo] = &[
    CommandInfo { name: "FLOOD", help: "" },
    CommandInfo { name: "ASK", help: "" },
    CommandInfo { name: "GIVEUP", help: "" },
    CommandInfo { name: "FLUSH", help: "" },
    CommandInfo { name: "LINGER", help: "" },
    CommandInfo { name: "WATCH", help: "" },
    CommandInfo { name: "NOTE", help: "" },
];

/// How long LINGER stays unless the client goes.
const LINGERING: Duration = Duration::from_secs(2);

/// How many pieces of 10,000 octets FLOOD sends.
const PIECES: usize = 1000;

#[derive(Default)]
struct Badly {
    pieces_sent: Arc<AtomicUsize>,
    heard: Arc<AtomicUsize>,
}

impl Service for Badly {
    fn command<'a>(
        &'a mut self,
        index: usize,
        _args: &'a [u8],
        talk: &'a mut dyn Conversation,
    ) -> BoxFuture<'a, Result<After, Error>> {
        Box::pin(async move {
            match TABLE[index].name {
                "FLOOD" => self.flood(talk).await,
                "ASK" => self.ask(talk).await,
                "GIVEUP" => give_up(talk).await,
                "LINGER" => {
                    let gone = timeout(LINGERING, talk.closed()).await.is_ok();
                    self.heard.fetch_add(usize::from(gone), Ordering::SeqCst);
                    Ok(After::Continue)
                }
                "NOTE" => {
                    self.heard.fetch_add(1, Ordering::SeqCst);
                    Ok(After::Continue)
                }
                "WATCH" => {
                    talk.interrupted().await;
                    Ok(After::Continue)
                }
                _ => {
                    talk.data(b"abc");
                    talk.flush().await.map_err(|_| Error::new(Source::Scd, Code::EPIPE))?;
                    talk.data(b"def");
                    Ok(After::Continue)
                }
            }
        })
    }

    fn option(&mut self, _name: &[u8], _value: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn reset<'a>(&'a mut self, _args: &'a [u8]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

impl Badly {
    async fn flood(&self, talk: &mut dyn Conversation) -> Result<After, Error> {
        for _ in 0..PIECES {
            talk.data(&[b'x'; 10_000]);
            talk.drain().await.map_err(|_| Error::new(Source::Scd, Code::EPIPE))?;
            self.pieces_sent.fetch_add(1, Ordering::SeqCst);
        }
        Ok(After::Continue)
    }

    async fn ask(&self, talk: &mut dyn Conversation) -> Result<After, Error> {
        match talk.inquire("NEEDPIN", b"||PIN", 100).await {
            Ok(pin) => self.heard.fetch_add(pin.len(), Ordering::SeqCst),
            Err(InquiryError::Closed) => self.heard.fetch_add(1000, Ordering::SeqCst),
            Err(error) => return Err(Error::new(Source::Scd, error.code())),
        };
        Ok(After::Continue)
    }
}

/// Asks, and does not wait for the answer.
async fn give_up(talk: &mut dyn Conversation) -> Result<After, Error> {
    let _ = timeout(Duration::from_millis(5), talk.inquire("NEEDPIN", b"||PIN", 100)).await;
    let again = talk.inquire("NEEDPIN", b"||PIN", 100).await;
    assert!(matches!(again, Err(InquiryError::Nested)));
    Err(Error::new(Source::Scd, Code::CARD_REMOVED))
}

/// A server with its client's end of a stream that holds `room` octets.
fn server(room: usize, service: Badly) -> (DuplexStream, JoinHandle<io::Result<End>>) {
    server_until(Box::pin(std::future::pending()), room, service)
}

/// The same, where the end of `gone` tells that the client is.
fn server_until(
    gone: BoxFuture<'static, ()>,
    room: usize,
    mut service: Badly,
) -> (DuplexStream, JoinHandle<io::Result<End>>) {
    let (ours, theirs) = duplex(room);
    let (reader, writer) = split(theirs);
    let session = Session::new(Source::Scd, TABLE, "ready");
    let connection = Connection::new(reader, writer).until(gone);
    (ours, tokio::spawn(async move { serve(connection, session, &mut service).await }))
}

/// Reads until the client has heard `what` at the end.
async fn hear(client: &mut DuplexStream, what: &str) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(what.as_bytes()) {
        assert_ne!(timeout(Duration::from_secs(5), client.read_buf(&mut heard)).await.unwrap().unwrap(), 0);
    }
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn the_greeting_does_not_wait_for_the_client() {
    let (mut client, _server) = server(100, Badly::default());
    assert_eq!(hear(&mut client, "\n").await, "OK ready\n");
}

#[tokio::test]
async fn a_handler_that_drains_waits_for_a_slow_client() {
    let service = Badly::default();
    let pieces_sent = Arc::clone(&service.pieces_sent);
    let (mut client, server) = server(4096, service);
    client.write_all(b"FLOOD\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(pieces_sent.load(Ordering::SeqCst), 0);
    client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.iter().filter(|octet| **octet == b'x').count(), 10_000 * PIECES);
    let short_lines =
        heard.split(|octet| *octet == b'\n').filter(|line| line.starts_with(b"D ") && line.len() < 998);
    assert_eq!(short_lines.count(), 1);
    assert_eq!(server.await.unwrap().unwrap(), End::EndOfStream);
}

#[tokio::test]
async fn a_flush_ends_the_data_line() {
    let (mut client, _server) = server(4096, Badly::default());
    client.write_all(b"FLUSH\n").await.unwrap();
    assert_eq!(hear(&mut client, "OK\n").await, "OK ready\nD abc\nD def\nOK\n");
}

#[tokio::test]
async fn a_client_gone_in_the_middle_of_data_ends_the_session() {
    let service = Badly::default();
    let pieces_sent = Arc::clone(&service.pieces_sent);
    let (mut client, server) = server(4096, service);
    client.write_all(b"FLOOD\n").await.unwrap();
    hear(&mut client, "D xxx").await;
    drop(client);
    assert_eq!(server.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert!(pieces_sent.load(Ordering::SeqCst) < PIECES);
}

#[tokio::test]
async fn a_client_gone_in_an_inquiry_wakes_the_handler() {
    let service = Badly::default();
    let heard = Arc::clone(&service.heard);
    let (mut client, server) = server(4096, service);
    client.write_all(b"ASK\nD 12").await.unwrap();
    hear(&mut client, "PIN\n").await;
    drop(client);
    assert!(server.await.unwrap().is_err());
    assert_eq!(heard.load(Ordering::SeqCst), 1000);
}

#[tokio::test]
async fn an_inquiry_that_is_given_up_leaves_the_session_in_step() {
    let service = Badly::default();
    let heard = Arc::clone(&service.heard);
    let (mut client, _server) = server(4096, service);
    client.write_all(b"GIVEUP\n").await.unwrap();
    let said = hear(&mut client, "<SCD>\n").await;
    assert_eq!(said, "OK ready\nINQUIRE NEEDPIN ||PIN\nERR 100663406 Card removed <SCD>\n");
    client.write_all(b"D 123456\nEND\nNOP\nASK\nD 12\nEND\n").await.unwrap();
    assert_eq!(hear(&mut client, "PIN\nOK\n").await, "OK\nINQUIRE NEEDPIN ||PIN\nOK\n");
    assert_eq!(heard.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_client_gone_ends_a_handler_that_waits_for_that() {
    let service = Badly::default();
    let heard = Arc::clone(&service.heard);
    let (mut client, server) = server(4096, service);
    client.write_all(b"LINGER\n").await.unwrap();
    hear(&mut client, "ready\n").await;
    drop(client);
    let ended = timeout(LINGERING / 2, server).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(heard.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_was_sent_before_the_end_is_answered_after_the_handler_that_noticed_it() {
    let service = Badly::default();
    let heard = Arc::clone(&service.heard);
    let (mut client, server) = server(4096, service);
    client.write_all(b"LINGER\nFLUSH\nNOP\nNO").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(hear(&mut client, "OK\nOK\n").await, "OK ready\nOK\nD abc\nD def\nOK\nOK\n");
    assert_eq!(timeout(LINGERING / 2, server).await.unwrap().unwrap().unwrap(), End::EndOfStream);
    assert_eq!(heard.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_command_is_broken_off_when_its_client_is_gone_whatever_it_has_sent_ahead() {
    let service = Badly::default();
    let heard = Arc::clone(&service.heard);
    let (client_goes, gone) = oneshot::channel::<()>();
    let gone = Box::pin(async { drop(gone.await) });
    let (mut client, server) = server_until(gone, 1 << 16, service);
    client.write_all(format!("ASK\nD 1\nEND\nWHAT\nASK\n{}", "# x\n".repeat(5000)).as_bytes()).await.unwrap();
    assert_eq!(
        hear(&mut client, "PIN\n").await,
        "OK ready\nINQUIRE NEEDPIN ||PIN\nOK\nERR 100663571 Unknown IPC command <SCD>\nINQUIRE NEEDPIN ||PIN\n"
    );
    client_goes.send(()).unwrap();
    let ended = timeout(LINGERING, server).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(heard.load(Ordering::SeqCst), 1, "the second question was dropped");
}

#[tokio::test]
async fn a_client_that_is_gone_before_its_commands_are_read_is_obeyed_as_far_as_it_takes_no_time() {
    let service = Badly::default();
    let heard = Arc::clone(&service.heard);
    let (mut client, server) = server_until(Box::pin(std::future::ready(())), 4096, service);
    client.write_all(b"NOTE\nNOTE\nLINGER\nNOTE\n").await.unwrap();
    assert!(timeout(LINGERING / 2, server).await.unwrap().unwrap().is_err());
    assert_eq!(heard.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn of_a_client_that_sends_ahead_too_much_the_end_is_noticed_late_and_nothing_is_lost() {
    const LINES: usize = 5000;
    let service = Badly::default();
    let heard = Arc::clone(&service.heard);
    let (mut client, server) = server(1 << 16, service);
    client.write_all(format!("LINGER\n{}", "NOP\n".repeat(LINES)).as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    assert_eq!(said.iter().filter(|octet| **octet == b'\n').count(), 1 + 1 + LINES);
    assert_eq!(server.await.unwrap().unwrap(), End::EndOfStream);
    assert_eq!(heard.load(Ordering::SeqCst), 0, "it lingered for its whole time");
}

#[tokio::test]
async fn the_next_line_interrupts_a_handler_and_is_answered_after_it() {
    let (mut client, _server) = server(4096, Badly::default());
    client.write_all(b"WATCH\n").await.unwrap();
    hear(&mut client, "ready\n").await;
    let nothing = timeout(Duration::from_millis(20), client.read_u8()).await;
    assert!(nothing.is_err(), "it watches on");
    client.write_all(b"FLUSH\n").await.unwrap();
    assert_eq!(hear(&mut client, "def\nOK\n").await, "OK\nD abc\nD def\nOK\n");
}
