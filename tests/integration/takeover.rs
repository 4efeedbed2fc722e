//! Takeover: however many connections claim one client identifier, its session has one owner, and nothing is lost or
//! doubled between them.

use std::{collections::BTreeMap, time::Duration};

use gatemq::{
    message::QoS,
    mqtt::packet::{Acknowledgement, Connect, Disconnect, Packet, ProtocolVersion, ReasonCode},
};

use crate::support::{Broker, Carrier, Client, connect, message, until, within};

fn persistent(version: ProtocolVersion) -> Connect {
    let mut wanted = connect(version, "wanted-by-all");
    wanted.clean_start = false;
    wanted.session_expiry_interval = 600;
    wanted
}

/// What one connection received before another took its place, in order; whether it is still there.
struct Part {
    messages: Vec<(u32, bool)>,
    is_alive: bool,
}

/// Connects, acknowledges whatever comes, until the end of the stream or of the messages.
async fn claim(broker: &Broker, last: u32) -> Part {
    let mut client = Client::new(broker.open().await, ProtocolVersion::V5);
    let mut part = Part {
        messages: Vec::new(),
        is_alive: false,
    };
    let wanted = Packet::Connect(Box::new(persistent(ProtocolVersion::V5)));
    let bytes = client.encode(&wanted);
    // Somebody else may have come before we have said a word.
    if client.stream.write(&bytes).await.is_err() {
        return part;
    }
    while let Some(packet) = client.receive().await {
        match packet {
            Packet::ConnAck(answer) => {
                assert_eq!(answer.reason_code, ReasonCode::Success);
                assert!(answer.session_present, "the session was there before");
            }
            Packet::Publish(publish) => {
                let text = String::from_utf8_lossy(&publish.message.payload).into_owned();
                let number = text.parse().expect("a number");
                part.messages.push((number, publish.dup));
                let packet_id = publish.packet_id.expect("QoS 1");
                let ack = Acknowledgement::new(packet_id, ReasonCode::Success);
                let bytes = client.encode(&Packet::PubAck(ack));
                // Lost where the connection has been taken over meanwhile: then the message comes again.
                let _ = client.stream.write(&bytes).await;
                if number == last {
                    part.is_alive = true;
                    return part;
                }
            }
            Packet::Disconnect(disconnect) => {
                assert_eq!(disconnect.reason_code, ReasonCode::SessionTakenOver);
            }
            other => panic!("{other:?}"),
        }
    }
    part
}

/// Fifty connections at once claim a session while somebody publishes to it.
async fn check_storm(carrier: Carrier) {
    const CONNECTIONS: usize = 50;
    const MESSAGES: u32 = 300;
    let broker = Broker::start_with("threads = 2\n").over(carrier);
    let mut first = broker.connect(persistent(ProtocolVersion::V5)).await;
    first.subscribe("t", QoS::AtLeastOnce).await;
    drop(first);
    let mut publisher = broker.connect(connect(ProtocolVersion::V5, "p")).await;
    let publish = async {
        for number in 0..MESSAGES {
            publisher
                .publish("t", &number.to_string(), QoS::AtLeastOnce)
                .await;
        }
    };
    let storm = async {
        let claims = (0..CONNECTIONS).map(|_| claim(&broker, MESSAGES - 1));
        futures_util::future::join_all(claims).await
    };
    let ((), parts) = tokio::join!(publish, within(storm));
    // One of them may have had the last message and not its acknowledgement through: then the next had it, too.
    let alive = parts.iter().filter(|part| part.is_alive).count();
    assert!(alive >= 1, "nobody had the last message");
    let mut received: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for part in &parts {
        let numbers: Vec<u32> = part.messages.iter().map(|(number, _)| *number).collect();
        assert!(
            numbers.is_sorted_by(|a, b| a < b),
            "out of order: {numbers:?}"
        );
        for (number, dup) in &part.messages {
            let (times, first_times) = received.entry(*number).or_default();
            *times += 1;
            *first_times += usize::from(!dup);
        }
    }
    let missing: Vec<u32> = (0..MESSAGES)
        .filter(|number| !received.contains_key(number))
        .collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    for (number, (times, first_times)) in received {
        // [MQTT-3.3.1-1] Whatever comes again says so.
        assert!(
            first_times <= 1,
            "{number} came {times} times, {first_times} without DUP"
        );
    }
    until("one remains at most, beside the publisher", || {
        broker.app().metrics().connected.get() <= 2
    })
    .await;
    assert_eq!(broker.app().broker().session_count(), 2);
}

#[tokio::test]
async fn a_storm_over_tcp_loses_nothing() {
    check_storm(Carrier::Tcp).await;
}

#[tokio::test]
async fn a_storm_over_secure_websocket_loses_nothing() {
    check_storm(Carrier::Wss).await;
}

/// Exactly one remains of those who came, and it works.
#[tokio::test]
async fn exactly_one_remains() {
    const CONNECTIONS: usize = 50;
    let broker = Broker::start_with("threads = 2\n");
    let come = async || {
        let mut client = broker.client(ProtocolVersion::V5).await;
        let wanted = Packet::Connect(Box::new(persistent(ProtocolVersion::V5)));
        client.send(&wanted).await;
        client
    };
    let mut clients = futures_util::future::join_all((0..CONNECTIONS).map(|_| come())).await;
    until("all but one are gone", || {
        let metrics = broker.app().metrics();
        metrics.connections_total.get() == CONNECTIONS as u64 && metrics.connected.get() == 1
    })
    .await;
    let mut alive = Vec::new();
    for mut client in clients.drain(..) {
        assert!(matches!(client.expect_packet().await, Packet::ConnAck(_)));
        let next = tokio::time::timeout(Duration::from_millis(20), client.receive()).await;
        match next {
            Err(_) => alive.push(client),
            Ok(Some(Packet::Disconnect(disconnect))) => {
                assert_eq!(disconnect.reason_code, ReasonCode::SessionTakenOver);
            }
            Ok(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(alive.len(), 1);
    let mut client = alive.remove(0);
    client.subscribe("t", QoS::ExactlyOnce).await;
    client.publish("t", "still here", QoS::ExactlyOnce).await;
    client.expect_message("t", "still here").await;
}

/// QoS 2 arrives once, whoever takes over in the middle of it.
#[tokio::test]
async fn qos_2_arrives_once_through_takeovers() {
    const MESSAGES: u32 = 60;
    let broker = Broker::start_with("threads = 2\n");
    let mut client = broker.connect(persistent(ProtocolVersion::V5)).await;
    client.subscribe("t", QoS::ExactlyOnce).await;
    let mut publisher = broker.connect(connect(ProtocolVersion::V5, "p")).await;
    for number in 0..MESSAGES {
        publisher
            .publish("t", &number.to_string(), QoS::ExactlyOnce)
            .await;
    }
    // By packet identifier: a receiver of QoS 2 takes a message when its identifier is new.
    let mut open: BTreeMap<u16, u32> = BTreeMap::new();
    let mut taken = Vec::new();
    let mut steps = 0;
    while taken.len() < MESSAGES as usize || !open.is_empty() {
        steps += 1;
        if steps % 7 == 0 {
            let mut next = broker.client(ProtocolVersion::V5).await;
            let answer = next.expect_accepted(persistent(ProtocolVersion::V5)).await;
            assert!(answer.session_present);
            client = next;
        }
        match client.expect_packet().await {
            Packet::Publish(publish) => {
                let packet_id = publish.packet_id.expect("QoS 2");
                let text = String::from_utf8_lossy(&publish.message.payload).into_owned();
                let number = text.parse().expect("a number");
                if open.insert(packet_id.get(), number).is_none() {
                    taken.push(number);
                }
                let ack = Acknowledgement::new(packet_id, ReasonCode::Success);
                client.send(&Packet::PubRec(ack)).await;
            }
            Packet::PubRel(release) => {
                open.remove(&release.packet_id.get());
                let ack = Acknowledgement::new(release.packet_id, ReasonCode::Success);
                client.send(&Packet::PubComp(ack)).await;
            }
            other => panic!("{other:?}"),
        }
    }
    let expected: Vec<u32> = (0..MESSAGES).collect();
    assert_eq!(taken, expected);
}

/// A publisher that is taken over between PUBLISH and PUBREL publishes once.
#[tokio::test]
async fn a_publish_of_qos_2_survives_a_takeover() {
    let broker = Broker::start();
    let mut watcher = broker.connect(connect(ProtocolVersion::V5, "w")).await;
    watcher.subscribe("t", QoS::AtMostOnce).await;
    let mut client = broker.connect(persistent(ProtocolVersion::V5)).await;
    let mut publish = client.publish_of(message("t", "once", QoS::ExactlyOnce, false));
    let packet_id = publish.packet_id.expect("QoS 2");
    client.send(&Packet::Publish(publish.clone())).await;
    client.expect_acknowledgement("PUBREC", packet_id).await;
    let mut next = broker.connect(persistent(ProtocolVersion::V5)).await;
    client.expect_disconnect(ReasonCode::SessionTakenOver).await;
    publish.dup = true;
    next.send(&Packet::Publish(publish)).await;
    next.expect_acknowledgement("PUBREC", packet_id).await;
    let release = Acknowledgement::new(packet_id, ReasonCode::Success);
    next.send(&Packet::PubRel(release)).await;
    next.expect_acknowledgement("PUBCOMP", packet_id).await;
    watcher.expect_message("t", "once").await;
    watcher.expect_nothing().await;
}

/// A client that hangs cannot keep its identifier from the one that comes after it.
#[tokio::test]
async fn who_does_not_read_is_taken_over_as_well() {
    let broker = Broker::start();
    let mut stuck = broker.connect(persistent(ProtocolVersion::V5)).await;
    stuck.subscribe("t", QoS::AtMostOnce).await;
    let mut publisher = broker.connect(connect(ProtocolVersion::V5, "p")).await;
    let payload = "x".repeat(64 * 1024);
    for _ in 0..300 {
        publisher.publish("t", &payload, QoS::AtMostOnce).await;
    }
    publisher.expect_nothing().await;
    let begin = tokio::time::Instant::now();
    let mut next = broker.connect(persistent(ProtocolVersion::V5)).await;
    next.send(&Packet::PingReq).await;
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    drop(stuck);
}

/// A client that says DISCONNECT and comes back at once has said it: on two cores its new connection may be read first.
#[tokio::test]
async fn what_was_said_before_a_takeover_counts() {
    const ROUNDS: u32 = 100;
    for carrier in [Carrier::Tcp, Carrier::Wss] {
        let broker = Broker::start_with("threads = 2\n").over(carrier);
        for round in 0..ROUNDS {
            let mut client = broker.connect(persistent(ProtocolVersion::V5)).await;
            let mut next = broker.client(ProtocolVersion::V5).await;
            let mut goodbye = Disconnect::new(ReasonCode::Success);
            goodbye.session_expiry_interval = Some(0);
            client.send(&Packet::Disconnect(goodbye)).await;
            let answer = next.expect_accepted(persistent(ProtocolVersion::V5)).await;
            assert!(!answer.session_present, "round {round} over {carrier:?}");
            client.expect_end().await;
            let mut goodbye = Disconnect::new(ReasonCode::Success);
            goodbye.session_expiry_interval = Some(0);
            next.send(&Packet::Disconnect(goodbye)).await;
            next.expect_end().await;
        }
    }
}
