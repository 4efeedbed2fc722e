//! The way that has been found so far: an address, and how TLS is spoken there.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::client::Target;

/// A stream of bytes, with TLS or without.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

/// Where to, and how.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) target: Target,
    pub(super) addr: SocketAddr,
    /// For each step.
    pub(super) patience: Duration,
    /// `None`: without TLS.
    pub(super) tls: Option<ClientConfig>,
    /// Whether a user name and a password may be shown to whoever is there.
    pub(super) is_trusted: bool,
}

impl Way {
    /// A stream of its own, with TLS where the way has it.
    pub(super) async fn open(&self) -> io::Result<Box<dyn Io>> {
        match &self.tls {
            None => Ok(Box::new(self.open_tcp().await?)),
            Some(config) => Ok(Box::new(self.open_tls(config.clone(), &[]).await?)),
        }
    }

    pub(super) async fn open_tcp(&self) -> io::Result<TcpStream> {
        self.patiently(async {
            let stream = TcpStream::connect(self.addr).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
        .await
    }

    /// TLS with these protocols offered by ALPN.
    pub(super) async fn open_tls(
        &self,
        mut config: ClientConfig,
        alpn: &[&[u8]],
    ) -> io::Result<TlsStream<TcpStream>> {
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = self.open_tcp().await?;
        let connector = TlsConnector::from(Arc::new(config));
        self.patiently(connector.connect(self.target.server_name(), stream))
            .await
    }

    /// Waits as long as one step may take.
    pub(super) async fn patiently<T>(
        &self,
        step: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        timeout(self.patience, step)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The same without TLS.
    pub(super) fn plain(&self) -> Self {
        Self {
            tls: None,
            ..self.clone()
        }
    }
}

/// The other end has gone instead of answering.
pub(super) fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}
