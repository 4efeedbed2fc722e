//! One message to a thousand subscribers, through their queues and out again; and to the three of a hundred thousand wildcard
//! filters that match it.

mod parts;

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gatemq::message::QoS;

use parts::router::{Filled, Mix, filter, message};

const SUBSCRIBERS: u32 = 1000;

fn fanout(c: &mut Criterion) {
    let mut group = c.benchmark_group("fanout");
    group
        .throughput(Throughput::Elements(SUBSCRIBERS.into()))
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    for (name, filters, qos) in [
        ("qos0", &["t/+"][..], QoS::AtMostOnce),
        ("qos1", &["t/+"][..], QoS::AtLeastOnce),
        ("qos1/overlapping", &["t/+", "t/#"][..], QoS::AtLeastOnce),
    ] {
        let filled = Filled::new(SUBSCRIBERS, 1000);
        for queue in &filled.queues {
            for text in filters {
                filled.subscribe(queue, filter(text), qos);
            }
        }
        let message = message("t/1", 64, qos, false);
        group.bench_function(name, |b| {
            b.iter(|| {
                filled.publish(&message);
                for queue in &filled.queues {
                    while let Some(delivery) = queue.pop(true, filled.now) {
                        black_box(delivery);
                    }
                }
            });
        });
    }
    group.finish();
}

/// What a message costs that three of very many wildcard filters match, taken out again.
fn among_many(c: &mut Criterion) {
    let size = if parts::is_test() { 1000 } else { 100_000 };
    let mut group = c.benchmark_group("fanout/among");
    group
        .throughput(Throughput::Elements(3))
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    let filled = Filled::with_filters(Mix::Wildcard, size);
    let messages = Mix::Wildcard.messages(size);
    let mut at = 0;
    group.bench_function(format!("{size} wildcard filters"), |b| {
        b.iter(|| {
            at = (at + 1) % messages.len();
            black_box(filled.publish(&messages[at]))
        });
    });
    group.finish();
}

criterion_group!(benches, fanout, among_many);
criterion_main!(benches);
