//! Bytes of memory for each subscription, everything included: a million as clients have them, and a hundred thousand distinct
//! wildcard filters of ten clients. Each in a process of its own, whose memory is nobody else's. With `--test` ten thousand.

use std::{
    env, fs,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use gatemq::{
    message::TopicFilter,
    router::{Config, QueueConfig, Router, SubscriptionOptions, WhenFull},
    storage::Memory,
    telemetry::Metrics,
};

/// Who has subscribed to what.
#[derive(Clone, Copy)]
struct Layout {
    name: &'static str,
    subscriptions: usize,
    sessions: usize,
    filter: fn(usize) -> String,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        name: "mixed",
        subscriptions: 1_000_000,
        sessions: 1000,
        filter: mixed,
    },
    Layout {
        name: "distinct wildcard",
        subscriptions: 100_000,
        sessions: 10,
        filter: distinct,
    },
];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let layout = LAYOUTS
        .into_iter()
        .find(|layout| arguments.get(1).is_some_and(|name| name == layout.name));
    if let Some(layout) = layout {
        return measure(layout, is_test);
    }
    for layout in LAYOUTS {
        let program = env::current_exe().expect("this program");
        let status = Command::new(program)
            .arg(layout.name)
            .args(is_test.then_some("--test"))
            .status();
        assert!(status.expect("started").success(), "{}", layout.name);
    }
}

fn measure(layout: Layout, is_test: bool) {
    let Layout {
        name,
        subscriptions,
        sessions,
        filter,
    } = layout;
    let size = if is_test { 10_000 } else { subscriptions };
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
    let queues: Vec<_> = (0..sessions)
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
                &queues[number % sessions],
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
        "{size} {name} subscriptions of {sessions} sessions: {} bytes each, {} ns to make one, {} µs the slowest",
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
fn mixed(number: usize) -> String {
    let (site, device) = (number % 100, number);
    match number % 10 {
        0..6 => format!("site/{site}/device/{device}/state"),
        6 | 7 => format!("site/{site}/device/{device}/#"),
        8 => format!("site/{site}/device/{device}/+/value"),
        _ => format!("$share/workers/site/{site}/device/{device}/command"),
    }
}

fn distinct(number: usize) -> String {
    format!("w/g{}/+/d{}/#", number / 1000, number % 1000)
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
