//! A full queue is a decision with a name, and a slow reader holds up nobody else.

use std::time::Duration;

use gatemq::{
    message::QoS,
    mqtt::packet::{Connect, ProtocolVersion, ReasonCode},
    telemetry::DropReason,
};

use crate::support::{Broker, Client, Stream, connect, is_on_disk, until};

const LIMIT: usize = 5;

fn broker(when_full: &str) -> Broker {
    Broker::start_with(&format!(
        "[queue]\nmax_messages = {LIMIT}\nwhen_full = \"{when_full}\"\n"
    ))
}

fn persistent(client_id: &str) -> Connect {
    let mut wanted = connect(ProtocolVersion::V5, client_id);
    wanted.clean_start = false;
    wanted.session_expiry_interval = 600;
    wanted
}

/// A session that waits for its client.
async fn leave_session(broker: &Broker) {
    let mut client = broker.connect(persistent("c")).await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.disconnect().await;
    until("the session is parked", || {
        broker.app().metrics().sessions_parked.get() == 1
    })
    .await;
}

async fn publish_beyond(broker: &Broker) {
    let mut publisher = broker.connect(connect(ProtocolVersion::V5, "p")).await;
    for number in 0..LIMIT + 2 {
        publisher
            .publish("t", &number.to_string(), QoS::AtLeastOnce)
            .await;
    }
}

async fn check_kept(broker: &Broker, expected: std::ops::Range<usize>) {
    let mut client = broker.connect(persistent("c")).await;
    for number in expected {
        client.expect_message("t", &number.to_string()).await;
    }
    client.expect_nothing().await;
    let metrics = broker.app().metrics();
    let dropped = &metrics.messages_dropped[DropReason::QueueFull as usize];
    assert_eq!(dropped.get(), 2);
    assert_eq!(metrics.queued_messages.get(), 0);
    assert_eq!(metrics.queued_bytes.get(), 0);
}

#[tokio::test]
async fn the_oldest_give_way() {
    let broker = broker("drop-oldest");
    leave_session(&broker).await;
    publish_beyond(&broker).await;
    check_kept(&broker, 2..LIMIT + 2).await;
}

#[tokio::test]
async fn the_newest_are_dropped() {
    let broker = broker("drop-newest");
    leave_session(&broker).await;
    publish_beyond(&broker).await;
    check_kept(&broker, 0..LIMIT).await;
}

/// Who is not there cannot be disconnected: the newest are dropped.
#[tokio::test]
async fn disconnect_drops_the_newest_of_who_is_not_there() {
    let broker = broker("disconnect");
    leave_session(&broker).await;
    publish_beyond(&broker).await;
    check_kept(&broker, 0..LIMIT).await;
}

/// Who is there and does not acknowledge is disconnected with 0x97; its queue stays.
#[tokio::test]
async fn disconnect_ends_a_client_that_does_not_keep_up() {
    let broker = broker("disconnect");
    let mut wanted = persistent("c");
    wanted.receive_maximum = 1;
    let mut client = broker.connect(wanted).await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    let mut publisher = broker.connect(connect(ProtocolVersion::V5, "p")).await;
    // One is in flight, and beside it as many wait as may.
    for number in 0..LIMIT + 3 {
        let number = number.to_string();
        publisher.publish("t", &number, QoS::AtLeastOnce).await;
    }
    let last = client.expect_disconnect(ReasonCode::QuotaExceeded).await;
    let reason = last.expect("MQTT 5").reason_string;
    assert!(reason.is_some_and(|text| text.contains("queue is full")));
    let mut client = broker.connect(persistent("c")).await;
    for number in 0..LIMIT {
        client.expect_message("t", &number.to_string()).await;
    }
}

/// The same without a window to be closed: who does not even read is ended by its own queue.
#[tokio::test]
async fn disconnect_ends_a_client_that_does_not_read() {
    let broker = broker("disconnect");
    let mut slow = broker.connect(connect(ProtocolVersion::V5, "slow")).await;
    slow.subscribe("t", QoS::AtMostOnce).await;
    let mut publisher = broker.connect(connect(ProtocolVersion::V5, "p")).await;
    let payload = "x".repeat(64 * 1024);
    let metrics = broker.app().metrics();
    let dropped = &metrics.messages_dropped[DropReason::QueueFull as usize];
    for _ in 0..1000 {
        publisher.publish("t", &payload, QoS::AtLeastOnce).await;
        if dropped.get() > 0 {
            break;
        }
    }
    // Nothing more is published: the end does not wait for another message.
    until("the slow one is gone", || metrics.connected.get() == 1).await;
}

/// QoS 0 gives way before anything that was promised.
#[tokio::test]
async fn qos_0_gives_way_first() {
    let broker = Broker::start_with(&format!(
        "[queue]\nmax_messages = {LIMIT}\nwhen_full = \"drop-oldest\"\nqueue_qos0 = true\n"
    ));
    leave_session(&broker).await;
    let mut publisher = broker.connect(connect(ProtocolVersion::V5, "p")).await;
    publisher.publish("t", "promised", QoS::AtLeastOnce).await;
    for number in 0..LIMIT + 2 {
        let number = number.to_string();
        publisher.publish("t", &number, QoS::AtMostOnce).await;
    }
    publisher.publish("t", "as well", QoS::AtLeastOnce).await;
    let mut client = broker.connect(persistent("c")).await;
    let mut payloads = Vec::new();
    for _ in 0..LIMIT {
        let publish = client.expect_publish().await;
        client.acknowledge(&publish).await;
        payloads.push(String::from_utf8_lossy(&publish.message.payload).into_owned());
    }
    client.expect_nothing().await;
    assert!(payloads.contains(&"promised".to_owned()), "{payloads:?}");
    assert!(payloads.contains(&"as well".to_owned()), "{payloads:?}");
}

/// All queues together have a limit. Beyond it nothing grows, whatever each queue would still take.
#[tokio::test]
async fn all_queues_together() {
    const MESSAGE: usize = 64 * 1024;
    const MESSAGES: usize = 40;
    let broker = Broker::start_with("[queue]\nmax_total_bytes = \"1MiB\"\n");
    leave_session(&broker).await;
    let mut publisher = broker.connect(connect(ProtocolVersion::V5, "p")).await;
    let payload = "x".repeat(MESSAGE);
    for _ in 0..MESSAGES {
        publisher.publish("t", &payload, QoS::AtLeastOnce).await;
        let queued = broker.app().metrics().queued_bytes.get();
        assert!(queued <= 1 << 20, "{queued}");
    }
    let quota = &broker.app().metrics().messages_dropped[DropReason::Quota as usize];
    if is_on_disk() {
        // What memory has no room for waits there.
        assert_eq!(quota.get(), 0);
    } else {
        assert!(quota.get() >= 24, "{}", quota.get());
    }
    let mut client = broker.connect(persistent("c")).await;
    for _ in 0..MESSAGES - quota.get() as usize {
        client.expect_message("t", &payload).await;
    }
    client.expect_nothing().await;
    // There is room again.
    publisher.publish("t", "after", QoS::AtLeastOnce).await;
    client.expect_message("t", "after").await;
    // What is not acknowledged counts as queued.
    client.expect_nothing().await;
    assert_eq!(broker.app().metrics().queued_bytes.get(), 0);
}

/// A client that never reads: its publisher and the other subscribers go on, its queue stays within its bounds.
async fn check_slow_reader(broker: Broker, qos: QoS) {
    const MESSAGE: usize = 16 * 1024;
    const MESSAGES: usize = 1500;
    let mut slow = broker.connect(connect(ProtocolVersion::V5, "slow")).await;
    slow.subscribe("t", qos).await;
    let mut fast = broker.connect(connect(ProtocolVersion::V5, "fast")).await;
    fast.subscribe("t", qos).await;
    let mut publisher = broker.connect(connect(ProtocolVersion::V5, "p")).await;
    let payload = "x".repeat(MESSAGE);
    let mut most = 0;
    for _ in 0..MESSAGES {
        publisher.publish("t", &payload, qos).await;
        fast.expect_message("t", &payload).await;
        most = most.max(broker.app().metrics().queued_bytes.get());
    }
    // 64 messages and a little for each, and 4 MiB in flight; the other client's queue is empty but for a moment.
    assert!(most < 6 << 20, "{most} bytes were queued");
    let dropped = &broker.app().metrics().messages_dropped[DropReason::QueueFull as usize];
    assert!(dropped.get() > 0, "the test does not fill the queue");
    publisher.expect_nothing().await;
    drop(slow);
    until("the slow one is gone", || {
        broker.app().metrics().connected.get() == 2
    })
    .await;
    assert_eq!(broker.app().metrics().queued_bytes.get(), 0);
}

const SMALL: &str = "[queue]\nmax_messages = 64\nmax_bytes = \"1MiB\"\n";

#[tokio::test]
async fn a_slow_reader_of_qos_0_holds_up_nobody() {
    check_slow_reader(Broker::start_with(SMALL), QoS::AtMostOnce).await;
}

#[tokio::test]
async fn a_slow_reader_of_qos_1_holds_up_nobody() {
    check_slow_reader(Broker::start_with(SMALL), QoS::AtLeastOnce).await;
}

#[tokio::test]
async fn a_slow_reader_by_websocket_and_tls_holds_up_nobody() {
    use crate::support::Carrier;
    check_slow_reader(
        Broker::start_with(SMALL).over(Carrier::Wss),
        QoS::AtMostOnce,
    )
    .await;
}

/// A client that publishes to itself and never reads is not read any further; its memory does not grow with what it says.
#[tokio::test]
async fn a_client_that_only_writes_fills_its_own_window() {
    let broker = Broker::start_with(SMALL);
    let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
    client.subscribe("t", QoS::AtMostOnce).await;
    let mut other = broker.connect(connect(ProtocolVersion::V5, "other")).await;
    other.subscribe("else", QoS::AtLeastOnce).await;
    let flood = [&b"\xc0\0"[..]; 32 * 1024].concat();
    let Stream::Tcp(stream) = &mut client.stream else {
        panic!("raw MQTT");
    };
    // PINGREQ after PINGREQ: each asks for two bytes that nobody fetches.
    let mut written = 0;
    while written < 64 << 20 {
        let writing = tokio::io::AsyncWriteExt::write(stream, &flood);
        match tokio::time::timeout(Duration::from_millis(500), writing).await {
            Ok(length) => written += length.expect("written"),
            Err(_) => break,
        }
    }
    assert!(written < 64 << 20, "the broker reads on and on");
    other.publish("else", "x", QoS::AtLeastOnce).await;
    other.expect_message("else", "x").await;
    let memory = broker.app().metrics().bytes_received.get();
    assert!(memory < 64 << 20, "{memory}");
}

/// The same on a stream of HTTP/2: what one stream does not take, the others of its connection do not miss.
#[tokio::test]
async fn a_stream_that_stands_still_does_not_stop_its_connection() {
    use crate::support::http2::Http2;
    let broker = Broker::start_with(SMALL);
    let tcp = tokio::net::TcpStream::connect(broker.plain_addr()).await;
    let mut http2 = Http2::over(tcp.expect("connected")).await;
    let mut clients = Vec::new();
    for name in ["still", "other"] {
        let stream = http2.websocket("/mqtt").await.expect("a WebSocket");
        let mut client = Client::new(stream, ProtocolVersion::V5);
        client
            .expect_accepted(connect(ProtocolVersion::V5, name))
            .await;
        clients.push(client);
    }
    let flood = [&b"\xc0\0"[..]; 32 * 1024].concat();
    let mut written = 0;
    while written < 64 << 20 {
        let writing = clients[0].stream.write(&flood);
        match tokio::time::timeout(Duration::from_millis(500), writing).await {
            Ok(sent) => sent.expect("written"),
            Err(_) => break,
        }
        written += flood.len();
    }
    assert!(written < 64 << 20, "the broker reads on and on");
    clients[1].expect_nothing().await;
    assert_eq!(http2.get("/livez").await.status(), 200);
}
