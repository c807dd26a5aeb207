//! The bytes' way to a generator: TCP, or TLS over it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::error::NotConnected;
use super::origin::Tls;

/// A connected socket, after the handshake where there is one.
pub(super) enum Stream {
    Tcp(TcpStream),
    /// Boxed: a session is large, and most generators are reached without.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects, and shakes hands. Bounded in time by the caller.
    pub(super) async fn dial(address: SocketAddr, tls: Option<&Tls>) -> Result<Self, NotConnected> {
        let tcp = TcpStream::connect(address).await.map_err(|error| tcp_failure(&error))?;
        // A request is one write, so that waiting to fill a segment could only delay it.
        tcp.set_nodelay(true).map_err(|error| tcp_failure(&error))?;
        match tls {
            None => Ok(Self::Tcp(tcp)),
            Some(Tls { connector, name }) => match connector.connect(name.clone(), tcp).await {
                Ok(stream) => Ok(Self::Tls(Box::new(stream))),
                Err(error) => Err(tls_failure(&error)),
            },
        }
    }
}

fn tcp_failure(error: &io::Error) -> NotConnected {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => NotConnected::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => NotConnected::Unreachable,
        _ => NotConnected::Failed,
    }
}

fn tls_failure(error: &io::Error) -> NotConnected {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_)) => NotConnected::Certificate,
        _ => NotConnected::Tls,
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_not_held_back() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = Stream::dial(listener.local_addr().unwrap(), None).await.ok();
        assert!(matches!(stream, Some(Stream::Tcp(tcp)) if tcp.nodelay().unwrap()));
    }
}
