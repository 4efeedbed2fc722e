//! Every form of an acknowledgement, and what a client's verdict leads to (3.4 to 3.7, 4.3, 4.9).

use gatemq::{
    message::QoS,
    mqtt::packet::{Acknowledgement, NEVER_EXPIRES, Packet, ProtocolVersion, ReasonCode},
};

use crate::support::{Client, connect, each, each_version, message};

const V5: ProtocolVersion = ProtocolVersion::V5;

/// Publishes this many numbered messages.
async fn publish(client: &mut Client, count: usize, qos: QoS) {
    for number in 0..count {
        client.publish("t", &number.to_string(), qos).await;
    }
}

/// 3.4.2.1, 3.4.2.2.1: the reason code may be left out, the length of the properties too; both may be there.
#[tokio::test]
async fn a_puback_has_every_form() {
    each(async |broker| {
        let forms: [&[u8]; 6] = [
            b"",
            b"\x00",
            b"\x00\x00",
            b"\x10",
            b"\x00\x05\x1F\x00\x02ok",
            b"\x80\x0C\x1F\x00\x02no\x26\x00\x01k\x00\x01v",
        ];
        let mut wanted = connect(V5, "c");
        wanted.receive_maximum = 1;
        let mut client = broker.connect(wanted).await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        let mut other = broker.connect(connect(V5, "other")).await;
        publish(&mut other, forms.len(), QoS::AtLeastOnce).await;
        for (number, form) in forms.iter().enumerate() {
            // The next one comes only because the last one was acknowledged.
            let delivered = client.expect_publish().await;
            assert_eq!(delivered.message.payload, number.to_string());
            let packet_id = delivered.packet_id.expect("QoS 1").get().to_be_bytes();
            let mut packet = vec![0x40, u8::try_from(2 + form.len()).expect("short")];
            packet.extend(packet_id);
            packet.extend(*form);
            client.send_bytes(&packet).await;
        }
        client.expect_nothing().await;
    })
    .await;
}

/// The same for the three packets of QoS 2.
#[tokio::test]
async fn the_packets_of_qos_2_have_every_form() {
    each(async |broker| {
        let forms: [&[u8]; 4] = [b"", b"\x00", b"\x00\x00", b"\x00\x05\x1F\x00\x02ok"];
        let mut wanted = connect(V5, "c");
        wanted.receive_maximum = 1;
        let mut client = broker.connect(wanted).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        let mut other = broker.connect(connect(V5, "other")).await;
        publish(&mut other, forms.len(), QoS::ExactlyOnce).await;
        for form in forms {
            let length = u8::try_from(2 + form.len()).expect("short");
            let packet = |first: u8, packet_id: [u8; 2]| {
                let mut packet = vec![first, length];
                packet.extend(packet_id);
                packet.extend(form);
                packet
            };
            let delivered = client.expect_publish().await;
            let packet_id = delivered.packet_id.expect("QoS 2");
            let bytes = packet_id.get().to_be_bytes();
            client.send_bytes(&packet(0x50, bytes)).await;
            let code = client.expect_acknowledgement("PUBREL", packet_id).await;
            assert_eq!(code, ReasonCode::Success);
            client.send_bytes(&packet(0x70, bytes)).await;
            // And the one that a publisher sends.
            let published = client.publish_of(message("else", "x", QoS::ExactlyOnce, false));
            let packet_id = published.packet_id.expect("QoS 2");
            client.send(&Packet::Publish(published)).await;
            client.expect_acknowledgement("PUBREC", packet_id).await;
            client
                .send_bytes(&packet(0x62, packet_id.get().to_be_bytes()))
                .await;
            let code = client.expect_acknowledgement("PUBCOMP", packet_id).await;
            assert_eq!(code, ReasonCode::Success);
        }
    })
    .await;
}

/// 3.4, 3.5: before MQTT 5 an acknowledgement is an identifier and nothing more.
#[tokio::test]
async fn older_acknowledgements_have_no_reason() {
    each_version(async |broker, version| {
        if version == V5 {
            return;
        }
        for first in [0x40, 0x50, 0x62, 0x70] {
            let mut client = broker.connect(connect(version, "c")).await;
            client.send_bytes(&[first, 3, 0, 1, 0]).await;
            assert_eq!(client.expect_end().await, [], "{first:02X}");
        }
    })
    .await;
}

/// [MQTT-4.4.0-1] What a client refused with PUBACK or PUBREC is not sent again, on no connection.
#[tokio::test]
async fn a_refusal_is_final() {
    each(async |broker| {
        let mut kept = connect(V5, "kept");
        kept.clean_start = false;
        kept.session_expiry_interval = NEVER_EXPIRES;
        let mut client = broker.connect(kept.clone()).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        let mut other = broker.connect(connect(V5, "other")).await;
        other.publish("t", "one", QoS::AtLeastOnce).await;
        other.publish("t", "two", QoS::ExactlyOnce).await;
        for packet in [
            Packet::PubAck as fn(Acknowledgement) -> Packet,
            Packet::PubRec,
        ] {
            let delivered = client.expect_publish().await;
            let packet_id = delivered.packet_id.expect("above QoS 0");
            let refusal = Acknowledgement::new(packet_id, ReasonCode::UnspecifiedError);
            client.send(&packet(refusal)).await;
        }
        client.expect_nothing().await;
        client.disconnect().await;
        let mut client = broker.connect(kept).await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-4.4.0-1, 4.9.0-1] What is sent again counts against the Receive Maximum of the new connection.
#[tokio::test]
async fn sending_again_keeps_to_the_receive_maximum() {
    each(async |broker| {
        let mut kept = connect(V5, "kept");
        kept.clean_start = false;
        kept.session_expiry_interval = NEVER_EXPIRES;
        let mut client = broker.connect(kept.clone()).await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        let mut other = broker.connect(connect(V5, "other")).await;
        publish(&mut other, 4, QoS::AtLeastOnce).await;
        for _ in 0..3 {
            client.expect_publish().await;
        }
        client.stream.abort().await;
        kept.receive_maximum = 2;
        let mut client = broker.connect(kept).await;
        let first = client.expect_publish().await;
        let second = client.expect_publish().await;
        assert!(first.dup && second.dup);
        client.expect_nothing().await;
        client.acknowledge(&first).await;
        let third = client.expect_publish().await;
        assert_eq!(&third.message.payload[..], b"2");
        client.expect_nothing().await;
        client.acknowledge(&second).await;
        client.expect_message("t", "3").await;
        client.acknowledge(&third).await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.1.2-24, -25] A client that returns with a smaller Maximum Packet Size does not get what waits and is larger;
/// what follows it comes.
#[tokio::test]
async fn what_waits_keeps_to_the_maximum_packet_size() {
    each(async |broker| {
        let mut kept = connect(V5, "kept");
        kept.clean_start = false;
        kept.session_expiry_interval = NEVER_EXPIRES;
        let mut client = broker.connect(kept.clone()).await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        let mut other = broker.connect(connect(V5, "other")).await;
        let large = "x".repeat(100);
        for payload in [&large, &large, "small", &large, "last"] {
            other.publish("t", payload, QoS::AtLeastOnce).await;
        }
        // In flight, and again when the client returns; the rest stays queued.
        for _ in 0..3 {
            client.expect_publish().await;
        }
        client.stream.abort().await;
        kept.maximum_packet_size = Some(50);
        kept.receive_maximum = 1;
        let mut client = broker.connect(kept).await;
        client.expect_message("t", "small").await;
        client.expect_message("t", "last").await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.10.4-3] A delivery that has begun is completed, though its subscription has gone.
#[tokio::test]
async fn a_delivery_outlives_its_subscription() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        let mut other = broker.connect(connect(version, "other")).await;
        other.publish("t", "x", QoS::ExactlyOnce).await;
        let delivered = client.expect_publish().await;
        client.unsubscribe("t").await;
        client.acknowledge(&delivered).await;
        client.expect_nothing().await;
    })
    .await;
}
