//! The other end of a link, which a test speaks for.

use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;

use super::*;
use crate::pkcs11::wire::frame::encode;

/// The helper's end.
pub(in crate::pkcs11::provider) struct Other {
    pub(super) stream: UnixStream,
    inbox: Reader<ToHelper>,
}

impl Other {
    /// The next message that the link sends.
    pub(in crate::pkcs11::provider) async fn hear(&mut self) -> ToHelper {
        loop {
            if let Some((message, _)) = self.inbox.next().unwrap() {
                return message;
            }
            self.stream.readable().await.unwrap();
            match self.stream.try_read(self.inbox.room()) {
                Ok(octets) => self.inbox.filled(octets),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    }

    /// The number of the next task.
    pub(in crate::pkcs11::provider) async fn task(&mut self) -> u64 {
        match self.hear().await {
            ToHelper::Do { number, .. } => number,
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::pkcs11::provider) async fn say(&mut self, message: FromHelper) {
        let encoded = encode(&message, &[]).unwrap();
        self.stream.write_all(&encoded.head).await.unwrap();
    }

    pub(in crate::pkcs11::provider) async fn answer(&mut self, number: u64, octet: u8) {
        self.say(FromHelper::Done { number, result: Ok(Answer::Random(vec![octet])) }).await;
    }

    /// Whether nothing more was sent.
    pub(in crate::pkcs11::provider) fn is_quiet(&mut self) -> bool {
        self.inbox.next().unwrap().is_none() && self.stream.try_read(self.inbox.room()).is_err()
    }
}

/// A link for so many tasks at a time, and its other end.
pub(in crate::pkcs11::provider) fn linked(threads: usize) -> (Arc<Link>, Other) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let link = Arc::new(Link::new(ours));
    link.ready(threads);
    (link, Other { stream: theirs, inbox: Reader::new() })
}

/// Listens as a provider does; what belongs to no task, and whether the end was no error.
pub(in crate::pkcs11::provider) fn listen(link: &Arc<Link>) -> JoinHandle<(Vec<FromHelper>, bool)> {
    let link = Arc::clone(link);
    tokio::spawn(async move {
        let (mut inbox, mut heard) = (Reader::new(), Vec::new());
        let is_end = loop {
            match link.news(&mut inbox).await {
                Ok(Some(news)) => heard.push(news),
                end => break end.is_ok(),
            }
        };
        link.close();
        (heard, is_end)
    })
}
