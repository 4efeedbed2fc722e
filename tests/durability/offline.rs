//! What waits for who is away: long queues, old messages, members of a group, and what a restart changes about them, which
//! is nothing.

use std::time::Duration;

use gatemq::{
    message::QoS,
    mqtt::packet::{Disconnect, Packet, ProtocolVersion, ReasonCode},
};
use tokio::time::Instant;

use crate::{
    PATIENCE,
    broker::{Access, Broker, send},
    support::{Carrier, Client, Stream, connect, http1, message},
};

/// PUBLISHes on their way at once: far below the Receive Maximum of the server.
const WINDOW: usize = 500;

async fn publisher(access: &Access) -> Client {
    let request = connect(ProtocolVersion::V5, "publisher");
    access.connect(Carrier::Tcp, request).await.expect("in").0
}

/// A client that goes on with its session; whether there was one.
async fn resume(access: &Access, client_id: &str) -> (Client, bool) {
    let resumed = access.resume(Carrier::Tcp, client_id, 10).await;
    let (client, answer) = resumed.expect("a broker");
    (client, answer.session_present)
}

/// Leaves a session behind that is owed what is published here.
async fn leave(access: &Access, client_id: &str, filter: &str) {
    let (mut client, _) = resume(access, client_id).await;
    client.subscribe(filter, QoS::AtLeastOnce).await;
    client.disconnect().await;
}

/// Publishes numbers, acknowledged all of them.
async fn publish(client: &mut Client, numbers: std::ops::Range<usize>) {
    let mut unacknowledged = 0;
    for number in numbers.clone() {
        let message = message("t/0", &number.to_string(), QoS::AtLeastOnce, false);
        let packet = client.publish_of(message);
        send(client, &Packet::Publish(packet)).await.expect("sent");
        unacknowledged += 1;
        if unacknowledged == WINDOW || number + 1 == numbers.end {
            for _ in 0..std::mem::take(&mut unacknowledged) {
                let answer = client.expect_packet().await;
                let Packet::PubAck(answer) = answer else {
                    panic!("not PUBACK but {answer:?}");
                };
                assert_eq!(answer.reason_code, ReasonCode::Success);
            }
        }
    }
}

async fn take(client: &mut Client) -> usize {
    let publish = client.expect_publish().await;
    client.acknowledge(&publish).await;
    number(&publish.message.payload)
}

fn number(payload: &[u8]) -> usize {
    let text = std::str::from_utf8(payload).expect("a number");
    text.parse().expect("a number")
}

async fn expect_numbers(client: &mut Client, numbers: std::ops::Range<usize>) {
    for expected in numbers {
        assert_eq!(take(client).await, expected);
    }
}

/// A number of `/metrics`.
async fn metric(access: &Access, name: &str) -> f64 {
    let mut stream = Stream::tcp(access.plain()).await.expect("connected");
    let answer = http1::get(&mut stream, "/metrics").await;
    let text = answer.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("{name} in\n{text}"));
    value.trim().parse().expect("a number")
}

async fn expect_metric(access: &Access, name: &str, expected: f64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = metric(access, name).await;
        if (found - expected).abs() < 0.5 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{name} is {found}, not {expected}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const QUEUED: &str = "gatemq_queued_messages ";
const SPILLED: &str = "gatemq_spilled_messages ";
const SPILLED_BYTES: &str = "gatemq_spilled_bytes ";
const TOO_OLD: &str = "gatemq_messages_dropped_total{reason=\"max_age\"} ";
const EXPIRED: &str = "gatemq_messages_dropped_total{reason=\"expired\"} ";

/// A client that comes back to a hundred thousand messages is sent them in their order, ten at a time, while another one's
/// messages go round as if it were alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_queue_is_drained_beside_others() {
    const MESSAGES: usize = 100_000;
    /// Round trips that fit beside the drain, if they are not held up by it: a fiftieth of what would.
    const ROUNDS: usize = 50;
    let broker = Broker::start().await;
    let access = broker.access();
    leave(&access, "away", "t/#").await;
    publish(&mut publisher(&access).await, 0..MESSAGES).await;
    let (mut away, was_there) = resume(&access, "away").await;
    assert!(was_there);
    let drain = tokio::spawn(async move {
        expect_numbers(&mut away, 0..MESSAGES).await;
    });
    let (mut other, _) = resume(&access, "other").await;
    other.subscribe("o", QoS::AtLeastOnce).await;
    let mut rounds = 0;
    while !drain.is_finished() {
        other.publish("o", "x", QoS::AtLeastOnce).await;
        other.expect_message("o", "x").await;
        rounds += 1;
    }
    drain.await.expect("drained");
    assert!(rounds >= ROUNDS, "{rounds} round trips beside the drain");
    expect_metric(&access, QUEUED, 0.0).await;
    expect_metric(&access, SPILLED_BYTES, 0.0).await;
    broker.stop();
}

/// The figures of a queue are those of what waits, also after a crash, when nothing of it is in memory.
#[tokio::test]
async fn what_waits_is_counted_after_a_crash() {
    const MESSAGES: usize = 3000;
    let mut broker = Broker::start().await;
    let access = broker.access();
    leave(&access, "away", "t/#").await;
    publish(&mut publisher(&access).await, 0..MESSAGES).await;
    let queued = metric(&access, "gatemq_queued_bytes ").await;
    let bytes = queued + metric(&access, SPILLED_BYTES).await;
    broker.restart().await;
    expect_metric(&access, QUEUED, MESSAGES as f64).await;
    let queued = metric(&access, "gatemq_queued_bytes ").await;
    let again = queued + metric(&access, SPILLED_BYTES).await;
    assert!((again - bytes).abs() < 0.5, "{again}, before {bytes}");
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_gatemq"))
        .args(["status", "--json"])
        .current_dir(broker.folder())
        .output()
        .expect("started");
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status["queued"], MESSAGES);
    let longest = &status["longest_queues"][0];
    assert_eq!(longest["client_id"], "away");
    assert_eq!(longest["messages"], MESSAGES);
    let (mut away, _) = resume(&access, "away").await;
    expect_numbers(&mut away, 0..MESSAGES).await;
    expect_metric(&access, SPILLED, 0.0).await;
}

/// [MQTT-3.3.2-5], [MQTT-3.3.2-6] The interval goes on while the broker is down: what has expired is not sent, what has not
/// is sent with what is left.
#[tokio::test]
async fn expiry_goes_on_while_the_broker_is_down() {
    let mut broker = Broker::start().await;
    let access = broker.access();
    leave(&access, "away", "t/#").await;
    let mut client = publisher(&access).await;
    for (payload, expiry) in [("brief", 2), ("long", 1000)] {
        let message = message("t/0", payload, QoS::AtLeastOnce, false);
        let mut packet = client.publish_of(message);
        packet.message_expiry_interval = Some(expiry);
        let packet_id = packet.packet_id.expect("QoS 1");
        client.send(&Packet::Publish(packet)).await;
        client.expect_acknowledgement("PUBACK", packet_id).await;
    }
    broker.kill();
    // The time that passes is what is tested.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    broker.restart().await;
    let (mut away, _) = resume(&access, "away").await;
    let publish = away.expect_message("t/0", "long").await;
    let left = publish.message_expiry_interval.expect("an interval");
    assert!((1..=998).contains(&left), "{left}");
    away.expect_nothing().await;
    assert!(metric(&access, EXPIRED).await > 0.5);
    expect_metric(&access, QUEUED, 0.0).await;
}

/// A message may wait for `max_age`: then it frees its place though its client does not come, and is never sent; also where
/// all of them lie in storage only, as after a start.
#[tokio::test]
async fn what_is_too_old_is_gone_after_a_crash() {
    const MESSAGES: usize = 1500;
    let mut broker = Broker::start_with("max_age = \"4s\"").await;
    let access = broker.access();
    leave(&access, "away", "t/#").await;
    publish(&mut publisher(&access).await, 0..MESSAGES).await;
    let queued = metric(&access, QUEUED).await;
    broker.kill();
    tokio::time::sleep(Duration::from_millis(4100)).await;
    broker.restart().await;
    expect_metric(&access, QUEUED, 0.0).await;
    let dropped = metric(&access, TOO_OLD).await;
    // On a slow machine, some were too old before the crash.
    assert!(dropped >= queued, "{dropped} of {queued}");
    publish(&mut publisher(&access).await, 7..8).await;
    let (mut away, _) = resume(&access, "away").await;
    assert_eq!(take(&mut away).await, 7);
    away.expect_nothing().await;
}

/// Right after a start, when everything lies in storage only, it is still the oldest that gives way.
#[tokio::test]
async fn the_oldest_gives_way_after_a_crash() {
    const LIMIT: usize = 1200;
    const MORE: usize = 300;
    let limit = format!("max_messages = {LIMIT}\nwhen_full = \"drop-oldest\"");
    let mut broker = Broker::start_with(&limit).await;
    let access = broker.access();
    leave(&access, "away", "t/#").await;
    publish(&mut publisher(&access).await, 0..LIMIT).await;
    broker.restart().await;
    publish(&mut publisher(&access).await, LIMIT..LIMIT + MORE).await;
    expect_metric(&access, QUEUED, LIMIT as f64).await;
    // Once more: what gave way does not come back.
    broker.restart().await;
    let (mut away, _) = resume(&access, "away").await;
    let first = take(&mut away).await;
    // What gave way in the last moments before a crash may be there again; nothing else may be missing.
    assert!(first <= MORE, "{first}");
    expect_numbers(&mut away, first + 1..LIMIT + MORE).await;
    away.expect_nothing().await;
}

/// `queue_qos0`: what waits is kept over a crash whatever its QoS.
#[tokio::test]
async fn qos_0_is_kept_by_option() {
    let mut broker = Broker::start_with("queue_qos0 = true").await;
    let access = broker.access();
    leave(&access, "away", "t/#").await;
    let mut client = publisher(&access).await;
    for payload in ["1", "2"] {
        client.publish("t/0", payload, QoS::AtMostOnce).await;
    }
    // Commits are in order: with this one, those are on the disk.
    client.publish("t/1", "3", QoS::AtLeastOnce).await;
    broker.restart().await;
    expect_metric(&access, QUEUED, 3.0).await;
    let (mut away, _) = resume(&access, "away").await;
    let mut found: Vec<usize> = Vec::new();
    for _ in 0..3 {
        found.push(take(&mut away).await);
    }
    // Order is that of a topic and a QoS.
    found.retain(|number| *number != 3);
    assert_eq!(found, [1, 2]);
    away.expect_nothing().await;
    expect_metric(&access, QUEUED, 0.0).await;
}

/// A second connection with the same identifier goes on where the first one was; what waits is kept whatever is
/// unsubscribed meanwhile.
#[tokio::test]
async fn a_takeover_goes_on_in_the_middle_of_a_queue() {
    const MESSAGES: usize = 2500;
    let broker = Broker::start().await;
    let access = broker.access();
    leave(&access, "away", "t/#").await;
    publish(&mut publisher(&access).await, 0..MESSAGES).await;
    let (mut first, _) = resume(&access, "away").await;
    expect_numbers(&mut first, 0..700).await;
    let (mut second, was_there) = resume(&access, "away").await;
    assert!(was_there);
    let next = take(&mut second).await;
    // The last acknowledgements may not have been read, and no other may be missing.
    assert!((690..=700).contains(&next), "{next}");
    expect_numbers(&mut second, next + 1..1500).await;
    drop(second);
    let (mut third, _) = resume(&access, "away").await;
    let next = take(&mut third).await;
    assert!((1490..=1500).contains(&next), "{next}");
    // UNSUBACK comes among the messages.
    let packet_id = third.next_id();
    third
        .send(&Packet::Unsubscribe(gatemq::mqtt::packet::Unsubscribe {
            packet_id,
            topic_filters: vec![gatemq::message::TopicFilter::parse("t/#").expect("a filter")],
            user_properties: Vec::new(),
        }))
        .await;
    let mut expected = next + 1;
    let mut is_unsubscribed = false;
    while expected < MESSAGES {
        match third.expect_packet().await {
            Packet::Publish(publish) => {
                assert_eq!(number(&publish.message.payload), expected);
                third.acknowledge(&publish).await;
                expected += 1;
            }
            Packet::UnsubAck(_) => is_unsubscribed = true,
            other => panic!("{other:?}"),
        }
    }
    assert!(is_unsubscribed, "answered before the queue is empty");
    let mut client = publisher(&access).await;
    client.publish("t/0", "0", QoS::AtLeastOnce).await;
    third.expect_nothing().await;
}

/// A session that ends takes what waits for it along: by a clean start, or by a DISCONNECT that says so while it is drained.
#[tokio::test]
async fn a_session_that_ends_frees_its_space() {
    const MESSAGES: usize = 2500;
    let mut broker = Broker::start().await;
    let access = broker.access();
    for ends_cleanly in [true, false] {
        leave(&access, "away", "t/#").await;
        publish(&mut publisher(&access).await, 0..MESSAGES).await;
        expect_metric(&access, QUEUED, MESSAGES as f64).await;
        if ends_cleanly {
            let request = connect(ProtocolVersion::V5, "away");
            let connected = access.connect(Carrier::Tcp, request).await;
            let (mut client, answer) = connected.expect("a broker");
            assert!(!answer.session_present);
            client.expect_nothing().await;
        } else {
            let (mut client, _) = resume(&access, "away").await;
            expect_numbers(&mut client, 0..100).await;
            let mut disconnect = Disconnect::new(ReasonCode::Success);
            disconnect.session_expiry_interval = Some(0);
            client.send(&Packet::Disconnect(disconnect)).await;
            client.expect_end().await;
        }
        for name in [QUEUED, SPILLED, SPILLED_BYTES, "gatemq_queued_bytes "] {
            expect_metric(&access, name, 0.0).await;
        }
        broker.restart().await;
        expect_metric(&access, QUEUED, 0.0).await;
        let (client, was_there) = resume(&access, "away").await;
        assert!(!was_there);
        client.disconnect().await;
    }
}

/// A group whose members are all away: each message waits for one of them, over a crash, and goes to the other when that one
/// ends.
#[tokio::test]
async fn a_group_that_is_away_gets_each_message_once() {
    const MESSAGES: usize = 60;
    let mut broker = Broker::start().await;
    let access = broker.access();
    for member in ["one", "two"] {
        leave(&access, member, "$share/g/t/#").await;
    }
    publish(&mut publisher(&access).await, 0..MESSAGES).await;
    broker.restart().await;
    expect_metric(&access, QUEUED, MESSAGES as f64).await;
    // One returns and is owed its own, in their order; then it ends for good, and has left ten.
    let (mut one, _) = resume(&access, "one").await;
    let mut found = Vec::new();
    for _ in 0..MESSAGES / 2 - 10 {
        found.push(take(&mut one).await);
    }
    assert!(found.is_sorted(), "{found:?}");
    // What was acknowledged has been read before the end of the session is.
    let mut disconnect = Disconnect::new(ReasonCode::Success);
    disconnect.session_expiry_interval = Some(0);
    one.send(&Packet::Disconnect(disconnect)).await;
    one.expect_end().await;
    expect_metric(&access, QUEUED, (MESSAGES - found.len()) as f64).await;
    // Nobody is told that a session has ended. Commits are in order: with this one, that is on the disk.
    publish(&mut publisher(&access).await, MESSAGES..MESSAGES + 1).await;
    broker.restart().await;
    expect_metric(&access, QUEUED, (MESSAGES + 1 - found.len()) as f64).await;
    let (mut two, _) = resume(&access, "two").await;
    for _ in found.len()..=MESSAGES {
        found.push(take(&mut two).await);
    }
    two.expect_nothing().await;
    found.sort_unstable();
    assert_eq!(found, (0..=MESSAGES).collect::<Vec<_>>());
}
