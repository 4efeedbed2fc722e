//! The reason code of each fault, as the standard names it (2.4, 4.13), and the silence of older versions.

use gatemq::{
    message::QoS,
    mqtt::packet::{Packet, ProtocolVersion, ReasonCode},
};

use crate::support::{Broker, Carrier, connect, each, each_version, within};

const V5: ProtocolVersion = ProtocolVersion::V5;

/// [MQTT-4.13.1-1, 4.8.2-1, -2, 3.8.3-2, -4, -5, 3.3.1-4, 3.3.2-2, 3.3.4-6, 2.2.2-2] The code that fits best, not any.
#[tokio::test]
async fn each_fault_has_its_code() {
    use ReasonCode as Code;
    each(async |broker| {
        for (bytes, code) in [
            (&b"\x36"[..], Code::MalformedPacket), // QoS 3, before the rest has come
            (b"\x38", Code::MalformedPacket),      // DUP with QoS 0
            (b"\xC0\x80\x00", Code::MalformedPacket), // a length that is not minimal
            (b"\x30\x80\x80\x80\x80", Code::MalformedPacket),
            (b"\x30\x05\x00\x02\xC3\x28\x00", Code::MalformedPacket),
            (
                b"\x30\x09\x00\x01t\x05\x26\x00\x01\xFF\x00",
                Code::MalformedPacket,
            ),
            (
                b"\x30\x0A\x00\x01t\x06\x26\x00\x01\x00\x00\x00",
                Code::MalformedPacket,
            ),
            (b"\x30\x06\x00\x01t\x02\x7F\x00", Code::MalformedPacket),
            (
                b"\x30\x09\x00\x01t\x05\x11\x00\x00\x00\x01",
                Code::MalformedPacket,
            ),
            (
                b"\x30\x08\x00\x01t\x04\x01\x00\x01\x00",
                Code::ProtocolError,
            ),
            (b"\x30\x04\x00\x00\x00x", Code::ProtocolError), // neither topic nor alias
            (b"\x30\x06\x00\x01t\x02\x0B\x01", Code::ProtocolError),
            (b"\x30\x04\x00\x01+\x00", Code::TopicNameInvalid),
            (
                b"\x30\x07\x00\x01t\x03\x23\x00\x00",
                Code::TopicAliasInvalid,
            ),
            (b"\x30\xFF\xFF\xFF\x7F", Code::PacketTooLarge),
            (b"\x82\x07\x00\x01\x00\x00\x01a\x03", Code::ProtocolError),
            (b"\x82\x07\x00\x01\x00\x00\x01a\x30", Code::ProtocolError),
            (b"\x82\x07\x00\x01\x00\x00\x01a\x40", Code::MalformedPacket),
            (b"\x82\x03\x00\x01\x00", Code::ProtocolError),
            (
                b"\x82\x08\x00\x01\x00\x00\x02a#\x00",
                Code::TopicFilterInvalid,
            ),
            (
                b"\x82\x0E\x00\x01\x00\x00\x08$share/g\x00",
                Code::TopicFilterInvalid,
            ),
            (
                b"\x82\x10\x00\x01\x00\x00\x0A$share//ab\x00",
                Code::TopicFilterInvalid,
            ),
            (b"\xA2\x07\x00\x01\x00\x00\x02a#", Code::TopicFilterInvalid),
            (b"\xA2\x03\x00\x01\x00", Code::ProtocolError),
            (b"\x10\x00", Code::ProtocolError), // a second CONNECT
            (b"\xD0\x00", Code::ProtocolError), // what only servers send
            (b"\x62\x03\x00\x01\x80", Code::ProtocolError), // a code that PUBREL does not have
            (b"\xF0\x00", Code::ProtocolError),
            (b"\x00\x00", Code::MalformedPacket),
        ] {
            let mut client = broker.connect(connect(V5, "c")).await;
            client.send_bytes(bytes).await;
            let last = client.expect_end().await.pop();
            let Some(Packet::Disconnect(last)) = last else {
                panic!("{bytes:02X?}: {last:?}");
            };
            assert_eq!(last.reason_code, code, "{bytes:02X?}: {last:?}");
            // [MQTT-3.14.2-2] No Session Expiry Interval from the server.
            assert_eq!(last.session_expiry_interval, None);
        }
    })
    .await;
}

/// [MQTT-3.14.0-1] No DISCONNECT before an accepting CONNACK: a CONNECT is answered by CONNACK or not at all.
#[tokio::test]
async fn a_connect_is_never_answered_by_disconnect() {
    each(async |broker| {
        for (bytes, code) in [
            (&b"\x10\x0E\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x01a"[..], 0x81),
            (b"\x10\x0E\x00\x04MQTT\x05\x1E\x00\x00\x00\x00\x01a", 0x81),
            (b"\x10\x0E\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x01a", 0x84),
            (b"\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x01a", 0x82),
            (b"\x10\x13\x00\x04MQTT\x05\x02\x00\x00\x05\x02\x00\x00\x00\x01\x00\x01a", 0x81),
            // Wills: a topic with a wildcard, a delay twice.
            (b"\x10\x15\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01a\x00\x00\x01#\x00\x01x", 0x90),
            (
                b"\x10\x1F\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01a\x0A\x18\x00\x00\x00\x01\x18\x00\x00\x00\x01\x00\x01t\x00\x01x",
                0x82,
            ),
            // An authentication method that nobody knows.
            (b"\x10\x13\x00\x04MQTT\x05\x02\x00\x00\x05\x15\x00\x02no\x00\x01a", 0x8C),
        ] {
            let mut stream = broker.open().await;
            stream.write(bytes).await.expect("written");
            let mut answer = Vec::new();
            loop {
                let read = within(stream.read()).await;
                if read.is_empty() {
                    break;
                }
                answer.extend(read);
            }
            // [MQTT-3.2.2-6] Session Present is 0 where the code is not.
            assert_eq!((answer[0], answer[2], answer[3]), (0x20, 0, code), "{bytes:02X?}: {answer:02X?}");
            assert_eq!(answer.len(), 2 + usize::from(answer[1]), "{answer:02X?}");
        }
    })
    .await;
}

/// [MQTT-3.2.2-6 of MQTT 5, -4 of 3.1.1] A refused CONNECT has no Session Present, and leaves the session, and the
/// connection that has it, as they are.
#[tokio::test]
async fn a_refused_connect_disturbs_nobody() {
    each_version(async |broker, version| {
        let mut kept = connect(version, "same");
        kept.clean_start = false;
        kept.session_expiry_interval = gatemq::mqtt::packet::NEVER_EXPIRES;
        let mut first = broker.connect(kept.clone()).await;
        first.subscribe("t", QoS::AtLeastOnce).await;
        let mut refused = kept.clone();
        refused.will = Some(Box::new(gatemq::mqtt::packet::Will {
            topic: gatemq::message::TopicName::parse("$SYS/forged").expect("a name"),
            payload: bytes::Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            delay_interval: 0,
            message_expiry_interval: None,
            properties: None,
        }));
        let mut second = broker.client(version).await;
        let answer = second.connect(refused).await;
        assert_eq!(answer.reason_code, ReasonCode::NotAuthorized);
        assert!(!answer.session_present);
        assert_eq!(second.expect_end().await, []);
        first.publish("t", "undisturbed", QoS::AtLeastOnce).await;
        first.expect_message("t", "undisturbed").await;
    })
    .await;
}

/// 3.14.2.1, 0x8B: who is connected is told that the server stops.
#[tokio::test]
async fn a_stop_is_told() {
    for carrier in Carrier::ALL {
        let mut broker = Broker::start_with("drain_timeout = \"1s\"").over(carrier);
        let mut clients = Vec::new();
        for version in ProtocolVersion::ALL {
            clients.push(broker.connect(connect(version, version.as_str())).await);
        }
        broker.drain().await;
        for client in &mut clients {
            client
                .expect_disconnect(ReasonCode::ServerShuttingDown)
                .await;
            if client.stream.is_websocket() {
                assert_eq!(client.stream.close_frame().expect("a close frame").0, 1001);
            }
        }
    }
}

/// 3.1.2.11.6, 3.2.2.3.14: Response Information only for who asks, and asking is no error.
#[tokio::test]
async fn response_information_may_be_asked_for() {
    each(async |broker| {
        for asks in [false, true] {
            let mut wanted = connect(V5, "c");
            wanted.request_response_information = asks;
            let mut client = broker.client(V5).await;
            let answer = client.expect_accepted(wanted).await;
            assert!(asks || answer.response_information.is_none());
        }
    })
    .await;
}
