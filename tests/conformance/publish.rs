//! PUBLISH and its acknowledgements as packets (3.3 to 3.7), retained messages, what travels with a message.

use bytes::Bytes;
use gatemq::{
    message::{MessageProperties, QoS, TopicName},
    mqtt::packet::{Acknowledgement, Packet, ProtocolVersion, ReasonCode},
    router::{RetainHandling, SubscriptionOptions},
};

use crate::support::{connect, each, each_version, message};

const V5: ProtocolVersion = ProtocolVersion::V5;
const ALL_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// [MQTT-3.8.4-8] A delivery has the lower of the publisher's QoS and what the subscription grants.
#[tokio::test]
async fn the_lower_qos_wins() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        for granted in ALL_QOS {
            client.subscribe("t", granted).await;
            for published in ALL_QOS {
                client.publish("t", "x", published).await;
                let publish = client.expect_message("t", "x").await;
                assert_eq!(publish.qos, granted.min(published));
                assert_eq!(publish.packet_id.is_some(), publish.qos > QoS::AtMostOnce);
            }
        }
    })
    .await;
}

/// [MQTT-3.3.1-3] DUP of the publisher does not travel; [MQTT-3.3.1-2] DUP goes with QoS 1 and 2 only.
#[tokio::test]
async fn dup_belongs_to_one_hop() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        let mut publish = client.publish_of(message("t", "x", QoS::AtLeastOnce, false));
        publish.dup = true;
        let packet_id = publish.packet_id.expect("QoS 1");
        client.send(&Packet::Publish(publish)).await;
        client.expect_acknowledgement("PUBACK", packet_id).await;
        assert!(!client.expect_message("t", "x").await.dup);
        client.send_bytes(b"\x38\x04\x00\x01tx").await;
        client.expect_disconnect(ReasonCode::MalformedPacket).await;
    })
    .await;
}

/// [MQTT-3.3.1-4] QoS 3 is malformed.
#[tokio::test]
async fn qos_3_is_malformed() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.send_bytes(b"\x36\x07\x00\x01t\x00\x01\x00x").await;
        client.expect_disconnect(ReasonCode::MalformedPacket).await;
    })
    .await;
}

/// [MQTT-3.3.2-2] A topic name has no wildcards.
#[tokio::test]
async fn topic_names_have_no_wildcards() {
    each_version(async |broker, version| {
        for topic in [&b"a/+"[..], b"#"] {
            let mut client = broker.connect(connect(version, "c")).await;
            let mut packet = vec![0x30, u8::try_from(topic.len() + 3).expect("short"), 0];
            packet.push(u8::try_from(topic.len()).expect("short"));
            packet.extend(topic);
            packet.push(0);
            client.send_bytes(&packet).await;
            client.expect_disconnect(ReasonCode::TopicNameInvalid).await;
        }
    })
    .await;
}

/// [MQTT-2.2.1-2, 2.3.1-1 of 3.1.1] Identifiers are not zero.
#[tokio::test]
async fn packet_identifiers_are_not_zero() {
    each_version(async |broker, version| {
        let properties: &[u8] = if version == V5 { b"\x00" } else { b"" };
        for first in [&b"\x32"[..], b"\x34"] {
            let mut client = broker.connect(connect(version, "c")).await;
            let mut packet = first.to_vec();
            packet.push(u8::try_from(5 + properties.len()).expect("short"));
            packet.extend(b"\x00\x01t\x00\x00");
            packet.extend(properties);
            client.send_bytes(&packet).await;
            let code = ReasonCode::ProtocolError;
            let last = client.expect_end().await.pop();
            if let Some(Packet::Disconnect(disconnect)) = last {
                assert!([code, ReasonCode::MalformedPacket].contains(&disconnect.reason_code));
            }
        }
    })
    .await;
}

/// [MQTT-3.3.1-5, -6, -8] A retained message is kept, replaced, and given to who subscribes later.
#[tokio::test]
async fn retained_messages_are_kept() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client
            .publish_retained("r/1", "old", QoS::AtLeastOnce)
            .await;
        client
            .publish_retained("r/1", "new", QoS::AtLeastOnce)
            .await;
        client
            .publish_retained("r/2", "second", QoS::AtMostOnce)
            .await;
        client.subscribe("r/1", QoS::ExactlyOnce).await;
        let publish = client.expect_message("r/1", "new").await;
        assert!(publish.retain);
        assert_eq!(publish.qos, QoS::AtLeastOnce);
        client.subscribe("r/#", QoS::AtMostOnce).await;
        let mut topics = Vec::new();
        for _ in 0..2 {
            topics.push(client.expect_publish().await.message.topic.to_string());
        }
        topics.sort_unstable();
        assert_eq!(topics, ["r/1", "r/2"]);
    })
    .await;
}

/// [MQTT-3.3.1-6, -7, -10, -11] An empty retained message clears the topic, and is delivered as it is.
#[tokio::test]
async fn an_empty_retained_message_clears_the_topic() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.publish_retained("r", "x", QoS::AtLeastOnce).await;
        client.subscribe("r", QoS::AtLeastOnce).await;
        client.expect_message("r", "x").await;
        client.publish_retained("r", "", QoS::AtLeastOnce).await;
        assert!(!client.expect_message("r", "").await.retain);
        client.subscribe("r", QoS::AtLeastOnce).await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.3.1-8 of MQTT 5, -9 of 3.1.1] Who had subscribed before sees no RETAIN flag, unless it asked for it.
#[tokio::test]
async fn retain_as_published() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        for as_published in [false, true] {
            let options = SubscriptionOptions {
                retain_as_published: as_published,
                retain_handling: RetainHandling::DoNotSend,
                ..SubscriptionOptions::default()
            };
            client.subscribe_with("r", options).await;
            client.publish_retained("r", "x", QoS::AtMostOnce).await;
            assert_eq!(client.expect_message("r", "x").await.retain, as_published);
            client.publish("r", "y", QoS::AtMostOnce).await;
            assert!(!client.expect_message("r", "y").await.retain);
        }
    })
    .await;
}

/// [MQTT-3.3.1-9, -10, -11] The three ways of retain handling.
#[tokio::test]
async fn retain_handling() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        client.publish_retained("r", "x", QoS::AtMostOnce).await;
        let with = |retain_handling| SubscriptionOptions {
            retain_handling,
            ..SubscriptionOptions::default()
        };
        client
            .subscribe_with("r", with(RetainHandling::DoNotSend))
            .await;
        client.expect_nothing().await;
        client.unsubscribe("r").await;
        client
            .subscribe_with("r", with(RetainHandling::SendIfNew))
            .await;
        client.expect_message("r", "x").await;
        client
            .subscribe_with("r", with(RetainHandling::SendIfNew))
            .await;
        client.expect_nothing().await;
        client.subscribe_with("r", with(RetainHandling::Send)).await;
        client.expect_message("r", "x").await;
    })
    .await;
}

/// [MQTT-3.3.2-5, -6] A message that has expired is not delivered; what is left of its time is.
#[tokio::test]
async fn messages_expire() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        for (topic, seconds) in [("r/short", 3), ("r/long", 1000)] {
            let mut publish = client.publish_of(message(topic, "x", QoS::AtMostOnce, true));
            publish.message_expiry_interval = Some(seconds);
            client.send(&Packet::Publish(publish)).await;
        }
        client.subscribe("r/short", QoS::AtMostOnce).await;
        client.expect_message("r/short", "x").await;
        // Until it is gone; a retained message is delivered for as long as it lives.
        loop {
            client.subscribe("r/#", QoS::AtMostOnce).await;
            let mut topics = Vec::new();
            client.send(&Packet::PingReq).await;
            loop {
                match client.expect_packet().await {
                    Packet::Publish(publish) => topics.push(publish),
                    Packet::PingResp => break,
                    other => panic!("{other:?}"),
                }
            }
            if let [only] = &topics[..] {
                assert_eq!(only.message.topic.as_str(), "r/long");
                let left = only.message_expiry_interval.expect("it has one");
                assert!((980..1000).contains(&left), "{left} s");
                break;
            }
        }
    })
    .await;
}

/// [MQTT-3.3.2-4, -15 to -20] Properties travel unaltered.
#[tokio::test]
async fn properties_travel_unaltered() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        let properties = MessageProperties {
            payload_is_utf8: Some(true),
            content_type: Some("application/json".into()),
            response_topic: Some(TopicName::parse("answer/1").expect("a name")),
            correlation_data: Some(Bytes::from_static(b"\x00\x01\xFF")),
            user_properties: vec![
                ("b".into(), "2".into()),
                ("a".into(), "1".into()),
                ("b".into(), "".into()),
            ],
        };
        let mut message = message("t", "{}", QoS::AtLeastOnce, false);
        message.properties = Some(Box::new(properties.clone()));
        client.publish_message(message).await;
        let publish = client.expect_message("t", "{}").await;
        assert_eq!(publish.message.properties.as_deref(), Some(&properties));
        // Who speaks an older version gets the message without them.
        let mut old = broker
            .connect(connect(ProtocolVersion::V3_1_1, "old"))
            .await;
        old.subscribe("t", QoS::AtLeastOnce).await;
        client.publish("t", "{}", QoS::AtMostOnce).await;
        assert_eq!(old.expect_message("t", "{}").await.message.properties, None);
    })
    .await;
}

/// 3.3.2.3.4: topic aliases from the client; 0, beyond the maximum and unknown ones are errors.
#[tokio::test]
async fn topic_aliases_of_the_client() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        client.subscribe("alias/#", QoS::AtMostOnce).await;
        client
            .send_bytes(b"\x30\x0E\x00\x07alias/1\x03\x23\x00\x01a")
            .await;
        client.expect_message("alias/1", "a").await;
        client
            .send_bytes(b"\x30\x07\x00\x00\x03\x23\x00\x01b")
            .await;
        client.expect_message("alias/1", "b").await;
        // [MQTT-3.3.2-12] The alias is set anew.
        client
            .send_bytes(b"\x30\x0E\x00\x07alias/2\x03\x23\x00\x01c")
            .await;
        client.expect_message("alias/2", "c").await;
        client
            .send_bytes(b"\x30\x07\x00\x00\x03\x23\x00\x01d")
            .await;
        client.expect_message("alias/2", "d").await;
        for (bad, code) in [
            (
                &b"\x30\x07\x00\x00\x03\x23\x00\x00b"[..],
                ReasonCode::TopicAliasInvalid,
            ),
            (
                b"\x30\x07\x00\x00\x03\x23\xFF\xFFb",
                ReasonCode::TopicAliasInvalid,
            ),
            (
                b"\x30\x07\x00\x00\x03\x23\x00\x02b",
                ReasonCode::ProtocolError,
            ),
            (b"\x30\x04\x00\x00\x00b", ReasonCode::ProtocolError),
        ] {
            let mut client = broker.connect(connect(V5, "bad")).await;
            client.send_bytes(bad).await;
            client.expect_disconnect(code).await;
        }
    })
    .await;
}

/// [MQTT-3.1.2-26, -27] Topic aliases to the client stay within what it takes, and mean what they say.
#[tokio::test]
async fn topic_aliases_to_the_client() {
    each(async |broker| {
        let mut wanted = connect(V5, "c");
        wanted.topic_alias_maximum = 2;
        let mut client = broker.connect(wanted).await;
        client
            .subscribe("a/rather/long/topic/#", QoS::AtMostOnce)
            .await;
        for round in 0..4 {
            for topic in 0..5 {
                let topic = format!("a/rather/long/topic/{topic}");
                client
                    .publish(&topic, &round.to_string(), QoS::AtMostOnce)
                    .await;
                // The decoder of the test resolves aliases, and refuses unknown ones.
                client.expect_message(&topic, &round.to_string()).await;
            }
        }
    })
    .await;
}

/// [MQTT-3.3.4-6] A client's PUBLISH has no Subscription Identifier.
#[tokio::test]
async fn clients_send_no_subscription_identifier() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        client.send_bytes(b"\x30\x07\x00\x01t\x02\x0B\x01x").await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    })
    .await;
}

/// [MQTT-3.3.2-14] A response topic has no wildcards.
#[tokio::test]
async fn response_topics_have_no_wildcards() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        client
            .send_bytes(b"\x30\x09\x00\x01t\x04\x08\x00\x01#x")
            .await;
        let last = client.expect_end().await.pop();
        let Some(Packet::Disconnect(disconnect)) = last else {
            panic!("{last:?}");
        };
        assert!(disconnect.reason_code.is_error());
    })
    .await;
}

/// 3.4.2.1: the publisher is told when nobody had subscribed.
#[tokio::test]
async fn no_matching_subscribers_is_told() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        for (qos, name) in [(QoS::AtLeastOnce, "PUBACK"), (QoS::ExactlyOnce, "PUBREC")] {
            let publish = client.publish_of(message("nobody", "x", qos, false));
            let packet_id = publish.packet_id.expect("above QoS 0");
            client.send(&Packet::Publish(publish)).await;
            let code = client.expect_acknowledgement(name, packet_id).await;
            assert_eq!(code, ReasonCode::NoMatchingSubscribers);
        }
    })
    .await;
}

/// [MQTT-3.3.1-1, 3.3.4-... and $SYS] What the broker says about itself is the broker's own word.
#[tokio::test]
async fn nobody_else_publishes_to_sys() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client
            .subscribe("$SYS/broker/forged", QoS::AtMostOnce)
            .await;
        let publish =
            client.publish_of(message("$SYS/broker/forged", "x", QoS::AtLeastOnce, false));
        let packet_id = publish.packet_id.expect("QoS 1");
        client.send(&Packet::Publish(publish)).await;
        let code = client.expect_acknowledgement("PUBACK", packet_id).await;
        let told = version == V5;
        assert_eq!(code == ReasonCode::NotAuthorized, told, "{code:?}");
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-4.3.3-11] PUBREL for an unknown identifier is answered; PUBREC for one as well.
#[tokio::test]
async fn unknown_identifiers_are_answered() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        let packet_id = client.next_id();
        let acknowledgement = Acknowledgement::new(packet_id, ReasonCode::Success);
        client.send(&Packet::PubRel(acknowledgement.clone())).await;
        let code = client.expect_acknowledgement("PUBCOMP", packet_id).await;
        assert_eq!(code == ReasonCode::PacketIdentifierNotFound, version == V5);
        client.send(&Packet::PubRec(acknowledgement.clone())).await;
        let code = client.expect_acknowledgement("PUBREL", packet_id).await;
        assert_eq!(code == ReasonCode::PacketIdentifierNotFound, version == V5);
        client.send(&Packet::PubAck(acknowledgement.clone())).await;
        client.send(&Packet::PubComp(acknowledgement)).await;
        client.expect_nothing().await;
    })
    .await;
}

/// 3.6.1: the reserved flags of PUBREL are 0010 [MQTT-3.6.1-1], of its siblings 0000.
#[tokio::test]
async fn reserved_flags_are_checked() {
    each_version(async |broker, version| {
        for first in [0x60, 0x61, 0x63, 0x41, 0x51, 0x71, 0xC1, 0x80, 0xA0] {
            let mut client = broker.connect(connect(version, "c")).await;
            client.send_bytes(&[first, 2, 0, 1]).await;
            client.expect_disconnect(ReasonCode::MalformedPacket).await;
        }
    })
    .await;
}
