//! Small PUBLISH packets decoded and encoded: QoS 0 and 1, MQTT 3.1.1 and 5 with the properties that are in use.

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gatemq::{
    message::{Message, MessageProperties, QoS, TopicName},
    mqtt::{
        codec::{Decoder, Encoder, Frames, Limits},
        packet::{Acknowledgement, Packet, PacketId, ProtocolVersion, Publish, ReasonCode},
    },
};
use smallvec::SmallVec;

/// Packets in one read, as a busy publisher sends them.
const BATCH: u32 = 100;

const LIMITS: Limits = Limits {
    max_packet_size: 1024 * 1024,
    topic_alias_maximum: 16,
    max_topic_levels: 128,
};

struct Case {
    name: &'static str,
    version: ProtocolVersion,
    packet: Packet,
}

/// 64 bytes to a topic of 25, with an identifier where its QoS needs one.
fn publish(qos: QoS, properties: Option<MessageProperties>) -> Packet {
    let topic = TopicName::parse("site/12/device/3456/state").expect("a name");
    let mut message = Message::new(topic, vec![b'x'; 64], qos, false);
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
fn properties() -> MessageProperties {
    MessageProperties {
        payload_is_utf8: Some(true),
        content_type: Some("application/json".into()),
        response_topic: Some(TopicName::parse("answer/3456").expect("a name")),
        correlation_data: Some(Bytes::from_static(b"12345678")),
        user_properties: vec![("trace".into(), "0123456789abcdef".into())],
    }
}

fn cases() -> Vec<Case> {
    use ProtocolVersion::{V3_1_1, V5};
    let case = |name, version, packet| Case {
        name,
        version,
        packet,
    };
    let acknowledgement = Acknowledgement::new(PacketId::MIN, ReasonCode::Success);
    vec![
        case("3.1.1, QoS 0", V3_1_1, publish(QoS::AtMostOnce, None)),
        case("3.1.1, QoS 1", V3_1_1, publish(QoS::AtLeastOnce, None)),
        case("5, QoS 0", V5, publish(QoS::AtMostOnce, None)),
        case("5, QoS 1", V5, publish(QoS::AtLeastOnce, None)),
        case(
            "5, QoS 1, five properties",
            V5,
            publish(QoS::AtLeastOnce, Some(properties())),
        ),
        case("5, PUBACK", V5, Packet::PubAck(acknowledgement)),
    ]
}

/// The packet so many times, as bytes.
fn batch(case: &Case) -> Bytes {
    let mut encoder = Encoder::for_client(case.version);
    let mut frames = Frames::default();
    for _ in 0..BATCH {
        encoder
            .encode(&case.packet, &mut frames)
            .expect("small enough");
    }
    frames.finish().iter().flatten().copied().collect()
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    for case in cases() {
        let bytes = batch(&case);
        let mut decoder = Decoder::for_client(case.version, LIMITS);
        group.bench_function(case.name, |bencher| {
            bencher.iter(|| {
                decoder.push(bytes.clone());
                while let Some(packet) = decoder.next().expect("well formed") {
                    black_box(packet);
                }
            });
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    for case in cases() {
        let mut encoder = Encoder::for_version(case.version);
        group.bench_function(case.name, |bencher| {
            bencher.iter(|| {
                let mut frames = Frames::default();
                for _ in 0..BATCH {
                    encoder
                        .encode(black_box(&case.packet), &mut frames)
                        .expect("small enough");
                }
                black_box(frames.finish().len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
