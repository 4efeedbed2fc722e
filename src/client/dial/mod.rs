//! From a target to a stream that carries MQTT: TCP, TLS, and the opening handshake of a WebSocket over HTTP/1.1 or
//! HTTP/2. Start at [`Dial::dial`].

mod error;
mod http2;
mod prepared;
mod upgrade;

pub use error::{DialError, Stage};
pub use prepared::Prepared;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rustls::HandshakeKind;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream, UnixStream, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{Carrier, Dialect, Link, Target, TlsFailure, Trust, trust::Presented, wire::Wire};

/// How to get to a target.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Whose certificate is believed.
    pub trust: Trust,
    /// For all of it: name, connection, TLS, opening handshake.
    pub timeout: Duration,
    /// The ALPN protocol that is offered, instead of `mqtt`, `http/1.1` or `h2`.
    pub alpn: Option<String>,
    /// The local address to connect from.
    pub bind: Option<IpAddr>,
    /// A Unix socket to connect to, instead of what the target's host and port say.
    pub unix: Option<PathBuf>,
    /// The subprotocol of a WebSocket: `mqtt`, or `mqttv3.1` for MQTT 3.1.
    pub subprotocol: &'static str,
    /// What many connections to the same target share, from [`Dial::prepare`].
    pub prepared: Option<Prepared>,
}

/// A byte stream.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

/// TLS that has been agreed on, for whoever reads after it: a client certificate is refused only then.
pub(super) struct Agreed {
    pub(super) presented: Presented,
    pub(super) is_resumed: bool,
}

impl Default for Dial {
    fn default() -> Self {
        Self {
            trust: Trust::default(),
            timeout: Duration::from_secs(30),
            alpn: None,
            bind: None,
            unix: None,
            subprotocol: "mqtt",
            prepared: None,
        }
    }
}

impl Dial {
    /// Connects. The files of [`Trust`] are read first, and waited for.
    ///
    /// # Errors
    /// How far it came, and what was in the way there.
    pub(super) async fn dial(&self, target: &Target) -> Result<Link, DialError> {
        let deadline = Instant::now() + self.timeout;
        let stream = self.connect(target, deadline).await?;
        let (stream, agreed) = if target.tls {
            let (stream, agreed) = self.shake_hands(target, stream, deadline).await?;
            (stream, Some(agreed))
        } else {
            (stream, None)
        };
        let opened = match target.carrier {
            Carrier::Tcp => Ok(Wire::bytes(stream)),
            Carrier::WebSocket => {
                let opening = upgrade::open(stream, target, self.subprotocol);
                self.within(deadline, Stage::Upgrade, opening).await
            }
            Carrier::Http2 => {
                let opening = http2::open(stream, target, self.subprotocol);
                self.within(deadline, Stage::Upgrade, opening).await
            }
        };
        match opened {
            Ok(wire) => Ok(Link {
                wire,
                agreed,
                target: target.clone(),
            }),
            // Since TLS 1.3 a server says only after the handshake that it wanted another certificate.
            Err(DialError::Io(Stage::Upgrade, error)) => {
                let agreed = agreed.as_ref();
                let failure = agreed.and_then(|agreed| agreed.refusal(&error, target));
                Err(failure.map_or(DialError::Io(Stage::Upgrade, error), DialError::Tls))
            }
            Err(error) => Err(error),
        }
    }

    async fn connect(&self, target: &Target, deadline: Instant) -> Result<Box<dyn Io>, DialError> {
        if let Some(path) = &self.unix {
            let connected = UnixStream::connect(path).await;
            return Ok(Box::new(connected.map_err(DialError::Unix)?));
        }
        let addrs = match &self.prepared {
            Some(prepared) => prepared.addrs.clone(),
            None => self.resolve(target, deadline).await?,
        };
        let mut last = None;
        for (at, addr) in addrs.iter().enumerate() {
            // One address that does not answer must not take the time of the others.
            let share = (deadline - Instant::now()) / u32::try_from(addrs.len() - at).unwrap_or(1);
            match timeout_at(Instant::now() + share, self.connect_to(*addr)).await {
                Ok(Ok(stream)) => return Ok(Box::new(stream)),
                Ok(Err(error)) => last = Some(DialError::Connect(*addr, error)),
                Err(_) => last = Some(DialError::Timeout(Stage::Connect, self.timeout)),
            }
        }
        Err(last.unwrap_or_else(|| {
            let nothing = io::Error::new(
                io::ErrorKind::NotFound,
                "it has no address that can be used",
            );
            DialError::Resolve(target.host.clone(), nothing)
        }))
    }

    /// The addresses of the host that can be connected to from where we are.
    async fn resolve(
        &self,
        target: &Target,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, DialError> {
        let looking = lookup_host((target.host.as_str(), target.port));
        let failed = |error| DialError::Resolve(target.host.clone(), error);
        let found = self.within(deadline, Stage::Resolve, async {
            looking.await.map_err(failed)
        });
        Ok(found.await?.filter(|addr| self.can_reach(*addr)).collect())
    }

    fn can_reach(&self, addr: SocketAddr) -> bool {
        self.bind
            .is_none_or(|bind| bind.is_ipv4() == addr.is_ipv4())
    }

    async fn connect_to(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let socket = if addr.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(bind) = self.bind {
            socket.bind((bind, 0).into())?;
        }
        let stream = socket.connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn shake_hands(
        &self,
        target: &Target,
        stream: Box<dyn Io>,
        deadline: Instant,
    ) -> Result<(Box<dyn Io>, Agreed), DialError> {
        let prepared = self.prepared.as_ref().and_then(|all| all.tls.clone());
        let (config, presented) = match prepared {
            Some(shared) => shared,
            None => {
                let dialect = self.dialect(target)?;
                (Arc::new(dialect.config), dialect.presented)
            }
        };
        let connector = TlsConnector::from(config);
        let connecting = connector.connect(target.server_name(), stream);
        let shaking = async {
            let failed = |error| DialError::Tls(TlsFailure::of(&error, target, &presented));
            connecting.await.map_err(failed)
        };
        let stream = self.within(deadline, Stage::Tls, shaking).await?;
        let tls = stream.get_ref().1;
        let spoken = tls.alpn_protocol();
        if target.carrier == Carrier::Http2 && self.alpn.is_none() && spoken != Some(b"h2") {
            return Err(DialError::NoHttp2);
        }
        let agreed = Agreed {
            presented,
            is_resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        Ok((Box::new(stream), agreed))
    }

    /// What to shake hands with, ALPN included.
    fn dialect(&self, target: &Target) -> Result<Dialect, DialError> {
        let mut dialect = self.trust.dialect(target).map_err(DialError::Trust)?;
        let alpn = self.alpn.as_deref().unwrap_or(match target.carrier {
            Carrier::Tcp => "mqtt",
            Carrier::WebSocket => "http/1.1",
            Carrier::Http2 => "h2",
        });
        dialect.config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Ok(dialect)
    }

    async fn within<T>(
        &self,
        deadline: Instant,
        stage: Stage,
        future: impl Future<Output = Result<T, DialError>>,
    ) -> Result<T, DialError> {
        match timeout_at(deadline, future).await {
            Ok(result) => result,
            Err(_) => Err(DialError::Timeout(stage, self.timeout)),
        }
    }
}

impl Agreed {
    /// What the server has said about TLS where data was expected; `None` where the error is about something else.
    pub(super) fn refusal(&self, error: &io::Error, target: &Target) -> Option<TlsFailure> {
        let cause = error.get_ref()?;
        cause
            .is::<rustls::Error>()
            .then(|| TlsFailure::of(error, target, &self.presented))
    }
}
