//! Certificates change on disk while everybody goes on publishing.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gatemq::{message::QoS, mqtt::packet::ProtocolVersion};
use rustls::{ClientConfig, pki_types::CertificateDer};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::support::{
    Broker, Client, Stream,
    certificates::{Ca, Pair},
    connect, logs, tls_with, until, within,
};

/// Clients that publish throughout. In a debug build a handshake takes a hundred times as long, so fewer make do there.
const CLIENTS: usize = if cfg!(debug_assertions) { 200 } else { 1000 };

/// From the change on disk to the first handshake that shows it.
const PROMISED: Duration = Duration::from_secs(2);

const TOML: &str = r#"
[[tls.certificate]]
chain = "server.pem"
key = "server.key"

[[listener]]
bind = "127.0.0.1:0"
tls = true
"#;

/// A broker whose certificate is of an authority of the test.
fn start(pair: &Pair) -> Broker {
    logs::capture();
    let folder = tempfile::tempdir().expect("a folder");
    pair.write(folder.path(), "server");
    Broker::start_in(folder, TOML)
}

/// A handshake; the certificate that is shown.
async fn shown(broker: &Broker, client: &Arc<ClientConfig>) -> CertificateDer<'static> {
    let tcp = TcpStream::connect(broker.secure_addr()).await;
    let stream = tls_with(client.clone(), "localhost", tcp.expect("connected")).await;
    let stream = stream.expect("a handshake");
    stream
        .get_ref()
        .1
        .peer_certificates()
        .expect("certificates")[0]
        .clone()
}

/// The certificate is served within the time that is promised.
async fn check_served(broker: &Broker, client: &Arc<ClientConfig>, pair: &Pair, how: &str) {
    let begin = tokio::time::Instant::now();
    while shown(broker, client).await != pair.der() {
        assert!(
            begin.elapsed() < PROMISED,
            "not served after it was replaced by {how}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client that publishes numbers to itself and finds each of them, in order, once.
async fn publish_throughout(stream: Stream, number: usize, stop: Arc<AtomicBool>) -> u32 {
    let mut client = Client::new(stream, ProtocolVersion::V5);
    let name = number.to_string();
    client
        .expect_accepted(connect(ProtocolVersion::V5, &name))
        .await;
    client.subscribe(&name, QoS::AtLeastOnce).await;
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let text = count.to_string();
        client.publish(&name, &text, QoS::AtLeastOnce).await;
        let publish = client.expect_message(&name, &text).await;
        assert!(!publish.dup);
        count += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    client.expect_nothing().await;
    client.disconnect().await;
    count
}

struct Crowd {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<u32>>,
}

impl Crowd {
    async fn gather(broker: &Broker, client: &Arc<ClientConfig>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let tcp = TcpStream::connect(broker.secure_addr())
                .await
                .expect("connected");
            let stream = tls_with(client.clone(), "localhost", tcp).await;
            let stream = Stream::Tls(Box::new(stream.expect("a handshake")));
            clients.push(tokio::spawn(publish_throughout(
                stream,
                number,
                stop.clone(),
            )));
        }
        until("all are in", || {
            broker.app().metrics().connected.get() == CLIENTS as i64
        })
        .await;
        Self { stop, clients }
    }

    async fn check_no_gap(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            let count = within(client).await.expect("no gap");
            assert!(count > 1, "it has published throughout");
        }
    }
}

fn replace_by_rename(folder: &Path, pair: &Pair) {
    let [chain, key] = pair.write(folder, "new");
    fs::rename(chain, folder.join("server.pem")).expect("renamed");
    fs::rename(key, folder.join("server.key")).expect("renamed");
}

fn rewrite(folder: &Path, pair: &Pair) {
    pair.write(folder, "server");
}

/// The way of certbot and Kubernetes: the names stay, a symlink leads elsewhere.
fn swap_symlink(folder: &Path, pair: &Pair, version: &str) {
    let target = folder.join(version);
    fs::create_dir(&target).expect("a folder");
    pair.write(&target, "server");
    let data = folder.join("..data-new");
    symlink(version, &data).expect("a symlink");
    fs::rename(&data, folder.join("..data")).expect("renamed");
    for name in ["server.pem", "server.key"] {
        let path: PathBuf = folder.join(name);
        if !path.is_symlink() {
            let new = folder.join("new-link");
            symlink(format!("..data/{name}"), &new).expect("a symlink");
            fs::rename(new, path).expect("renamed");
        }
    }
}

/// Replaced by rename, in place, by swapping symlinks: served to the next handshake, unnoticed by everybody else. A
/// broken one is refused and named, and the old one stays.
#[tokio::test]
async fn a_crowd_publishes_through_every_change() {
    let ca = Ca::new();
    let client = Arc::new(ca.client());
    let first = ca.issue(&["localhost"]);
    let broker = start(&first);
    assert_eq!(shown(&broker, &client).await, first.der());
    let crowd = Crowd::gather(&broker, &client).await;
    let folder = broker.folder();

    let second = ca.issue(&["localhost"]);
    replace_by_rename(folder, &second);
    check_served(&broker, &client, &second, "rename").await;
    let third = ca.issue_rsa(&["localhost"]);
    rewrite(folder, &third);
    check_served(&broker, &client, &third, "rewriting").await;

    check_refused(&broker, &client, &third, "server.pem", |folder| {
        fs::write(
            folder.join("server.pem"),
            "-----BEGIN CERTIFICATE-----\nMIIB",
        )
        .expect("written");
    })
    .await;
    // Somebody else's key.
    check_refused(&broker, &client, &third, "server.key", |folder| {
        let other = ca.issue(&["localhost"]);
        fs::write(folder.join("server.pem"), &third.chain).expect("written");
        fs::write(folder.join("server.key"), other.key).expect("written");
    })
    .await;
    check_refused(&broker, &client, &third, "server.pem", |folder| {
        rewrite(folder, &ca.issue_expired(&["localhost"]));
    })
    .await;
    check_refused(&broker, &client, &third, "server.pem", |folder| {
        fs::remove_file(folder.join("server.pem")).expect("removed");
    })
    .await;

    let fourth = ca.issue(&["localhost"]);
    swap_symlink(folder, &fourth, "v1");
    check_served(&broker, &client, &fourth, "a symlink").await;
    until("the failure is over", || {
        broker.app().metrics().last_reload_error.lock().is_none()
    })
    .await;
    let fifth = ca.issue(&["localhost"]);
    swap_symlink(folder, &fifth, "v2");
    check_served(&broker, &client, &fifth, "another symlink").await;
    crowd.check_no_gap().await;
}

/// The change is refused with the name of the file, wherever it is watched; the old certificate stays.
async fn check_refused(
    broker: &Broker,
    client: &Arc<ClientConfig>,
    old: &Pair,
    file: &str,
    change: impl FnOnce(&Path),
) {
    let metrics = broker.app().metrics();
    let before = metrics.reloads.get();
    change(broker.folder());
    until("it was tried", || metrics.reloads.get() > before).await;
    let error = metrics.last_reload_error.lock().clone().expect("an error");
    let path = broker.folder().join(file);
    let path = path.display().to_string();
    assert!(error.contains(&path), "{path} is not named: {error}");
    assert!(!metrics.is_last_reload_successful());
    assert_eq!(broker.app().status().last_reload, &*error);
    logs::wait_for(&["ERROR", &path]).await;
    assert_eq!(shown(broker, client).await, old.der());
}

/// Nothing is waited for where an operator asks: `gatemq reload` has it at once.
#[tokio::test]
async fn a_reload_that_is_asked_for_is_at_once() {
    let ca = Ca::new();
    let client = Arc::new(ca.client());
    let broker = start(&ca.issue(&["localhost"]));
    let second = ca.issue(&["localhost"]);
    rewrite(broker.folder(), &second);
    let report = broker.reload(TOML).expect("reloaded");
    assert!(
        report.changed.contains(&"certificates".to_owned()),
        "{report:?}"
    );
    assert_eq!(shown(&broker, &client).await, second.der());
}

/// An old file that comes back under a new name is a change as well.
#[tokio::test]
async fn a_certificate_is_added_and_taken_away() {
    let ca = Ca::new();
    let broker = start(&ca.issue(&["localhost"]));
    let client = Arc::new(ca.client());
    let name = async |server_name: &str| {
        let tcp = TcpStream::connect(broker.secure_addr())
            .await
            .expect("connected");
        tls_with(client.clone(), server_name, tcp).await.is_ok()
    };
    assert!(!name("other.example").await);
    ca.issue(&["other.example"]).write(broker.folder(), "other");
    let both = format!("[[tls.certificate]]\nchain = \"other.pem\"\nkey = \"other.key\"\n{TOML}");
    broker.reload(&both).expect("reloaded");
    assert!(name("other.example").await);
    assert!(name("localhost").await);
    broker.reload(TOML).expect("reloaded");
    assert!(!name("other.example").await);
}
