//! Bytes that are no packets, and packets that have no place (1.5, 2.1, 4.13). Nobody else is disturbed.

use gatemq::{
    message::QoS,
    mqtt::packet::{Packet, ProtocolVersion, ReasonCode},
};

use crate::support::{connect, each, each_version};

const V5: ProtocolVersion = ProtocolVersion::V5;

/// [MQTT-2.1.3-1, 1.5.5-1, 3.x] Each ends the connection, with DISCONNECT where the client understands it.
#[tokio::test]
async fn malformed_packets_end_the_connection() {
    each_version(async |broker, version| {
        let mut witness = broker.connect(connect(version, "witness")).await;
        witness.subscribe("t", QoS::AtLeastOnce).await;
        for bytes in [
            &b"\x00\x00"[..],                // type 0
            b"\x30\xFF\xFF\xFF\xFF\x01",     // a length of five bytes
            b"\x30\x80\x80\x80\x80",         // likewise
            b"\x32\x03\x00\x01t",            // no identifier
            b"\x30\x02\x00\x05",             // a topic longer than its packet
            b"\x30\x00",                     // no topic
            b"\x40\x00",                     // no identifier
            b"\x40\x02\x00\x00",             // identifier 0
            b"\xC0\x01\x00",                 // PINGREQ with a body
            b"\xD0\x00",                     // PINGRESP, which the server sends
            b"\x20\x02\x00\x00",             // CONNACK
            b"\x90\x03\x00\x01\x00",         // SUBACK
            b"\xB0\x02\x00\x01",             // UNSUBACK
            b"\x30\x05\x00\x02\xC3\x28\x00", // not UTF-8
            b"\x30\x04\x00\x01\x00\x00",     // U+0000
            b"\xFF\xFF",
        ] {
            let mut client = broker.connect(connect(version, "bad")).await;
            client.send_bytes(bytes).await;
            let last = client.expect_end().await.pop();
            match last {
                Some(Packet::Disconnect(last)) => {
                    assert!(
                        last.reason_code.is_error() && version == V5,
                        "{bytes:02X?}: {last:?}"
                    );
                    assert!(last.reason_string.is_some(), "{bytes:02X?}");
                }
                other => assert!(version != V5, "{bytes:02X?}: {other:?}"),
            }
        }
        witness.publish("t", "undisturbed", QoS::AtLeastOnce).await;
        witness.expect_message("t", "undisturbed").await;
    })
    .await;
}

/// 3.15: AUTH before MQTT 5, and without an enhanced authentication.
#[tokio::test]
async fn auth_out_of_place_ends_the_connection() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        client.send_bytes(b"\xF0\x07\x19\x05\x15\x00\x02xy").await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    })
    .await;
}

/// Packets come in whatever pieces the network makes of them.
#[tokio::test]
async fn a_byte_at_a_time_is_enough() {
    each_version(async |broker, version| {
        let mut client = broker.client(version).await;
        let bytes = client.encode(&Packet::Connect(Box::new(connect(version, "slow"))));
        for byte in bytes {
            client.send_bytes(&[byte]).await;
        }
        assert!(matches!(client.expect_packet().await, Packet::ConnAck(_)));
        client.subscribe("t", QoS::AtMostOnce).await;
        let publish =
            client.publish_of(crate::support::message("t", "slow", QoS::AtMostOnce, false));
        for byte in client.encode(&Packet::Publish(publish)) {
            client.send_bytes(&[byte]).await;
        }
        client.expect_message("t", "slow").await;
    })
    .await;
}

/// 2.2.2: properties of the wrong packet, or twice where once is allowed.
#[tokio::test]
async fn properties_are_checked() {
    each(async |broker| {
        for bytes in [
            &b"\x30\x09\x00\x01t\x05\x11\x00\x00\x00\x01"[..], // Session Expiry Interval in PUBLISH
            b"\x30\x09\x00\x01t\x04\x01\x00\x01\x00x",         // Payload Format Indicator twice
            b"\x30\x07\x00\x01t\x02\x01\x02x",                 // Payload Format Indicator 2
            b"\x30\x06\x00\x01t\x02\x7F\x00",                  // unknown
            b"\x30\x05\x00\x01t\x05\x01",                      // longer than the packet
            b"\x30\x06\x00\x01t\x01\x02\x00",                  // cut off
            b"\x82\x0C\x00\x01\x05\x11\x00\x00\x00\x01\x00\x01a\x00",
        ] {
            let mut client = broker.connect(connect(V5, "c")).await;
            client.send_bytes(bytes).await;
            let last = client.expect_end().await.pop();
            assert!(
                matches!(&last, Some(Packet::Disconnect(last)) if last.reason_code.is_error()),
                "{bytes:02X?}: {last:?}"
            );
        }
    })
    .await;
}
