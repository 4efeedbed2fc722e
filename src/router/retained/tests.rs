use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    message::{QoS, TopicFilter},
    router::SubscriptionOptions,
};

struct Fixture {
    topics: Topics,
    metrics: Arc<Metrics>,
    now: Instant,
}

fn fixture() -> Fixture {
    let metrics = Arc::new(Metrics::default());
    Fixture {
        topics: Topics::new(metrics.clone()),
        metrics,
        now: tokio::time::Instant::now().into_std(),
    }
}

fn message(topic: &str, payload: &str) -> Message {
    let topic = TopicName::parse(topic).expect(topic);
    let mut message = Message::new(topic, payload.to_owned(), QoS::AtLeastOnce, true);
    message.origin = Some("publisher".into());
    message
}

impl Fixture {
    fn set(&mut self, message: Message) -> Vec<Change> {
        let mut changes = Vec::new();
        self.topics
            .set(&Arc::new(message), 1_000_000, self.now, &mut changes)
            .expect("room");
        changes
    }

    fn cursor(&self, filter: &str) -> Cursor {
        let filter = TopicFilter::parse(filter).expect(filter);
        let options = SubscriptionOptions::default();
        Cursor::new(filter, options, &"c".into(), self.topics.moment())
    }

    fn rest(&self, mut cursor: Cursor) -> Vec<String> {
        let mut found = Vec::new();
        while !cursor.is_over() {
            self.topics.fill(&mut cursor, 3, Some(self.now));
            while let Some(delivery) = cursor.take(self.now) {
                found.push(delivery.message.topic.to_string());
            }
        }
        found
    }

    fn find(&self, filter: &str) -> Vec<String> {
        self.rest(self.cursor(filter))
    }

    fn gauges(&self) -> (i64, i64) {
        (
            self.metrics.retained_messages.get(),
            self.metrics.retained_bytes.get(),
        )
    }
}

#[test]
fn a_topic_has_one_message_until_it_is_cleared() {
    let mut f = fixture();
    f.set(message("a/b", "1"));
    let changes = f.set(message("a/b", "22"));
    assert!(matches!(&changes[..], [Change::RetainedSet(message)] if message.payload == "22"));
    assert_eq!(f.gauges(), (1, signed(message("a/b", "22").footprint())));
    let changes = f.set(message("a/b", ""));
    assert!(matches!(&changes[..], [Change::RetainedCleared(topic)] if topic.as_str() == "a/b"));
    assert_eq!(f.gauges(), (0, 0));
    assert!(f.set(message("a/b", "")).is_empty());
}

/// [MQTT-4.7.2-1] and the levels of MQTT 5, 4.7.1.
#[test]
fn filters_find_their_topics() {
    let mut f = fixture();
    for topic in ["a", "a/b", "a/b/c", "a!", "b/b", "/b", "$SYS/b", "%/b"] {
        f.set(message(topic, "x"));
    }
    assert_eq!(f.find("a/#"), ["a", "a/b", "a/b/c"]);
    assert_eq!(f.find("+/b"), ["/b", "%/b", "a/b", "b/b"]);
    assert_eq!(f.find("+"), ["a", "a!"]);
    assert_eq!(f.find("a/b"), ["a/b"]);
    assert_eq!(f.find("a/+/+"), ["a/b/c"]);
    assert_eq!(f.find("$SYS/#"), ["$SYS/b"]);
    assert_eq!(f.find("#").len(), 7);
}

/// What the broker says about itself is not stored: it says it again.
#[test]
fn sys_messages_are_not_stored() {
    let mut f = fixture();
    let topic = TopicName::parse("$SYS/broker/uptime").expect("valid");
    assert!(
        f.set(Message::new(topic, "1", QoS::AtMostOnce, true))
            .is_empty()
    );
    assert_eq!(f.find("$SYS/#"), ["$SYS/broker/uptime"]);
}

/// [MQTT-3.3.2-5] Not found once expired, and forgotten in the course of others being set.
#[test]
fn expired_messages_go() {
    let mut f = fixture();
    for at in 0..20 {
        let mut message = message(&format!("t/{at:02}"), "x");
        message.expires_at = Some(f.now + Duration::from_secs(1));
        f.set(message);
    }
    assert_eq!(f.find("#").len(), 20);
    f.now += Duration::from_secs(1);
    assert_eq!(f.find("#").len(), 0);
    let mut cleared = 0;
    for _ in 0..4 {
        cleared += f.set(message("other", "x")).len() - 1;
    }
    assert_eq!((cleared, f.gauges().0), (20, 1));
}

/// At the limit, and one byte beyond; a replacement counts only what it adds.
#[test]
fn bytes_are_bounded() {
    let mut f = fixture();
    let first = Arc::new(message("a", "12345"));
    let limit = first.footprint();
    let mut changes = Vec::new();
    assert_eq!(f.topics.set(&first, limit, f.now, &mut changes), Ok(()));
    let longer = Arc::new(message("a", "123456"));
    assert_eq!(f.topics.set(&longer, limit, f.now, &mut changes), Err(Full));
    let same = Arc::new(message("a", "54321"));
    assert_eq!(f.topics.set(&same, limit, f.now, &mut changes), Ok(()));
    let other = Arc::new(message("b", ""));
    assert_eq!(f.topics.set(&other, limit, f.now, &mut changes), Ok(()));
    assert_eq!(f.gauges(), (1, signed(limit)));
    assert_eq!(changes.len(), 2);
    assert_eq!(
        f.metrics.messages_dropped[DropReason::Quota as usize].get(),
        1
    );
}

/// What is set after the subscription began reaches it as a live message, and only so.
#[test]
fn a_cursor_passes_over_what_is_newer() {
    let mut f = fixture();
    for topic in ["a", "b", "c", "d"] {
        f.set(message(topic, "old"));
    }
    let cursor = f.cursor("#");
    f.set(message("b", "new"));
    f.set(message("e", "new"));
    f.set(message("c", ""));
    assert_eq!(f.rest(cursor), ["a", "d"]);
}

/// [MQTT-3.8.3-3]
#[test]
fn no_local_holds_for_retained_messages() {
    let mut f = fixture();
    f.set(message("a", "x"));
    let options = SubscriptionOptions {
        no_local: true,
        ..SubscriptionOptions::default()
    };
    let filter = TopicFilter::parse("#").expect("valid");
    for (client_id, found) in [("publisher", 0), ("other", 1)] {
        let moment = f.topics.moment();
        let cursor = Cursor::new(filter.clone(), options, &client_id.into(), moment);
        assert_eq!(f.rest(cursor).len(), found);
    }
}

proptest! {
    /// The walk finds what the plain definition of matching finds.
    #[test]
    fn the_walk_agrees_with_the_definition(
        topics in prop::collection::vec("[ab$]{0,2}(/[ab]{0,2}){0,4}", 1..60),
        filters in prop::collection::vec("([ab$]{0,2}|\\+)(/([ab]{0,2}|\\+)){0,4}(/#)?", 1..20),
    ) {
        let mut f = fixture();
        f.topics.metrics = Arc::default();
        let names: std::collections::BTreeSet<_> = topics
            .iter()
            .filter_map(|topic| TopicName::parse(topic).ok())
            .map(|topic| topic.to_string())
            .collect();
        for name in &names {
            f.set(message(name, "x"));
        }
        for filter in filters.iter().filter(|filter| !filter.is_empty()) {
            let parsed = TopicFilter::parse(filter).expect(filter);
            let mut expected: Vec<_> = names
                .iter()
                .filter(|name| parsed.matches(&TopicName::parse(name).expect(name)))
                .cloned()
                .collect();
            expected.sort();
            let mut found = f.find(filter);
            found.sort();
            prop_assert_eq!(found, expected, "{}", filter);
        }
    }
}
