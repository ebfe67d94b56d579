//! The scdaemon itself, without a process around it: what all sessions share, and sessions over any byte stream.
//!
//! The program puts pipe and sockets in front of it; an agent of ours can hold the very same thing inside and speak to it
//! over an in-memory pipe, and so can tests.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use claviger_assuan::error::Source;
use claviger_assuan::server::Session as WireSession;
use claviger_assuan_tokio::{Connection, server};
use claviger_cards::deck::{Change, Deck, DeckConfig, DeckEvent, HelperProgram};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::Instrument as _;

use super::hub::{Client, Hub};
use super::session::Session;
use super::settings::{OptionError, Settings};
use super::typed::Typed;
use super::{TABLE, command_line};

/// The first words to each client; GnuPG's, since people's scripts look for them.
const GREETING: &str = "GNU Privacy Guard's Smartcard server ready";

/// How long cards are given to forget verifications at the end.
const GOODBYE: Duration = Duration::from_secs(2);

/// A scdaemon that has no process of its own.
pub struct Scdaemon {
    pub(super) hub: Arc<Hub>,
}

/// What a client has asked of the process when its session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// To end (KILLSCD).
    ToEnd,
}

impl Scdaemon {
    /// A scdaemon with these options; `socket_name` is where further clients come in, if they can.
    pub(super) fn new(settings: Settings, socket_name: Option<PathBuf>) -> Self {
        let deck = Deck::new(DeckConfig {
            pcsc: settings.reader_socket.is_none(),
            reader_socket: settings.reader_socket.clone(),
            reader_port: settings.reader_port.clone(),
            pinpads: settings.pinpads,
            providers: settings.providers.configs(),
            helper: helper(),
            ..DeckConfig::default()
        });
        Self { hub: Arc::new(Hub::new(settings, deck, socket_name)) }
    }

    /// A scdaemon with the options of a command line. No files are read, neither of options nor of PKCS#11 providers. To be called within a tokio runtime,
    /// on which its chores go on beside the sessions.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub fn embedded(arguments: &[OsString]) -> Result<Self, OptionError> {
        let typed = command_line::parse(arguments, Typed::default())?.typed;
        let core = Self::new(Settings::resolve(&typed), None);
        core.start_chores();
        Ok(core)
    }

    /// Serves a client on a byte stream to its end. Whoever knows earlier that the client is gone drops the future: that
    /// breaks off the command that runs.
    pub fn serve<R, W>(&self, input: R, output: W) -> impl Future<Output = Asked> + Send + use<R, W>
    where
        R: AsyncRead + Unpin + Send,
        W: AsyncWrite + Unpin + Send,
    {
        self.serve_client(Connection::new(input, output), Client::new(None))
    }

    pub(super) fn serve_client<R, W>(
        &self,
        connection: Connection<R, W>,
        client: Client,
    ) -> impl Future<Output = Asked> + Send + use<R, W>
    where
        R: AsyncRead + Unpin + Send,
        W: AsyncWrite + Unpin + Send,
    {
        let mut session = Session::new(self.hub.clone(), client);
        let span = tracing::info_span!("session", id = session.id.number());
        let conversation = async move {
            let wire = WireSession::new(Source::Scd, &TABLE, GREETING);
            match server::serve(connection, wire, &mut session).await {
                Ok(end) => tracing::debug!(?end, "session ended"),
                Err(error) => tracing::info!(%error, "session broken off"),
            }
            if session.kill { Asked::ToEnd } else { Asked::Nothing }
        };
        conversation.instrument(span)
    }

    /// Makes the cards forget which PINs were verified, as far as they can, before nobody watches over them any more.
    pub(super) async fn lock_cards(&self) {
        if tokio::time::timeout(GOODBYE, self.hub.lock_all()).await.is_err() {
            tracing::info!("a card is busy and stays unlocked");
        }
    }

    /// What goes on beside the sessions: reader socket, card events, the end of remembered PINs and of verifications.
    pub(super) fn start_chores(&self) {
        let hub = self.hub.clone();
        tokio::spawn(async move {
            if let Err(error) = hub.deck.listen() {
                tracing::error!("{error}");
            }
            watch_cards(&hub).await;
        });
        let hub = self.hub.clone();
        tokio::spawn(async move { hub.pins.wipe_in_time().await });
        let hub = self.hub.clone();
        tokio::spawn(async move { hub.lapse.lapse_in_time().await });
    }
}

/// This very program, as what loads a PKCS#11 module.
fn helper() -> Option<HelperProgram> {
    match std::env::current_exe() {
        Ok(program) => Some(HelperProgram { program, arguments: vec!["pkcs11-helper".into()] }),
        Err(error) => {
            tracing::error!("no PKCS#11 module can be used, since the program does not find itself: {error}");
            None
        }
    }
}

/// Tells clients, the PIN cache and the world outside what happens to cards.
async fn watch_cards(hub: &Hub) {
    use tokio::sync::broadcast::error::RecvError;
    let mut events = hub.deck.subscribe();
    loop {
        match events.recv().await {
            Ok(DeckEvent { change: Change::Inserted, insertion, .. }) => hub.note_insertion(insertion).await,
            Ok(DeckEvent { change: Change::Removed, insertion, .. }) => hub.note_removal(insertion).await,
            Ok(DeckEvent { change: Change::Reset, insertion, .. }) => hub.signal_clients_of(insertion),
            // Sessions look for themselves whether their card is there.
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "card events came too fast");
                hub.make_up_for_missed_events().await;
            }
            Err(RecvError::Closed) => return,
        }
    }
}
