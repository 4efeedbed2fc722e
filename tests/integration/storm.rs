//! Everybody at once: all get in, however few may be on their way in together; and who dials without a word keeps
//! nobody out.

use std::{sync::Arc, time::Duration};

use gatemq::{message::QoS, mqtt::packet::ProtocolVersion};
use tokio::{net::TcpStream, sync::Barrier, task::JoinSet};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind};

use crate::support::{Broker, Carrier, Client, Stream, connect, roots, tls_with, within};

const CLIENTS: usize = 2_000;
/// Far fewer than come at once, so that nearly all of them meet it.
const AT_ONCE: &str = "[limits]\nmax_handshakes = 64\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_loses_nobody() {
    let broker = Arc::new(Broker::start_with(AT_ONCE).over(Carrier::Wss));
    let start = Arc::new(Barrier::new(CLIENTS));
    let mut storm = JoinSet::new();
    for number in 0..CLIENTS {
        let (broker, start) = (broker.clone(), start.clone());
        storm.spawn(async move {
            start.wait().await;
            let version = ProtocolVersion::V5;
            let client_id = number.to_string();
            // Behind 2,000 others in a debug build, no single step is quick.
            let stream = Stream::wss(broker.secure_addr(), &broker.ca_path())
                .await
                .expect("nobody is closed");
            let mut client = Client::new(stream, version);
            client.expect_accepted(connect(version, &client_id)).await;
            client
        });
    }
    let all = tokio::time::timeout(Duration::from_secs(180), storm.join_all())
        .await
        .expect("all are in");
    assert_eq!(all.len(), CLIENTS);
    assert_eq!(broker.app().metrics().connect_refused.all(), []);
}

#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let limits = format!("{AT_ONCE}first_byte_timeout = \"1h\"\n");
    let broker = Broker::start_with(&limits);
    let mut silent = Vec::new();
    for _ in 0..72 {
        silent.push(Stream::tcp(broker.plain_addr()).await.expect("connected"));
    }
    // 64 of them hold every place, and eight queue before it.
    let mut client = within(broker.connect(connect(ProtocolVersion::V5, "real"))).await;
    client.publish("a", "b", QoS::AtLeastOnce).await;
    assert!(broker.refused("handshakes") >= 9);
}

/// A ticket of one listener is worth as much at another, and at a listener that a reload has opened.
#[tokio::test]
async fn tickets_are_good_at_every_listener() {
    let listener = "[[listener]]\nbind = \"127.0.0.1:0\"\ntls = true\n";
    let broker = Broker::start_with(&listener.repeat(2));
    let config = ClientConfig::builder()
        .with_root_certificates(roots(&broker.ca_path()))
        .with_no_client_auth();
    let config = Arc::new(config);
    let handshake = async |addr| {
        let stream = TcpStream::connect(addr).await.expect("connected");
        let stream = tls_with(config.clone(), "localhost", stream)
            .await
            .expect("a handshake");
        let mut client = Client::new(Stream::Tls(Box::new(stream)), ProtocolVersion::V5);
        // The ticket comes with the first bytes that are read.
        client
            .expect_accepted(connect(ProtocolVersion::V5, ""))
            .await;
        let Stream::Tls(stream) = client.stream else {
            panic!("TLS remains TLS");
        };
        stream.get_ref().1.handshake_kind()
    };
    assert_eq!(
        handshake(broker.plain_addr()).await,
        Some(HandshakeKind::Full)
    );
    let resumed = Some(HandshakeKind::Resumed);
    assert_eq!(handshake(broker.secure_addr()).await, resumed);
    broker.reload(&listener.repeat(3)).expect("reloaded");
    let addrs = broker.app().local_addrs();
    let gatemq::listener::Bind::Tcp(added) = addrs[2] else {
        panic!("{addrs:?}");
    };
    assert_eq!(handshake(added).await, resumed);
}
