//! A proxy with a broker behind it. A row is a proxy and a way; start at [`Setup::start`].

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use gatemq::mqtt::packet::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::{
    broker::Broker,
    proxy::{Kind, Ports, Proxy},
    support::{Client, Stream, certificates::Ca, connect, tls_with, upgrade, within},
};

/// Where TLS ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    Passthrough,
    Termination,
}

/// One proxy, one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) proxy: Kind,
    pub(crate) way: Way,
    /// A reload does not touch the clients that are connected.
    pub(crate) keeps_clients: bool,
}

pub(crate) const NGINX_PASSTHROUGH: Row = row(Kind::Nginx, Way::Passthrough);
pub(crate) const NGINX_TERMINATION: Row = row(Kind::Nginx, Way::Termination);
pub(crate) const HAPROXY_PASSTHROUGH: Row = row(Kind::HaProxy, Way::Passthrough);
pub(crate) const HAPROXY_TERMINATION: Row = row(Kind::HaProxy, Way::Termination);
pub(crate) const CADDY_TERMINATION: Row = Row {
    keeps_clients: false,
    ..row(Kind::Caddy, Way::Termination)
};

const fn row(proxy: Kind, way: Way) -> Row {
    Row {
        proxy,
        way,
        keeps_clients: true,
    }
}

/// The address that clients of these tests come from: not the proxy's.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Another site on the port of the passthrough.
pub(crate) const ANOTHER_SITE: &str = "www.example.com";

/// A port that somebody else took after it was chosen costs one attempt.
const ATTEMPTS: usize = 5;
/// Programs that start while the machine compiles something still do within this.
const START_PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// A proxy and a broker that run. The proxy is stopped first, the folder goes last.
pub(crate) struct Setup {
    pub(crate) row: Row,
    pub(crate) proxy: Proxy,
    pub(crate) broker: Broker,
    pub(crate) ports: Ports,
    pub(crate) ca: Ca,
    folder: TempDir,
}

impl Setup {
    /// Starts both, with a PING of the broker every second.
    pub(crate) async fn start(row: Row) -> Self {
        Self::start_with(row, "[websocket]\nping_interval = \"1s\"\n").await
    }

    /// Starts both, with more in gatemq.toml.
    pub(crate) async fn start_with(row: Row, toml: &str) -> Self {
        for _ in 0..ATTEMPTS {
            let mut setup = Self::spawn(row, toml);
            if setup.accepts().await {
                return setup;
            }
            let logs = setup.broker.log() + &setup.proxy.log();
            let in_use = ["listens there", "in use", "cannot bind"];
            assert!(
                in_use.iter().any(|words| logs.contains(words)),
                "{row:?} has ended at its start"
            );
        }
        panic!("no free ports in {ATTEMPTS} attempts");
    }

    fn spawn(row: Row, toml: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        // Workers of nginx are another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        fs::create_dir(folder.path().join("site")).expect("a folder");
        fs::write(folder.path().join("site/index.html"), "another site").expect("written");
        let ca = Ca::new();
        let ports = Ports {
            passthrough: free_port(),
            termination: free_port(),
            site: free_port(),
            admin: free_port(),
            broker: [free_port(), free_port()],
        };
        issue(&ca, folder.path(), "gatemq");
        issue(&ca, folder.path(), "proxy");
        Self {
            row,
            broker: Broker::spawn(folder.path(), ports.broker, toml),
            proxy: Proxy::spawn(row.proxy, folder.path(), &ports),
            ports,
            ca,
            folder,
        }
    }

    /// Waits until everybody accepts; false where somebody has ended instead.
    async fn accepts(&mut self) -> bool {
        for port in [self.ports.broker[0], self.ports.broker[1], self.port()] {
            let accepted = tokio::time::timeout(START_PATIENCE, async {
                while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                    if self.broker.has_ended() || self.proxy.has_ended() {
                        return false;
                    }
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                true
            });
            if !accepted.await.expect("both start in time") {
                return false;
            }
        }
        true
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where clients connect.
    pub(crate) const fn port(&self) -> u16 {
        match self.row.way {
            Way::Passthrough => self.ports.passthrough,
            Way::Termination => self.ports.termination,
        }
    }

    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.port())
    }

    /// TLS with the broker's name, from the client's address.
    pub(crate) async fn tls(&self, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        self.tls_as("localhost", alpn).await
    }

    /// TLS with another name.
    pub(crate) async fn tls_as(&self, name: &str, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut config = self.ca.client();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = within(tls_with(config, name, tcp(self.port()).await)).await;
        stream.expect("a handshake")
    }

    /// The certificate that a new connection is shown.
    pub(crate) async fn certificate(&self) -> CertificateDer<'static> {
        let stream = self.tls(&[]).await;
        let chain = stream.get_ref().1.peer_certificates().expect("a chain");
        chain[0].clone().into_owned()
    }

    /// A client by raw MQTT, without ALPN.
    pub(crate) async fn mqtts(&self, client_id: &str) -> Client {
        let stream = self.tls(&[]).await;
        accepted(Stream::Tls(Box::new(stream)), client_id).await
    }

    /// A client by WebSocket.
    pub(crate) async fn wss(&self, client_id: &str) -> Client {
        self.wss_with("/mqtt", &[], client_id).await
    }

    /// A client by WebSocket, with a path and headers of its own.
    pub(crate) async fn wss_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        client_id: &str,
    ) -> Client {
        let stream = self.tls(&[]).await;
        let mut request = upgrade(&self.url("wss", path), "mqtt");
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, value.parse().expect("a value"));
        }
        let stream = within(Stream::upgrade(Box::new(stream), request)).await;
        accepted(stream.expect("an upgrade"), client_id).await
    }

    /// Replaces a certificate; the new one.
    pub(crate) fn renew(&self, name: &str) -> CertificateDer<'static> {
        issue(&self.ca, self.folder(), name)
    }
}

/// A client whose CONNECT was accepted, without keep alive.
pub(crate) async fn accepted(stream: Stream, client_id: &str) -> Client {
    let mut client = Client::new(stream, ProtocolVersion::V5);
    client
        .expect_accepted(connect(ProtocolVersion::V5, client_id))
        .await;
    client
}

/// A connection from the client's address.
pub(crate) async fn tcp(port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from((CLIENT, 0)))
        .expect("an address of loopback");
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.connect(addr).await.expect("connected")
}

/// `NAME.pem`, `NAME.key`, and both in `NAME-both.pem`, each replaced as a whole.
fn issue(ca: &Ca, folder: &Path, name: &str) -> CertificateDer<'static> {
    let pair = ca.issue(&["localhost", ANOTHER_SITE]);
    let both = pair.chain.clone() + &pair.key;
    let files = [
        (".pem", &pair.chain),
        (".key", &pair.key),
        ("-both.pem", &both),
    ];
    for (end, text) in files {
        let new = folder.join("new");
        fs::write(&new, text).expect("written");
        fs::rename(new, folder.join(format!("{name}{end}"))).expect("renamed");
    }
    pair.der()
}

/// A port that nobody listens on and that no other test of this program was given.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if given.insert(port) {
            return port;
        }
    }
}
