//! One publish among 1,000, 100,000 and 1,000,000 filters, and what it costs to change one of them.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gatemq::{
    message::{Message, QoS, TopicFilter, TopicName},
    router::{Config, Queue, QueueConfig, Router, SubscriptionOptions, WhenFull},
    storage::Memory,
    telemetry::Metrics,
};

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

/// Which filters there are; each message matches one of them, or as many as are said.
#[derive(Clone, Copy)]
enum Mix {
    /// `site/S/device/D/state`.
    Exact,
    /// `site/S/device/D/+`, `site/S/+/D/state`, `site/S/device/D/#`: three match.
    Wildcard,
}

struct Filled {
    router: Router,
    queues: Vec<Arc<Queue>>,
    now: Instant,
}

impl Mix {
    fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Wildcard => "wildcard",
        }
    }

    fn filter(self, number: usize) -> TopicFilter {
        let device = match self {
            Self::Exact => number,
            Self::Wildcard => number / 3,
        };
        let site = device % 100;
        let text = match (self, number % 3) {
            (Self::Exact, _) => format!("site/{site}/device/{device}/state"),
            (Self::Wildcard, 0) => format!("site/{site}/device/{device}/+"),
            (Self::Wildcard, 1) => format!("site/{site}/+/{device}/state"),
            (Self::Wildcard, _) => format!("site/{site}/device/{device}/#"),
        };
        TopicFilter::parse(&text).expect("valid")
    }

    fn message(self, number: usize, size: usize) -> Arc<Message> {
        let devices = match self {
            Self::Exact => size,
            Self::Wildcard => size / 3,
        };
        let device = number % devices;
        let text = format!("site/{}/device/{device}/state", device % 100);
        let topic = TopicName::parse(&text).expect("valid");
        Arc::new(Message::new(topic, &b"on"[..], QoS::AtMostOnce, false))
    }
}

fn fill(mix: Mix, size: usize) -> Filled {
    let config = Config {
        queue: QueueConfig {
            // The consumers sleep: what is measured is finding them, and one push that makes the oldest give way.
            max_messages: 1,
            max_bytes: 1 << 20,
            max_age: Duration::MAX,
            when_full: WhenFull::DropOldest,
            queue_qos0: false,
        },
        max_queued_bytes: 1 << 30,
        max_retained_bytes: 1 << 20,
        max_subscriptions_per_session: usize::MAX,
    };
    let router = Router::new(
        config,
        Arc::new(Memory::default()),
        Arc::new(Metrics::default()),
    );
    let now = tokio::time::Instant::now().into_std();
    let queues: Vec<_> = (0..1000)
        .map(|client| {
            let queue = router.register(format!("client-{client}").into(), false);
            queue.connected(10);
            queue
        })
        .collect();
    for number in 0..size {
        let queue = &queues[number % queues.len()];
        router
            .subscribe(
                queue,
                mix.filter(number),
                SubscriptionOptions::default(),
                now,
            )
            .expect("no limit");
    }
    Filled {
        router,
        queues,
        now,
    }
}

fn matching(c: &mut Criterion) {
    // With --test each bench runs once: the small size shows that it works.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let sizes = if is_test { &SIZES[..1] } else { &SIZES[..] };
    let mut group = c.benchmark_group("matching");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    for mix in [Mix::Exact, Mix::Wildcard] {
        for &size in sizes {
            let filled = fill(mix, size);
            // Messages of devices that lie far apart: a cache that knew the last topic would know nothing of the next.
            let messages: Vec<_> = (0..1000)
                .map(|number| mix.message(number * 7919, size))
                .collect();
            let mut at = 0;
            group.bench_function(
                BenchmarkId::new(format!("publish/{}", mix.name()), size),
                |b| {
                    b.iter(|| {
                        at = (at + 1) % messages.len();
                        let published = filled
                            .router
                            .publish(&messages[at], filled.now, || Box::new(|_| {}));
                        black_box(published)
                    });
                },
            );
            let extra: Vec<_> = (0..1000).map(|number| mix.filter(size + number)).collect();
            group.bench_function(
                BenchmarkId::new(format!("churn/{}", mix.name()), size),
                |b| {
                    b.iter(|| {
                        at = (at + 1) % extra.len();
                        let queue = &filled.queues[at];
                        let filter = extra[at].clone();
                        let options = SubscriptionOptions::default();
                        let subscribed =
                            filled.router.subscribe(queue, filter, options, filled.now);
                        black_box((subscribed, filled.router.unsubscribe(queue, &extra[at])))
                    });
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, matching);
criterion_main!(benches);
