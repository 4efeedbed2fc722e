//! A stream of bytes to the broker, over each transport, by libraries that are not ours.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::HeaderValue,
        protocol::{CloseFrame, frame::coding::CloseCode},
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
}

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
        };
        // A reset is an end as well.
        buffer.truncate(read.unwrap_or(0));
        buffer
    }

    /// Ends the stream without a word of MQTT or WebSocket.
    pub async fn abort(self) {
        let mut tcp = match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.into_inner().0,
            Self::Ws(stream, _) => stream.into_inner(),
            Self::Wss(stream, _) => stream.into_inner().into_inner().0,
        };
        let _ = tcp.shutdown().await;
    }

    /// The close frame the broker has sent, on WebSocket, once [`read`](Self::read) has come to the end.
    pub fn close_frame(&self) -> Option<(u16, String)> {
        match self {
            Self::Tcp(_) | Self::Tls(_) => None,
            Self::Ws(_, close) | Self::Wss(_, close) => close
                .as_ref()
                .map(|frame| (frame.code.into(), frame.reason.to_string())),
        }
    }

    pub const fn is_websocket(&self) -> bool {
        matches!(self, Self::Ws(..) | Self::Wss(..))
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
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config))
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
