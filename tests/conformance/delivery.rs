//! Delivery at each QoS, its order, and what happens on the way (4.3, 4.5, 4.6).

use gatemq::{
    message::QoS,
    mqtt::packet::{Acknowledgement, Packet, ProtocolVersion, ReasonCode},
};

use crate::support::{connect, each, each_version, message};

/// [MQTT-4.3.2-2, -4] QoS 1: PUBACK with the identifier of the PUBLISH.
/// [MQTT-4.3.3-2 to -13] QoS 2: PUBREC, PUBREL, PUBCOMP likewise.
#[tokio::test]
async fn every_qos_is_acknowledged_its_way() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        for (qos, payload) in [
            (QoS::AtMostOnce, "zero"),
            (QoS::AtLeastOnce, "one"),
            (QoS::ExactlyOnce, "two"),
        ] {
            client.publish("t", payload, qos).await;
            assert_eq!(client.expect_message("t", payload).await.qos, qos);
        }
    })
    .await;
}

/// [MQTT-4.3.3-10] Before PUBREL a PUBLISH of the same identifier is the same message.
#[tokio::test]
async fn a_repeated_qos_2_publish_is_not_delivered_twice() {
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("t", QoS::AtMostOnce).await;
        let mut client = broker.connect(connect(version, "c")).await;
        let mut publish = client.publish_of(message("t", "once", QoS::ExactlyOnce, false));
        let packet_id = publish.packet_id.expect("QoS 2");
        for dup in [false, true] {
            publish.dup = dup;
            client.send(&Packet::Publish(publish.clone())).await;
            client.expect_acknowledgement("PUBREC", packet_id).await;
        }
        for _ in 0..2 {
            // [MQTT-4.3.3-11] A repeated PUBREL is answered as well.
            let release = Acknowledgement::new(packet_id, ReasonCode::Success);
            client.send(&Packet::PubRel(release)).await;
            client.expect_acknowledgement("PUBCOMP", packet_id).await;
        }
        watcher.expect_message("t", "once").await;
        watcher.expect_nothing().await;
        // [MQTT-4.3.3-12] After PUBREL the identifier means a new message.
        publish.dup = false;
        client.send(&Packet::Publish(publish)).await;
        client.expect_acknowledgement("PUBREC", packet_id).await;
        watcher.expect_message("t", "once").await;
    })
    .await;
}

/// [MQTT-4.6.0-1 to -6] Messages and acknowledgements keep the order of their PUBLISH.
#[tokio::test]
async fn order_is_kept() {
    const COUNT: usize = 200;
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("t", QoS::AtLeastOnce).await;
        let mut client = broker.connect(connect(version, "c")).await;
        let mut bytes = Vec::new();
        let mut sent = Vec::new();
        for number in 0..COUNT {
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number % 2];
            let publish = client.publish_of(message("t", &number.to_string(), qos, false));
            sent.push((
                if number % 2 == 0 { "PUBACK" } else { "PUBREC" },
                publish.packet_id,
            ));
            bytes.extend(client.encode(&Packet::Publish(publish)));
        }
        client.send_bytes(&bytes).await;
        for (name, packet_id) in sent {
            client
                .expect_acknowledgement(name, packet_id.expect("above QoS 0"))
                .await;
        }
        for number in 0..COUNT {
            watcher.expect_message("t", &number.to_string()).await;
        }
    })
    .await;
}

/// [MQTT-4.3.3-4, 3.5.2.1] A PUBREC that refuses ends the exchange; the identifier is free again.
#[tokio::test]
async fn a_refused_message_is_not_sent_again() {
    each(async |broker| {
        let mut wanted = connect(ProtocolVersion::V5, "c");
        wanted.receive_maximum = 1;
        let mut client = broker.connect(wanted).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        let mut other = broker.connect(connect(ProtocolVersion::V5, "other")).await;
        other.publish("t", "refused", QoS::ExactlyOnce).await;
        other.publish("t", "next", QoS::ExactlyOnce).await;
        let refused = client.expect_publish().await;
        let refusal =
            Acknowledgement::new(refused.packet_id.expect("QoS 2"), ReasonCode::QuotaExceeded);
        client.send(&Packet::PubRec(refusal)).await;
        client.expect_message("t", "next").await;
    })
    .await;
}

/// 4.3.3: an acknowledgement of the wrong kind is a protocol error, not a delivery.
#[tokio::test]
async fn an_acknowledgement_of_the_wrong_kind_ends_the_connection() {
    each_version(async |broker, version| {
        for (qos, wrong) in [
            (
                QoS::AtLeastOnce,
                Packet::PubRec as fn(Acknowledgement) -> Packet,
            ),
            (QoS::ExactlyOnce, Packet::PubAck),
            (QoS::ExactlyOnce, Packet::PubComp),
        ] {
            let mut client = broker.connect(connect(version, "c")).await;
            client.subscribe("t", QoS::ExactlyOnce).await;
            client.publish("t", "x", qos).await;
            let publish = client.expect_publish().await;
            let packet_id = publish.packet_id.expect("above QoS 0");
            client
                .send(&wrong(Acknowledgement::new(packet_id, ReasonCode::Success)))
                .await;
            client.expect_disconnect(ReasonCode::ProtocolError).await;
        }
    })
    .await;
}

/// [MQTT-4.5.0-1] A message goes to everyone who subscribed, whatever version each speaks.
#[tokio::test]
async fn a_message_goes_to_everyone() {
    each(async |broker| {
        let mut watchers = Vec::new();
        for version in ProtocolVersion::ALL {
            let mut watcher = broker.connect(connect(version, version.as_str())).await;
            watcher.subscribe("t/+", QoS::AtLeastOnce).await;
            watchers.push(watcher);
        }
        for version in ProtocolVersion::ALL {
            let mut client = broker.connect(connect(version, "publisher")).await;
            client
                .publish("t/x", version.as_str(), QoS::AtLeastOnce)
                .await;
            for watcher in &mut watchers {
                watcher.expect_message("t/x", version.as_str()).await;
            }
        }
    })
    .await;
}

/// Payloads of every size, empty to the limit of a packet.
#[tokio::test]
async fn payloads_of_every_size() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        for length in [
            0, 1, 110, 127, 128, 4095, 4096, 16_383, 16_384, 65_536, 1_000_000,
        ] {
            let payload = "x".repeat(length);
            client.publish("t", &payload, QoS::ExactlyOnce).await;
            client.expect_message("t", &payload).await;
        }
    })
    .await;
}

/// [MQTT-2.2.1-4 to -6] Identifiers of the two directions are apart: the same number means two things.
#[tokio::test]
async fn identifiers_of_the_two_directions_are_apart() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        let mut other = broker.connect(connect(version, "other")).await;
        other.publish("t", "in", QoS::ExactlyOnce).await;
        let delivered = client.expect_publish().await;
        let packet_id = delivered.packet_id.expect("QoS 2");
        let mut publish = client.publish_of(message("else", "out", QoS::ExactlyOnce, false));
        publish.packet_id = Some(packet_id);
        client.send(&Packet::Publish(publish)).await;
        client.expect_acknowledgement("PUBREC", packet_id).await;
        client.acknowledge(&delivered).await;
        let release = Acknowledgement::new(packet_id, ReasonCode::Success);
        client.send(&Packet::PubRel(release)).await;
        let code = client.expect_acknowledgement("PUBCOMP", packet_id).await;
        assert_eq!(code, ReasonCode::Success);
    })
    .await;
}

/// [MQTT-4.3.2-5] Once acknowledged, an identifier of QoS 1 means a new message, with DUP or without.
#[tokio::test]
async fn an_identifier_of_qos_1_may_be_used_again() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("t", QoS::AtMostOnce).await;
        let mut publish = client.publish_of(message("t", "x", QoS::AtLeastOnce, false));
        let packet_id = publish.packet_id.expect("QoS 1");
        for dup in [false, true, false] {
            publish.dup = dup;
            client.send(&Packet::Publish(publish.clone())).await;
            client.expect_acknowledgement("PUBACK", packet_id).await;
            assert!(!client.expect_message("t", "x").await.dup);
        }
    })
    .await;
}
