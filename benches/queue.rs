//! The queue of one session: a message published to it and taken out again, and a hundred of them at once. What finding the
//! one subscriber costs is in it: an exact filter among no others.

mod parts;

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gatemq::message::{Message, QoS};

use parts::router::{Filled, filter, message};

const QOS: [(&str, QoS); 2] = [("QoS 0", QoS::AtMostOnce), ("QoS 1", QoS::AtLeastOnce)];

/// A session that the messages are for.
fn subscribed(qos: QoS) -> (Filled, Arc<Message>) {
    let filled = Filled::new(1, 1000);
    filled.subscribe(&filled.queues[0], filter("t"), qos);
    (filled, message("t", 64, qos, false))
}

fn queue(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue");
    for (name, qos) in QOS {
        for (waiting, times) in [("alone", 1), ("a hundred", 100)] {
            let (filled, message) = subscribed(qos);
            let queue = &filled.queues[0];
            group.throughput(Throughput::Elements(times));
            group.bench_function(format!("push and pop/{name}/{waiting}"), |b| {
                b.iter(|| {
                    for _ in 0..times {
                        filled.publish(&message);
                    }
                    while let Some(delivery) = queue.pop(true, filled.now) {
                        black_box(delivery);
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, queue);
criterion_main!(benches);
