//! A whole broker on free ports, and a client that speaks packets and raw bytes over every transport.
//! Start at [`Broker::start`]; [`each`] runs a test over every transport.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "several test programs include it, and each uses the part that it needs"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else has come, the test has failed"
)]

pub mod certificates;
mod client;
pub mod http1;
pub mod http2;
pub mod logs;
pub mod raw;
mod stream;

pub use client::{Client, message};
pub use stream::{Io, Stream, roots, tls as stream_tls, tls_with, upgrade};

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use gatemq::{
    app::{App, Builder},
    config::{Config, Overrides},
    listener::Bind,
    mqtt::packet::{Connect, ProtocolVersion},
};
use tempfile::TempDir;

/// Whatever takes longer has gone wrong. Long, since the machine that runs the tests may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What carries a client's bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Carrier {
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::Ws, Self::Wss];
}

/// A broker of a test's own, with a plain listener and one with TLS.
pub struct Broker {
    app: Option<App>,
    plain: SocketAddr,
    secure: SocketAddr,
    folder: TempDir,
    /// What [`connect`](Self::connect) uses.
    pub carrier: Carrier,
}

/// Runs a test over every transport, with a broker for each.
pub async fn each<F: Future<Output = ()>>(test: impl Fn(Broker) -> F) {
    for carrier in Carrier::ALL {
        eprintln!("over {carrier:?}");
        test(Broker::start().over(carrier)).await;
    }
}

/// Runs a test over every transport in every version of the protocol.
pub async fn each_version<F: Future<Output = ()>>(test: impl Fn(Broker, ProtocolVersion) -> F) {
    for carrier in Carrier::ALL {
        for version in ProtocolVersion::ALL {
            eprintln!("over {carrier:?}, MQTT {}", version.as_str());
            test(Broker::start().over(carrier), version).await;
        }
    }
}

/// Whether brokers of these tests keep what they have to keep on a disk, as they do for people.
pub fn is_on_disk() -> bool {
    std::env::var_os("TEST_ON_DISK").is_some()
}

impl Broker {
    /// A broker with default limits.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// A broker with more in its configuration: TOML that stands before the listeners.
    pub fn start_with(toml: &str) -> Self {
        Self::build(toml, |builder| builder)
    }

    /// A broker with more in its configuration, and other parts.
    pub fn build(toml: &str, parts: impl FnOnce(Builder) -> Builder) -> Self {
        Self::build_in(tempfile::tempdir().expect("a folder"), toml, parts)
    }

    /// A broker in a folder that has something in it already: certificates, for example.
    pub fn start_in(folder: TempDir, toml: &str) -> Self {
        Self::build_in(folder, toml, |builder| builder)
    }

    fn build_in(folder: TempDir, toml: &str, parts: impl FnOnce(Builder) -> Builder) -> Self {
        let config = config(folder.path(), toml);
        let app = parts(App::builder(config)).start().expect("a broker");
        let addrs: Vec<_> = app.local_addrs().iter().filter_map(tcp).collect();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let plain = addrs.first().copied().unwrap_or(nowhere);
        Self {
            app: Some(app),
            plain,
            secure: addrs.get(1).copied().unwrap_or(plain),
            folder,
            carrier: Carrier::Tcp,
        }
    }

    /// The same broker, whose clients come over this carrier from now on.
    pub fn over(mut self, carrier: Carrier) -> Self {
        self.carrier = carrier;
        self
    }

    pub fn app(&self) -> &App {
        self.app.as_ref().expect("not stopped")
    }

    /// The folder with its configuration and certificates.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How many connections were refused for this reason.
    pub fn refused(&self, reason: &str) -> i64 {
        let refused = self.app().metrics().connect_refused.all();
        let named = refused.iter().find(|(name, _)| *name == reason);
        named.map_or(0, |(_, count)| *count)
    }

    /// The first listener: the one without TLS, unless the configuration says otherwise.
    pub const fn plain_addr(&self) -> SocketAddr {
        self.plain
    }

    /// The second listener, or the only one: the one with TLS, likewise.
    pub const fn secure_addr(&self) -> SocketAddr {
        self.secure
    }

    /// The CA that its certificate leads to.
    pub fn ca_path(&self) -> PathBuf {
        self.folder.path().join("certs/ca.pem")
    }

    /// Replaces its configuration.
    pub fn reload(
        &self,
        toml: &str,
    ) -> Result<gatemq::admin::control::Report, gatemq::app::Failed> {
        self.app().reload(config(self.folder.path(), toml))
    }

    /// Stops it in order.
    pub async fn drain(&mut self) {
        let app = self.app.take().expect("not stopped");
        within(app.drain()).await;
    }

    /// A stream without a byte on it.
    pub async fn open(&self) -> Stream {
        let opened = match self.carrier {
            Carrier::Tcp => Stream::tcp(self.plain).await,
            Carrier::Tls => Stream::tls(self.secure, &self.ca_path(), &[b"mqtt"]).await,
            Carrier::Ws => Stream::ws(self.plain).await,
            Carrier::Wss => Stream::wss(self.secure, &self.ca_path()).await,
        };
        opened.expect("a stream")
    }

    /// A client that has not said CONNECT.
    pub async fn client(&self, version: ProtocolVersion) -> Client {
        Client::new(self.open().await, version)
    }

    /// A client whose CONNECT was accepted.
    pub async fn connect(&self, connect: Connect) -> Client {
        let mut client = self.client(connect.version).await;
        client.expect_accepted(connect).await;
        client
    }
}

/// Waits, but not for ever.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("within the patience of a test")
}

/// Waits for something that happens elsewhere, in a thread of the broker.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "not yet: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A CONNECT with nothing special about it: clean start, no keep alive.
pub fn connect(version: ProtocolVersion, client_id: &str) -> Connect {
    Connect {
        version,
        client_id: client_id.into(),
        clean_start: true,
        keep_alive: 0,
        username: None,
        password: None,
        will: None,
        session_expiry_interval: 0,
        receive_maximum: 65_535,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication: None,
        user_properties: Vec::new(),
    }
}

/// The configuration of a test: what it wants, and two listeners on loopback unless it has its own.
pub fn config(folder: &Path, toml: &str) -> Config {
    let file = folder.join("gatemq.toml");
    let text = format!(
        "{}\n{toml}\n{}",
        if toml.contains("threads =") {
            ""
        } else {
            "threads = 1"
        },
        if toml.contains("[[listener]]") {
            ""
        } else {
            LISTENERS
        }
    );
    std::fs::write(&file, text).expect("a configuration file");
    let overrides = Overrides {
        port: None,
        // `tests/run durability` runs all of them on the disk.
        ephemeral: !is_on_disk(),
        verbose: 0,
    };
    match Config::load(Some(&file), std::iter::empty(), &overrides) {
        Ok(mut loaded) => {
            loaded.config.allow_anonymous |= !toml.contains("allow_anonymous");
            loaded.config
        }
        Err(errors) => panic!("{errors}"),
    }
}

const LISTENERS: &str = r#"
[[listener]]
bind = "127.0.0.1:0"
tls = false

[[listener]]
bind = "127.0.0.1:0"
tls = true
"#;

fn tcp(bind: &Bind) -> Option<SocketAddr> {
    match bind {
        Bind::Tcp(addr) => Some(*addr),
        Bind::Unix(_) => None,
    }
}
