//! A million subscriptions in one router: bytes of memory for each, everything included. With `--test` ten thousand.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use gatemq::{
    message::TopicFilter,
    router::{Config, QueueConfig, Router, SubscriptionOptions, WhenFull},
    storage::Memory,
    telemetry::Metrics,
};

/// Sessions that hold the subscriptions.
const SESSIONS: usize = 1000;

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let size = if is_test { 10_000 } else { 1_000_000 };
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
        max_subscriptions_per_session: size,
    };
    let metrics = Arc::new(Metrics::default());
    let router = Router::new(config, Arc::new(Memory::default()), metrics.clone());
    let queues: Vec<_> = (0..SESSIONS)
        .map(|client| router.register(format!("client-{client}").into(), false))
        .collect();
    let before = resident_bytes();
    let begin = now();
    let mut slowest = Duration::ZERO;
    for number in 0..size {
        let filter = TopicFilter::parse(&filter(number)).expect("valid");
        let started = now();
        router
            .subscribe(
                &queues[number % SESSIONS],
                filter,
                SubscriptionOptions::default(),
                started,
            )
            .expect("no limit");
        slowest = slowest.max(now() - started);
    }
    let took = now() - begin;
    let bytes = resident_bytes().saturating_sub(before);
    assert_eq!(usize::try_from(metrics.subscriptions.get()), Ok(size));
    println!(
        "{size} subscriptions of {SESSIONS} sessions: {} bytes each, {} ns to make one, {} µs the slowest",
        bytes / size,
        took.as_nanos() / size as u128,
        slowest.as_micros()
    );
    let begin = now();
    for queue in &queues {
        router.remove(queue, begin);
    }
    assert_eq!(metrics.subscriptions.get(), 0);
    println!(
        "{} ns to end one; {} MiB remain of {} MiB",
        (now() - begin).as_nanos() / size as u128,
        resident_bytes().saturating_sub(before) >> 20,
        bytes >> 20
    );
}

/// As real ones are: most name one topic, some a device, a few a kind of value.
fn filter(number: usize) -> String {
    let (site, device) = (number % 100, number);
    match number % 10 {
        0..6 => format!("site/{site}/device/{device}/state"),
        6 | 7 => format!("site/{site}/device/{device}/#"),
        8 => format!("site/{site}/device/{device}/+/value"),
        _ => format!("$share/workers/site/{site}/device/{device}/command"),
    }
}

/// What statm says, in a unit that does not depend on the page size.
fn resident_bytes() -> usize {
    let text = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|field| field.parse::<usize>().ok())
        .expect("a number of kB");
    kilobytes * 1024
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
