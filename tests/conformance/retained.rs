//! Retained messages where subscriptions come, change and go (3.3.1.3, 3.8.3.1, 3.8.4).

use gatemq::{
    message::QoS,
    mqtt::packet::{NEVER_EXPIRES, Packet, ProtocolVersion, ReasonCode, Subscribe, Subscription},
    router::{RetainHandling, SubscriptionOptions},
};

use crate::support::{Broker, Carrier, connect, each, each_version, message};

const V5: ProtocolVersion = ProtocolVersion::V5;

/// [MQTT-3.8.4-3, -4] Subscribing again to the same filter brings the retained messages again, and loses nothing.
#[tokio::test]
async fn subscribing_again_brings_them_again() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.publish_retained("r/1", "x", QoS::AtLeastOnce).await;
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            client.subscribe("r/+", qos).await;
            let publish = client.expect_message("r/1", "x").await;
            assert!(publish.retain);
            assert_eq!(publish.qos, qos.min(QoS::AtLeastOnce));
        }
        client.unsubscribe("r/+").await;
        client.subscribe("r/+", QoS::AtMostOnce).await;
        client.expect_message("r/1", "x").await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.3.1-6] Each subscription of a SUBSCRIBE brings its own.
#[tokio::test]
async fn each_filter_of_a_subscribe_brings_its_own() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        for topic in ["r/1", "r/2", "other"] {
            client
                .publish_retained(topic, topic, QoS::AtLeastOnce)
                .await;
        }
        let packet_id = client.next_id();
        let subscriptions = ["r/1", "r/2", "r/2/#"].map(|filter| Subscription {
            topic_filter: gatemq::message::TopicFilter::parse(filter).expect("a filter"),
            options: SubscriptionOptions::default(),
        });
        client
            .send(&Packet::Subscribe(Subscribe {
                packet_id,
                subscriptions: subscriptions.to_vec(),
                user_properties: Vec::new(),
            }))
            .await;
        let answer = client.expect_packet().await;
        assert_eq!(answer.name(), "SUBACK", "{answer:?}");
        let mut topics = Vec::new();
        for _ in 0..3 {
            topics.push(client.expect_publish().await.message.topic.to_string());
        }
        topics.sort_unstable();
        assert_eq!(topics, ["r/1", "r/2", "r/2"]);
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.3.1-8] RETAIN is 1 in what subscribing brings, with and without Retain As Published.
#[tokio::test]
async fn retain_as_published_changes_nothing_when_subscribing() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        client.publish_retained("r", "x", QoS::AtLeastOnce).await;
        for retain_as_published in [false, true] {
            let options = SubscriptionOptions {
                retain_as_published,
                ..SubscriptionOptions::default()
            };
            client.subscribe_with("r", options).await;
            assert!(client.expect_message("r", "x").await.retain);
        }
    })
    .await;
}

/// [MQTT-3.3.1-10] Retain Handling 1 looks at the session, not at the connection.
#[tokio::test]
async fn a_subscription_of_the_session_is_not_new() {
    each(async |broker| {
        let mut kept = connect(V5, "kept");
        kept.clean_start = false;
        kept.session_expiry_interval = NEVER_EXPIRES;
        let if_new = SubscriptionOptions {
            retain_handling: RetainHandling::SendIfNew,
            ..SubscriptionOptions::default()
        };
        let mut client = broker.connect(kept.clone()).await;
        client.publish_retained("r", "x", QoS::AtLeastOnce).await;
        client.subscribe_with("r", if_new).await;
        client.expect_message("r", "x").await;
        client.disconnect().await;
        let mut client = broker.connect(kept.clone()).await;
        client.subscribe_with("r", if_new).await;
        client.expect_nothing().await;
        client.disconnect().await;
        kept.clean_start = true;
        let mut client = broker.connect(kept).await;
        client.subscribe_with("r", if_new).await;
        client.expect_message("r", "x").await;
    })
    .await;
}

/// [MQTT-3.8.3-3] No Local holds for retained messages, too.
#[tokio::test]
async fn no_local_holds_for_retained_messages() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        let mut other = broker.connect(connect(V5, "other")).await;
        client
            .publish_retained("r/own", "x", QoS::AtLeastOnce)
            .await;
        other
            .publish_retained("r/other", "y", QoS::AtLeastOnce)
            .await;
        let options = SubscriptionOptions {
            no_local: true,
            ..SubscriptionOptions::default()
        };
        client.subscribe_with("r/#", options).await;
        client.expect_message("r/other", "y").await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.3.1-8 of 3.1.1] A message without RETAIN neither is kept nor replaces what is.
#[tokio::test]
async fn a_message_without_retain_leaves_the_retained_one() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.publish_retained("r", "kept", QoS::AtLeastOnce).await;
        client.publish("r", "passes", QoS::AtLeastOnce).await;
        client.publish("r", "", QoS::AtLeastOnce).await;
        client.subscribe("r", QoS::AtLeastOnce).await;
        client.expect_message("r", "kept").await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.3.1-5] What cannot be retained is not acknowledged as if it were: 0x97, and the end of the connection where
/// the client cannot be told. Nobody was sent it. QoS 0 is delivered at least.
#[tokio::test]
async fn what_cannot_be_retained_is_told() {
    for carrier in Carrier::ALL {
        for version in ProtocolVersion::ALL {
            let broker = Broker::start_with("[retained]\nmax_bytes = \"1KiB\"").over(carrier);
            let mut watcher = broker.connect(connect(version, "watcher")).await;
            watcher.subscribe("r", QoS::ExactlyOnce).await;
            let large = "x".repeat(2000);
            for (qos, name) in [(QoS::AtLeastOnce, "PUBACK"), (QoS::ExactlyOnce, "PUBREC")] {
                let mut client = broker.connect(connect(version, "c")).await;
                let publish = client.publish_of(message("r", &large, qos, true));
                let packet_id = publish.packet_id.expect("above QoS 0");
                client.send(&Packet::Publish(publish)).await;
                if version == V5 {
                    let code = client.expect_acknowledgement(name, packet_id).await;
                    assert_eq!(code, ReasonCode::QuotaExceeded);
                    client.expect_nothing().await;
                } else {
                    assert_eq!(client.expect_end().await, []);
                }
            }
            watcher.expect_nothing().await;
            watcher.publish_retained("r", &large, QoS::AtMostOnce).await;
            watcher.expect_message("r", &large).await;
            // To clear a topic needs no room.
            watcher.publish_retained("r", "", QoS::ExactlyOnce).await;
            watcher.expect_message("r", "").await;
        }
    }
}
