//! One handshake: reads the ClientHello, then chooses the configuration, then finishes.

use std::{io, sync::Arc};

use rustls::{
    CommonState, HandshakeKind,
    pki_types::UnixTime,
    server::{Acceptor, ClientHello, danger::ClientCertVerifier},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Certificates, client, refusal::HandshakeError, stream::TlsStream};
use crate::{listener::ClientCertificates, mqtt::transport::ClientCertificate};

/// What a listener wants of a handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HandshakePolicy {
    /// Whether clients show a certificate.
    pub client_certificates: ClientCertificates,
    /// Raw MQTT is spoken.
    pub mqtt: bool,
    /// HTTP/2 is spoken, Extended CONNECT included: a browser that gets `h2` without it can open no WebSocket.
    pub http2: bool,
    /// HTTP/1.1 is spoken.
    pub http1: bool,
}

/// A finished handshake.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The stream, decrypted.
    pub stream: TlsStream<S>,
    /// What was agreed to be spoken on it.
    pub alpn: Alpn,
    /// The host the client asked for, in lower case.
    pub server_name: Option<String>,
    /// The certificate it showed, verified.
    pub client_certificate: Option<Arc<ClientCertificate>>,
}

/// What was agreed by ALPN to be spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alpn {
    /// MQTT, by `mqtt` or `x-amzn-mqtt-ca`.
    Mqtt,
    /// HTTP/2.
    Http2,
    /// HTTP/1.1, by its name. The first bytes are worth a look all the same.
    Http1,
    /// Nothing: the first bytes tell.
    None,
}

/// A protocol that can be agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub(super) enum Protocol {
    Mqtt,
    /// What AWS IoT has its devices say.
    AmazonMqtt,
    Http2,
    Http1,
}

impl Protocol {
    /// In the order of their values.
    pub(super) const ALL: [Self; 4] = [Self::Mqtt, Self::AmazonMqtt, Self::Http2, Self::Http1];

    /// As in the ALPN extension.
    pub(super) const fn id(self) -> &'static [u8] {
        match self {
            Self::Mqtt => b"mqtt",
            Self::AmazonMqtt => b"x-amzn-mqtt-ca",
            Self::Http2 => b"h2",
            Self::Http1 => b"http/1.1",
        }
    }

    const fn alpn(self) -> Alpn {
        match self {
            Self::Mqtt | Self::AmazonMqtt => Alpn::Mqtt,
            Self::Http2 => Alpn::Http2,
            Self::Http1 => Alpn::Http1,
        }
    }
}

impl HandshakePolicy {
    /// The first protocol of the client's list that is spoken here. The client's order counts, since the server has
    /// no preference of its own: every protocol leads to the same broker, and a client that lists several knows best
    /// what it does well.
    fn choose<'a>(self, offered: impl Iterator<Item = &'a [u8]>) -> Option<Protocol> {
        let mut known = offered.filter_map(|id| {
            let named = Protocol::ALL.into_iter().find(|known| known.id() == id);
            named.filter(|protocol| self.speaks(*protocol))
        });
        known.next()
    }

    const fn speaks(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Mqtt | Protocol::AmazonMqtt => self.mqtt,
            Protocol::Http2 => self.http2,
            Protocol::Http1 => self.http1,
        }
    }

    fn protocol_for(self, hello: &ClientHello<'_>) -> Option<Protocol> {
        hello.alpn().and_then(|offered| self.choose(offered))
    }
}

impl Certificates {
    /// Shakes hands as the server. `first` is what has already been read of the stream; it may be empty. The certificates
    /// in force when the ClientHello has come are the ones used.
    ///
    /// The caller sets the deadline, and tells TLS from other protocols beforehand. Where a handshake fails, the peer
    /// has been sent the alert that TLS prescribes before this returns.
    ///
    /// # Errors
    /// Why there is no connection, and whose fault it is.
    pub async fn accept<S>(
        &self,
        mut stream: S,
        mut first: Vec<u8>,
        policy: HandshakePolicy,
    ) -> Result<Accepted<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = read_hello(&mut stream, &mut first).await?;
        let (protocol, server_name) = {
            let hello = hello.client_hello();
            let server_name = hello.server_name().map(str::to_owned);
            (policy.protocol_for(&hello), server_name)
        };
        let (config, verifier) = self
            .in_force()
            .acceptors
            .get(policy.client_certificates)
            .map(|acceptor| (acceptor.config(protocol), acceptor.verifier.clone()))
            .ok_or(HandshakeError::NoRoots)?;
        let stream = TlsStream::accept(stream, first, config).await?;
        let client_certificate = verified(stream.tls(), verifier.as_deref())?;
        Ok(Accepted {
            stream,
            alpn: protocol.map_or(Alpn::None, Protocol::alpn),
            server_name,
            client_certificate,
        })
    }
}

/// Reads until the ClientHello is there. What is read stays in `first`, from where it is read once more: rustls makes of
/// this acceptor only connections with buffers of their own.
async fn read_hello<S>(
    stream: &mut S,
    first: &mut Vec<u8>,
) -> Result<rustls::server::Accepted, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// A ClientHello with a post-quantum key share.
    const MOST: usize = 2048;
    let mut acceptor = Acceptor::default();
    let mut looked_at = 0;
    loop {
        let mut new = &first[looked_at..];
        looked_at = first.len();
        while !new.is_empty() {
            acceptor.read_tls(&mut new)?;
        }
        match acceptor.accept() {
            Ok(Some(hello)) => return Ok(hello),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                alert.write_all(&mut bytes)?;
                // It may find nobody.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.flush().await;
                return Err(error.into());
            }
        }
        first.resize(looked_at + MOST, 0);
        let read = stream.read(&mut first[looked_at..]).await;
        let length = *read.as_ref().unwrap_or(&0);
        first.truncate(looked_at + length);
        if read? == 0 {
            return Err(HandshakeError::Closed);
        }
    }
}

/// Who the client is. rustls takes a resumed session's certificate from the ticket and checks nothing again; up to
/// twelve hours later it may have expired, so here it is checked as if it were shown for the first time.
fn verified(
    connection: &CommonState,
    verifier: Option<&dyn ClientCertVerifier>,
) -> Result<Option<Arc<ClientCertificate>>, HandshakeError> {
    let (Some(verifier), Some([leaf, intermediates @ ..])) =
        (verifier, connection.peer_certificates())
    else {
        return Ok(None);
    };
    if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
        verifier
            .verify_client_cert(leaf, intermediates, UnixTime::now())
            .map_err(HandshakeError::from)?;
    }
    client::identity(leaf)
        .map(|certificate| Some(Arc::new(certificate)))
        .ok_or(HandshakeError::UnreadableClientCertificate)
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(error) => error.into(),
            Err(error) if is_closed(error.kind()) => Self::Closed,
            Err(error) => Self::Io(error),
        }
    }
}

const fn is_closed(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}
