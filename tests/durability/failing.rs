//! A disk that fails while the broker runs: what cannot be kept is not acknowledged, everything else goes on, the cause is
//! told, and when the disk works again so does the broker, without having lost anything.

use gatemq::{
    message::QoS,
    mqtt::packet::{ProtocolVersion, ReasonCode},
};

use crate::{
    Dice,
    broker::Broker,
    disk::{Control, Disk, EROFS},
    faults::{becomes, client, get, publish, subscribe},
    publisher::payload,
    seed,
    support::{Client, message},
};

fn numbered(number: u32, qos: QoS) -> gatemq::message::Message {
    message("d/0", &number.to_string(), qos, false)
}

/// A broker with a session that is away, a publisher, and a first message that was acknowledged.
async fn begin() -> (Broker, Client) {
    let broker = Broker::start_on_disk().await;
    subscribe(&broker, "away").await.disconnect().await;
    let mut publisher = client(&broker, ProtocolVersion::V5, "publisher").await;
    let taken = publish(&mut publisher, numbered(1, QoS::AtLeastOnce)).await;
    assert_eq!(taken, Some(ReasonCode::Success));
    assert!(get(&broker, "/readyz").await.starts_with("HTTP/1.1 200"));
    (broker, publisher)
}

/// The numbers that the session that was away is sent, up to the one that is known to be the last.
async fn drained(broker: &Broker, last: u32) -> Vec<u32> {
    let mut away = subscribe(broker, "away").await;
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let publish = away.expect_publish().await;
        let text = String::from_utf8_lossy(&publish.message.payload);
        numbers.push(text.parse().expect("a number"));
        away.acknowledge(&publish).await;
    }
    away.disconnect().await;
    numbers
}

/// While the disk fails in some way: refused in words, and seen.
async fn is_refused(broker: &Broker, publisher: &mut Client, cause: &str) {
    let mut there = client(broker, ProtocolVersion::V5, "there").await;
    there.subscribe("d/#", QoS::AtMostOnce).await;
    for (number, qos) in [(2, QoS::AtLeastOnce), (3, QoS::ExactlyOnce)] {
        let refused = publish(publisher, numbered(number, qos)).await;
        assert_eq!(refused, Some(ReasonCode::QuotaExceeded), "{qos:?}");
    }
    for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1] {
        let mut old = client(broker, version, "old").await;
        let refused = publish(&mut old, numbered(4, QoS::AtLeastOnce)).await;
        assert_eq!(refused, None, "{version:?}");
    }
    publisher.publish("d/0", "fleeting", QoS::AtMostOnce).await;
    loop {
        let received = there.expect_publish().await;
        if &received.message.payload[..] == b"fleeting" {
            break;
        }
    }
    becomes(broker, "/readyz", "storage is failing").await;
    assert!(get(broker, "/readyz").await.starts_with("HTTP/1.1 503"));
    let metrics = get(broker, "/metrics").await;
    assert!(metrics.contains("gatemq_store_failing 1"), "{metrics}");
    let log = broker.log();
    assert!(log.contains("code=storage.failed"), "{log}");
    assert!(log.contains(cause), "no {cause} in {log}");
    there.disconnect().await;
}

/// Fails, works again, and loses power: what was acknowledged before and after is there, what was refused at QoS 2 is not.
async fn survives(cause: &str, fail: impl Fn(&Disk)) {
    let (mut broker, mut publisher) = begin().await;
    fail(broker.disk());
    is_refused(&broker, &mut publisher, cause).await;
    broker.disk().works();
    becomes(&broker, "/readyz", "HTTP/1.1 200").await;
    let taken = publish(&mut publisher, numbered(5, QoS::ExactlyOnce)).await;
    assert_eq!(taken, Some(ReasonCode::Success));
    broker.cut_power(&mut Dice(seed()));
    broker.restart().await;
    let numbers = drained(&broker, 5).await;
    assert_eq!(numbers.first(), Some(&1), "{numbers:?}");
    assert!(!numbers.contains(&3), "{numbers:?}");
    broker.stop();
}

#[tokio::test]
async fn a_full_disk() {
    survives("No space left on device", |disk| {
        disk.set(Control::Space, 0)
    })
    .await;
}

/// The end of the space lies within a batch.
#[tokio::test]
async fn a_disk_that_is_full_after_some_bytes() {
    survives("No space left on device", |disk| {
        disk.set(Control::Space, 57)
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_does_not_sync() {
    survives("Input/output error", |disk| {
        disk.set(Control::FailingSync, -1)
    })
    .await;
}

/// As `mount -o remount,ro`, or ext4 with `errors=remount-ro`.
#[tokio::test]
async fn a_disk_that_becomes_read_only() {
    survives("Read-only file system", |disk| {
        disk.set(Control::ReadOnly, EROFS);
        disk.set(Control::Frozen, EROFS);
    })
    .await;
}

/// After a failed fsync the pages are lost, and the next fsync says nothing of it: what is written behind them would be
/// cut off together with them.
#[tokio::test]
async fn one_failed_sync_loses_nothing_that_follows() {
    let (mut broker, mut publisher) = begin().await;
    broker.disk().set(Control::FailingSync, 1);
    let refused = publish(&mut publisher, numbered(2, QoS::AtLeastOnce)).await;
    assert_eq!(refused, Some(ReasonCode::QuotaExceeded));
    becomes(&broker, "/readyz", "HTTP/1.1 200").await;
    let mut next = 3;
    // It may be ready because it was not yet known to fail.
    while publish(&mut publisher, numbered(next, QoS::AtLeastOnce)).await
        != Some(ReasonCode::Success)
    {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        next += 1;
    }
    broker.cut_power(&mut Dice(seed()));
    broker.restart().await;
    let numbers = drained(&broker, next).await;
    assert_eq!(numbers.first(), Some(&1), "{numbers:?}");
    // Not even what was refused is damaged.
    let log = broker.log();
    assert!(!log.contains("storage.corrupt"), "{log}");
    broker.stop();
}

/// They are no fault: whoever writes goes on with the rest.
#[tokio::test]
async fn short_writes() {
    let (mut broker, mut publisher) = begin().await;
    broker.disk().set(Control::ShortWrites, 1);
    for number in 2..20 {
        let taken = publish(&mut publisher, numbered(number, QoS::AtLeastOnce)).await;
        assert_eq!(taken, Some(ReasonCode::Success));
    }
    broker.cut_power(&mut Dice(seed()));
    broker.restart().await;
    assert_eq!(drained(&broker, 19).await, (1..20).collect::<Vec<_>>());
    broker.stop();
}

/// What is not seen cannot fail, and no test would notice.
#[tokio::test]
async fn the_layer_sees_each_acknowledged_message_synced() {
    let (broker, mut publisher) = begin().await;
    let [syncs, writes] = [Control::Syncs, Control::Writes].map(|it| broker.disk().seen(it));
    assert!(broker.disk().seen(Control::FolderSyncs) > 0);
    for number in 2..12 {
        publish(&mut publisher, numbered(number, QoS::AtLeastOnce)).await;
    }
    assert!(broker.disk().seen(Control::Syncs) >= syncs + 10);
    assert!(broker.disk().seen(Control::Writes) >= writes + 10);
    broker.stop();
}

/// A file system that is really full, where this machine lets one be mounted; elsewhere the layer's has to do.
#[tokio::test]
async fn a_file_system_that_is_full() {
    let Some(mut broker) = Broker::start_on_tmpfs("size=24m").await else {
        eprintln!("no tmpfs may be mounted here: the full disk of the layer is tested alone");
        return;
    };
    subscribe(&broker, "away").await.disconnect().await;
    let mut publisher = client(&broker, ProtocolVersion::V5, "publisher").await;
    let taken = publish(&mut publisher, numbered(1, QoS::AtLeastOnce)).await;
    assert_eq!(taken, Some(ReasonCode::Success));
    // What fills it is in its namespace, too.
    let filler = broker.inside().join("filler");
    let mut file = std::fs::File::create(&filler).expect("made");
    let block = vec![1; 4096];
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
    drop(file);
    // More than the room that is left in the last page of the journal.
    let large = message("d/0", &payload(0), QoS::AtLeastOnce, false);
    let refused = publish(&mut publisher, large).await;
    assert_eq!(refused, Some(ReasonCode::QuotaExceeded));
    is_refused(&broker, &mut publisher, "No space left on device").await;
    std::fs::remove_file(&filler).expect("removed");
    becomes(&broker, "/readyz", "HTTP/1.1 200").await;
    let taken = publish(&mut publisher, numbered(5, QoS::ExactlyOnce)).await;
    assert_eq!(taken, Some(ReasonCode::Success));
    let mut away = subscribe(&broker, "away").await;
    let mut payloads = Vec::new();
    while payloads.last().map(String::as_str) != Some("5") {
        let publish = away.expect_publish().await;
        payloads.push(String::from_utf8_lossy(&publish.message.payload).into_owned());
        away.acknowledge(&publish).await;
    }
    assert_eq!(payloads.first().map(String::as_str), Some("1"));
    away.disconnect().await;
    broker.kill();
}
