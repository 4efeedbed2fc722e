//! WebSocket frames of 100 bytes and 1 KiB: taken off and unmasked, 64 of them in one read, and put on, for one packet in a
//! write and for 64.

mod parts;

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gatemq::listener::websocket::Decoder;

use parts::websocket::{decode, frame, packets_of, send, transport};

const SIZES: [usize; 2] = [100, 1024];

/// Frames in one read.
const BATCH: usize = 64;

fn incoming(c: &mut Criterion) {
    let mut group = c.benchmark_group("websocket/decode");
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let frames = frame(&vec![b'x'; size]).repeat(BATCH);
        let mut decoder = Decoder::default();
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| black_box(decode(&mut decoder, &frames)));
        });
    }
    group.finish();
}

fn outgoing(c: &mut Criterion) {
    let mut group = c.benchmark_group("websocket/send");
    for size in SIZES {
        for times in [1, 64] {
            let packets = packets_of(size, times);
            let mut transport = transport();
            group.throughput(Throughput::Elements(times.into()));
            group.bench_function(format!("{times} of {size}"), |b| {
                b.iter_batched(
                    || packets.clone(),
                    |mut packets| send(&mut transport, &mut packets),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, incoming, outgoing);
criterion_main!(benches);
