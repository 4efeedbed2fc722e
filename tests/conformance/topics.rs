//! Topic names and filters (4.7).

use gatemq::{
    message::QoS,
    mqtt::packet::{ProtocolVersion, ReasonCode},
};

use crate::support::{Broker, connect, each_version};

/// [MQTT-4.7.1-1 to -3, 4.7.3-4] What matches what.
#[tokio::test]
async fn filters_match_by_level() {
    each_version(async |broker, version| {
        for (filter, matching, other) in [
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1",
                "sport/tennis",
            ),
            (
                "sport/tennis/+",
                "sport/tennis/player1",
                "sport/tennis/player1/ranking",
            ),
            ("sport/+", "sport/", "sport"),
            ("+/+", "/finance", "finance"),
            ("/+", "/finance", "/finance/x"),
            ("+", "finance", "/finance"),
            ("#", "any/thing", "$SYS/thing"),
            ("a/+/c/#", "a/b/c", "a/c"),
            ("Case", "Case", "case"),
            ("a//b", "a//b", "a/b"),
            ("温度/+", "温度/室内", "温度"),
            ("with space", "with space", "withspace"),
        ] {
            let mut client = broker.connect(connect(version, "c")).await;
            client.subscribe(filter, QoS::AtMostOnce).await;
            if !other.starts_with('$') {
                client.publish(other, "other", QoS::AtMostOnce).await;
            }
            client.publish(matching, "matching", QoS::AtMostOnce).await;
            client.expect_message(matching, "matching").await;
            client.expect_nothing().await;
        }
    })
    .await;
}

/// [MQTT-4.7.2-1] Filters that begin with a wildcard do not match topics that begin with `$`.
#[tokio::test]
async fn dollar_topics_are_apart() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("#", QoS::AtMostOnce).await;
        client.subscribe("+/x", QoS::AtMostOnce).await;
        client.publish("$other/x", "hidden", QoS::AtMostOnce).await;
        client.expect_nothing().await;
        client.subscribe("$other/#", QoS::AtMostOnce).await;
        client.publish("$other/x", "seen", QoS::AtMostOnce).await;
        client.expect_message("$other/x", "seen").await;
    })
    .await;
}

/// [MQTT-4.7.1-1, -2, 4.8.2-1, -2, 4.7.3-1] Filters that are none.
#[tokio::test]
async fn invalid_filters_are_refused() {
    each_version(async |broker, version| {
        for filter in [
            "sport/tennis#",
            "sport/#/ranking",
            "sport+",
            "#/a",
            "$share/g",
            "$share//a",
            "$share/g+/a",
            "",
        ] {
            let mut client = broker.connect(connect(version, "c")).await;
            let properties: &[u8] = if version == ProtocolVersion::V5 {
                b"\x00"
            } else {
                b""
            };
            let length = u8::try_from(filter.len()).expect("short");
            let mut packet = vec![
                0x82,
                5 + length + u8::try_from(properties.len()).expect("short"),
            ];
            packet.extend([0, 1]);
            packet.extend(properties);
            packet.extend([0, length]);
            packet.extend(filter.as_bytes());
            packet.push(0);
            client.send_bytes(&packet).await;
            let last = client.expect_end().await.pop();
            if version == ProtocolVersion::V5 {
                assert!(last.is_some(), "{filter}");
            }
        }
    })
    .await;
}

/// [MQTT-4.7.3-3] A topic has at most 65,535 bytes and `max_topic_levels` levels.
#[tokio::test]
async fn topics_of_every_length() {
    for version in ProtocolVersion::ALL {
        let broker = Broker::start_with("[mqtt]\nmax_topic_levels = 8");
        let mut client = broker.connect(connect(version, "c")).await;
        let longest = "x".repeat(65_535);
        client.subscribe(&longest, QoS::AtMostOnce).await;
        client.publish(&longest, "long", QoS::AtMostOnce).await;
        client.expect_message(&longest, "long").await;
        client
            .publish("1/2/3/4/5/6/7/8", "deep", QoS::AtLeastOnce)
            .await;
        let publish = client.publish_of(crate::support::message(
            "1/2/3/4/5/6/7/8/9",
            "x",
            QoS::AtMostOnce,
            false,
        ));
        client
            .send(&gatemq::mqtt::packet::Packet::Publish(publish))
            .await;
        client.expect_disconnect(ReasonCode::TopicNameInvalid).await;
    }
}

/// [MQTT-1.5.4-3, 4.7.3-4] U+FEFF is a letter like any other, and nothing is normalised.
#[tokio::test]
async fn topics_are_compared_as_they_are() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        for (filter, other) in [
            ("\u{FEFF}a", "a"),
            ("\u{E9}", "e\u{301}"),
            ("a ", "a"),
            ("/", "//"),
            ("\u{10FFFD}", "\u{FFFD}"),
        ] {
            client.subscribe(filter, QoS::AtMostOnce).await;
            client.publish(other, "other", QoS::AtMostOnce).await;
            client.publish(filter, "same", QoS::AtMostOnce).await;
            client.expect_message(filter, "same").await;
            client.expect_nothing().await;
            client.unsubscribe(filter).await;
        }
    })
    .await;
}
