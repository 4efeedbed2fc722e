//! Bytes of the standard, and what is decoded of what was encoded, in every version and both directions.

use std::{num::NonZeroU32, sync::Arc};

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{DecodeError, Decoder, EncodeError, Encoder, Frames, Limits};
use crate::{
    message::{Message, MessageProperties, QoS, TopicFilter, TopicName},
    mqtt::packet::{
        Acknowledgement, Auth, Authentication, ConnAck, Connect, Disconnect, NEVER_EXPIRES, Packet,
        PacketId, ProtocolVersion, Publish, ReasonCode, SubAck, Subscribe, Subscription, UnsubAck,
        Unsubscribe, UserProperties, Will,
    },
    router::{RetainHandling, SubscriptionOptions},
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
    let words = Packet::PubAck(ack.because(&"x"));
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
    let told = Disconnect::new(ReasonCode::ProtocolError).because(&"much longer than ten bytes");
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
        (b"\x10\x0D\x00\x04MQTT\x06\x02\x00\x00\x00\x01a", Some(V5)),
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

fn words() -> impl Strategy<Value = (Option<Box<str>>, UserProperties)> {
    (option::of(text()), user_properties())
}

fn text() -> impl Strategy<Value = Box<str>> {
    "[a-zA-Z0-9 /äß你😀]{0,12}".prop_map(Into::into)
}

fn user_properties() -> impl Strategy<Value = UserProperties> {
    vec((text(), text()), 0..3)
}

fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Into::into)
}

fn name() -> impl Strategy<Value = TopicName> {
    "[a-z$/]{1,20}".prop_filter_map("too many levels", |text| {
        (text.matches('/').count() < LIMITS.max_topic_levels)
            .then(|| TopicName::parse(&text).expect("a name"))
    })
}

fn filter() -> impl Strategy<Value = TopicFilter> {
    select(vec![
        "#",
        "a/+/b",
        "+",
        "/",
        "$share/g/a/#",
        "$queue/x",
        "你/好",
    ])
    .prop_map(|text| TopicFilter::parse(text).expect("a filter"))
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(id)
}

fn code(codes: &[ReasonCode]) -> impl Strategy<Value = ReasonCode> + use<> {
    select(codes.to_vec())
}

fn properties(is_v5: bool) -> impl Strategy<Value = Option<Box<MessageProperties>>> {
    let properties = (
        option::of(any::<bool>()),
        option::of(text()),
        option::of(name()),
        option::of(binary()),
        user_properties(),
    );
    properties.prop_map(
        move |(
            payload_is_utf8,
            content_type,
            response_topic,
            correlation_data,
            user_properties,
        )| {
            let properties = MessageProperties {
                payload_is_utf8,
                content_type,
                response_topic,
                correlation_data,
                user_properties,
            };
            (is_v5 && properties != MessageProperties::default()).then(|| Box::new(properties))
        },
    )
}

fn any_publish(is_v5: bool, from_server: bool) -> impl Strategy<Value = Packet> {
    let identifiers = vec(1..=268_435_455_u32, 0..3);
    let fields = (
        name(),
        vec(any::<u8>(), 0..9000),
        qos(),
        packet_id(),
        any::<(bool, bool)>(),
    );
    (
        fields,
        properties(is_v5),
        option::of(any::<u32>()),
        identifiers,
    )
        .prop_map(
            move |(
                (topic, payload, qos, packet_id, (dup, retain)),
                properties,
                expiry,
                identifiers,
            )| {
                let mut message = Message::new(topic, payload, qos, retain);
                message.properties = properties;
                let acknowledged = qos != QoS::AtMostOnce;
                Packet::Publish(Publish {
                    message: Arc::new(message),
                    packet_id: acknowledged.then_some(packet_id),
                    dup: dup && acknowledged,
                    qos,
                    retain,
                    message_expiry_interval: expiry.filter(|_| is_v5),
                    subscription_identifiers: if is_v5 && from_server {
                        identifiers.into()
                    } else {
                        smallvec::SmallVec::new()
                    },
                })
            },
        )
}

fn acknowledgement(
    is_v5: bool,
    codes: &[ReasonCode],
) -> impl Strategy<Value = Acknowledgement> + use<> {
    (packet_id(), code(codes), words()).prop_map(move |(packet_id, reason_code, (reason, user))| {
        if !is_v5 {
            return Acknowledgement::new(packet_id, ReasonCode::Success);
        }
        Acknowledgement {
            packet_id,
            reason_code,
            reason_string: reason,
            user_properties: user,
        }
    })
}

fn both_ways(is_v5: bool) -> impl Strategy<Value = Packet> {
    use ReasonCode as Code;
    let received = [
        Code::Success,
        Code::NoMatchingSubscribers,
        Code::NotAuthorized,
        Code::QuotaExceeded,
    ];
    let released = [Code::Success, Code::PacketIdentifierNotFound];
    prop_oneof![
        acknowledgement(is_v5, &received).prop_map(Packet::PubAck),
        acknowledgement(is_v5, &received).prop_map(Packet::PubRec),
        acknowledgement(is_v5, &released).prop_map(Packet::PubRel),
        acknowledgement(is_v5, &released).prop_map(Packet::PubComp),
        any_auth().prop_map(move |auth| {
            let instead = Packet::PubAck(Acknowledgement::new(id(1), Code::Success));
            if is_v5 { auth } else { instead }
        }),
    ]
}

fn authentication() -> impl Strategy<Value = Option<Authentication>> {
    let fields = (text(), option::of(binary()));
    option::of(fields.prop_map(|(method, data)| Authentication { method, data }))
}

fn any_auth() -> impl Strategy<Value = Packet> {
    use ReasonCode as Code;
    let codes = [
        Code::Success,
        Code::ContinueAuthentication,
        Code::ReAuthenticate,
    ];
    (code(&codes), authentication(), words()).prop_map(
        |(reason_code, authentication, (reason, user))| {
            Packet::Auth(Auth {
                reason_code,
                authentication,
                reason_string: reason,
                user_properties: user,
            })
        },
    )
}

fn options(is_v5: bool) -> impl Strategy<Value = SubscriptionOptions> {
    let retain = select(vec![
        RetainHandling::Send,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    (qos(), any::<bool>(), retain).prop_map(move |(qos, retain_as_published, retain_handling)| {
        let plain = SubscriptionOptions {
            qos,
            ..SubscriptionOptions::default()
        };
        if !is_v5 {
            return plain;
        }
        SubscriptionOptions {
            retain_as_published,
            retain_handling,
            ..plain
        }
    })
}

fn of_client(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let is_v5 = version == V5;
    let lines = vec((filter(), options(is_v5)), 1..4);
    let subscribe = (
        packet_id(),
        lines,
        option::of(1..=268_435_455_u32),
        user_properties(),
    )
        .prop_map(move |(packet_id, lines, identifier, user)| {
            let identifier = identifier.filter(|_| is_v5).and_then(NonZeroU32::new);
            let line = |(topic_filter, options)| Subscription {
                topic_filter,
                options: SubscriptionOptions {
                    identifier,
                    ..options
                },
            };
            Packet::Subscribe(Subscribe {
                packet_id,
                subscriptions: lines.into_iter().map(line).collect(),
                user_properties: if is_v5 { user } else { Vec::new() },
            })
        });
    let unsubscribe = (packet_id(), vec(filter(), 1..4), user_properties()).prop_map(
        move |(packet_id, topic_filters, user)| {
            Packet::Unsubscribe(Unsubscribe {
                packet_id,
                topic_filters,
                user_properties: if is_v5 { user } else { Vec::new() },
            })
        },
    );
    prop_oneof![
        any_publish(is_v5, false),
        both_ways(is_v5),
        subscribe,
        unsubscribe,
        Just(Packet::PingReq),
        any_disconnect(
            is_v5,
            &[ReasonCode::Success, ReasonCode::DisconnectWithWill]
        ),
    ]
}

fn any_disconnect(is_v5: bool, codes: &[ReasonCode]) -> impl Strategy<Value = Packet> + use<> {
    (code(codes), words()).prop_map(move |(reason_code, (reason, user))| {
        if !is_v5 {
            return Packet::Disconnect(Disconnect::new(ReasonCode::Success));
        }
        let mut disconnect = Disconnect::new(reason_code);
        disconnect.reason_string = reason;
        disconnect.user_properties = user;
        Packet::Disconnect(disconnect)
    })
}

fn of_server(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let is_v5 = version == V5;
    let codes = vec(code(&[ReasonCode::Success, ReasonCode::GrantedQoS2]), 1..4);
    let suback =
        (packet_id(), codes, words()).prop_map(move |(packet_id, reason_codes, (reason, user))| {
            Packet::SubAck(SubAck {
                packet_id,
                reason_codes,
                reason_string: reason.filter(|_| is_v5),
                user_properties: if is_v5 { user } else { Vec::new() },
            })
        });
    let codes = vec(
        code(&[ReasonCode::Success, ReasonCode::NoSubscriptionExisted]),
        1..4,
    );
    let unsuback =
        (packet_id(), codes, words()).prop_map(move |(packet_id, reason_codes, (reason, user))| {
            Packet::UnsubAck(UnsubAck {
                packet_id,
                reason_codes: if is_v5 { reason_codes } else { Vec::new() },
                reason_string: reason.filter(|_| is_v5),
                user_properties: if is_v5 { user } else { Vec::new() },
            })
        });
    prop_oneof![
        any_publish(is_v5, true),
        both_ways(is_v5),
        any_connack(version),
        suback,
        unsuback,
        Just(Packet::PingResp),
        any_disconnect(true, &[ReasonCode::Success, ReasonCode::SessionTakenOver])
            .prop_map(move |disconnect| if is_v5 { disconnect } else { Packet::PingResp }),
    ]
}

fn any_connack(version: ProtocolVersion) -> impl Strategy<Value = Packet> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(1..=u16::MAX),
        option::of(1..=u32::MAX),
        any::<u16>(),
    );
    let texts = (
        option::of(text()),
        option::of(text()),
        option::of(text()),
        words(),
    );
    let flags = any::<[bool; 5]>();
    (
        numbers,
        texts,
        flags,
        option::of(any::<u16>()),
        authentication(),
    )
        .prop_map(
            move |(numbers, texts, flags, server_keep_alive, authentication)| {
                let session_present = flags[0] && version != ProtocolVersion::V3_1;
                let mut connack = ConnAck::new(session_present, ReasonCode::Success);
                if version != V5 {
                    return Packet::ConnAck(Box::new(connack));
                }
                (
                    connack.session_expiry_interval,
                    connack.receive_maximum,
                    connack.maximum_packet_size,
                    connack.topic_alias_maximum,
                ) = numbers;
                (
                    connack.assigned_client_identifier,
                    connack.response_information,
                    connack.server_reference,
                    (connack.reason_string, connack.user_properties),
                ) = texts;
                connack.retain_available = flags[1];
                connack.wildcard_subscription_available = flags[2];
                connack.subscription_identifiers_available = flags[3];
                connack.shared_subscription_available = flags[4];
                connack.maximum_qos = flags[0].then_some(QoS::AtLeastOnce);
                connack.server_keep_alive = server_keep_alive;
                connack.authentication = authentication;
                Packet::ConnAck(Box::new(connack))
            },
        )
}

fn any_will(is_v5: bool) -> impl Strategy<Value = Box<Will>> {
    let fields = (
        name(),
        binary(),
        qos(),
        any::<bool>(),
        any::<u32>(),
        option::of(any::<u32>()),
    );
    (fields, properties(is_v5)).prop_map(
        move |((topic, payload, qos, retain, delay_interval, expiry), properties)| {
            Box::new(Will {
                topic,
                payload,
                qos,
                retain,
                delay_interval: if is_v5 { delay_interval } else { 0 },
                message_expiry_interval: expiry.filter(|_| is_v5),
                properties,
            })
        },
    )
}

fn any_connect(version: ProtocolVersion) -> impl Strategy<Value = Connect> {
    let is_v5 = version == V5;
    let identity = (
        "[a-z0-9]{1,30}",
        option::of(text()),
        option::of(binary()),
        any::<bool>(),
        any::<u16>(),
    );
    let grants = (
        any::<u32>(),
        1..=u16::MAX,
        option::of(1..=u32::MAX),
        any::<u16>(),
        any::<(bool, bool)>(),
    );
    (
        identity,
        grants,
        option::of(any_will(is_v5)),
        authentication(),
        user_properties(),
    )
        .prop_map(
            move |(
                (client_id, username, password, clean_start, keep_alive),
                grants,
                will,
                authentication,
                user,
            )| {
                let mut connect = Connect {
                    client_id: client_id.into(),
                    clean_start,
                    keep_alive,
                    password: password.filter(|_| is_v5 || username.is_some()),
                    username,
                    will,
                    ..connect(version)
                };
                if !is_v5 {
                    connect.session_expiry_interval = if clean_start { 0 } else { NEVER_EXPIRES };
                    return connect;
                }
                (
                    connect.session_expiry_interval,
                    connect.receive_maximum,
                    connect.maximum_packet_size,
                    connect.topic_alias_maximum,
                    (
                        connect.request_response_information,
                        connect.request_problem_information,
                    ),
                ) = grants;
                connect.authentication = authentication;
                connect.user_properties = user;
                connect
            },
        )
}

fn version() -> impl Strategy<Value = ProtocolVersion> {
    select(ProtocolVersion::ALL.to_vec())
}

/// Pushes bytes in pieces of these lengths, over and over; everything that comes of them.
fn decode_in_pieces(
    decoder: &mut Decoder,
    bytes: &[u8],
    lengths: &[usize],
) -> Result<Vec<Packet>, DecodeError> {
    let mut packets = Vec::new();
    let mut rest = bytes;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*length).min(rest.len()));
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(packet) = decoder.next()? {
            packets.push(packet);
        }
        rest = after;
    }
    Ok(packets)
}

proptest! {
    #[test]
    fn a_connect_is_decoded_as_it_was_encoded(connect in version().prop_flat_map(any_connect), length in 1_usize..40) {
        let packet = Packet::Connect(Box::new(connect));
        let Packet::Connect(connect) = &packet else { unreachable!() };
        let bytes = encode(&mut Encoder::for_client(connect.version), &packet);
        let decoded = decode_in_pieces(&mut Decoder::new(LIMITS), &bytes, &[length]);
        prop_assert_eq!(decoded, Ok(vec![packet]));
    }

    #[test]
    fn packets_of_clients_are_decoded_as_they_were_encoded(
        (version, packets) in version().prop_flat_map(|version| (Just(version), vec(of_client(version), 1..6))),
        lengths in vec(1_usize..5000, 1..5),
    ) {
        let mut encoder = Encoder::for_client(version);
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| encode(&mut encoder, packet)).collect();
        prop_assert_eq!(decode_in_pieces(&mut server(version), &bytes, &lengths), Ok(packets));
    }

    #[test]
    fn packets_of_servers_are_decoded_as_they_were_encoded(
        (version, packets) in version().prop_flat_map(|version| (Just(version), vec(of_server(version), 1..6))),
        lengths in vec(1_usize..5000, 1..5),
        aliases in 0_u16..4,
    ) {
        let mut client = connect(version);
        client.topic_alias_maximum = aliases;
        let mut encoder = Encoder::for_server(&client, u16::MAX);
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| encode(&mut encoder, packet)).collect();
        let mut decoder = Decoder::for_client(version, LIMITS);
        prop_assert_eq!(decode_in_pieces(&mut decoder, &bytes, &lengths), Ok(packets));
    }

    #[test]
    fn arbitrary_bytes_end_in_packets_or_an_error(
        version in version(),
        bytes in vec(any::<u8>(), 0..200),
        length in 1_usize..20,
    ) {
        let _ = decode_in_pieces(&mut Decoder::new(LIMITS), &bytes, &[length]);
        let _ = decode_in_pieces(&mut server(version), &bytes, &[length]);
        let _ = decode_in_pieces(&mut Decoder::for_client(version, LIMITS), &bytes, &[length]);
    }
}
