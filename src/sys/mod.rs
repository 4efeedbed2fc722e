//! The `$SYS/broker/…` topics, with the names that mosquitto gives them and those it once gave. Owns their values and
//! when they are published; speaks to the router as a client does and knows no connections.
//!
//! Start at [`run`]; a new topic is a row in `values.rs`.
//!
//! Published retained and with QoS 2, as mosquitto does, so that each subscriber chooses; only what has changed, at
//! multiples of the interval on the clock. `connection/…` are bridges in mosquitto; without any there is nothing to say.

mod averages;
mod values;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use time::OffsetDateTime;
use tokio::sync::watch;

use self::averages::Averages;
use crate::{
    message::{Message, QoS, TopicName},
    router::Router,
    telemetry::{Metrics, Process},
};

/// Publishes until the sender of `interval` is gone. An interval of `None` publishes nothing and takes back what was
/// published; a new one counts from now on. `started` is when the broker began.
pub async fn run(
    router: Arc<Router>,
    metrics: Arc<Metrics>,
    mut interval: watch::Receiver<Option<Duration>>,
    started: Instant,
) {
    let mut publisher = Publisher::new(metrics, started);
    let publish = |messages: Vec<Message>| {
        for message in messages {
            router.publish(&Arc::new(message), now(), || Box::new(|_| {}));
        }
    };
    loop {
        let every = *interval.borrow_and_update();
        let Some(every) = every.filter(|every| !every.is_zero()) else {
            publish(publisher.take_back());
            if interval.changed().await.is_err() {
                return;
            }
            continue;
        };
        publish(publisher.update(&Process::read(), now()));
        tokio::select! {
            () = tokio::time::sleep(until_next(every, SystemTime::now())) => {}
            changed = interval.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Until the clock is at a multiple of the interval: several brokers publish at the same moments, and so does one that
/// was restarted.
fn until_next(every: Duration, clock: SystemTime) -> Duration {
    let since_epoch = clock
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let past = since_epoch.as_nanos() % every.as_nanos().max(1);
    every.saturating_sub(Duration::from_nanos(
        u64::try_from(past).unwrap_or_default(),
    ))
}

/// When the program was built, as near as its file tells; older brokers publish that as `timestamp`.
fn built() -> Option<String> {
    let file = std::env::current_exe().ok()?;
    let modified = file.metadata().ok()?.modified().ok()?;
    Some(timestamp(OffsetDateTime::from(modified)))
}

fn timestamp(at: OffsetDateTime) -> String {
    let (hour, minute, second) = at.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02}+0000", at.date())
}

/// Knows what was published, and makes messages of what has changed since.
struct Publisher {
    metrics: Arc<Metrics>,
    started: Instant,
    averages: Averages,
    published: HashMap<Cow<'static, str>, String>,
}

impl Publisher {
    fn new(metrics: Arc<Metrics>, started: Instant) -> Self {
        Self {
            metrics,
            started,
            averages: Averages::new(started),
            published: HashMap::new(),
        }
    }

    /// What is to be published now.
    fn update(&mut self, process: &Process, now: Instant) -> Vec<Message> {
        self.averages.update(values::counts(&self.metrics), now);
        let uptime = now.saturating_duration_since(self.started);
        let mut values = values::values(&self.metrics, process, &self.averages, uptime);
        if self.published.is_empty() {
            values.extend(values::fixed(built()));
        }
        values
            .into_iter()
            .filter_map(|(topic, value)| self.changed(topic, value))
            .collect()
    }

    fn changed(&mut self, topic: Cow<'static, str>, value: String) -> Option<Message> {
        if self.published.get(&topic) == Some(&value) {
            return None;
        }
        let message = message(&topic, value.clone())?;
        self.published.insert(topic, value);
        Some(message)
    }

    /// Empty retained messages for all that was published [MQTT-3.3.1-6]: old values would pass for new ones.
    fn take_back(&mut self) -> Vec<Message> {
        let topics = std::mem::take(&mut self.published).into_keys();
        topics
            .filter_map(|topic| message(&topic, String::new()))
            .collect()
    }
}

fn message(topic: &str, value: String) -> Option<Message> {
    let topic = TopicName::parse(&format!("$SYS/broker/{topic}")).ok()?;
    Some(Message::new(topic, value, QoS::ExactlyOnce, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publisher() -> (Publisher, Arc<Metrics>, Instant) {
        let metrics = Arc::new(Metrics::default());
        let started = now();
        (Publisher::new(metrics.clone(), started), metrics, started)
    }

    /// Topics below `$SYS/broker/` with their payload.
    fn texts(messages: &[Message]) -> Vec<(&str, &str)> {
        messages
            .iter()
            .map(|message| {
                let topic = message.topic.as_str().strip_prefix("$SYS/broker/");
                let payload = std::str::from_utf8(&message.payload);
                (topic.unwrap(), payload.unwrap())
            })
            .collect()
    }

    #[test]
    fn the_first_time_everything_is_published_retained() {
        let (mut publisher, _, started) = publisher();
        let messages = publisher.update(&Process::default(), started);
        let texts = texts(&messages);
        assert!(texts.len() > 80, "{}", texts.len());
        assert!(texts.iter().any(|(topic, _)| *topic == "version"));
        assert!(texts.contains(&("uptime", "0 seconds")));
        let as_mosquitto = |message: &Message| message.retain && message.qos == QoS::ExactlyOnce;
        assert!(messages.iter().all(as_mosquitto));
    }

    #[test]
    fn only_what_has_changed_is_published_again() {
        let (mut publisher, metrics, started) = publisher();
        publisher.update(&Process::default(), started);
        metrics.connected.set(1);
        let later = started + Duration::from_secs(10);
        let messages = publisher.update(&Process::default(), later);
        let expected = [
            ("uptime", "10 seconds"),
            ("clients/connected", "1"),
            ("clients/active", "1"),
            ("clients/total", "1"),
            ("clients/maximum", "1"),
        ];
        assert_eq!(texts(&messages), expected);
        assert_eq!(publisher.update(&Process::default(), later), []);
    }

    /// [MQTT-3.3.1-6] an empty retained message removes what is retained.
    #[test]
    fn what_was_published_is_taken_back() {
        let (mut publisher, _, started) = publisher();
        let published = publisher.update(&Process::default(), started).len();
        let messages = publisher.take_back();
        assert_eq!(messages.len(), published);
        let clears = |message: &Message| message.retain && message.payload.is_empty();
        assert!(messages.iter().all(clears));
        assert_eq!(publisher.take_back(), []);
        assert_eq!(
            publisher.update(&Process::default(), started).len(),
            published
        );
    }

    #[test]
    fn publishing_keeps_to_the_clock() {
        let check = |clock_ms: u64, every_ms: u64, expected_ms: u64| {
            let clock = SystemTime::UNIX_EPOCH + Duration::from_millis(clock_ms);
            let wait = until_next(Duration::from_millis(every_ms), clock);
            assert_eq!(wait, Duration::from_millis(expected_ms), "{clock_ms}");
        };
        check(20_000, 10_000, 10_000);
        check(20_001, 10_000, 9_999);
        check(29_999, 10_000, 1);
        check(0, 1_500, 1_500);
    }

    #[test]
    fn the_timestamp_is_a_date_and_a_time() {
        assert_eq!(
            timestamp(OffsetDateTime::UNIX_EPOCH + Duration::from_secs(3_723)),
            "1970-01-01 01:02:03+0000"
        );
    }
}
