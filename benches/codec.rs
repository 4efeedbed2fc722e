//! PUBLISH packets and acknowledgements decoded as the broker does, and encoded for its clients: QoS 0 and 1, 64 bytes and
//! 1 KiB, MQTT 3.1.1 and 5, with the properties that are in use, with topic aliases. A hundred packets in one read or write.

mod parts;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gatemq::{
    message::QoS,
    mqtt::{
        codec::{Encoder, Frames},
        packet::{Acknowledgement, Packet, PacketId, ProtocolVersion, ReasonCode},
    },
};

use parts::packets;

/// Packets in one read, as a busy publisher sends them.
const BATCH: u32 = 100;

struct Case {
    name: String,
    version: ProtocolVersion,
    packet: Packet,
}

fn cases() -> Vec<Case> {
    use ProtocolVersion::{V3_1_1, V5};
    let acknowledgement = Acknowledgement::new(PacketId::MIN, ReasonCode::Success);
    let mut cases = Vec::new();
    for (version, number) in [(V3_1_1, "3.1.1"), (V5, "5")] {
        let mut case = |name: &str, packet| {
            let name = format!("{number}, {name}");
            cases.push(Case {
                name,
                version,
                packet,
            });
        };
        for (size, bytes) in [("64 B", 64), ("1 KiB", 1024)] {
            for (qos, level) in [("QoS 0", QoS::AtMostOnce), ("QoS 1", QoS::AtLeastOnce)] {
                case(
                    &format!("{qos}, {size}"),
                    packets::publish(level, bytes, None),
                );
            }
        }
        case("PUBACK", Packet::PubAck(acknowledgement.clone()));
        case("PUBREC", Packet::PubRec(acknowledgement.clone()));
    }
    let properties = packets::properties();
    cases.push(Case {
        name: "5, QoS 1, 64 B, five properties".into(),
        version: V5,
        packet: packets::publish(QoS::AtLeastOnce, 64, Some(properties)),
    });
    cases
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    for case in cases() {
        let bytes = packets::bytes(&case.packet, case.version, BATCH);
        let mut decoder = packets::decoder(case.version);
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
        let mut encoder = packets::encoder(case.version);
        group.bench_function(case.name, |bencher| {
            bencher.iter(|| encode_batch(&mut encoder, &case.packet));
        });
    }
    let mut encoder = packets::encoder_with_aliases();
    let packet = packets::publish(QoS::AtMostOnce, 64, None);
    group.bench_function("5, QoS 0, 64 B, topic alias", |bencher| {
        bencher.iter(|| encode_batch(&mut encoder, &packet));
    });
    group.finish();
}

fn encode_batch(encoder: &mut Encoder, packet: &Packet) -> usize {
    let mut frames = Frames::default();
    for _ in 0..BATCH {
        encoder
            .encode(black_box(packet), &mut frames)
            .expect("small enough");
    }
    black_box(frames.finish().len())
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
