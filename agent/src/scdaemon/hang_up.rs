//! Notices that a client is gone: that nobody is left who could hear an answer.
//!
//! That is another thing than the end of what the client sends, which only says that it has no more to say: `printf
//! 'SERIALNO\n' | scdaemon --server` is answered. A socket tells the two apart (POLLHUP, POLLRDHUP), and a pipe to the
//! client breaks (POLLERR) when nobody holds its other end. Nothing is read for it, so that lines which a client has sent
//! ahead stay where they are.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use claviger_assuan::conversation::BoxFuture;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Ends when nobody is left at the other end of the socket.
pub(super) fn of_socket(stream: impl AsFd) -> BoxFuture<'static, ()> {
    // A descriptor of its own, since the session waits for other things at the client's.
    let own = stream.as_fd().try_clone_to_owned().map(StdUnixStream::from).and_then(UnixStream::from_std);
    Box::pin(async {
        noticed(async { socket_closed(&own?).await }).await;
    })
}

/// Ends when nobody is left who reads from the pipe. Never ends for what is no pipe.
pub(super) fn of_pipe(writer: impl AsFd) -> BoxFuture<'static, ()> {
    let own = writer.as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd);
    Box::pin(async {
        noticed(async { own?.ready(Interest::ERROR).await.map(drop) }).await;
    })
}

/// Only closed in both directions is closed for those who write.
async fn socket_closed(stream: &UnixStream) -> io::Result<()> {
    while !stream.ready(Interest::WRITABLE).await?.is_write_closed() {
        // That it can be written to is nothing to hear of once more.
        let _ = stream.try_io(Interest::WRITABLE, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
    }
    Ok(())
}

/// What cannot be watched is taken never to end.
async fn noticed(closed: impl Future<Output = io::Result<()>>) {
    if let Err(error) = closed.await {
        tracing::debug!(%error, "that this client goes away will be noticed when it is answered");
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Write as _, pipe};
    use std::net::Shutdown;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const A_MOMENT: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn a_client_that_closes_its_socket_is_gone_and_one_that_only_falls_silent_is_not() {
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut gone = of_socket(&ours);
        (&theirs).write_all(b"NOP\n").unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        assert!(timeout(A_MOMENT, &mut gone).await.is_err());
        drop(theirs);
        timeout(SOON, gone).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_is_gone_when_nobody_holds_its_end_of_the_pipe() {
        let (theirs, ours) = pipe().unwrap();
        let second: PipeReader = theirs.try_clone().unwrap();
        let mut gone = of_pipe(&ours);
        drop(theirs);
        assert!(timeout(A_MOMENT, &mut gone).await.is_err());
        drop(second);
        timeout(SOON, gone).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_never_hangs_up() {
        let file = tempfile::tempfile().unwrap();
        assert!(timeout(A_MOMENT, of_pipe(file)).await.is_err());
    }
}
