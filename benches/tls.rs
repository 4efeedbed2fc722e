//! The TLS pump: a connection that has shaken hands, over a stream in memory. What the server seals in one write, and what it
//! opens in one read, of 100 bytes, 1 KiB and 16 KiB, a whole record. TLS_AES_256_GCM_SHA384, which clients choose most.

mod parts;

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use parts::tls;

const SIZES: [usize; 3] = [100, 1024, 16 * 1024];

/// Records are opened in the order they were sealed in: so many are sealed before.
const AHEAD: BatchSize = BatchSize::NumIterations(64);

fn pump(c: &mut Criterion) {
    let mut group = c.benchmark_group("tls");
    for size in SIZES {
        let payload = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        let (mut server, mut client) = tls::connected();
        group.bench_function(BenchmarkId::new("write", size), |b| {
            b.iter(|| server.write(black_box(&payload)));
        });
        let mut buffer = vec![0; size];
        group.bench_function(BenchmarkId::new("read", size), |b| {
            b.iter_batched(
                || client.seal(&payload),
                |records| server.read(records, black_box(&mut buffer)),
                AHEAD,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, pump);
criterion_main!(benches);
