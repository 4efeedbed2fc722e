//! Packets as clients send them and as they are sent on.

use std::sync::Arc;

use bytes::Bytes;
use gatemq::{
    message::{Message, MessageProperties, QoS, TopicName},
    mqtt::{
        codec::{Decoder, Encoder, Frames, Limits},
        packet::{Connect, Packet, PacketId, ProtocolVersion, Publish},
    },
};
use smallvec::SmallVec;

const LIMITS: Limits = Limits {
    max_packet_size: 1024 * 1024,
    topic_alias_maximum: 16,
    max_topic_levels: 128,
};

/// To a topic of 25 bytes, with an identifier where its QoS needs one.
pub fn publish(qos: QoS, size: usize, properties: Option<MessageProperties>) -> Packet {
    let topic = TopicName::parse("site/12/device/3456/state").expect("a name");
    let mut message = Message::new(topic, vec![b'x'; size], qos, false);
    message.properties = properties.map(Box::new);
    Packet::Publish(Publish {
        packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::MIN),
        dup: false,
        qos,
        retain: false,
        message_expiry_interval: None,
        subscription_identifiers: SmallVec::new(),
        message: Arc::new(message),
    })
}

/// What requests and telemetry of MQTT 5 clients carry.
pub fn properties() -> MessageProperties {
    MessageProperties {
        payload_is_utf8: Some(true),
        content_type: Some("application/json".into()),
        response_topic: Some(TopicName::parse("answer/3456").expect("a name")),
        correlation_data: Some(Bytes::from_static(b"12345678")),
        user_properties: vec![("trace".into(), "0123456789abcdef".into())],
    }
}

/// The packet so many times, as bytes of a client.
pub fn bytes(packet: &Packet, version: ProtocolVersion, times: u32) -> Bytes {
    let mut encoder = Encoder::for_client(version);
    let mut frames = Frames::default();
    for _ in 0..times {
        encoder.encode(packet, &mut frames).expect("small enough");
    }
    frames.finish().iter().flatten().copied().collect()
}

/// The broker's, of a client that has said CONNECT.
pub fn decoder(version: ProtocolVersion) -> Decoder {
    let mut decoder = Decoder::new(LIMITS);
    decoder.push(bytes(
        &Packet::Connect(Box::new(connect(version))),
        version,
        1,
    ));
    decoder.next().expect("well formed").expect("whole");
    decoder
}

/// The broker's, to a client that takes no topic aliases.
pub fn encoder(version: ProtocolVersion) -> Encoder {
    Encoder::for_server(&connect(version), 0)
}

/// The broker's, to a client that takes topic aliases.
pub fn encoder_with_aliases() -> Encoder {
    Encoder::for_server(&connect(ProtocolVersion::V5), 16)
}

fn connect(version: ProtocolVersion) -> Connect {
    Connect {
        version,
        client_id: "client-1".into(),
        clean_start: true,
        keep_alive: 60,
        username: None,
        password: None,
        will: None,
        session_expiry_interval: 0,
        receive_maximum: u16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: if version == ProtocolVersion::V5 {
            16
        } else {
            0
        },
        request_response_information: false,
        request_problem_information: true,
        authentication: None,
        user_properties: Vec::new(),
    }
}
