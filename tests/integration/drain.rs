//! Stopping in order: everyone is told, nobody new is let in, what is kept is there again afterwards.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gatemq::{
    app::App,
    message::QoS,
    mqtt::packet::{Connect, Packet, ProtocolVersion, ReasonCode, Will},
    storage::Memory,
};
use tokio::net::TcpStream;

use crate::support::{
    Broker, Carrier, Client, Stream, connect, http1, http2::Http2, message, until, within,
};

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn draining(seconds: u32) -> Broker {
    Broker::start_with(&format!("drain_timeout = \"{seconds}s\"\n"))
}

#[tokio::test]
async fn everyone_is_told_in_their_own_protocol() {
    let mut broker = draining(0);
    let mut clients = Vec::new();
    for carrier in Carrier::ALL {
        for version in ProtocolVersion::ALL {
            broker.carrier = carrier;
            let name = format!("{carrier:?}-{}", version.as_str());
            let client = broker.connect(connect(version, &name)).await;
            clients.push((version, client));
        }
    }
    let tcp = TcpStream::connect(broker.plain_addr())
        .await
        .expect("connected");
    let mut http2 = Http2::over(tcp).await;
    let stream = http2.websocket("/mqtt").await.expect("a WebSocket");
    let mut client = Client::new(stream, ProtocolVersion::V5);
    client
        .expect_accepted(connect(ProtocolVersion::V5, "http2"))
        .await;
    clients.push((ProtocolVersion::V5, client));
    let told = async {
        for (version, client) in &mut clients {
            let packets = client.expect_end().await;
            match &packets[..] {
                [Packet::Disconnect(disconnect)] if *version == ProtocolVersion::V5 => {
                    assert_eq!(disconnect.reason_code, ReasonCode::ServerShuttingDown);
                }
                [] => assert_ne!(*version, ProtocolVersion::V5),
                other => panic!("{other:?}"),
            }
            if client.stream.is_websocket() {
                let (code, _) = client.stream.close_frame().expect("a close frame");
                assert_eq!(code, 1001);
            }
        }
    };
    tokio::join!(broker.drain(), told);
}

/// They do not all come back at once: one is told after the other, at most a tenth of a second apart.
#[tokio::test]
async fn it_is_spread_over_the_time_given() {
    const CLIENTS: u32 = 10;
    let mut broker = draining(60);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let wanted = connect(ProtocolVersion::V5, &number.to_string());
        clients.push(broker.connect(wanted).await);
    }
    let begin = now();
    let ended = async |mut client: Client| {
        client
            .expect_disconnect(ReasonCode::ServerShuttingDown)
            .await;
        begin.elapsed()
    };
    let all = futures_util::future::join_all(clients.into_iter().map(ended));
    let ((), mut ends) = tokio::join!(broker.drain(), all);
    ends.sort();
    assert!(ends[9] - ends[0] >= Duration::from_millis(600), "{ends:?}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

/// A short time holds for many.
#[tokio::test]
async fn it_ends_within_the_time_given() {
    const CLIENTS: u32 = 100;
    let mut broker = draining(1);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let wanted = connect(ProtocolVersion::V5, &number.to_string());
        clients.push(broker.connect(wanted).await);
    }
    let begin = now();
    let all = clients.iter_mut().map(|client| client.expect_end());
    tokio::join!(broker.drain(), futures_util::future::join_all(all));
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
}

/// WebSockets on HTTP/2 have as much time as all others, though their connection is asked to end at once.
#[tokio::test]
async fn websockets_on_http2_are_not_cut_off() {
    const OTHERS: u32 = 40;
    let mut broker = draining(60);
    let mut others = Vec::new();
    for number in 0..OTHERS {
        let wanted = connect(ProtocolVersion::V5, &number.to_string());
        others.push(broker.connect(wanted).await);
    }
    let tcp = TcpStream::connect(broker.plain_addr())
        .await
        .expect("connected");
    let mut http2 = Http2::over(tcp).await;
    let mut clients = Vec::new();
    for number in 0..8 {
        let stream = http2.websocket("/mqtt").await.expect("a WebSocket");
        let mut client = Client::new(stream, ProtocolVersion::V5);
        let wanted = connect(ProtocolVersion::V5, &format!("http2-{number}"));
        client.expect_accepted(wanted).await;
        clients.push(client);
    }
    let told = async {
        for client in &mut clients {
            client
                .expect_disconnect(ReasonCode::ServerShuttingDown)
                .await;
        }
    };
    tokio::join!(broker.drain(), told);
}

/// Whoever has not said anything yet is not waited for.
#[tokio::test]
async fn silent_connections_do_not_hold_it_up() {
    let mut broker = draining(0);
    let mut silent = Vec::new();
    for addr in [broker.plain_addr(), broker.secure_addr()] {
        for begun in [&b""[..], b"\x16", b"GET / HTT", b"GET / HTTP/1.1\r\nHost:"] {
            let mut stream = Stream::tcp(addr).await.expect("connected");
            stream.write(begun).await.expect("written");
            silent.push(stream);
        }
    }
    silent.push(Stream::ws(broker.plain_addr()).await.expect("an upgrade"));
    let mut kept = Stream::tcp(broker.plain_addr()).await.expect("connected");
    assert_eq!(http1::get(&mut kept, "/livez").await.status, 200);
    silent.push(kept);
    until("all are there", || {
        broker.app().metrics().sockets_accepted.get() == 10
    })
    .await;
    let begin = now();
    broker.drain().await;
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    for mut stream in silent {
        assert_eq!(within(stream.read()).await, b"");
    }
}

/// No new connections from the beginning, while the last of the old ones is still there.
#[tokio::test]
async fn nobody_new_is_let_in() {
    let mut broker = draining(60);
    let addr = broker.plain_addr();
    let mut clients = Vec::new();
    for number in 0..20 {
        let wanted = connect(ProtocolVersion::V5, &number.to_string());
        clients.push(broker.connect(wanted).await);
    }
    // A request that was on its way: probes are told.
    let mut probe = Stream::tcp(addr).await.expect("connected");
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    probe
        .write(&request.as_bytes()[..20])
        .await
        .expect("written");
    // A connection that was there before, and comes with its CONNECT too late.
    let mut late = broker.client(ProtocolVersion::V5).await;
    let wanted = connect(ProtocolVersion::V5, "late");
    let bytes = late.encode(&Packet::Connect(Box::new(wanted)));
    let before = broker.app().metrics().bytes_received.get();
    late.send_bytes(&bytes[..10]).await;
    until(
        "its first bytes are read, and those of the request before",
        || broker.app().metrics().bytes_received.get() == before + 10,
    )
    .await;
    let newcomers = async {
        // Until the listener is closed a connection may wait in its backlog, but never gets an answer.
        loop {
            match Stream::tcp(addr).await {
                // One that was in the backlog at that moment.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
                Err(error) => {
                    break assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
                }
                Ok(stream) => stream.abort().await,
            }
            tokio::task::yield_now().await;
        }
        late.send_bytes(&bytes[10..]).await;
        match late.expect_packet().await {
            Packet::ConnAck(answer) => {
                assert_eq!(answer.reason_code, ReasonCode::ServerUnavailable);
            }
            other => panic!("not CONNACK but {other:?}"),
        }
        probe
            .write(&request.as_bytes()[20..])
            .await
            .expect("written");
        let answer = http1::answer(&mut probe, true).await.expect("an answer");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.text(), "not ready: draining\n");
        for client in &mut clients {
            client.expect_end().await;
        }
    };
    tokio::join!(broker.drain(), newcomers);
}

/// A session that has its place after the restart, too.
fn persistent(client_id: &str) -> Connect {
    let mut wanted = connect(ProtocolVersion::V5, client_id);
    wanted.clean_start = false;
    wanted.session_expiry_interval = 600;
    wanted
}

fn with_storage(storage: &Memory) -> Broker {
    let storage = Arc::new(storage.clone());
    Broker::build("drain_timeout = \"0s\"\n", |builder| {
        builder.storage(storage)
    })
}

/// [MQTT-3.1.2-8] The server ends the connection without DISCONNECT of the client: its will is published, and who
/// comes back finds it.
#[tokio::test]
async fn wills_are_published() {
    let storage = Memory::default();
    let mut broker = with_storage(&storage);
    let mut watcher = broker.connect(persistent("watcher")).await;
    watcher.subscribe("will/#", QoS::AtLeastOnce).await;
    let mut clients = Vec::new();
    for version in ProtocolVersion::ALL {
        let mut wanted = connect(version, version.as_str());
        let topic = format!("will/{}", version.as_str());
        wanted.will = Some(will(&topic));
        clients.push(broker.connect(wanted).await);
    }
    // A will is not published for who has taken leave.
    let mut wanted = connect(ProtocolVersion::V5, "gone");
    wanted.will = Some(will("will/gone"));
    broker.connect(wanted).await.disconnect().await;
    broker.drain().await;
    let broker = with_storage(&storage);
    let mut topics: Vec<String> = Vec::new();
    // What reached the watcher before it was told to go is in its stream, the rest in its session.
    for packet in watcher.expect_end().await {
        if let Packet::Publish(publish) = packet {
            topics.push(publish.message.topic.as_str().to_owned());
        }
    }
    let mut watcher = broker.connect(persistent("watcher")).await;
    while topics.len() < 3 {
        let publish = watcher.expect_publish().await;
        watcher.acknowledge(&publish).await;
        let topic = publish.message.topic.as_str().to_owned();
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    topics.sort();
    assert_eq!(topics, ["will/3.1", "will/3.1.1", "will/5.0"]);
}

fn will(topic: &str) -> Box<Will> {
    let message = message(topic, "gone", QoS::AtLeastOnce, false);
    Box::new(Will {
        topic: message.topic,
        payload: message.payload,
        qos: message.qos,
        retain: false,
        delay_interval: 0,
        message_expiry_interval: None,
        properties: None,
    })
}

/// Sessions with what they are owed, their subscriptions, retained messages: all there for the next broker.
#[tokio::test]
async fn what_is_kept_is_there_again() {
    let storage = Memory::default();
    let mut broker = with_storage(&storage);
    let mut there = broker.connect(persistent("there")).await;
    there.subscribe("t/#", QoS::ExactlyOnce).await;
    let mut away = broker.connect(persistent("away")).await;
    away.subscribe("t/#", QoS::AtLeastOnce).await;
    away.disconnect().await;
    until("it is parked", || {
        broker.app().metrics().sessions_parked.get() == 1
    })
    .await;
    let mut publisher = broker.connect(connect(ProtocolVersion::V5, "p")).await;
    publisher.publish("t/1", "one", QoS::AtLeastOnce).await;
    publisher
        .publish_retained("t/2", "two", QoS::ExactlyOnce)
        .await;
    // Received, and acknowledged only in part.
    there.expect_message("t/1", "one").await;
    let unacknowledged = there.expect_publish().await;
    broker.drain().await;

    let broker = with_storage(&storage);
    let mut there = broker.client(ProtocolVersion::V5).await;
    assert!(
        there
            .expect_accepted(persistent("there"))
            .await
            .session_present
    );
    let again = there.expect_message("t/2", "two").await;
    assert!(again.dup);
    assert_eq!(again.packet_id, unacknowledged.packet_id);
    there.expect_nothing().await;
    let mut away = broker.client(ProtocolVersion::V5).await;
    assert!(
        away.expect_accepted(persistent("away"))
            .await
            .session_present
    );
    away.expect_message("t/1", "one").await;
    away.expect_message("t/2", "two").await;
    away.expect_nothing().await;
    let mut new = broker.connect(connect(ProtocolVersion::V5, "new")).await;
    new.subscribe("t/+", QoS::AtMostOnce).await;
    assert!(new.expect_message("t/2", "two").await.retain);
    new.publish("t/3", "three", QoS::AtLeastOnce).await;
    there.expect_message("t/3", "three").await;
    away.expect_message("t/3", "three").await;
}

/// Dropped, a broker stops at once: threads, listeners, connections.
#[tokio::test]
async fn dropped_it_stops_at_once() {
    let broker = Broker::start();
    let addr = broker.plain_addr();
    let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
    let begin = now();
    let stopped = tokio::task::spawn_blocking(move || drop(broker));
    within(stopped).await.expect("no panic");
    assert!(begin.elapsed() < Duration::from_secs(10));
    client.expect_end().await;
    assert!(Stream::tcp(addr).await.is_err());
    // Types that others hold on to do not keep it alive.
    let _ = std::mem::size_of::<App>();
}
