//! PINGREQ, DISCONNECT and the end of a connection (3.12 to 3.14, 4.13).

use gatemq::{
    message::QoS,
    mqtt::packet::{Packet, ProtocolVersion, ReasonCode},
};

use crate::support::{connect, each, each_version, message};

const V5: ProtocolVersion = ProtocolVersion::V5;

/// [MQTT-3.12.4-1] PINGREQ is answered.
#[tokio::test]
async fn ping_is_answered() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "c")).await;
        for _ in 0..3 {
            client.expect_nothing().await;
        }
    })
    .await;
}

/// [MQTT-3.14.4-1, -2] After DISCONNECT the server closes, and says nothing more.
#[tokio::test]
async fn disconnect_ends_the_connection() {
    each_version(async |broker, version| {
        let client = broker.connect(connect(version, "c")).await;
        client.disconnect().await;
    })
    .await;
}

/// 3.14: every form of DISCONNECT, and those that are malformed.
#[tokio::test]
async fn forms_of_disconnect() {
    each(async |broker| {
        for bytes in [
            &b"\xE0\x00"[..],
            b"\xE0\x01\x00",
            b"\xE0\x02\x00\x00",
            b"\xE0\x02\x04\x00",
        ] {
            let mut client = broker.connect(connect(V5, "c")).await;
            client.send_bytes(bytes).await;
            assert_eq!(client.expect_end().await, [], "{bytes:02X?}");
        }
        for bytes in [
            &b"\xE1\x00"[..],
            b"\xE0\x01\x01",
            b"\xE0\x02\x00\x01",
            // Server Reference is the server's to send.
            b"\xE0\x06\x00\x04\x1C\x00\x01x",
            // 0x8B too.
            b"\xE0\x01\x8B",
        ] {
            let mut client = broker.connect(connect(V5, "c")).await;
            client.send_bytes(bytes).await;
            let last = client.expect_end().await.pop();
            assert!(
                matches!(&last, Some(Packet::Disconnect(last)) if last.reason_code.is_error()),
                "{bytes:02X?}: {last:?}"
            );
        }
        let mut old = broker.connect(connect(ProtocolVersion::V3_1_1, "c")).await;
        old.send_bytes(b"\xE0\x01\x00").await;
        assert_eq!(old.expect_end().await, []);
    })
    .await;
}

/// 4.13, 3.14.2.2.3: the server says why it ends a connection, in words that name the cause.
#[tokio::test]
async fn the_cause_is_named() {
    each(async |broker| {
        let mut client = broker.connect(connect(V5, "c")).await;
        client.send_bytes(b"\x36\x07\x00\x01t\x00\x01\x00x").await;
        let disconnect = client.expect_disconnect(ReasonCode::MalformedPacket).await;
        let reason = disconnect
            .and_then(|disconnect| disconnect.reason_string)
            .expect("words");
        assert!(reason.contains("QoS"), "{reason}");
        if client.stream.is_websocket() {
            let (code, words) = client.stream.close_frame().expect("a close frame");
            assert_eq!((code, &*words), (1002, &*reason));
        }
    })
    .await;
}

/// [MQTT-3.1.2-29] Without Request Problem Information only CONNACK, PUBLISH and DISCONNECT carry words.
#[tokio::test]
async fn words_are_left_out_where_nobody_wants_them() {
    each(async |broker| {
        for wants in [true, false] {
            let mut wanted = connect(V5, "c");
            wanted.request_problem_information = wants;
            let mut client = broker.connect(wanted).await;
            let publish = client.publish_of(message("$SYS/x", "x", QoS::AtLeastOnce, false));
            client.send(&Packet::Publish(publish)).await;
            let Packet::PubAck(refusal) = client.expect_packet().await else {
                panic!("not PUBACK");
            };
            assert_eq!(refusal.reason_string.is_some(), wants);
        }
    })
    .await;
}

/// [MQTT-3.14.4-1, -2] Nothing that follows a DISCONNECT is looked at.
#[tokio::test]
async fn what_follows_disconnect_is_not_looked_at() {
    each_version(async |broker, version| {
        let mut watcher = broker.connect(connect(version, "watcher")).await;
        watcher.subscribe("t", QoS::AtMostOnce).await;
        let mut client = broker.connect(connect(version, "c")).await;
        let publish = client.publish_of(message("t", "late", QoS::AtMostOnce, false));
        let mut bytes = b"\xE0\x00".to_vec();
        bytes.extend(client.encode(&Packet::Publish(publish)));
        bytes.extend(b"\xC0\x00");
        client.send_bytes(&bytes).await;
        assert_eq!(client.expect_end().await, []);
        watcher.expect_nothing().await;
    })
    .await;
}

/// [MQTT-3.12.1-1 of 3.1.1] The reserved flags of PINGREQ and DISCONNECT are 0, and they have no body before MQTT 5.
#[tokio::test]
async fn ping_and_disconnect_have_no_flags() {
    each_version(async |broker, version| {
        for bytes in [
            &b"\xC1\x00"[..],
            b"\xC8\x00",
            b"\xE1\x00",
            b"\xEF\x00",
            b"\xC0\x01\x00",
        ] {
            let mut client = broker.connect(connect(version, "c")).await;
            client.send_bytes(bytes).await;
            client.expect_disconnect(ReasonCode::MalformedPacket).await;
        }
    })
    .await;
}
