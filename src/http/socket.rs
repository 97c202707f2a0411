//! A connection's socket, which can change from one set of threads to another.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// Which end of a connection is here.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// It did not survive a move.
    Gone,
}

/// What waits on the threads where it was made, until it moves.
pub(super) trait Moves: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Waits on the threads of whoever calls from now on. What has come and was not read yet is not lost.
    ///
    /// # Errors
    /// The operating system denies it; the connection is lost then.
    fn move_here(&mut self) -> io::Result<()>;
}

impl Moves for Socket {
    fn move_here(&mut self) -> io::Result<()> {
        *self = match std::mem::replace(self, Self::Gone) {
            Self::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Self::Unix(stream) => Self::Unix(UnixStream::from_std(stream.into_std()?)?),
            Self::Gone => return Err(gone()),
        };
        Ok(())
    }
}

impl Moves for TlsStream<Socket> {
    fn move_here(&mut self) -> io::Result<()> {
        self.get_mut().0.move_here()
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Gone => Poll::Ready(Err(gone())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Gone => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn threads() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn what_came_before_a_move_is_read_after_it_whatever_becomes_of_the_threads_before() {
        let (before, after) = (threads(), threads());
        let (mut socket, mut client) = before.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (Socket::Tcp(listener.accept().await.unwrap().0), client)
        });
        std::io::Write::write_all(&mut client, b"asked before").unwrap();
        let mut read = [0; 64];
        after.block_on(async {
            socket.move_here().unwrap();
            before.shutdown_background();
            let count = socket.read(&mut read).await.unwrap();
            assert_eq!(&read[..count], b"asked before");
            socket.write_all(b"answered").await.unwrap();
            std::io::Write::write_all(&mut client, b"and after").unwrap();
            let count = socket.read(&mut read).await.unwrap();
            assert_eq!(&read[..count], b"and after");
        });
        let count = std::io::Read::read(&mut client, &mut read).unwrap();
        assert_eq!(&read[..count], b"answered");
    }

    #[test]
    fn one_that_is_gone_says_so() {
        threads().block_on(async {
            let mut socket = Socket::Gone;
            assert_eq!(socket.move_here().unwrap_err().kind(), io::ErrorKind::NotConnected);
            assert_eq!(socket.read(&mut [0; 1]).await.unwrap_err().kind(), io::ErrorKind::NotConnected);
            assert_eq!(socket.write_all(b"y").await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        });
    }
}
