//! `$SYS`: the names that dashboards know, with figures that are true.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use gatemq::{
    message::QoS,
    mqtt::packet::{ProtocolVersion, ReasonCode},
};

use crate::support::{Broker, Client, connect, message};

const EVERY_SECOND: &str = "sys_interval = \"1s\"\n";

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The topics and values that come until this one has this value.
async fn values_until(client: &mut Client, topic: &str, value: &str) -> HashMap<String, String> {
    let mut values = HashMap::new();
    loop {
        let publish = client.expect_publish().await;
        client.acknowledge(&publish).await;
        let payload = String::from_utf8_lossy(&publish.message.payload).into_owned();
        let is_last = publish.message.topic.as_str() == topic && payload == value;
        values.insert(publish.message.topic.as_str().to_owned(), payload);
        if is_last {
            return values;
        }
    }
}

#[tokio::test]
async fn the_names_of_mosquitto_and_the_older_ones() {
    let broker = Broker::start_with(EVERY_SECOND);
    let _other = broker
        .connect(connect(ProtocolVersion::V3_1_1, "other"))
        .await;
    let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
    client.subscribe("$SYS/broker/#", QoS::AtMostOnce).await;
    let mut values = values_until(&mut client, "$SYS/broker/clients/connected", "2").await;
    // The rest of that round, and the next.
    values.extend(values_until(&mut client, "$SYS/broker/uptime", "2 seconds").await);
    for topic in [
        "version",
        "timestamp",
        "uptime",
        "clients/total",
        "clients/active",
        "clients/inactive",
        "clients/disconnected",
        "clients/maximum",
        "messages/received",
        "messages/sent",
        "messages/inflight",
        "messages/stored",
        "store/messages/count",
        "bytes/received",
        "publish/messages/dropped",
        "retained messages/count",
        "subscriptions/count",
        "heap/current",
        "heap/current size",
        "heap/maximum size",
        "load/messages/received/1min",
        "load/connections/15min",
        "load/sockets/5min",
        "config/last_reload",
    ] {
        let topic = format!("$SYS/broker/{topic}");
        assert!(values.contains_key(&topic), "{topic} is not in {values:?}");
    }
    let value = |topic: &str| values[&format!("$SYS/broker/{topic}")].clone();
    let version = concat!("gatemq version ", env!("CARGO_PKG_VERSION"));
    assert_eq!(value("version"), version);
    assert_eq!(value("clients/total"), "2");
    assert_eq!(value("config/last_reload"), "ok");
    assert_ne!(value("heap/current size"), "0");
}

/// [MQTT-4.7.2-1] A wildcard at the beginning does not match `$SYS`.
#[tokio::test]
async fn a_leading_wildcard_does_not_match() {
    let broker = Broker::start_with(EVERY_SECOND);
    let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
    client.subscribe("#", QoS::AtMostOnce).await;
    client.subscribe("+/broker/#", QoS::AtMostOnce).await;
    let mut watcher = broker.connect(connect(ProtocolVersion::V5, "w")).await;
    watcher
        .subscribe("$SYS/broker/uptime", QoS::AtMostOnce)
        .await;
    for _ in 0..2 {
        watcher.expect_publish().await;
    }
    client.expect_nothing().await;
}

/// Published once in each interval, at most; and kept for who comes later.
#[tokio::test]
async fn the_interval_is_kept() {
    let broker = Broker::start_with(EVERY_SECOND);
    let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
    client
        .subscribe("$SYS/broker/uptime", QoS::AtMostOnce)
        .await;
    assert!(client.expect_publish().await.retain, "at once");
    client.expect_publish().await;
    let begin = now();
    for _ in 0..2 {
        let publish = client.expect_publish().await;
        assert!(!publish.retain);
    }
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(900), "{took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test]
async fn figures_follow_what_happens() {
    let broker = Broker::start_with(EVERY_SECOND);
    let mut watcher = broker.connect(connect(ProtocolVersion::V5, "w")).await;
    watcher.subscribe("$SYS/broker/#", QoS::AtMostOnce).await;
    let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
    client.subscribe("a/b", QoS::AtLeastOnce).await;
    client.publish_retained("a/b", "x", QoS::AtLeastOnce).await;
    client.expect_message("a/b", "x").await;
    values_until(&mut watcher, "$SYS/broker/subscriptions/count", "2").await;
    client.disconnect().await;
    values_until(&mut watcher, "$SYS/broker/clients/connected", "1").await;
}

/// Nobody publishes there but the broker.
#[tokio::test]
async fn nobody_else_publishes_there() {
    let broker = Broker::start_with(EVERY_SECOND);
    let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
    client.subscribe("$SYS/mine", QoS::AtMostOnce).await;
    for topic in ["$SYS/broker/uptime", "$SYS/mine", "$SYS"] {
        for retain in [false, true] {
            let publish = client.publish_of(message(topic, "0", QoS::AtLeastOnce, retain));
            let packet_id = publish.packet_id.expect("QoS 1");
            client
                .send(&gatemq::mqtt::packet::Packet::Publish(publish))
                .await;
            let code = client.expect_acknowledgement("PUBACK", packet_id).await;
            assert_eq!(code, ReasonCode::NotAuthorized, "{topic}");
        }
    }
    client.expect_nothing().await;
    client
        .subscribe("$SYS/broker/uptime", QoS::AtMostOnce)
        .await;
    let publish = client.expect_publish().await;
    assert!(publish.message.payload.ends_with(b" seconds"));
}
