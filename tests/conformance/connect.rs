//! CONNECT and CONNACK (3.1, 3.2).

use bytes::Bytes;
use gatemq::{
    message::QoS,
    mqtt::packet::{Packet, ProtocolVersion, ReasonCode},
};

use crate::support::{Broker, Client, Stream, connect, each, each_version, within};

const V3_1: ProtocolVersion = ProtocolVersion::V3_1;
const V3_1_1: ProtocolVersion = ProtocolVersion::V3_1_1;
const V5: ProtocolVersion = ProtocolVersion::V5;

/// Whatever comes for these bytes until the broker ends the stream.
async fn answer(broker: &Broker, bytes: &[u8]) -> Vec<u8> {
    let mut stream = broker.open().await;
    stream.write(bytes).await.expect("written");
    let mut answer = Vec::new();
    loop {
        let read = within(stream.read()).await;
        if read.is_empty() {
            return answer;
        }
        answer.extend(read);
    }
}

/// So many bytes, or what came until the end.
async fn read(stream: &mut Stream, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let read = within(stream.read()).await;
        if read.is_empty() {
            break;
        }
        bytes.extend(read);
    }
    bytes
}

/// A CONNECT of these flags and this payload, of MQTT 3.1.1.
fn connect_v3(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x10, u8::try_from(10 + payload.len()).expect("short")];
    packet.extend(b"\x00\x04MQTT\x04");
    packet.extend([flags, 0, 0]);
    packet.extend(payload);
    packet
}

/// A CONNECT of these flags, properties and this payload, of MQTT 5.
fn connect_v5(flags: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![
        0x10,
        u8::try_from(11 + properties.len() + payload.len()).expect("short"),
    ];
    packet.extend(b"\x00\x04MQTT\x05");
    packet.extend([flags, 0, 0, u8::try_from(properties.len()).expect("short")]);
    packet.extend(properties);
    packet.extend(payload);
    packet
}

/// [MQTT-3.1.0-1] The first packet is CONNECT; anything else ends the connection without an answer.
#[tokio::test]
async fn the_first_packet_is_connect() {
    each(async |broker| {
        for first in [
            &b"\xC0\x00"[..],
            b"\x30\x03\x00\x01a",
            b"\xE0\x00",
            b"\x82\x06\x00\x01\x00\x01a\x00",
            b"\x20\x02\x00\x00",
        ] {
            assert_eq!(answer(&broker, first).await, b"", "{first:02X?}");
        }
    })
    .await;
}

/// [MQTT-3.1.0-2] A second CONNECT is a protocol error.
#[tokio::test]
async fn a_second_connect_ends_the_connection() {
    each_version(async |broker, version| {
        let mut client = broker.connect(connect(version, "twice")).await;
        client
            .send(&Packet::Connect(Box::new(connect(version, "twice"))))
            .await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    })
    .await;
}

/// [MQTT-3.1.2-2] An unknown version is answered with "unacceptable protocol version", then the connection ends.
#[tokio::test]
async fn an_unknown_protocol_version_is_answered() {
    each(async |broker| {
        // 3.1.1 clients and older know the first form, whatever comes after MQTT 5 the second.
        assert_eq!(
            answer(&broker, b"\x10\x0D\x00\x04MQTT\x02\x02\x00\x00\x00\x01a").await,
            b"\x20\x02\x00\x01"
        );
        let newer = answer(
            &broker,
            b"\x10\x0E\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x01a",
        )
        .await;
        assert_eq!((newer[0], newer[3]), (0x20, 0x84), "{newer:02X?}");
    })
    .await;
}

/// Bridges of MQTT 3 say so by the highest bit of the level: what they publish does not come back, and RETAIN stays. No
/// standard has it, but mosquitto's bridges and MQTTnet begin so.
#[tokio::test]
async fn a_bridge_gets_everything_but_its_own() {
    each(async |broker| {
        for (name_and_level, topic) in [
            (&b"\x00\x04MQTT\x84"[..], b'a'),
            (b"\x00\x06MQIsdp\x83", b'b'),
        ] {
            let mut stream = broker.open().await;
            let connect = [name_and_level, b"\x02\x00\x00\x00\x06bridge"].concat();
            let sent = [
                &[0x10, connect.len() as u8],
                &connect[..],
                &[0x82, 6, 0, 1, 0, 1, topic, 0],
                &[0x30, 4, 0, 1, topic, b'x'],
                &[0xC0, 0],
            ];
            stream.write(&sent.concat()).await.expect("written");
            let answers = [0x20, 2, 0, 0, 0x90, 3, 0, 1, 0, 0xD0, 0];
            assert_eq!(read(&mut stream, answers.len()).await, answers);

            let mut other = broker.connect(self::connect(V5, "other")).await;
            let name = char::from(topic).to_string();
            other.publish_retained(&name, "y", QoS::AtMostOnce).await;
            let retained = [0x31, 4, 0, 1, topic, b'y'];
            assert_eq!(read(&mut stream, retained.len()).await, retained);
        }
    })
    .await;
}

/// [MQTT-3.1.2-1] Another protocol name ends the connection.
#[tokio::test]
async fn another_protocol_name_is_refused() {
    each(async |broker| {
        let mut stream = broker.open().await;
        stream
            .write(b"\x10\x0D\x00\x04MQTX\x04\x02\x00\x00\x00\x01a")
            .await
            .expect("written");
        let mut last = Vec::new();
        loop {
            let read = within(stream.read()).await;
            if read.is_empty() {
                break;
            }
            last = read;
        }
        // Silence, or Unsupported Protocol Version; never an acceptance.
        assert!(
            last.is_empty() || last[3] == 0x84 || last == b"\x20\x02\x00\x01",
            "{last:02X?}"
        );
    })
    .await;
}

/// [MQTT-3.1.2-3] The reserved flag of CONNECT is zero.
#[tokio::test]
async fn the_reserved_connect_flag_is_zero() {
    each(async |broker| {
        assert_eq!(answer(&broker, &connect_v3(0x03, b"\x00\x01a")).await, b"");
        let v5 = answer(&broker, &connect_v5(0x03, b"", b"\x00\x01a")).await;
        assert!(v5.is_empty() || v5[3] == 0x81, "{v5:02X?}");
    })
    .await;
}

/// [MQTT-3.1.2-11, -12, -13 of 3.1.1] Will QoS and Will Retain without a will, and Will QoS 3, are malformed.
#[tokio::test]
async fn will_flags_fit_together() {
    each(async |broker| {
        for flags in [0x0A, 0x12, 0x22, 0x1E] {
            let payload = b"\x00\x01a\x00\x01t\x00\x01m";
            let v3 = answer(&broker, &connect_v3(flags, payload)).await;
            assert_eq!(v3, b"", "{flags:02X}");
            let v5 = answer(
                &broker,
                &connect_v5(flags, b"", b"\x00\x01a\x00\x00\x01t\x00\x01m"),
            )
            .await;
            assert!(v5.is_empty() || v5[3] == 0x81, "{flags:02X}: {v5:02X?}");
        }
    })
    .await;
}

/// [MQTT-3.1.2-22 of 3.1.1] A password needs a user name; in MQTT 5 it may stand alone.
#[tokio::test]
async fn a_password_alone_is_for_mqtt_5() {
    each(async |broker| {
        let payload = b"\x00\x01a\x00\x01p";
        assert_eq!(answer(&broker, &connect_v3(0x42, payload)).await, b"");
        let mut connect = connect(V5, "a");
        connect.password = Some(Bytes::from_static(b"p"));
        broker.connect(connect).await;
    })
    .await;
}

/// [MQTT-3.1.3-8, -9 of 3.1.1] No client identifier needs CleanSession; otherwise 0x02 and the end.
#[tokio::test]
async fn an_empty_client_id_needs_clean_session() {
    each(async |broker| {
        assert_eq!(
            answer(&broker, &connect_v3(0x00, b"\x00\x00")).await,
            b"\x20\x02\x00\x02"
        );
        broker.connect(connect(V3_1_1, "")).await;
        let mut kept = connect(V5, "");
        kept.clean_start = false;
        let mut client = broker.client(V5).await;
        let answer = client.expect_accepted(kept).await;
        assert!(answer.assigned_client_identifier.is_some());
    })
    .await;
}

/// [MQTT-3.1.3-6, 3.2.2.3.7] The server assigns a unique client identifier and says which.
#[tokio::test]
async fn assigned_client_identifiers_are_unique() {
    each(async |broker| {
        let mut first = broker.client(V5).await;
        let mut second = broker.client(V5).await;
        let first = first.expect_accepted(connect(V5, "")).await;
        let second = second.expect_accepted(connect(V5, "")).await;
        assert!(first.assigned_client_identifier.is_some());
        assert_ne!(
            first.assigned_client_identifier,
            second.assigned_client_identifier
        );
    })
    .await;
}

/// [MQTT-3.1.3-5] Client identifiers of 23 letters and digits are allowed, longer ones too.
#[tokio::test]
async fn client_identifiers_of_every_kind_are_allowed() {
    each_version(async |broker, version| {
        for client_id in ["0123456789abcdefABCDEFG", &"x".repeat(1000), "传感器/1 +#"] {
            broker.connect(connect(version, client_id)).await;
        }
    })
    .await;
}

/// [MQTT-1.5.4-1, -2] Client identifiers, user names and topics are UTF-8 without U+0000.
#[tokio::test]
async fn strings_are_utf8_without_null() {
    each(async |broker| {
        for bad in [
            &b"\x00\x02\xC3\x28"[..],
            b"\x00\x01\x00",
            b"\x00\x03\xED\xA0\x80",
        ] {
            assert_eq!(
                answer(&broker, &connect_v3(0x02, bad)).await,
                b"",
                "{bad:02X?}"
            );
            let v5 = answer(&broker, &connect_v5(0x02, b"", bad)).await;
            assert!(v5.is_empty() || v5[3] >= 0x81, "{bad:02X?}: {v5:02X?}");
        }
    })
    .await;
}

/// [MQTT-3.1.4-1] What follows the payload of CONNECT, or is missing in it, ends the connection.
#[tokio::test]
async fn a_connect_has_exactly_its_fields() {
    each(async |broker| {
        for payload in [&b""[..], b"\x00", b"\x00\x02a", b"\x00\x01a!"] {
            assert_eq!(
                answer(&broker, &connect_v3(0x02, payload)).await,
                b"",
                "{payload:02X?}"
            );
        }
        // A user name is announced and missing.
        assert_eq!(answer(&broker, &connect_v3(0x82, b"\x00\x01a")).await, b"");
    })
    .await;
}

/// [MQTT-3.1.4-5] CONNECT is acknowledged by CONNACK with 0x00; [MQTT-3.2.2-2] a new session says so.
#[tokio::test]
async fn a_connect_is_acknowledged() {
    each_version(async |broker, version| {
        let mut client = broker.client(version).await;
        let answer = client.expect_accepted(connect(version, "new")).await;
        assert!(!answer.session_present);
        client.disconnect().await;
    })
    .await;
}

/// [MQTT-3.1.4-6] Packets may follow CONNECT before CONNACK has come.
#[tokio::test]
async fn packets_may_follow_connect_at_once() {
    each_version(async |broker, version| {
        let mut client = broker.client(version).await;
        let mut bytes = client.encode(&Packet::Connect(Box::new(connect(version, "eager"))));
        bytes.extend(b"\xC0\x00");
        client.send_bytes(&bytes).await;
        assert!(matches!(client.expect_packet().await, Packet::ConnAck(_)));
        assert_eq!(client.expect_packet().await, Packet::PingResp);
    })
    .await;
}

/// 3.2.2.3: what the server does not restrict it does not mention; what it restricts it does.
#[tokio::test]
async fn connack_says_what_the_server_grants() {
    let broker = Broker::start_with(
        "[mqtt]\nreceive_maximum = 7\nmax_packet_size = 5000\ntopic_alias_maximum = 3\nsession_expiry_max = \"60s\"",
    );
    let mut wanted = connect(V5, "granted");
    wanted.session_expiry_interval = 100;
    let mut client = broker.client(V5).await;
    let answer = client.expect_accepted(wanted).await;
    assert_eq!(answer.receive_maximum, Some(7));
    assert_eq!(answer.maximum_packet_size, Some(5000));
    assert_eq!(answer.topic_alias_maximum, 3);
    assert_eq!(answer.session_expiry_interval, Some(60));
    assert_eq!(answer.maximum_qos, None);
    assert!(answer.retain_available && answer.shared_subscription_available);
    assert!(answer.wildcard_subscription_available && answer.subscription_identifiers_available);
    assert_eq!(answer.assigned_client_identifier, None);
}

/// [MQTT-3.2.2-22, 3.1.2-21] WebSocket clients of MQTT 5 are given a keep alive that proxies do not cut.
#[tokio::test]
async fn websocket_clients_are_given_a_keep_alive() {
    each(async |broker| {
        let mut client = broker.client(V5).await;
        let mut wanted = connect(V5, "alive");
        wanted.keep_alive = 300;
        let is_websocket = client.stream.is_websocket();
        let answer = client.expect_accepted(wanted).await;
        assert_eq!(answer.server_keep_alive, is_websocket.then_some(45));
    })
    .await;
}

/// [MQTT-3.1.2-22] Silence for one and a half times the keep alive ends the connection.
#[tokio::test]
async fn silence_beyond_the_keep_alive_ends_the_connection() {
    each_version(async |broker, version| {
        let mut wanted = connect(version, "silent");
        wanted.keep_alive = 1;
        // Before CONNECT: a busy machine may not come back to us before some of the silence is over.
        let begin = std::time::SystemTime::now();
        let mut client = broker.connect(wanted).await;
        client.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
        let silence = begin.elapsed().expect("forwards").as_millis();
        assert!(silence >= 1490, "after {silence} ms");
    })
    .await;
}

/// [MQTT-3.1.3-11, 3.1.2.8] User name and password are accepted and not checked while anonymous clients are allowed.
#[tokio::test]
async fn user_names_are_accepted() {
    each_version(async |broker, version| {
        let mut wanted = connect(version, "user");
        wanted.username = Some("alice".into());
        wanted.password = Some(Bytes::from_static(b"\x00\xFF"));
        broker.connect(wanted).await;
    })
    .await;
}

/// [MQTT-3.1.3-4 of 3.1.1, 3.2.2.3] Who may not connect is told by CONNACK, and on WebSocket by a close code too.
#[tokio::test]
async fn a_refusal_is_told() {
    use std::sync::Arc;
    for carrier in crate::support::Carrier::ALL {
        for version in ProtocolVersion::ALL {
            let nobody = Arc::new(gatemq::auth::Anonymous { allow: false });
            let broker = Broker::build("", |builder| builder.authority(nobody)).over(carrier);
            let mut client = broker.client(version).await;
            let answer = client.connect(connect(version, "x")).await;
            assert_eq!(answer.reason_code, ReasonCode::NotAuthorized);
            assert!(!answer.session_present);
            assert_eq!(answer.reason_string.is_some(), version == V5);
            assert_eq!(client.expect_end().await, []);
            if client.stream.is_websocket() {
                let (code, reason) = client.stream.close_frame().expect("a close frame");
                assert_eq!(code, 1008);
                assert!(reason.contains("allow_anonymous"), "{reason}");
            }
        }
    }
}

/// 3.1.2.11.3, .4: Receive Maximum and Maximum Packet Size of 0 are protocol errors; properties stand once.
#[tokio::test]
async fn connect_properties_are_checked() {
    each(async |broker| {
        for (properties, code) in [
            (&b"\x21\x00\x00"[..], 0x82),
            (b"\x27\x00\x00\x00\x00", 0x82),
            (b"\x21\x00\x01\x21\x00\x01", 0x82),
            (b"\x17\x02", 0x82),
            (b"\x19\x02", 0x82),
            (b"\x16\x00\x01x", 0x82),
            (b"\x12\x00\x01x", 0x82),
            (b"\x7E\x00", 0x81),
        ] {
            let answer = answer(&broker, &connect_v5(0x02, properties, b"\x00\x01a")).await;
            let accepted = [code, if code == 0x82 { 0x81 } else { 0x82 }];
            assert!(
                answer.is_empty() || (answer[0] == 0x20 && accepted.contains(&answer[3])),
                "{properties:02X?}: {answer:02X?}"
            );
        }
    })
    .await;
}

/// The old protocol of IBM's clients, and what it cannot be told.
#[tokio::test]
async fn mqtt_3_1_is_spoken() {
    each(async |broker| {
        let mut stream = broker.open().await;
        stream
            .write(b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01a")
            .await
            .expect("written");
        assert_eq!(within(stream.read()).await, b"\x20\x02\x00\x00");
        let mut client = broker.connect(connect(V3_1, "old")).await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        client.publish("t", "x", QoS::ExactlyOnce).await;
        client.expect_message("t", "x").await;
        drop(client);
        // [MQTT-3.1.2-2] Its name goes with its level.
        let answer = answer(&broker, b"\x10\x0F\x00\x06MQIsdp\x04\x02\x00\x3C\x00\x01a").await;
        assert_eq!(answer, b"\x20\x02\x00\x01");
    })
    .await;
}

/// A stream that says nothing is closed after `connect_timeout`, one that says half a CONNECT too.
#[tokio::test]
async fn half_a_connect_is_not_waited_for() {
    for carrier in crate::support::Carrier::ALL {
        let broker = Broker::start_with("[mqtt]\nconnect_timeout = \"1s\"").over(carrier);
        let mut client = Client::new(broker.open().await, V5);
        client.send_bytes(b"\x10\x0D\x00\x04MQ").await;
        assert_eq!(client.expect_end().await, []);
    }
}

/// [MQTT-3.1.3-11] An empty user name, an empty password and an empty will are values like others.
#[tokio::test]
async fn empty_fields_are_values() {
    each_version(async |broker, version| {
        let mut wanted = connect(version, "c");
        wanted.username = Some("".into());
        wanted.password = Some(Bytes::new());
        broker.connect(wanted).await;
    })
    .await;
}
