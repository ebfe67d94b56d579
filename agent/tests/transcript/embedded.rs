//! The stage without a process: our scdaemon as a library, sessions over socket pairs, and the card at the reader socket.
//! No pcscd has a part in it.

use std::ffi::OsString;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use claviger::scdaemon::{Asked, Scdaemon};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::card::Reader;
use super::play::{Stage, Wire};
use super::script::{Scene, Seat, Side, TokenEvent};
use super::theatre::{Scenery, Theatre};
use super::wire::Stream;

/// How long the start may take.
const START: Duration = Duration::from_secs(10);
/// After this, a card that was pulled from the reader socket is gone for everybody.
const REMOVAL_SEEN: Duration = Duration::from_millis(200);

/// A play's scdaemon, which ends with it.
pub(crate) struct Embedded {
    clients: Option<UnboundedSender<UnixStream>>,
    core: Option<JoinHandle<()>>,
    scenery: Scenery,
}

impl Embedded {
    /// Starts it on a thread of its own, then puts the card in.
    pub(crate) fn start(theatre: &'static Theatre, scene: &Scene) -> Result<Self, String> {
        let reader = |home: &Path, _| Some(Reader::Socket(home.join("reader")));
        let mut scenery = Scenery::set(theatre, scene, reader, REMOVAL_SEEN)?;
        let home = scenery.home.path();
        let mut arguments: Vec<OsString> = ["--server", "--homedir"].map(OsString::from).into();
        arguments.extend([home.into(), "--reader-socket".into(), home.join("reader").into()]);
        arguments.extend(
            scene.options.iter().map(|option| OsString::from(format!("--{}", option.replacen(' ', "=", 1)))),
        );
        let (clients, arrivals) = unbounded_channel();
        let (started, start) = channel();
        let core = std::thread::spawn(move || run(&arguments, arrivals, &started));
        start.recv_timeout(START).map_err(|error| error.to_string())??;
        scenery.begin(scene)?;
        Ok(Self { clients: Some(clients), core: Some(core), scenery })
    }
}

/// Serves whoever arrives, until nobody can any more or a client asks for the end.
#[tokio::main(flavor = "current_thread")]
async fn run(
    arguments: &[OsString],
    mut arrivals: UnboundedReceiver<UnixStream>,
    started: &Sender<Result<(), String>>,
) {
    let core = match Scdaemon::embedded(arguments) {
        Ok(core) => core,
        Err(error) => return drop(started.send(Err(error.to_string()))),
    };
    let _ = started.send(Ok(()));
    let (end, mut ends) = unbounded_channel();
    loop {
        tokio::select! {
            Some(()) = ends.recv() => return,
            client = arrivals.recv() => match client {
                Some(client) => serve(&core, client, end.clone()),
                None => return,
            },
        }
    }
}

fn serve(core: &Scdaemon, client: UnixStream, end: UnboundedSender<()>) {
    let stream = client.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(client));
    let (input, output) = stream.expect("a stream of the runtime").into_split();
    let session = core.serve(input, output);
    tokio::spawn(async move {
        if session.await == Asked::ToEnd {
            let _ = end.send(());
        }
    });
}

impl Embedded {
    /// The card is pulled at the command of this number from now on, if one is named.
    pub(crate) fn pull_at(&mut self, command: Option<usize>) {
        self.scenery.slot.pull_at(command);
    }

    /// How many commands came since [`Self::pull_at`].
    pub(crate) fn commands(&self) -> usize {
        self.scenery.slot.commands()
    }
}

impl Stage for Embedded {
    fn side(&self) -> Side {
        Side::Ours
    }

    fn open(&mut self, _: u8) -> Result<Box<dyn Wire>, String> {
        let (client, server) = UnixStream::pair().map_err(|error| error.to_string())?;
        self.clients.as_ref().ok_or("it has ended")?.send(server).map_err(|error| error.to_string())?;
        Ok(Box::new(Stream::socket(client).map_err(|error| error.to_string())?))
    }

    fn token(&mut self, seat: Seat, event: &TokenEvent) -> Result<(), String> {
        self.scenery.happens(seat, event)
    }

    fn crowd(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let (client, server) = UnixStream::pair().map_err(|error| error.to_string())?;
            client.shutdown(Shutdown::Both).map_err(|error| error.to_string())?;
            self.clients.as_ref().ok_or("it has ended")?.send(server).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn exit_code(&mut self) -> Result<i32, String> {
        Err("there is no process".to_owned())
    }

    fn offence(&mut self) -> Option<String> {
        self.scenery.offence()
    }

    fn notes(&mut self) -> String {
        self.scenery.notes()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.clients = None;
        if let Some(core) = self.core.take() {
            let _ = core.join();
        }
    }
}
