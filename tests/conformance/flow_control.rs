//! Receive Maximum and Maximum Packet Size, both ways (4.9, 3.1.2.11.4).

use gatemq::{
    message::QoS,
    mqtt::packet::{Acknowledgement, Packet, ProtocolVersion, ReasonCode},
};

use crate::support::{Broker, Carrier, connect, each, each_version, message};

const V5: ProtocolVersion = ProtocolVersion::V5;

/// [MQTT-3.3.4-7, -8, 4.9.0-1] The server sends no more than the client's Receive Maximum, and QoS 0 beside it.
#[tokio::test]
async fn the_clients_receive_maximum_is_kept() {
    each(async |broker| {
        let mut wanted = connect(V5, "c");
        wanted.receive_maximum = 2;
        let mut client = broker.connect(wanted).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        let mut other = broker.connect(connect(V5, "other")).await;
        for (payload, qos) in [
            ("1", QoS::AtLeastOnce),
            ("2", QoS::ExactlyOnce),
            ("3", QoS::AtLeastOnce),
        ] {
            other.publish("t", payload, qos).await;
        }
        let first = client.expect_publish().await;
        let second = client.expect_publish().await;
        client.expect_nothing().await;
        client.acknowledge(&first).await;
        let third = client.expect_publish().await;
        assert_eq!(&third.message.payload[..], b"3");
        other.publish("t", "4", QoS::AtLeastOnce).await;
        client.expect_nothing().await;
        // PUBREC is not enough: the window opens with PUBCOMP [MQTT-4.9.0-2].
        let packet_id = second.packet_id.expect("QoS 2");
        let acknowledgement = Acknowledgement::new(packet_id, ReasonCode::Success);
        client.send(&Packet::PubRec(acknowledgement.clone())).await;
        client.expect_acknowledgement("PUBREL", packet_id).await;
        client.expect_nothing().await;
        client.send(&Packet::PubComp(acknowledgement)).await;
        client.expect_message("t", "4").await;
    })
    .await;
}

/// [MQTT-3.3.4-9] Who exceeds the server's Receive Maximum is disconnected with 0x93; at it all is well.
#[tokio::test]
async fn exceeding_the_servers_receive_maximum_is_an_error() {
    for carrier in Carrier::ALL {
        let broker = Broker::start_with("[mqtt]\nreceive_maximum = 3").over(carrier);
        let mut client = broker.connect(connect(V5, "c")).await;
        let mut publishes = Vec::new();
        for _ in 0..3 {
            let publish = client.publish_of(message("t", "x", QoS::ExactlyOnce, false));
            publishes.push(publish.packet_id.expect("QoS 2"));
            client.send(&Packet::Publish(publish)).await;
        }
        for packet_id in publishes {
            client.expect_acknowledgement("PUBREC", packet_id).await;
        }
        let publish = client.publish_of(message("t", "x", QoS::ExactlyOnce, false));
        client.send(&Packet::Publish(publish)).await;
        let disconnect = client
            .expect_disconnect(ReasonCode::ReceiveMaximumExceeded)
            .await;
        let reason = disconnect
            .and_then(|disconnect| disconnect.reason_string)
            .expect("words");
        assert!(reason.contains('3'), "{reason}");
    }
}

/// [MQTT-3.1.2-24, -25] A packet larger than the client takes is not sent; the next one is.
#[tokio::test]
async fn the_clients_maximum_packet_size_is_kept() {
    each(async |broker| {
        let mut wanted = connect(V5, "c");
        wanted.maximum_packet_size = Some(50);
        let mut client = broker.connect(wanted).await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        let mut other = broker.connect(connect(V5, "other")).await;
        other.publish("t", &"x".repeat(100), QoS::AtLeastOnce).await;
        // Fixed header 2, topic 3, identifier 2, properties 1: 42 bytes of payload are exactly 50.
        other.publish("t", &"y".repeat(42), QoS::AtLeastOnce).await;
        other.publish("t", &"z".repeat(43), QoS::AtLeastOnce).await;
        other.publish("t", "last", QoS::AtLeastOnce).await;
        client.expect_message("t", &"y".repeat(42)).await;
        client.expect_message("t", "last").await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.2.2-15] A packet larger than the server takes ends the connection with 0x95, before its payload has come.
#[tokio::test]
async fn the_servers_maximum_packet_size_is_kept() {
    for carrier in Carrier::ALL {
        for version in ProtocolVersion::ALL {
            let broker = Broker::start_with("[mqtt]\nmax_packet_size = 1024").over(carrier);
            let mut client = broker.connect(connect(version, "c")).await;
            client.subscribe("t", QoS::AtMostOnce).await;
            // Fixed header 3, topic 3, properties 0 or 1: exactly the limit.
            let length = 1024 - 6 - usize::from(version == V5);
            client
                .publish("t", &"x".repeat(length), QoS::AtMostOnce)
                .await;
            client.expect_message("t", &"x".repeat(length)).await;
            client.send_bytes(b"\x30\xFE\x07").await;
            client.expect_disconnect(ReasonCode::PacketTooLarge).await;
        }
    }
}

/// Clients of older versions know no Receive Maximum: they are slowed down, not disconnected.
#[tokio::test]
async fn older_clients_may_publish_as_much_as_they_like() {
    each_version(async |broker, version| {
        if version == V5 {
            return;
        }
        let mut client = broker.connect(connect(version, "c")).await;
        let mut bytes = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..3000 {
            let publish = client.publish_of(message("t", "x", QoS::AtLeastOnce, false));
            sent.push(publish.packet_id.expect("QoS 1"));
            bytes.extend(client.encode(&Packet::Publish(publish)));
        }
        client.send_bytes(&bytes).await;
        for packet_id in sent {
            client.expect_acknowledgement("PUBACK", packet_id).await;
        }
    })
    .await;
}
