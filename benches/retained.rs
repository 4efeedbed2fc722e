//! Retained messages among 1,000, 100,000 and 1,000,000 topics: one set anew, and a subscription that collects a hundred
//! thousand of them (all, where there are fewer). Storage in memory included.

mod parts;

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gatemq::message::{Message, QoS};

use parts::router::{Filled, filter, message};

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

/// Topics of one area, which the subscriptions are for.
const AREA: usize = 100_000;

fn retained_message(number: usize) -> Arc<Message> {
    let topic = format!("area/{}/device/{number}/state", number / AREA);
    message(&topic, 64, QoS::AtMostOnce, true)
}

/// Takes all the messages that a new subscription brings, then gives it up; how many they were.
fn collect(filled: &Filled, text: &str, expected: usize) -> usize {
    let queue = &filled.queues[0];
    let filter = filter(text);
    filled.subscribe(queue, filter.clone(), QoS::AtMostOnce);
    let mut taken = 0;
    // A look that has found nothing yet lets others have their turn.
    while taken < expected {
        while let Some(delivery) = queue.pop(true, filled.now) {
            black_box(delivery);
            taken += 1;
        }
    }
    filled.router.unsubscribe(queue, &filter);
    taken
}

fn retained(c: &mut Criterion) {
    let sizes = if parts::is_test() {
        &SIZES[..1]
    } else {
        &SIZES[..]
    };
    let mut group = c.benchmark_group("retained");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    for &size in sizes {
        let filled = Filled::new(1, 1000);
        for number in 0..size {
            filled.publish(&retained_message(number));
        }
        // Devices that lie far apart.
        let again: Vec<_> = (0..1000)
            .map(|number| retained_message(number * 7919 % size))
            .collect();
        let mut at = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("set", size), |b| {
            b.iter(|| {
                at = (at + 1) % again.len();
                black_box(filled.publish(&again[at]))
            });
        });
        let expected = size.min(AREA);
        group.throughput(Throughput::Elements(expected as u64));
        for text in ["area/0/#", "area/0/device/+/state"] {
            group.bench_function(BenchmarkId::new(format!("collect/{text}"), size), |b| {
                b.iter(|| black_box(collect(&filled, text, expected)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, retained);
criterion_main!(benches);
