//! Who else has PC/SC open. PC/SC itself tells nobody who holds a card; but its clients are at the other ends of the
//! service's connections, and those the kernel tells (sock_diag(7), unix(7)), with the processes that we may look into
//! (proc(5)): all for root, our user's own for others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::fs::{major, minor};
use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use tracing::debug;

use crate::reader::pcsc::service_socket;
use crate::token::Process;

/// The kernel's words (linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x0301;
const HEADER: usize = 16;
const MESSAGE: usize = 16;
const ATTRIBUTE: usize = 4;
const ESTABLISHED: u32 = 1 << 1;
const SHOW_VFS_AND_PEER: u32 = 0x0000_0006;
const VFS: u16 = 1;
const PEER: u16 = 2;

/// The kernel tells at most that much at a time, and is heard at most that often.
const PIECE: usize = 0x1_0000;
const MAX_PIECES: usize = 1024;

/// The other processes with a connection to the service, as far as they can be known.
pub(crate) fn neighbours() -> Vec<Process> {
    let ends = clients_ends(&service_socket()).unwrap_or_else(|error| {
        debug!(%error, "it is not known who else uses PC/SC");
        BTreeSet::new()
    });
    if ends.is_empty() { Vec::new() } else { owners(&ends) }
}

/// The numbers of the sockets at the other end of connections to `socket`.
fn clients_ends(socket: &Path) -> Result<BTreeSet<u32>, Errno> {
    let file = rustix::fs::stat(socket)?;
    // The kernel's own form of a device number.
    let device = (major(file.st_dev) << 20) | minor(file.st_dev);
    // As much of it as the kernel tells.
    let service = (file.st_ino as u32, device);
    let line = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    rustix::net::sendto(&line, &question(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut ends = BTreeSet::new();
    let mut piece = vec![0; PIECE];
    for _ in 0..MAX_PIECES {
        let (_, length) = rustix::net::recv(&line, &mut piece[..], RecvFlags::empty())?;
        let mut rest = piece.get(..length).unwrap_or_default();
        while let Some((kind, body)) = message(&mut rest) {
            if kind != SOCK_DIAG_BY_FAMILY {
                return Ok(ends);
            }
            ends.extend(peer_at(body, service));
        }
    }
    Ok(ends)
}

/// All connected Unix sockets, with the file they were made at and the other end.
fn question() -> Vec<u8> {
    let family = u32::from_ne_bytes([1, 0, 0, 0]);
    let body = [family, ESTABLISHED, 0, SHOW_VFS_AND_PEER, 0, 0].map(u32::to_ne_bytes).concat();
    let length = u32::try_from(HEADER + body.len()).unwrap_or_default();
    let kind = [SOCK_DIAG_BY_FAMILY, REQUEST_DUMP].map(u16::to_ne_bytes).concat();
    [&length.to_ne_bytes()[..], &kind, &[0; 8], &body].concat()
}

/// Cuts the next message off: its kind and what is behind its header.
fn message<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*rest.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
    let body = rest.get(HEADER..length)?;
    *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body))
}

/// The other end of a socket that was accepted at the service's.
fn peer_at(body: &[u8], service: (u32, u32)) -> Option<u32> {
    let (mut is_service, mut peer) = (false, None);
    let mut rest = body.get(MESSAGE..)?;
    while let Some((kind, value)) = attribute(&mut rest) {
        let word = |at: usize| value.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes);
        match kind {
            VFS => is_service = word(0).zip(word(4)) == Some(service),
            PEER => peer = word(0),
            _ => {}
        }
    }
    peer.filter(|_| is_service)
}

fn attribute<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
    let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
    let value = rest.get(ATTRIBUTE..length)?;
    *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, value))
}

/// Whose sockets these are, ours left out.
fn owners(sockets: &BTreeSet<u32>) -> Vec<Process> {
    let names: BTreeSet<String> = sockets.iter().map(|number| format!("socket:[{number}]")).collect();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let others = numbers.filter(|id| *id != std::process::id());
    let mut owners: Vec<_> = others.filter(|id| has_one_of(*id, &names)).map(process).collect();
    owners.sort();
    owners
}

fn has_one_of(id: u32, names: &BTreeSet<String>) -> bool {
    // Other users' processes cannot be looked into.
    let descriptors = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| target.to_str().is_some_and(|target| names.contains(target)))
}

fn process(id: u32) -> Process {
    let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    Process { id, name: name.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_process_at_the_other_end_is_named_and_we_are_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("service");
        let listener = UnixListener::bind(&path).unwrap();
        let ours = UnixStream::connect(&path).unwrap();
        let service = listener.accept().unwrap();
        let ends = clients_ends(&path).unwrap();
        assert_eq!((ends.len(), owners(&ends)), (1, Vec::new()));
        // The shell's stdin is its end of the connection, and it tells when it has it.
        let mut neighbour = Command::new("sh")
            .args(["-c", "echo ready; read -r end"])
            .stdin(std::os::fd::OwnedFd::from(ours))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(neighbour.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let named = owners(&clients_ends(&path).unwrap());
        assert_eq!(named, [Process { id: neighbour.id(), name: "sh".to_owned() }]);
        drop(service);
        neighbour.wait().unwrap();
    }

    #[test]
    fn messages_that_lie_about_their_length_end_the_search() {
        for length in [0u32, 15, 17, u32::MAX] {
            let mut rest = &[&length.to_ne_bytes()[..], &[0; 12]].concat()[..];
            assert!(message(&mut rest).is_none(), "{length}");
        }
        for length in [0u16, 3, 5, u16::MAX] {
            let mut rest = &[&length.to_ne_bytes()[..], &[0; 2]].concat()[..];
            assert!(attribute(&mut rest).is_none(), "{length}");
        }
    }
}
