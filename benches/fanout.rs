//! One message to a thousand subscribers, through their queues and out again.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gatemq::{
    message::{Message, QoS, TopicFilter, TopicName},
    router::{Config, QueueConfig, Router, SubscriptionOptions, WhenFull},
    storage::Memory,
    telemetry::Metrics,
};

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
        let config = Config {
            queue: QueueConfig {
                max_messages: 1000,
                max_bytes: 16 << 20,
                max_age: Duration::MAX,
                when_full: WhenFull::DropOldest,
                queue_qos0: false,
            },
            max_queued_bytes: 1 << 30,
            max_retained_bytes: 1 << 20,
            max_subscriptions_per_session: 100,
        };
        let router = Router::new(
            config,
            Arc::new(Memory::default()),
            Arc::new(Metrics::default()),
        );
        let now = tokio::time::Instant::now().into_std();
        let options = SubscriptionOptions {
            qos,
            ..SubscriptionOptions::default()
        };
        let queues: Vec<_> = (0..SUBSCRIBERS)
            .map(|client| {
                let queue = router.register(format!("client-{client}").into(), false);
                queue.connected(100);
                for text in filters {
                    let filter = TopicFilter::parse(text).expect("valid");
                    router
                        .subscribe(&queue, filter, options, now)
                        .expect("below the limit");
                }
                queue
            })
            .collect();
        let topic = TopicName::parse("t/1").expect("valid");
        let message = Arc::new(Message::new(topic, vec![0; 64], qos, false));
        group.bench_function(name, |b| {
            b.iter(|| {
                router.publish(&message, now, || Box::new(|_| {}));
                for queue in &queues {
                    while let Some(delivery) = queue.pop(true, now) {
                        black_box(delivery);
                    }
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fanout);
criterion_main!(benches);
