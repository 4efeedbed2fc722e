//! One publish among 1,000, 100,000 and 1,000,000 filters, what it costs to change one of them, and both on two threads: two
//! that publish, and one that publishes while the other subscribes and unsubscribes all the time.

mod parts;

use std::{
    hint::black_box,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use gatemq::{
    message::{Message, TopicFilter},
    router::{Published, SubscriptionOptions},
};

use parts::router::{Filled, Mix, now};

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

/// Filters, messages that match some of them, and more filters that come and go.
struct Case {
    mix: Mix,
    size: usize,
    filled: Filled,
    messages: Vec<std::sync::Arc<Message>>,
    extra: Vec<TopicFilter>,
}

impl Case {
    fn new(mix: Mix, size: usize) -> Self {
        Self {
            mix,
            size,
            filled: Filled::with_filters(mix, size),
            messages: mix.messages(size),
            extra: (0..1000).map(|number| mix.filter(size + number)).collect(),
        }
    }

    fn id(&self, name: &str) -> BenchmarkId {
        BenchmarkId::new(format!("{name}/{}", self.mix.name()), self.size)
    }

    fn publish(&self, at: usize) -> Published {
        self.filled
            .publish(&self.messages[at % self.messages.len()])
    }

    /// Subscribes and unsubscribes.
    fn churn(&self, at: usize) -> bool {
        let at = at % self.extra.len();
        let (filter, queue) = (&self.extra[at], &self.filled.queues[at]);
        let Filled { router, now, .. } = &self.filled;
        let options = SubscriptionOptions::default();
        let subscribed = router.subscribe(queue, filter.clone(), options, *now);
        subscribed.is_ok() && router.unsubscribe(queue, filter)
    }

    /// Two threads that publish; how long until both have published so many.
    fn publish_twice(&self, times: u64) -> Duration {
        let start = Barrier::new(3);
        thread::scope(|scope| {
            for offset in [0, 500] {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    for at in 0..times as usize {
                        black_box(self.publish(offset + at));
                    }
                });
            }
            start.wait();
            now()
        })
        .elapsed()
    }

    /// One thread publishes while the other changes subscriptions; how long it takes to publish so many.
    fn publish_under_churn(&self, times: u64) -> Duration {
        let (start, is_over) = (Barrier::new(2), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                for at in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    black_box(self.churn(at));
                }
            });
            start.wait();
            let begin = now();
            for at in 0..times as usize {
                black_box(self.publish(at));
            }
            let took = begin.elapsed();
            is_over.store(true, Ordering::Relaxed);
            took
        })
    }
}

fn matching(c: &mut Criterion) {
    let sizes = if parts::is_test() {
        &SIZES[..1]
    } else {
        &SIZES[..]
    };
    let mut group = c.benchmark_group("matching");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    for mix in [Mix::Exact, Mix::Wildcard] {
        for &size in sizes {
            bench(&mut group, &Case::new(mix, size));
        }
    }
    group.finish();
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, case: &Case) {
    let mut at = 0;
    let mut next = || {
        at += 1;
        at
    };
    group.bench_function(case.id("publish"), |b| {
        b.iter(|| black_box(case.publish(next())));
    });
    group.bench_function(case.id("churn"), |b| {
        b.iter(|| black_box(case.churn(next())));
    });
    group.bench_function(case.id("publish on each of two threads"), |b| {
        b.iter_custom(|times| case.publish_twice(times));
    });
    group.bench_function(case.id("publish under churn"), |b| {
        b.iter_custom(|times| case.publish_under_churn(times));
    });
}

criterion_group!(benches, matching);
criterion_main!(benches);
