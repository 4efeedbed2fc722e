//! A disk that does not take what it is given: refused in words, seen from outside, and over as soon as the disk is.
//!
//! The limit of file sizes is what fails writes here: it can be set on a running process without privileges.

use std::time::Duration;

use gatemq::{
    message::{Message, QoS},
    mqtt::packet::{Packet, ProtocolVersion, ReasonCode},
};
use rustix::process::{Resource, Rlimit, prlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    broker::{Broker, send},
    support::{Carrier, Client, connect, message},
};

/// Recovery is tried every second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets the broker write files up to so many bytes.
fn limit(broker: &Broker, bytes: Option<u64>) {
    let (current, maximum) = (bytes, None);
    let limits = Rlimit { current, maximum };
    prlimit(Some(broker.pid()), Resource::Fsize, limits).expect("a process of our own");
}

/// What a path answers: its status line and body.
pub(crate) async fn get(broker: &Broker, path: &str) -> String {
    let addr = broker.access().plain();
    let mut stream = TcpStream::connect(addr).await.expect("a broker");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    answer
}

pub(crate) async fn becomes(broker: &Broker, path: &str, expected: &str) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = get(broker, path).await;
        if answer.contains(expected) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{path}: {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn client(broker: &Broker, version: ProtocolVersion, client_id: &str) -> Client {
    let request = connect(version, client_id);
    let connected = broker.access().connect(Carrier::Tcp, request).await;
    connected.expect("a broker").0
}

/// The code of the answer, `None` where the connection ends without one.
pub(crate) async fn publish(client: &mut Client, message: Message) -> Option<ReasonCode> {
    let packet = client.publish_of(message);
    let packet_id = packet.packet_id.expect("above QoS 0");
    send(client, &Packet::Publish(packet)).await?;
    let code = match client.receive().await? {
        Packet::PubAck(ack) => ack.reason_code,
        Packet::PubRec(ack) if ack.reason_code.is_error() => ack.reason_code,
        Packet::PubRec(ack) => {
            let release = Packet::PubRel(ack.clone());
            send(client, &release).await?;
            client.expect_acknowledgement("PUBCOMP", packet_id).await;
            ack.reason_code
        }
        Packet::Disconnect(_) => return None,
        other => panic!("unexpected {other:?}"),
    };
    Some(code)
}

/// A session that is away, and one whose client is there and persistent.
pub(crate) async fn subscribe(broker: &Broker, client_id: &str) -> Client {
    let access = broker.access();
    let resumed = access.resume(Carrier::Tcp, client_id, 100).await;
    let (mut client, answer) = resumed.expect("a broker");
    if !answer.session_present {
        client.subscribe("d/#", QoS::ExactlyOnce).await;
    }
    client
}

#[tokio::test]
async fn a_disk_that_fails_is_told_and_survived() {
    let mut broker = Broker::start().await;
    subscribe(&broker, "away").await.disconnect().await;
    let mut there = client(&broker, ProtocolVersion::V5, "there").await;
    there.subscribe("d/#", QoS::AtMostOnce).await;
    let mut publisher = client(&broker, ProtocolVersion::V5, "publisher").await;
    let numbered = |number: u32, qos| message("d/0", &number.to_string(), qos, false);
    let taken = publish(&mut publisher, numbered(1, QoS::AtLeastOnce)).await;
    assert_eq!(taken, Some(ReasonCode::Success));
    assert!(get(&broker, "/readyz").await.starts_with("HTTP/1.1 200"));
    there.expect_message("d/0", "1").await;

    limit(&broker, Some(0));
    for (number, qos) in [(2, QoS::AtLeastOnce), (3, QoS::ExactlyOnce)] {
        let refused = publish(&mut publisher, numbered(number, qos)).await;
        assert_eq!(refused, Some(ReasonCode::QuotaExceeded));
    }
    // Who cannot be told is not acknowledged.
    let mut old = client(&broker, ProtocolVersion::V3_1_1, "old").await;
    assert_eq!(publish(&mut old, numbered(4, QoS::AtLeastOnce)).await, None);
    // QoS 0 and reading go on.
    publisher.publish("d/0", "fleeting", QoS::AtMostOnce).await;
    loop {
        let received = there.expect_publish().await;
        if &received.message.payload[..] == b"fleeting" {
            break;
        }
    }
    becomes(&broker, "/readyz", "storage is failing").await;
    assert!(
        get(&broker, "/metrics")
            .await
            .contains("gatemq_store_failing 1")
    );
    assert!(broker.log().contains("storage.failed"), "{}", broker.log());

    limit(&broker, None);
    becomes(&broker, "/readyz", "HTTP/1.1 200").await;
    let taken = publish(&mut publisher, numbered(5, QoS::ExactlyOnce)).await;
    assert_eq!(taken, Some(ReasonCode::Success));
    broker.restart().await;
    // What was refused may be there at QoS 1, and is not at QoS 2.
    let mut away = subscribe(&broker, "away").await;
    let mut numbers = Vec::new();
    while numbers.last().map(String::as_str) != Some("5") {
        let publish = away.expect_publish().await;
        numbers.push(String::from_utf8_lossy(&publish.message.payload).into_owned());
        away.acknowledge(&publish).await;
    }
    assert_eq!(
        numbers.first().map(String::as_str),
        Some("1"),
        "{numbers:?}"
    );
    assert!(!numbers.contains(&"3".to_owned()), "{numbers:?}");
    away.disconnect().await;
    broker.stop();
}

/// A power cut may leave anything behind what was synced last.
#[tokio::test]
async fn a_torn_tail_costs_nothing() {
    let mut broker = Broker::start().await;
    subscribe(&broker, "away").await.disconnect().await;
    let mut publisher = client(&broker, ProtocolVersion::V5, "publisher").await;
    for (round, tail) in [&[0xFF; 700][..], &[1, 2, 3], b"\x01\0\0\0\0"]
        .into_iter()
        .enumerate()
    {
        let number = message("d/0", &round.to_string(), QoS::AtLeastOnce, false);
        assert_eq!(
            publish(&mut publisher, number).await,
            Some(ReasonCode::Success)
        );
        broker.kill();
        let journal = std::fs::read_dir(broker.store())
            .expect("a store")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|it| it == "jnl"))
            .max()
            .expect("a journal");
        let mut bytes = std::fs::read(&journal).expect("readable");
        let end = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        // The last batch ends with its own mark: nothing of it is in the zeros that follow.
        let end = (end + 16).min(bytes.len());
        bytes.resize(bytes.len().max(end + tail.len()), 0);
        bytes[end..end + tail.len()].copy_from_slice(tail);
        std::fs::write(&journal, bytes).expect("writable");
        broker.restart().await;
        publisher = client(&broker, ProtocolVersion::V5, "publisher").await;
    }
    let mut away = subscribe(&broker, "away").await;
    for round in 0..3 {
        away.expect_message("d/0", &round.to_string()).await;
    }
    away.disconnect().await;
    broker.stop();
}

/// The cause stands in the message of the program, which ends.
#[tokio::test]
async fn a_store_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("gatemq-data");
    std::fs::create_dir(&data).expect("made");
    std::fs::write(data.join("store"), "no store").expect("written");
    let finished = tokio::process::Command::new(env!("CARGO_BIN_EXE_gatemq"))
        .args(["run", "-p", "0"])
        .current_dir(folder.path())
        .output();
    let finished = tokio::time::timeout(PATIENCE, finished).await;
    let finished = finished.expect("it ends").expect("started");
    assert_eq!(finished.status.code(), Some(1));
    let text = String::from_utf8_lossy(&finished.stderr);
    assert!(text.contains("gatemq-data/store"), "{text}");
}
