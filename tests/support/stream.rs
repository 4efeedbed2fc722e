//! A stream of bytes to the broker, over each transport, by libraries that are not ours.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::HeaderValue,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};

/// Bytes to and from the broker.
pub enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Ws(Box<WebSocketStream<TcpStream>>, Option<CloseFrame>),
    Wss(
        Box<WebSocketStream<TlsStream<TcpStream>>>,
        Option<CloseFrame>,
    ),
    /// Anything else: a Unix socket, TLS on something that came before it.
    Io(Box<dyn Io>),
    /// WebSocket on anything else: a stream of HTTP/2.
    WsIo(Box<WebSocketStream<Box<dyn Io>>>, Option<CloseFrame>),
}

/// A byte stream.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

impl Stream {
    pub async fn tcp(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    /// TLS with these protocols offered by ALPN; none, no ALPN.
    pub async fn tls(addr: SocketAddr, ca: &Path, alpn: &[&[u8]]) -> io::Result<Self> {
        Ok(Self::Tls(Box::new(tls(addr, ca, alpn).await?)))
    }

    pub async fn ws(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let request = upgrade(&format!("ws://{addr}/mqtt"), "mqtt");
        let (stream, _) = client_async(request, stream)
            .await
            .map_err(io::Error::other)?;
        Ok(Self::Ws(Box::new(stream), None))
    }

    pub async fn wss(addr: SocketAddr, ca: &Path) -> io::Result<Self> {
        let stream = tls(addr, ca, &[]).await?;
        let request = upgrade(&format!("wss://localhost:{}/mqtt", addr.port()), "mqtt");
        let (stream, _) = client_async(request, stream)
            .await
            .map_err(io::Error::other)?;
        Ok(Self::Wss(Box::new(stream), None))
    }

    /// WebSocket from its first frame on: the upgrade has been.
    pub async fn websocket(io: Box<dyn Io>) -> Self {
        let stream = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
        Self::WsIo(Box::new(stream), None)
    }

    /// Upgrades a stream to WebSocket with a request of the test's own.
    pub async fn upgrade(
        io: Box<dyn Io>,
        request: tungstenite::handshake::client::Request,
    ) -> Result<Self, tungstenite::Error> {
        let (stream, _) = client_async(request, io).await?;
        Ok(Self::WsIo(Box::new(stream), None))
    }

    /// Writes all of it; over WebSocket as one binary message.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let message = || Message::binary(bytes.to_vec());
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Self::Ws(stream, _) => stream.send(message()).await.map_err(io::Error::other),
            Self::Wss(stream, _) => stream.send(message()).await.map_err(io::Error::other),
            Self::Io(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Self::WsIo(stream, _) => stream.send(message()).await.map_err(io::Error::other),
        }
    }

    /// The next bytes, empty at the end of the stream, in order or not.
    pub async fn read(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 64 * 1024];
        let read = match self {
            Self::Tcp(stream) => stream.read(&mut buffer).await,
            Self::Tls(stream) => stream.read(&mut buffer).await,
            Self::Ws(stream, close) => return payload(stream, close).await,
            Self::Wss(stream, close) => return payload(stream, close).await,
            Self::Io(stream) => stream.read(&mut buffer).await,
            Self::WsIo(stream, close) => return payload(stream, close).await,
        };
        // A reset is an end as well.
        buffer.truncate(read.unwrap_or(0));
        buffer
    }

    /// Ends the stream without a word of MQTT or WebSocket.
    pub async fn abort(self) {
        let mut tcp: Box<dyn Io> = match self {
            Self::Tcp(stream) => Box::new(stream),
            Self::Tls(stream) => Box::new(stream.into_inner().0),
            Self::Ws(stream, _) => Box::new(stream.into_inner()),
            Self::Wss(stream, _) => Box::new(stream.into_inner().into_inner().0),
            Self::Io(stream) => stream,
            Self::WsIo(stream, _) => stream.into_inner(),
        };
        let _ = tcp.shutdown().await;
    }

    /// The close frame the broker has sent, on WebSocket, once [`read`](Self::read) has come to the end.
    pub fn close_frame(&self) -> Option<(u16, String)> {
        match self {
            Self::Tcp(_) | Self::Tls(_) | Self::Io(_) => None,
            Self::Ws(_, close) | Self::Wss(_, close) | Self::WsIo(_, close) => close
                .as_ref()
                .map(|frame| (frame.code.into(), frame.reason.to_string())),
        }
    }

    pub const fn is_websocket(&self) -> bool {
        matches!(self, Self::Ws(..) | Self::Wss(..) | Self::WsIo(..))
    }
}

async fn payload<S>(stream: &mut WebSocketStream<S>, close: &mut Option<CloseFrame>) -> Vec<u8>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match stream.next().await {
            Some(Ok(Message::Binary(bytes))) => return bytes.to_vec(),
            Some(Ok(Message::Close(frame))) => {
                *close = frame.or(Some(CloseFrame {
                    code: CloseCode::Status,
                    reason: "".into(),
                }));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(other)) => panic!("MQTT travels in binary messages, this is {other:?}"),
            Some(Err(_)) | None => return Vec::new(),
        }
    }
}

/// A TLS stream to `localhost`.
pub async fn tls(addr: SocketAddr, ca: &Path, alpn: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots(ca))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    tls_with(config, "localhost", stream).await
}

/// TLS on a stream, by a client that is configured otherwise.
pub async fn tls_with<S: Io>(
    config: impl Into<Arc<ClientConfig>>,
    server_name: &str,
    stream: S,
) -> io::Result<TlsStream<S>> {
    let name = ServerName::try_from(server_name.to_owned()).expect("a name");
    TlsConnector::from(config.into())
        .connect(name, stream)
        .await
}

pub fn roots(ca: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(ca).expect("a CA certificate");
    roots.add(certificate).expect("a root");
    roots
}

/// An upgrade request for a sub-protocol.
pub fn upgrade(url: &str, subprotocol: &str) -> tungstenite::handshake::client::Request {
    let mut request = url.into_client_request().expect("a URL");
    let value = HeaderValue::from_str(subprotocol).expect("a token");
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", value);
    request
}
