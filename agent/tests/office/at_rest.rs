//! A card outside of every reader: its memory, and raw commands to it with no daemon and no pcscd between.
//!
//! The virtual card is started from its memory and plugged into a listener of ours, which speaks vsmartcard's protocol: a
//! length of two octets, then a command; a command of one octet is about power.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::world::Card;

const POWER_ON: &[u8] = &[1];
const IMAGE: &str = "card.img";

/// What a card remembers without power.
pub(crate) struct Memory {
    state: TempDir,
}

impl Memory {
    /// That of a new card.
    pub(crate) fn blank() -> Self {
        Self { state: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A copy of another card's.
    pub(crate) fn copy_of(image: &[u8]) -> Self {
        let memory = Self::blank();
        fs::write(memory.state.path().join(IMAGE), image).expect("the folder is ours");
        memory
    }

    /// For copies.
    pub(crate) fn image(&self) -> Vec<u8> {
        fs::read(self.state.path().join(IMAGE)).expect("a card has written it")
    }

    /// The directory, for the card's option `--state`.
    pub(crate) fn path(&self) -> &Path {
        self.state.path()
    }
}

/// A card that gets our commands and nobody else's. It is switched on, and OpenPGP is selected.
pub(crate) struct AtRest {
    program: Child,
    wire: UnixStream,
    _socket: (TempDir, PathBuf),
}

impl AtRest {
    /// Starts the card from its memory, which no other card may be using.
    pub(crate) fn with(memory: &Memory) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("reader");
        let listener = UnixListener::bind(&path).expect("the folder is ours");
        let program = Command::new(Card::program())
            .arg("--socket")
            .arg(&path)
            .arg("--state")
            .arg(memory.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("claviger-virtual-card starts; `make virtual-card` builds it");
        let (wire, _) = listener.accept().expect("the card connects");
        let mut card = Self { program, wire, _socket: (dir, path) };
        card.send(POWER_ON);
        let selected = card.tell(&[0x00, 0xA4, 0x04, 0x00, 6, 0xD2, 0x76, 0, 1, 0x24, 1]);
        assert!(selected.ends_with(&[0x90, 0]) || selected.ends_with(&[0x62, 0x85]), "{selected:02X?}");
        card
    }

    /// A command without data; as much as the card has may come.
    pub(crate) fn ask(&mut self, header: [u8; 4]) -> Vec<u8> {
        self.tell(&[&header[..], &[0, 0, 0]].concat())
    }

    /// A command with data; as much as the card has may come.
    pub(crate) fn ask_with(&mut self, header: [u8; 4], data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).expect("cards are small").to_be_bytes();
        self.tell(&[&header[..], &[0], &length, data, &[0, 0]].concat())
    }

    /// A short command with data, to which nothing but a status word comes.
    pub(crate) fn give(&mut self, header: [u8; 4], data: &[u8]) -> Vec<u8> {
        let length = u8::try_from(data.len()).expect("this is a short command");
        self.tell(&[&header[..], &[length], data].concat())
    }

    fn tell(&mut self, command: &[u8]) -> Vec<u8> {
        self.send(command);
        let mut length = [0; 2];
        self.wire.read_exact(&mut length).expect("the card answers");
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        self.wire.read_exact(&mut answer).expect("the card answers");
        answer
    }

    fn send(&mut self, message: &[u8]) {
        let length = u16::try_from(message.len()).expect("cards are small").to_be_bytes();
        self.wire.write_all(&[&length, message].concat()).expect("the card listens");
    }
}

impl Drop for AtRest {
    fn drop(&mut self) {
        self.program.kill().expect("the child is ours");
        self.program.wait().expect("the child is ours");
    }
}
