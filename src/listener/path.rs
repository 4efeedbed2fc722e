//! The path of one connection: PROXY header, TLS, first bytes; then it is MQTT or HTTP. Each stage has a deadline, and
//! silence there costs the peer its connection. Start at [`serve`].

use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::{Instant, timeout_at},
};

use super::{
    Config, Limits,
    admission::Admission,
    detect::{self, Detected, Prefixed},
    forwarded,
    front_door::{Listener, Shared},
    handshakes::Handshake,
    http,
    proxy_protocol::{self, Expectation, Header, Parsed},
    tcp::StreamTransport,
    tls::{Alpn, HandshakePolicy, TlsStream},
    turned_away::TurnedAway,
};
use crate::mqtt::{
    connection,
    transport::{Carrier, ClientCertificate, LimitReached, Peer, Source},
};

/// A stream as the front door sees it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// One connection on its way in.
pub(super) struct Visitor {
    pub(super) shared: Arc<Shared>,
    pub(super) listener: Arc<Listener>,
    /// As it stood when the connection was accepted.
    pub(super) config: Arc<Config>,
    pub(super) limits: Arc<Limits>,
    pub(super) source: Source,
    /// TLS ends here, or at the proxy that says so.
    pub(super) is_secure: bool,
    pub(super) certificate: Option<Arc<ClientCertificate>>,
    pub(super) admission: Admission,
    /// The limit that it has met; it is told so in its own protocol.
    pub(super) refusal: Option<LimitReached>,
}

/// What a connection has turned out to speak.
enum Arrival<S> {
    Mqtt(S),
    Http(S),
}

/// Takes a connection from its first byte to its last.
pub(super) async fn serve<S: Stream>(
    stream: S,
    source: Source,
    listener: Arc<Listener>,
    shared: Arc<Shared>,
    handshake: Handshake,
) {
    let limits = shared.limits.load_full();
    let config = listener.config.load_full();
    let counted = counted(&source, &config);
    let Ok(admission) = shared.admissions.admit(counted, &limits) else {
        shared.metrics.connect_refused.add("connections", 1);
        return;
    };
    let visitor = Visitor {
        is_secure: config.tls,
        certificate: None,
        shared,
        listener,
        config,
        limits,
        source,
        refusal: admission.refusal(),
        admission,
    };
    if visitor.config.tls {
        visitor.serve_tls(stream, handshake).await;
    } else {
        visitor.serve_plain(stream, handshake).await;
    }
}

impl Visitor {
    async fn serve_plain<S: Stream>(mut self, stream: S, handshake: Handshake) {
        let stopping = self.shared.stopping.clone();
        // Boxed: what the way in needs is freed once the connection is in.
        let arriving =
            Box::pin(handshake.unless_it_gives_way(self.arrive_plain(stream, &handshake)));
        let arrived = stopping.run_until_cancelled(arriving).await;
        drop(handshake);
        self.let_in(arrived.unwrap_or(Err(TurnedAway::Stopping)))
            .await;
    }

    async fn serve_tls<S: Stream>(mut self, stream: S, handshake: Handshake) {
        let stopping = self.shared.stopping.clone();
        let arriving = Box::pin(handshake.unless_it_gives_way(self.arrive_tls(stream, &handshake)));
        let arrived = stopping.run_until_cancelled(arriving).await;
        drop(handshake);
        self.let_in(arrived.unwrap_or(Err(TurnedAway::Stopping)))
            .await;
    }

    async fn let_in<S: Stream>(self, arrived: Result<Arrival<Prefixed<S>>, TurnedAway>) {
        match arrived {
            Ok(Arrival::Mqtt(stream)) => self.serve_mqtt(stream),
            Ok(Arrival::Http(stream)) => Box::pin(http::serve(stream, self)).await,
            Err(reason) => self.turn_away(&reason),
        }
    }

    /// Hands the stream to a task of its own, which is as small as a connection can be: what the way in took is freed.
    fn serve_mqtt<S: Stream>(self, stream: Prefixed<S>) {
        let (stream, first) = stream.into_parts();
        let peer = Peer {
            source: self.source,
            listener: self.listener.name.clone(),
            carrier: if self.config.tls {
                Carrier::Tls
            } else {
                Carrier::Tcp
            },
            certificate: self.certificate,
            max_keep_alive: None,
            refusal: self.refusal,
            probe: None,
        };
        let admission = self.admission;
        let transport = StreamTransport::new(stream, first);
        // Boxed: a future keeps room for what it is made of beside what it waits for, and this one is most of the task.
        let served = Box::pin(connection::serve(
            transport,
            peer,
            self.shared.broker.clone(),
        ));
        self.shared.connections.spawn(async move {
            served.await;
            drop(admission);
        });
    }

    async fn arrive_plain<S: Stream>(
        &mut self,
        stream: S,
        handshake: &Handshake,
    ) -> Result<Arrival<Prefixed<S>>, TurnedAway> {
        let (stream, first) = self.read_proxy_header(stream, handshake).await?;
        let deadline = Instant::now() + self.limits.first_byte_timeout;
        self.detect(stream, first, deadline, handshake).await
    }

    async fn arrive_tls<S: Stream>(
        &mut self,
        stream: S,
        handshake: &Handshake,
    ) -> Result<Arrival<Prefixed<TlsStream<S>>>, TurnedAway> {
        let (mut stream, mut first) = self.read_proxy_header(stream, handshake).await?;
        let deadline = Instant::now() + self.limits.tls_handshake_timeout;
        match read_first(&mut stream, &mut first, deadline, handshake).await? {
            Detected::Tls => {}
            Detected::Http1 | Detected::Http2 => {
                let stream = Prefixed::new(stream, first.into());
                http::redirect_to_tls(stream, &self.limits).await;
                return Err(TurnedAway::PlainOnTls { protocol: "HTTP" });
            }
            Detected::Mqtt => return Err(TurnedAway::PlainOnTls { protocol: "MQTT" }),
            Detected::Proxy => return Err(TurnedAway::UnexpectedProxyHeader),
            Detected::NeedMore | Detected::Unknown => return Err(unknown(&first)),
        }
        let protocols = self.config.protocols;
        let policy = HandshakePolicy {
            client_certificates: self.config.client_certificates,
            mqtt: protocols.mqtt,
            http2: protocols.http || protocols.websocket,
            http1: protocols.http || protocols.websocket,
        };
        let accepting = self.shared.certificates.accept(stream, first, policy);
        let accepted = timeout_at(deadline, accepting)
            .await
            .map_err(|_| TurnedAway::TlsTimeout)??;
        self.certificate = accepted.client_certificate;
        self.shared.metrics.tls_handshakes.add("ok", 1);
        if accepted.alpn == Alpn::Mqtt {
            return Ok(Arrival::Mqtt(Prefixed::new(accepted.stream, Bytes::new())));
        }
        let deadline = Instant::now() + self.limits.first_byte_timeout;
        handshake.expect_bytes();
        self.detect(accepted.stream, Vec::new(), deadline, handshake)
            .await
    }

    /// MQTT or HTTP, by the first bytes.
    async fn detect<S: Stream>(
        &self,
        mut stream: S,
        mut first: Vec<u8>,
        deadline: Instant,
        handshake: &Handshake,
    ) -> Result<Arrival<Prefixed<S>>, TurnedAway> {
        let detected = read_first(&mut stream, &mut first, deadline, handshake).await?;
        let protocols = self.config.protocols;
        let serves_http = protocols.http || protocols.websocket;
        match detected {
            Detected::Mqtt if protocols.mqtt => {
                Ok(Arrival::Mqtt(Prefixed::new(stream, first.into())))
            }
            Detected::Http1 | Detected::Http2 if serves_http => {
                Ok(Arrival::Http(Prefixed::new(stream, first.into())))
            }
            Detected::Mqtt => Err(TurnedAway::NotServed { protocol: "mqtt" }),
            Detected::Http1 | Detected::Http2 => Err(TurnedAway::NotServed { protocol: "http" }),
            Detected::Tls => Err(TurnedAway::TlsOnPlain),
            Detected::Proxy => Err(TurnedAway::UnexpectedProxyHeader),
            Detected::NeedMore | Detected::Unknown => Err(unknown(&first)),
        }
    }

    /// Takes the PROXY header off, where one is to come. Returns what was read beyond it.
    async fn read_proxy_header<S: Stream>(
        &mut self,
        mut stream: S,
        handshake: &Handshake,
    ) -> Result<(S, Vec<u8>), TurnedAway> {
        let mut first = Vec::new();
        let peer = forwarded::peer_addr(&self.source).ip();
        // Who may open a Unix socket is the file system's to decide.
        let is_trusted = self.source == Source::Local
            || forwarded::is_trusted(peer, &self.config.trusted_proxies);
        let expectation = self.config.proxy_protocol.expects(is_trusted);
        match expectation {
            Expectation::Never => return Ok((stream, first)),
            Expectation::Refused => return Err(TurnedAway::UntrustedProxy),
            Expectation::Maybe | Expectation::Always => {}
        }
        let deadline = Instant::now() + self.limits.proxy_header_timeout;
        loop {
            read_more(&mut stream, &mut first, deadline, handshake)
                .await
                .map_err(TurnedAway::while_waiting_for_proxy_header)?;
            match proxy_protocol::parse(&first)? {
                Parsed::Incomplete => {}
                Parsed::NotProxy if expectation == Expectation::Always => {
                    return Err(TurnedAway::MissingProxyHeader);
                }
                Parsed::NotProxy => return Ok((stream, first)),
                Parsed::Header(header) => {
                    first.drain(..header.length);
                    self.believe(&header);
                    return Ok((stream, first));
                }
            }
        }
    }

    fn believe(&mut self, header: &Header) {
        self.source = header.source.map_or(Source::Local, Source::Ip);
        self.is_secure |= header.is_tls;
        let counted = counted(&self.source, &self.config);
        if let Err(limit) = self.admission.reassign(counted, &self.limits) {
            self.refusal = Some(limit);
        }
    }

    fn turn_away(&self, reason: &TurnedAway) {
        reason.count(&self.shared.metrics);
        reason.log(&self.source, &self.listener.name);
    }
}

/// Whom a connection is counted for: a trusted proxy brings many, and none of them is its own.
pub(super) fn counted<'a>(source: &'a Source, config: &Config) -> &'a Source {
    let peer = forwarded::peer_addr(source).ip();
    if forwarded::is_trusted(peer, &config.trusted_proxies) {
        &Source::Local
    } else {
        source
    }
}

fn unknown(first: &[u8]) -> TurnedAway {
    let first = first.first().copied().unwrap_or_default();
    TurnedAway::UnknownProtocol { first }
}

/// Reads until the first bytes tell what they are.
async fn read_first<S: Stream>(
    stream: &mut S,
    first: &mut Vec<u8>,
    deadline: Instant,
    handshake: &Handshake,
) -> Result<Detected, TurnedAway> {
    loop {
        let detected = detect::detect(first);
        if detected != Detected::NeedMore {
            return Ok(detected);
        }
        read_more(stream, first, deadline, handshake).await?;
    }
}

/// Reads a little more behind what has been read.
async fn read_more<S: Stream>(
    stream: &mut S,
    first: &mut Vec<u8>,
    deadline: Instant,
    handshake: &Handshake,
) -> Result<(), TurnedAway> {
    /// A ClientHello with a post-quantum key share, or most of an HTTP head.
    const MOST: usize = 2048;
    let start = first.len();
    first.resize(start + MOST, 0);
    let read = timeout_at(deadline, stream.read(&mut first[start..])).await;
    let length = match read {
        Ok(Ok(length)) => length,
        Ok(Err(error)) => return Err(TurnedAway::Network(error)),
        Err(_) => return Err(TurnedAway::FirstByteTimeout),
    };
    first.truncate(start + length);
    match length {
        0 if start == 0 => Err(TurnedAway::Silent),
        0 => Err(TurnedAway::Network(io::ErrorKind::UnexpectedEof.into())),
        _ => {
            handshake.heard();
            Ok(())
        }
    }
}
