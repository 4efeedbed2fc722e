//! MQTT 3.1 where it differs from 3.1.1, in raw bytes.

use gatemq::{
    message::QoS,
    mqtt::packet::{ProtocolVersion, ReasonCode},
};

use crate::support::{connect, each, within};

/// 3.1: what has no meaning in the Connect Flags is disregarded, and a user name that is announced may be missing.
#[tokio::test]
async fn flags_without_a_meaning_are_disregarded() {
    each(async |broker| {
        for flags in [0x02, 0x03, 0x3A, 0x82] {
            let mut stream = broker.open().await;
            let mut packet = b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01a".to_vec();
            packet[11] = flags;
            stream.write(&packet).await.expect("written");
            assert_eq!(
                within(stream.read()).await,
                b"\x20\x02\x00\x00",
                "{flags:02X}"
            );
        }
    })
    .await;
}

/// 2.1 of MQTT 3.1: SUBSCRIBE, UNSUBSCRIBE and PUBREL may be repeated, with DUP; 3.1.1 has done away with it.
#[tokio::test]
async fn requests_may_be_repeated() {
    each(async |broker| {
        let mut client = broker.connect(connect(ProtocolVersion::V3_1, "c")).await;
        client.subscribe("t", QoS::AtMostOnce).await;
        client.send_bytes(b"\x8A\x06\x00\x07\x00\x01t\x01").await;
        let packet = client.expect_packet().await;
        assert_eq!(packet.name(), "SUBACK", "{packet:?}");
        client.send_bytes(b"\xAA\x05\x00\x08\x00\x01t").await;
        let packet = client.expect_packet().await;
        assert_eq!(packet.name(), "UNSUBACK", "{packet:?}");
        client.send_bytes(b"\x6A\x02\x00\x09").await;
        let packet = client.expect_packet().await;
        assert_eq!(packet.name(), "PUBCOMP", "{packet:?}");
        let mut newer = broker.connect(connect(ProtocolVersion::V3_1_1, "n")).await;
        newer.send_bytes(b"\x8A\x06\x00\x07\x00\x01t\x01").await;
        newer.expect_disconnect(ReasonCode::MalformedPacket).await;
    })
    .await;
}

/// 3.1 of MQTT 3.1: a client identifier has at least one character.
#[tokio::test]
async fn a_client_identifier_is_needed() {
    each(async |broker| {
        let mut stream = broker.open().await;
        stream
            .write(b"\x10\x0E\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x00")
            .await
            .expect("written");
        assert_eq!(within(stream.read()).await, b"\x20\x02\x00\x02");
        assert_eq!(within(stream.read()).await, b"");
    })
    .await;
}
