//! The will (3.1.2.5, 3.1.3.2, 3.14.4).

use bytes::Bytes;
use gatemq::{
    message::{MessageProperties, QoS, TopicName},
    mqtt::packet::{Connect, Disconnect, Packet, ProtocolVersion, ReasonCode, Will},
};

use crate::support::{connect, each, each_version};

const V5: ProtocolVersion = ProtocolVersion::V5;

fn will(delay_interval: u32) -> Box<Will> {
    Box::new(Will {
        topic: TopicName::parse("will").expect("a name"),
        payload: Bytes::from_static(b"gone"),
        qos: QoS::AtLeastOnce,
        retain: false,
        delay_interval,
        message_expiry_interval: None,
        properties: None,
    })
}

fn with_will(version: ProtocolVersion, will: Box<Will>) -> Connect {
    let mut connect = connect(version, "mortal");
    connect.will = Some(will);
    connect
}

/// [MQTT-3.1.2-8] A connection that ends without DISCONNECT publishes the will.
#[tokio::test]
async fn an_abnormal_end_publishes_the_will() {
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mortal = broker.connect(with_will(version, will(0))).await;
        mortal.stream.abort().await;
        let publish = watcher.expect_message("will", "gone").await;
        assert_eq!((publish.qos, publish.retain), (QoS::AtLeastOnce, false));
    })
    .await;
}

/// [MQTT-3.1.2-10, 3.14.4-3] DISCONNECT deletes the will.
#[tokio::test]
async fn disconnect_deletes_the_will() {
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        broker
            .connect(with_will(version, will(0)))
            .await
            .disconnect()
            .await;
        watcher.expect_nothing().await;
    })
    .await;
}

/// 3.14.2.1: reason code 0x04 asks for the will.
#[tokio::test]
async fn disconnect_with_will_publishes_it() {
    each(async |broker| {
        let mut watcher = broker.connect(connect(V5, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mut mortal = broker.connect(with_will(V5, will(0))).await;
        mortal
            .send(&Packet::Disconnect(Disconnect::new(
                ReasonCode::DisconnectWithWill,
            )))
            .await;
        watcher.expect_message("will", "gone").await;
    })
    .await;
}

/// [MQTT-3.1.2-8] A protocol error is an abnormal end too.
#[tokio::test]
async fn a_protocol_error_publishes_the_will() {
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mut mortal = broker.connect(with_will(version, will(0))).await;
        mortal.send_bytes(b"\xF0").await;
        mortal.send_bytes(b"\x00").await;
        watcher.expect_message("will", "gone").await;
    })
    .await;
}

/// [MQTT-3.1.2-14, -15] A retained will is retained.
#[tokio::test]
async fn a_retained_will_is_retained() {
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mut retained = will(0);
        retained.retain = true;
        let mortal = broker.connect(with_will(version, retained)).await;
        mortal.stream.abort().await;
        watcher.expect_message("will", "gone").await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        assert!(watcher.expect_message("will", "gone").await.retain);
    })
    .await;
}

/// [MQTT-3.1.3-9] Within the will delay a return cancels the will; a session that ends does not wait for it.
#[tokio::test]
async fn a_return_within_the_delay_cancels_the_will() {
    each(async |broker| {
        let mut watcher = broker.connect(connect(V5, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mut kept = with_will(V5, will(60));
        kept.session_expiry_interval = 60;
        kept.clean_start = false;
        let mortal = broker.connect(kept.clone()).await;
        mortal.stream.abort().await;
        kept.will = None;
        let returned = broker.connect(kept.clone()).await;
        returned.disconnect().await;
        watcher.expect_nothing().await;
        // The end of the session comes before the end of the delay.
        kept.will = Some(will(60));
        let mortal = broker.connect(kept).await;
        mortal.stream.abort().await;
        broker.connect(connect(V5, "mortal")).await;
        watcher.expect_message("will", "gone").await;
    })
    .await;
}

/// 3.1.3.2.2: the will is published when its delay has passed.
#[tokio::test]
async fn the_delay_passes() {
    each(async |broker| {
        let mut watcher = broker.connect(connect(V5, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mut kept = with_will(V5, will(1));
        kept.session_expiry_interval = 60;
        broker.connect(kept).await.stream.abort().await;
        watcher.expect_message("will", "gone").await;
    })
    .await;
}

/// 3.1.3.2: the will's properties travel with it, but for the delay.
#[tokio::test]
async fn the_properties_of_a_will_travel_with_it() {
    each(async |broker| {
        let mut watcher = broker.connect(connect(V5, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mut rich = will(0);
        rich.message_expiry_interval = Some(100);
        let properties = MessageProperties {
            payload_is_utf8: Some(true),
            content_type: Some("text/plain".into()),
            response_topic: Some(TopicName::parse("answer").expect("a name")),
            correlation_data: Some(Bytes::from_static(b"\x01")),
            user_properties: vec![("k".into(), "1".into()), ("k".into(), "2".into())],
        };
        rich.properties = Some(Box::new(properties.clone()));
        broker
            .connect(with_will(V5, rich))
            .await
            .stream
            .abort()
            .await;
        let publish = watcher.expect_message("will", "gone").await;
        assert_eq!(publish.message_expiry_interval, Some(100));
        assert_eq!(publish.message.properties.as_deref(), Some(&properties));
    })
    .await;
}

/// A takeover ends the older connection abnormally.
#[tokio::test]
async fn a_takeover_publishes_the_will() {
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let _mortal = broker.connect(with_will(version, will(0))).await;
        let _second = broker.connect(connect(version, "mortal")).await;
        watcher.expect_message("will", "gone").await;
    })
    .await;
}

/// [MQTT-3.1.2-12, -14] The will has the QoS that CONNECT says, and is not retained unless it says so.
#[tokio::test]
async fn a_will_has_its_qos() {
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("will", QoS::ExactlyOnce).await;
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut wanted = will(0);
            wanted.qos = qos;
            wanted.payload = Bytes::new();
            let mortal = broker.connect(with_will(version, wanted)).await;
            mortal.stream.abort().await;
            assert_eq!(watcher.expect_message("will", "").await.qos, qos);
        }
        watcher.subscribe("will", QoS::ExactlyOnce).await;
        watcher.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.1.2-8] Silence beyond the keep alive is an abnormal end.
#[tokio::test]
async fn silence_publishes_the_will() {
    each(async |broker| {
        let mut watcher = broker.connect(connect(V5, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mut silent = with_will(V5, will(0));
        silent.keep_alive = 1;
        let _silent = broker.connect(silent).await;
        watcher.expect_message("will", "gone").await;
    })
    .await;
}

/// [MQTT-3.14.4-3] DISCONNECT with any other code than 0x00 leaves the will.
#[tokio::test]
async fn disconnect_with_a_failure_publishes_the_will() {
    each(async |broker| {
        let mut watcher = broker.connect(connect(V5, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        for code in [
            ReasonCode::UnspecifiedError,
            ReasonCode::ProtocolError,
            ReasonCode::AdministrativeAction,
        ] {
            let mut mortal = broker.connect(with_will(V5, will(0))).await;
            mortal
                .send(&Packet::Disconnect(Disconnect::new(code)))
                .await;
            watcher.expect_message("will", "gone").await;
        }
    })
    .await;
}

/// [MQTT-3.14.1-1] A DISCONNECT that is malformed is none: the will is published.
#[tokio::test]
async fn a_malformed_disconnect_publishes_the_will() {
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mut mortal = broker.connect(with_will(version, will(0))).await;
        mortal.send_bytes(b"\xE1\x00").await;
        mortal.expect_disconnect(ReasonCode::MalformedPacket).await;
        watcher.expect_message("will", "gone").await;
    })
    .await;
}

/// [MQTT-3.1.3-9] The end of the session comes before the end of the delay; the expiry counts from the publication.
#[tokio::test]
async fn the_will_does_not_outwait_its_session() {
    each(async |broker| {
        let mut watcher = broker.connect(connect(V5, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mut wanted = will(1000);
        wanted.message_expiry_interval = Some(10);
        let mut kept = with_will(V5, wanted.clone());
        kept.session_expiry_interval = 1;
        broker.connect(kept).await.stream.abort().await;
        let publish = watcher.expect_message("will", "gone").await;
        let left = publish.message_expiry_interval.expect("it has one");
        assert!(left <= 10, "{left} s");
        // Without a session to return to there is nothing to wait for.
        broker
            .connect(with_will(V5, wanted))
            .await
            .stream
            .abort()
            .await;
        watcher.expect_message("will", "gone").await;
    })
    .await;
}

/// [MQTT-3.1.3-9] A takeover that goes on with the session cancels a delayed will, one with Clean Start does not.
#[tokio::test]
async fn a_takeover_and_the_delayed_will() {
    each(async |broker| {
        let mut watcher = broker.connect(connect(V5, "watcher")).await;
        watcher.subscribe("will", QoS::AtLeastOnce).await;
        let mut kept = with_will(V5, will(60));
        kept.session_expiry_interval = 60;
        kept.clean_start = false;
        let _first = broker.connect(kept.clone()).await;
        let _second = broker.connect(kept.clone()).await;
        watcher.expect_nothing().await;
        kept.clean_start = true;
        let _third = broker.connect(kept).await;
        watcher.expect_message("will", "gone").await;
        watcher.expect_nothing().await;
    })
    .await;
}

/// 3.1.2.5: a will to a topic that the client may not publish to is refused with CONNECT.
#[tokio::test]
async fn a_will_needs_permission() {
    each_version(async |broker, version| {
        let mut forged = will(0);
        forged.topic = TopicName::parse("$SYS/broker/uptime").expect("a name");
        let mut client = broker.client(version).await;
        let answer = client.connect(with_will(version, forged)).await;
        assert_eq!(answer.reason_code, ReasonCode::NotAuthorized);
        assert_eq!(client.expect_end().await, []);
    })
    .await;
}
