//! The connection with one helper process: tasks go out, answers come back by their numbers.
//!
//! What is sent is begun at once: there are never more tasks on their way than the helper has threads, so a task's deadline
//! starts when it is sent. One that passes costs the helper its life, since nothing less stops a module that hangs.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use claviger_secret::Secret;
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::pkcs11::wire::frame::{self, FrameError, Reader};
use crate::pkcs11::wire::{Answer, Fault, FromHelper, Login, Task, ToHelper};

/// The most tasks that a helper is given at a time, whatever it says.
const MAX_THREADS: usize = 64;

/// How a task ended.
pub(super) type Ended = Result<(Answer, Option<Secret>), Fault>;

/// Why a helper gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// It is gone.
    Helper,
    /// It did not answer in time.
    Late,
    /// The message cannot be sent: something in it is over a limit.
    TooLarge,
}

/// The daemon's end of a connection.
pub(super) struct Link {
    stream: UnixStream,
    /// Held while a message is written.
    writing: tokio::sync::Mutex<()>,
    waiting: Mutex<Waiting>,
    next: AtomicU64,
    /// As many as the helper has threads.
    turns: Arc<Semaphore>,
    /// Set when the helper is of no use any more.
    broken: watch::Sender<bool>,
    /// A task was not answered in time.
    late: AtomicBool,
    /// Woken when a task is not on its way any more.
    ended: Notify,
}

#[derive(Default)]
struct Waiting {
    tasks: HashMap<u64, Pending>,
    looks: HashMap<u64, oneshot::Sender<Ended>>,
    /// No answers come any more.
    over: bool,
}

/// A task on its way. Its turn is over when the answer is there, whether somebody waits for it or not.
struct Pending {
    answer: oneshot::Sender<Ended>,
    /// Until when others may have to wait for it.
    patience: Option<Instant>,
    _turn: OwnedSemaphorePermit,
}

/// A task for a token, with the secrets that belong to it: a login's PIN first.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) slot: u64,
    pub(super) login: Option<Login>,
    pub(super) task: Task,
    pub(super) secrets: Vec<Secret>,
    /// Whether it may take long. A module may let all others wait meanwhile, so their deadlines are put off.
    pub(super) patient: bool,
}

impl Link {
    /// A link on a socket. No task is sent before the helper [is ready](Self::ready).
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            writing: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            turns: Arc::new(Semaphore::new(0)),
            broken: watch::Sender::new(false),
            late: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    /// The helper is ready, for so many tasks at a time. To be said once.
    pub(super) fn ready(&self, threads: usize) {
        self.turns.add_permits(threads.clamp(1, MAX_THREADS));
    }

    /// Has the helper carry out a task. Dropping the future leaves the task to its end.
    pub(super) async fn run(self: &Arc<Self>, errand: Errand, limit: Duration) -> Result<Ended, Lost> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Lost::Helper)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let Errand { slot, login, task, secrets, patient } = errand;
        let (answer, ended) = oneshot::channel();
        let patience = patient.then(|| Instant::now() + limit);
        self.expect(|waiting| drop(waiting.tasks.insert(number, Pending { answer, patience, _turn: turn })))?;
        self.send_expected(number, &ToHelper::Do { number, slot, login, task }, &secrets).await?;
        // They are not kept until the answer comes.
        drop(secrets);
        Wait::new(self, ended, limit).ended().await
    }

    /// Has the helper look for tokens, and waits until it has. One that cannot even look in time hangs.
    pub(super) async fn look(self: Arc<Self>, limit: Duration) -> Result<(), Lost> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (over, looked) = oneshot::channel();
        self.expect(|waiting| drop(waiting.looks.insert(number, over)))?;
        self.send_expected(number, &ToHelper::Look { number }, &[]).await?;
        Wait::new(&self, looked, limit).ended().await.map(drop)
    }

    async fn send_expected(&self, number: u64, message: &ToHelper, secrets: &[Secret]) -> Result<(), Lost> {
        let mut unsent = Unsent { link: self, number: Some(number) };
        self.send(message, secrets).await?;
        unsent.number = None;
        Ok(())
    }

    /// Sends a message. Whoever drops the future within a message breaks the link.
    pub(super) async fn send(&self, message: &ToHelper, secrets: &[Secret]) -> Result<(), Lost> {
        let encoded = frame::encode(message, secrets).map_err(|_| Lost::TooLarge)?;
        let _writing = self.writing.lock().await;
        let mut begun = Begun { link: self, is_begun: false };
        for part in [&encoded.head, encoded.secrets.as_bytes()] {
            self.write(part, &mut begun).await.map_err(|_| Lost::Helper)?;
        }
        begun.is_begun = false;
        Ok(())
    }

    async fn write(&self, mut octets: &[u8], begun: &mut Begun<'_>) -> io::Result<()> {
        while !octets.is_empty() {
            match self.stream.try_write(octets) {
                Ok(written) => {
                    begun.is_begun = true;
                    octets = octets.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until there is a message that belongs to no task; `None` when the helper is gone or of no use any more.
    pub(super) async fn news(
        &self,
        inbox: &mut Reader<FromHelper>,
    ) -> Result<Option<FromHelper>, FrameError> {
        let mut broken = self.broken.subscribe();
        let read = async {
            loop {
                while let Some((message, secrets)) = inbox.next()? {
                    if let Some(news) = self.sort(message, secrets) {
                        return Ok(Some(news));
                    }
                }
                match self.fill(inbox).await {
                    Ok(0) | Err(_) => return Ok(None),
                    Ok(_) => {}
                }
            }
        };
        tokio::select! {
            biased;
            _ = broken.wait_for(|broken| *broken) => Ok(None),
            news = read => news,
        }
    }

    /// No answers come any more.
    pub(super) fn close(&self) {
        self.turns.close();
        let mut waiting = self.waiting();
        waiting.over = true;
        waiting.tasks.clear();
        waiting.looks.clear();
    }

    /// The helper is of no use any more.
    pub(super) fn give_up(&self) {
        self.broken.send_replace(true);
    }

    /// Whether a task was not answered in time.
    pub(super) fn is_late(&self) -> bool {
        self.late.load(Ordering::Relaxed)
    }

    /// Ends when no task is on its way.
    pub(super) async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.waiting().tasks.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// The same when it did not answer in time.
    fn give_up_late(&self) {
        self.late.store(true, Ordering::Relaxed);
        self.give_up();
    }

    async fn fill(&self, reader: &mut Reader<FromHelper>) -> io::Result<usize> {
        loop {
            match self.stream.try_read(reader.room()) {
                Ok(octets) => {
                    reader.filled(octets);
                    return Ok(octets);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.readable().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives an answer to whoever waits for it, and everything else back.
    fn sort(&self, message: FromHelper, secrets: Vec<Secret>) -> Option<FromHelper> {
        match message {
            FromHelper::Done { number, result } => {
                let pending = self.waiting().tasks.remove(&number);
                self.ended.notify_one();
                // Whoever asked may have left.
                let _ = pending.map(|Pending { answer, .. }| {
                    answer.send(result.map(|answer| (answer, secrets.into_iter().next())))
                });
                None
            }
            FromHelper::Looked { number } if number != 0 => {
                let looked = self.waiting().looks.remove(&number);
                let _ = looked.map(|over| over.send(Ok((Answer::Done, None))));
                None
            }
            news => Some(news),
        }
    }

    fn expect(&self, expect: impl FnOnce(&mut Waiting)) -> Result<(), Lost> {
        let mut waiting = self.waiting();
        if waiting.over {
            return Err(Lost::Helper);
        }
        expect(&mut waiting);
        Ok(())
    }

    /// Until when a patient task may let others wait, if there is one on its way.
    fn patience(&self) -> Option<Instant> {
        self.waiting().tasks.values().filter_map(|pending| pending.patience).max()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Breaks the link when a message was begun and not ended.
struct Begun<'l> {
    link: &'l Link,
    is_begun: bool,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if self.is_begun {
            self.link.give_up();
        }
    }
}

/// Takes back what was not sent after all.
struct Unsent<'l> {
    link: &'l Link,
    number: Option<u64>,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut waiting = self.link.waiting();
        waiting.looks.remove(&number);
        waiting.tasks.remove(&number);
        drop(waiting);
        self.link.ended.notify_one();
    }
}

/// The wait for an answer, and for no longer than the deadline: then the helper is given up.
struct Wait {
    link: Arc<Link>,
    ended: oneshot::Receiver<Ended>,
    end: Instant,
    limit: Duration,
}

impl Wait {
    fn new(link: &Arc<Link>, ended: oneshot::Receiver<Ended>, limit: Duration) -> Self {
        Self { link: Arc::clone(link), ended, end: Instant::now() + limit, limit }
    }

    /// The answer for whoever asked.
    async fn ended(self) -> Result<Ended, Lost> {
        let mut attended = Attended(Some(self));
        let result = match attended.0.as_mut() {
            Some(wait) => wait.answer().await,
            None => Err(Lost::Helper),
        };
        attended.0 = None;
        result
    }

    async fn answer(&mut self) -> Result<Ended, Lost> {
        loop {
            if let Ok(answer) = timeout_at(self.end, &mut self.ended).await {
                return answer.map_err(|_| Lost::Helper);
            }
            match self.link.patience().filter(|until| *until > self.end) {
                Some(until) => self.end = until + self.limit,
                None => break,
            }
        }
        self.link.give_up_late();
        Err(Lost::Late)
    }
}

/// A wait that somebody attends to. When they leave early, the deadline is watched all the same.
struct Attended(Option<Wait>);

impl Drop for Attended {
    fn drop(&mut self) {
        let Some(mut wait) = self.0.take() else { return };
        // Without a runtime nothing goes on, nor does the helper. One that ends drops what it is given: that must not come
        // here again, so a wait of its own is no value of this type.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { wait.answer().await.map(drop) });
        }
    }
}

#[cfg(test)]
pub(super) mod scripted;
#[cfg(test)]
mod tests;
