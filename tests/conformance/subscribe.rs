//! SUBSCRIBE to UNSUBACK (3.8 to 3.11).

use std::num::NonZeroU32;

use gatemq::{
    message::{QoS, TopicFilter},
    mqtt::packet::{Packet, ProtocolVersion, ReasonCode, Subscribe, Subscription, Unsubscribe},
    router::SubscriptionOptions,
};

use crate::support::{Broker, connect, each, each_version};

const V5: ProtocolVersion = ProtocolVersion::V5;

fn line(filter: &str, qos: QoS) -> Subscription {
    Subscription {
        topic_filter: TopicFilter::parse(filter).expect("a filter"),
        options: SubscriptionOptions {
            qos,
            ..SubscriptionOptions::default()
        },
    }
}

fn identified(identifier: u32) -> SubscriptionOptions {
    SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        identifier: NonZeroU32::new(identifier),
        ..SubscriptionOptions::default()
    }
}

/// [MQTT-3.8.4-1, -2, -5, -6, -7, 3.9.3-1] SUBACK has the identifier, and a code for each filter in their order.
#[tokio::test]
async fn every_filter_is_answered_in_order() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        let packet_id = client.next_id();
        client
            .send(&Packet::Subscribe(Subscribe {
                packet_id,
                subscriptions: vec![
                    line("a", QoS::AtMostOnce),
                    line("b/+", QoS::ExactlyOnce),
                    line("c/#", QoS::AtLeastOnce),
                ],
                user_properties: Vec::new(),
            }))
            .await;
        let Packet::SubAck(answer) = client.expect_packet().await else {
            panic!("not SUBACK");
        };
        assert_eq!(answer.packet_id, packet_id);
        assert_eq!(
            answer.reason_codes,
            [
                ReasonCode::Success,
                ReasonCode::GrantedQoS2,
                ReasonCode::GrantedQoS1
            ]
        );
    })
    .await;
}

/// [MQTT-3.8.4-3] Subscribing again replaces the subscription.
#[tokio::test]
async fn subscribing_again_replaces() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        client.subscribe("t", QoS::AtMostOnce).await;
        client.publish("t", "x", QoS::ExactlyOnce).await;
        assert_eq!(client.expect_message("t", "x").await.qos, QoS::AtMostOnce);
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.3.4-2, 3.3.5-1 of 3.1.1] Overlapping subscriptions: one delivery, with the highest QoS granted.
#[tokio::test]
async fn overlapping_subscriptions_deliver_once() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("t/#", QoS::AtMostOnce).await;
        client.subscribe("t/+", QoS::ExactlyOnce).await;
        client.subscribe("t/1", QoS::AtLeastOnce).await;
        client.publish("t/1", "x", QoS::ExactlyOnce).await;
        assert_eq!(
            client.expect_message("t/1", "x").await.qos,
            QoS::ExactlyOnce
        );
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.3.4-3, -4, -5] A delivery names the identifiers of all subscriptions that matched.
#[tokio::test]
async fn subscription_identifiers_come_along() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        client.subscribe_with("t/#", identified(1)).await;
        client.subscribe_with("t/+", identified(268_435_455)).await;
        client.subscribe("t/1", QoS::AtMostOnce).await;
        client.publish("t/1", "x", QoS::AtLeastOnce).await;
        let publish = client.expect_message("t/1", "x").await;
        let mut identifiers = publish.subscription_identifiers.to_vec();
        identifiers.sort_unstable();
        assert_eq!(identifiers, [1, 268_435_455]);
        // Subscribing again without one takes it away.
        client.subscribe("t/+", QoS::AtLeastOnce).await;
        client.publish("t/1", "x", QoS::AtLeastOnce).await;
        let publish = client.expect_message("t/1", "x").await;
        assert_eq!(publish.subscription_identifiers.to_vec(), [1]);
        client.publish_retained("t/r", "x", QoS::AtLeastOnce).await;
        client.expect_message("t/r", "x").await;
        client.subscribe_with("t/r", identified(7)).await;
        let publish = client.expect_message("t/r", "x").await;
        assert_eq!(publish.subscription_identifiers.to_vec(), [7]);
    })
    .await;
}

/// [MQTT-3.8.3-3] No Local: not one's own messages.
#[tokio::test]
async fn no_local() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        let mut other = broker.connect(connect(V5, "other")).await;
        let options = SubscriptionOptions {
            no_local: true,
            ..SubscriptionOptions::default()
        };
        client.subscribe_with("t", options).await;
        client.publish("t", "own", QoS::AtLeastOnce).await;
        other.publish("t", "foreign", QoS::AtLeastOnce).await;
        client.expect_message("t", "foreign").await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.8.3-4] No Local on a shared subscription is a protocol error.
#[tokio::test]
async fn no_local_is_not_for_shared_subscriptions() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        client
            .send_bytes(b"\x82\x10\x00\x01\x00\x00\x0A$share/g/a\x04")
            .await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    })
    .await;
}

/// [MQTT-3.8.1-1, 3.8.3-2, -5, 3.10.1-1, 3.10.3-2] What SUBSCRIBE and UNSUBSCRIBE must not say.
#[tokio::test]
async fn malformed_requests_end_the_connection() {
    each(async |broker| {
        for (bytes, codes) in [
            (&b"\x80\x07\x00\x01\x00\x00\x01a\x00"[..], [0x81, 0x81]), // flags
            (b"\xA0\x06\x00\x01\x00\x00\x01a", [0x81, 0x81]),
            (b"\x82\x03\x00\x01\x00", [0x82, 0x81]), // no filter
            (b"\xA2\x03\x00\x01\x00", [0x82, 0x81]),
            (b"\x82\x07\x00\x01\x00\x00\x01a\x03", [0x82, 0x81]), // QoS 3
            (b"\x82\x07\x00\x01\x00\x00\x01a\x40", [0x82, 0x81]), // reserved bits
            (b"\x82\x07\x00\x01\x00\x00\x01a\x30", [0x82, 0x81]), // retain handling 3
            (b"\x82\x07\x00\x00\x00\x00\x01a\x00", [0x82, 0x81]), // identifier 0
            (b"\xA2\x06\x00\x00\x00\x00\x01a", [0x82, 0x81]),
            (b"\x82\x09\x00\x01\x02\x0B\x00\x00\x01a\x00", [0x82, 0x81]), // subscription identifier 0
        ] {
            let mut client = broker.connect(connect(V5, "c")).await;
            client.send_bytes(bytes).await;
            let last = client.expect_end().await.pop();
            let Some(Packet::Disconnect(disconnect)) = last else {
                panic!("{bytes:02X?}: {last:?}");
            };
            assert!(
                codes.contains(&(disconnect.reason_code as u8)),
                "{bytes:02X?}: {disconnect:?}"
            );
        }
        for bytes in [
            &b"\x80\x06\x00\x01\x00\x01a\x00"[..],
            b"\x82\x02\x00\x01",
            b"\xA2\x02\x00\x01",
            b"\x82\x06\x00\x01\x00\x01a\x03",
            b"\x82\x06\x00\x01\x00\x01a\x04",
            b"\x82\x06\x00\x00\x00\x01a\x00",
            b"\x82\x05\x00\x01\x00\x01a",
        ] {
            let mut client = broker.connect(connect(ProtocolVersion::V3_1_1, "c")).await;
            client.send_bytes(bytes).await;
            assert_eq!(client.expect_end().await, [], "{bytes:02X?}");
        }
    })
    .await;
}

/// [MQTT-3.10.4-1 to -6, 3.11.3-1] UNSUBSCRIBE ends deliveries; each filter is answered.
#[tokio::test]
async fn unsubscribe_ends_deliveries() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("a", QoS::AtLeastOnce).await;
        client.subscribe("a/#", QoS::AtLeastOnce).await;
        let packet_id = client.next_id();
        client
            .send(&Packet::Unsubscribe(Unsubscribe {
                packet_id,
                topic_filters: ["a", "b", "a/#"]
                    .map(|filter| TopicFilter::parse(filter).expect("a filter"))
                    .to_vec(),
                user_properties: Vec::new(),
            }))
            .await;
        let Packet::UnsubAck(answer) = client.expect_packet().await else {
            panic!("not UNSUBACK");
        };
        assert_eq!(answer.packet_id, packet_id);
        if version == V5 {
            assert_eq!(
                answer.reason_codes,
                [
                    ReasonCode::Success,
                    ReasonCode::NoSubscriptionExisted,
                    ReasonCode::Success
                ]
            );
        }
        client.publish("a", "x", QoS::AtLeastOnce).await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.10.4-5] UNSUBSCRIBE is answered even where nothing was subscribed.
#[tokio::test]
async fn unsubscribe_without_subscription_is_acknowledged() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.unsubscribe("nothing").await;
    })
    .await;
}

/// 3.9.3: a session has a limit of subscriptions, and is told.
#[tokio::test]
async fn the_limit_of_subscriptions_is_told() {
    for version in ProtocolVersion::ALL {
        let broker = Broker::start_with("[mqtt]\nmax_subscriptions_per_session = 2");
        let mut client = broker.connect(connect(version, "c")).await;
        for filter in ["a", "b", "b"] {
            assert_eq!(
                client.subscribe(filter, QoS::AtMostOnce).await,
                ReasonCode::Success
            );
        }
        let code = client.subscribe("c", QoS::AtMostOnce).await;
        assert!(code.is_error(), "{code:?}");
        assert_eq!(
            client.subscribe("a", QoS::AtLeastOnce).await,
            ReasonCode::GrantedQoS1
        );
    }
}

/// [MQTT-3.8.4-5, -6] A filter that stands twice in a SUBSCRIBE is answered twice; the last one holds.
#[tokio::test]
async fn a_filter_may_stand_twice() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        let packet_id = client.next_id();
        client
            .send(&Packet::Subscribe(Subscribe {
                packet_id,
                subscriptions: vec![line("t", QoS::ExactlyOnce), line("t", QoS::AtMostOnce)],
                user_properties: Vec::new(),
            }))
            .await;
        let Packet::SubAck(answer) = client.expect_packet().await else {
            panic!("not SUBACK");
        };
        assert_eq!(
            answer.reason_codes,
            [ReasonCode::GrantedQoS2, ReasonCode::Success]
        );
        client.publish("t", "x", QoS::ExactlyOnce).await;
        assert_eq!(client.expect_message("t", "x").await.qos, QoS::AtMostOnce);
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.10.4-1] UNSUBSCRIBE compares filters letter by letter, and does not match with them.
#[tokio::test]
async fn unsubscribe_compares_filters_as_they_are() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("a/b", QoS::AtMostOnce).await;
        for other in ["a/+", "#", "a/b/#", "A/b", "a", "$share/g/a/b", "/a/b"] {
            let answer = client.unsubscribe(other).await;
            if version == V5 {
                assert_eq!(answer.reason_codes, [ReasonCode::NoSubscriptionExisted]);
            }
        }
        client.publish("a/b", "x", QoS::AtMostOnce).await;
        client.expect_message("a/b", "x").await;
    })
    .await;
}

/// [MQTT-3.3.4-2, -3] Overlapping: the highest QoS, RETAIN where one of them asks for it, and No Local for its own
/// filter only.
#[tokio::test]
async fn options_of_overlapping_subscriptions() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        let no_local = SubscriptionOptions {
            qos: QoS::ExactlyOnce,
            no_local: true,
            ..SubscriptionOptions::default()
        };
        client.subscribe_with("t/#", no_local).await;
        client.subscribe("t/+", QoS::AtMostOnce).await;
        client.publish("t/1", "own", QoS::ExactlyOnce).await;
        let publish = client.expect_message("t/1", "own").await;
        assert_eq!(publish.qos, QoS::AtMostOnce);
        let mut other = broker.connect(connect(V5, "other")).await;
        other.publish("t/1", "foreign", QoS::ExactlyOnce).await;
        let publish = client.expect_message("t/1", "foreign").await;
        assert_eq!(publish.qos, QoS::ExactlyOnce);
        client.expect_nothing().await;
    })
    .await;
}
