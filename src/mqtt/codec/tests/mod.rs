//! Bytes of the standard, and the codes of what is none.

mod round_trip;
mod strategies;

use std::sync::Arc;

use bytes::Bytes;

use super::{DecodeError, Decoder, EncodeError, Encoder, Frames, Limits};
use crate::{
    message::{Message, QoS, TopicName},
    mqtt::packet::{
        Acknowledgement, ConnAck, Connect, Disconnect, Packet, PacketId, ProtocolVersion, Publish,
        ReasonCode, SubAck,
    },
};

const V3_1_1: ProtocolVersion = ProtocolVersion::V3_1_1;
const V5: ProtocolVersion = ProtocolVersion::V5;

const LIMITS: Limits = Limits {
    max_packet_size: 1_000_000,
    topic_alias_maximum: 10,
    max_topic_levels: 16,
};

fn encode(encoder: &mut Encoder, packet: &Packet) -> Vec<u8> {
    let mut frames = Frames::default();
    encoder.encode(packet, &mut frames).expect("small enough");
    let whole: Vec<u8> = frames.finish().iter().flatten().copied().collect();
    whole
}

/// A decoder of what clients send, past its CONNECT.
fn server(version: ProtocolVersion) -> Decoder {
    let mut decoder = Decoder::new(LIMITS);
    let connect = Packet::Connect(Box::new(connect(version)));
    decoder.push(encode(&mut Encoder::for_client(version), &connect).into());
    assert_eq!(decoder.next(), Ok(Some(connect)));
    decoder
}

fn connect(version: ProtocolVersion) -> Connect {
    Connect {
        version,
        client_id: "c".into(),
        clean_start: true,
        keep_alive: 60,
        username: None,
        password: None,
        will: None,
        session_expiry_interval: 0,
        receive_maximum: u16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication: None,
        user_properties: Vec::new(),
    }
}

fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
    decoder.push(Bytes::copy_from_slice(bytes));
    decoder.next()
}

fn error(version: ProtocolVersion, bytes: &[u8]) -> ReasonCode {
    match decode(&mut server(version), bytes) {
        Err(error) => error.reason_code(),
        other => panic!("{bytes:02X?}: {other:?}"),
    }
}

fn publish(topic: &str, payload: &'static [u8]) -> Publish {
    let name = TopicName::parse(topic).expect("a name");
    Publish {
        message: Arc::new(Message::new(name, payload, QoS::AtMostOnce, false)),
        packet_id: None,
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        message_expiry_interval: None,
        subscription_identifiers: smallvec::SmallVec::new(),
    }
}

#[test]
fn packets_have_the_bytes_of_the_standard() {
    // Figure 3-6 of 3.1.1 and its siblings, by hand.
    let cases: [(&[u8], Packet); 5] = [
        (b"\xC0\x00", Packet::PingReq),
        (b"\x30\x05\x00\x03a/b", Packet::Publish(publish("a/b", b""))),
        (
            b"\x40\x02\x00\x0A",
            Packet::PubAck(Acknowledgement::new(id(10), ReasonCode::Success)),
        ),
        (
            b"\x62\x02\x00\x0A",
            Packet::PubRel(Acknowledgement::new(id(10), ReasonCode::Success)),
        ),
        (
            b"\xE0\x00",
            Packet::Disconnect(Disconnect::new(ReasonCode::Success)),
        ),
    ];
    for (bytes, packet) in cases {
        assert_eq!(decode(&mut server(V3_1_1), bytes), Ok(Some(packet.clone())));
        assert_eq!(encode(&mut Encoder::for_client(V3_1_1), &packet), bytes);
    }
}

#[test]
fn acknowledgements_take_their_shortest_form() {
    let mut encoder = Encoder::for_version(V5);
    let mut ack = Acknowledgement::new(id(1), ReasonCode::Success);
    assert_eq!(
        encode(&mut encoder, &Packet::PubAck(ack.clone())),
        b"\x40\x02\x00\x01"
    );
    ack.reason_code = ReasonCode::NoMatchingSubscribers;
    assert_eq!(
        encode(&mut encoder, &Packet::PubAck(ack.clone())),
        b"\x40\x03\x00\x01\x10"
    );
    let words = Packet::PubAck(ack.because("x"));
    assert_eq!(
        encode(&mut encoder, &words),
        b"\x40\x08\x00\x01\x10\x04\x1F\x00\x01x"
    );
}

#[test]
fn what_mqtt_3_cannot_be_told_is_left_out() {
    let mut encoder = Encoder::for_version(V3_1_1);
    let disconnect = Packet::Disconnect(Disconnect::new(ReasonCode::ServerShuttingDown));
    assert_eq!(encode(&mut encoder, &disconnect), b"");
    let mut refusal = ConnAck::new(false, ReasonCode::QuotaExceeded);
    refusal.reason_string = Some("full".into());
    let refusal = Packet::ConnAck(Box::new(refusal));
    assert_eq!(encode(&mut encoder, &refusal), b"\x20\x02\x00\x03");
    let suback = Packet::SubAck(SubAck {
        packet_id: id(1),
        reason_codes: vec![ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized],
        reason_string: Some("no".into()),
        user_properties: Vec::new(),
    });
    assert_eq!(encode(&mut encoder, &suback), b"\x90\x04\x00\x01\x01\x80");
}

#[test]
fn words_give_way_to_the_maximum_packet_size() {
    let mut small = connect(V5);
    small.maximum_packet_size = Some(10);
    let mut encoder = Encoder::for_server(&small, 0);
    let told = Disconnect::new(ReasonCode::ProtocolError).because("much longer than ten bytes");
    assert_eq!(
        encode(&mut encoder, &Packet::Disconnect(told)),
        b"\xE0\x01\x82"
    );
    // Fixed header 2, topic 3, property length 1: four bytes are left.
    encode(&mut encoder, &Packet::Publish(publish("t", b"1234")));
    let large = Packet::Publish(publish("t", b"12345"));
    let mut frames = Frames::default();
    assert_eq!(
        encoder.encode(&large, &mut frames),
        Err(EncodeError::TooLarge)
    );
    assert!(frames.is_empty());
}

#[test]
fn aliases_are_set_once_and_used_then() {
    let mut client = connect(V5);
    client.topic_alias_maximum = 1;
    let mut encoder = Encoder::for_server(&client, 10);
    let first = Packet::Publish(publish("a/long/topic", b""));
    let second = Packet::Publish(publish("another/topic", b""));
    assert_eq!(
        encode(&mut encoder, &first),
        b"\x30\x12\x00\x0Ca/long/topic\x03\x23\x00\x01"
    );
    assert_eq!(
        encode(&mut encoder, &first),
        b"\x30\x06\x00\x00\x03\x23\x00\x01"
    );
    assert_eq!(
        encode(&mut encoder, &second),
        b"\x30\x10\x00\x0Danother/topic\x00"
    );
}

#[test]
fn faults_have_the_codes_of_the_standard() {
    use ReasonCode as Code;
    for (bytes, code) in [
        (&b"\x30\x80\x80\x80\x80\x01"[..], Code::MalformedPacket),
        (b"\xC0\x80\x00", Code::MalformedPacket),
        (b"\x34\x06\x00\x01t\x00\x00\x00", Code::ProtocolError),
        (b"\x30\x04\x00\x01+\x00", Code::TopicNameInvalid),
        (
            b"\x30\x07\x00\x01t\x03\x23\x00\x0B",
            Code::TopicAliasInvalid,
        ),
        (
            b"\x82\x08\x00\x01\x00\x00\x02#a\x00",
            Code::TopicFilterInvalid,
        ),
        (b"\x40\x03\x00\x01\x92", Code::ProtocolError),
        (b"\x10\x00", Code::ProtocolError),
        (b"\x30\xFF\xFF\xFF\x7F", Code::PacketTooLarge),
    ] {
        assert_eq!(error(V5, bytes), code, "{bytes:02X?}");
    }
}

#[test]
fn a_packet_at_the_limit_is_taken_and_one_beyond_is_not() {
    let mut decoder = server(V3_1_1);
    let limit = LIMITS.max_packet_size as usize;
    let mut bytes = b"\x30\xBC\x84\x3D\x00\x01t".to_vec();
    bytes.resize(limit, b'x');
    assert!(matches!(
        decode(&mut decoder, &bytes),
        Ok(Some(Packet::Publish(_)))
    ));
    assert_eq!(
        error(V3_1_1, b"\x30\xBD\x84\x3D"),
        ReasonCode::PacketTooLarge
    );
}

#[test]
fn silence_or_an_answer_before_connect() {
    for (bytes, version) in [
        (&b"\xC0\x00"[..], None),
        (b"\x11\x0D", None),
        (b"\x10\x0D\x00\x04MQTX\x04\x02\x00\x00\x00\x01a", None),
        (
            b"\x10\x0D\x00\x04MQTT\x03\x02\x00\x00\x00\x01a",
            Some(V3_1_1),
        ),
        // Answered in the layout that the packet has.
        (
            b"\x10\x0D\x00\x04MQTT\x06\x02\x00\x00\x00\x01a",
            Some(V3_1_1),
        ),
        (
            b"\x10\x0E\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x01a",
            Some(V5),
        ),
        (
            b"\x10\x16\x00\x04MQTT\x00\xC6\x00\x00\x00\x01a\x00\x01w\x00\x00\x00\x01u\x00\x00",
            Some(V3_1_1),
        ),
        (b"\x10\x0D\x00\x04MQTT\x04\x03\x00\x00\x00\x01a", None),
        (
            b"\x10\x0C\x00\x04MQTT\x04\x00\x00\x00\x00\x00",
            Some(V3_1_1),
        ),
        (
            b"\x10\x0E\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x01a",
            Some(V5),
        ),
        (
            b"\x10\x8F\x00\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01ab",
            Some(V5),
        ),
    ] {
        let error = decode(&mut Decoder::new(LIMITS), bytes).expect_err("wrong");
        assert_eq!(error.answer_version(), version, "{bytes:02X?}: {error}");
    }
}

/// MQTT 3.1, 3.1: what has no meaning is disregarded, and what is announced may be missing.
#[test]
fn mqtt_3_1_is_more_forgiving() {
    let connect = |flags: u8, payload: &[u8]| {
        let mut bytes = b"\x10\x00\x00\x06MQIsdp\x03".to_vec();
        bytes.extend([flags, 0, 0]);
        bytes.extend(payload);
        bytes[1] = u8::try_from(bytes.len() - 2).expect("short");
        match decode(&mut Decoder::new(LIMITS), &bytes) {
            Ok(Some(Packet::Connect(connect))) => Ok(*connect),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    };
    let plain = connect(0x02, b"\x00\x01c").expect("valid");
    for flags in [0x3B, 0x03, 0x1A, 0x22, 0x82] {
        assert_eq!(
            connect(flags, b"\x00\x01c"),
            Ok(plain.clone()),
            "{flags:02X}"
        );
    }
    let named = connect(0xC2, b"\x00\x01c\x00\x01u").expect("valid");
    assert_eq!(
        (named.username.as_deref(), named.password),
        (Some("u"), None)
    );
    connect(0x42, b"\x00\x01c\x00\x01p").expect_err("a password alone");
    connect(0x82, b"\x00\x01c\x00").expect_err("half a user name");
    connect(0x02, b"\x00\x00").expect_err("no client identifier");
}

/// MQTT 3.1, 2.1: PUBREL, SUBSCRIBE and UNSUBSCRIBE may be repeated with DUP; later versions forbid it.
#[test]
fn only_mqtt_3_1_repeats_requests() {
    for bytes in [
        &b"\x6A\x02\x00\x01"[..],
        b"\x8A\x06\x00\x01\x00\x01a\x00",
        b"\xAA\x05\x00\x01\x00\x01a",
    ] {
        let decoded = decode(&mut server(ProtocolVersion::V3_1), bytes);
        assert!(matches!(decoded, Ok(Some(_))), "{bytes:02X?}: {decoded:?}");
        assert_eq!(error(V3_1_1, bytes), ReasonCode::MalformedPacket);
        assert_eq!(error(V5, bytes), ReasonCode::MalformedPacket);
    }
}

#[test]
fn a_bad_first_byte_is_refused_at_once() {
    for version in ProtocolVersion::ALL {
        for first in [0x36, 0x3E, 0x38, 0x00, 0x41, 0xC1, 0xE1] {
            assert_eq!(
                error(version, &[first]),
                ReasonCode::MalformedPacket,
                "{first:02X}"
            );
        }
    }
}

/// 3.8.3.1: QoS 3 and Retain Handling 3 are protocol errors, reserved bits malformed [MQTT-3.8.3-5].
#[test]
fn subscription_options_have_the_codes_of_the_standard() {
    for (options, code) in [
        (0x03, ReasonCode::ProtocolError),
        (0x30, ReasonCode::ProtocolError),
        (0x40, ReasonCode::MalformedPacket),
        (0x80, ReasonCode::MalformedPacket),
    ] {
        let bytes = [0x82, 7, 0, 1, 0, 0, 1, b'a', options];
        assert_eq!(error(V5, &bytes), code, "{options:02X}");
    }
}

/// [MQTT-3.1.2-24] Naming an alias does not make a message too large that fits without.
#[test]
fn an_alias_does_not_cost_a_message() {
    let mut small = connect(V5);
    small.topic_alias_maximum = 5;
    // Fixed header 2, topic 14, property length 1, payload 3.
    small.maximum_packet_size = Some(20);
    let mut encoder = Encoder::for_server(&small, 5);
    let fits = Packet::Publish(publish("a/long/topic", b"123"));
    assert_eq!(
        encode(&mut encoder, &fits),
        b"\x30\x12\x00\x0Ca/long/topic\x00123"
    );
    let smaller = Packet::Publish(publish("a/long/topic", b""));
    assert_eq!(
        encode(&mut encoder, &smaller),
        b"\x30\x12\x00\x0Ca/long/topic\x03\x23\x00\x01"
    );
    let known = Packet::Publish(publish("a/long/topic", b"123456789012"));
    assert_eq!(encode(&mut encoder, &known).len(), 20);
}

/// [MQTT-1.5.4-3] U+FEFF is a character like any other.
#[test]
fn a_byte_order_mark_is_part_of_the_text() {
    let bytes = b"\x30\x06\x00\x04\xEF\xBB\xBFa";
    let Ok(Some(Packet::Publish(publish))) = decode(&mut server(V3_1_1), bytes) else {
        panic!("no PUBLISH");
    };
    assert_eq!(publish.message.topic.as_str(), "\u{FEFF}a");
}

#[test]
fn an_idle_decoder_holds_no_bytes() {
    let mut decoder = server(V5);
    let network = Bytes::from(vec![0xC0, 0x00, 0xC0]);
    decoder.push(network.clone());
    assert_eq!(decoder.next(), Ok(Some(Packet::PingReq)));
    assert_eq!(decoder.next(), Ok(None));
    assert!(network.is_unique());
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not zero")
}

/// MQTT 3.1, 3.2: the byte before the return code is not used.
#[test]
fn mqtt_3_1_has_no_session_present() {
    let mut decoder = Decoder::for_client(ProtocolVersion::V3_1, LIMITS);
    let expected = ConnAck::new(false, ReasonCode::Success);
    let read = decode(&mut decoder, b"\x20\x02\x01\x00");
    assert_eq!(read, Ok(Some(Packet::ConnAck(Box::new(expected)))));
}
