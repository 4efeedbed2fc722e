use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::router::tests::{filter, fixture};

impl Subscriptions {
    pub(in crate::router) fn is_empty(&self) -> bool {
        self.nodes.len() + self.exact.len() + self.children.len() + self.subscribers.len() == 0
    }

    fn clients(&self, topic: &str) -> Vec<String> {
        let topic = TopicName::parse(topic).expect(topic);
        let mut found = Vec::new();
        self.matching(&topic, |subscribers| {
            let members = subscribers.members().iter();
            found.extend(members.map(|member| member.queue.client_id().to_string()));
        });
        found.sort();
        found
    }
}

struct Index {
    index: Subscriptions,
    queues: Vec<Arc<Queue>>,
}

fn index() -> Index {
    let f = fixture();
    Index {
        index: Subscriptions::new(),
        queues: (0..200).map(|it| f.connect(&format!("{it:03}"))).collect(),
    }
}

impl Index {
    fn insert(&mut self, text: &str, client: usize) {
        let options = SubscriptionOptions::default();
        self.index
            .insert(&filter(text), &self.queues[client], options);
    }

    fn remove(&mut self, text: &str, client: usize) {
        self.index.remove(&filter(text), &self.queues[client]);
    }
}

/// MQTT 5, 4.7.
#[test]
fn filters_match_their_topics() {
    let mut it = index();
    for (client, text) in (0..).zip(["a/b", "a/+", "a/#", "#", "+/+", "$SYS/#", "/a", "+/a"]) {
        it.insert(text, client);
    }
    assert_eq!(it.index.clients("a/b"), ["000", "001", "002", "003", "004"]);
    assert_eq!(it.index.clients("a"), ["002", "003"]);
    assert_eq!(it.index.clients("a/b/c"), ["002", "003"]);
    assert_eq!(it.index.clients("$SYS/a"), ["005"], "[MQTT-4.7.2-1]");
    assert_eq!(it.index.clients("/a"), ["003", "004", "006", "007"]);
}

/// A level longer than what lies in a node, and more levels than a stack would hold.
#[test]
fn long_and_deep_filters() {
    let mut it = index();
    let long = "x".repeat(1000);
    it.insert(&format!("{long}/+"), 0);
    assert_eq!(it.index.clients(&format!("{long}/a")), ["000"]);
    let deep = "/".repeat(60_000);
    it.insert(&format!("{deep}+"), 1);
    assert_eq!(it.index.clients(&format!("{deep}b")), ["001"]);
    it.remove(&format!("{deep}+"), 1);
    it.remove(&format!("{long}/+"), 0);
    assert!(it.index.is_empty());
}

/// Nodes that lead nowhere go; those that others need stay.
#[test]
fn unsubscribing_prunes() {
    let mut it = index();
    it.insert("a/+/c/d", 0);
    it.insert("a/+/c", 1);
    it.insert("a/b", 2);
    it.remove("a/+/c/d", 0);
    assert_eq!(it.index.nodes.len(), 3);
    assert_eq!(it.index.clients("a/x/c"), ["001"]);
    it.remove("a/+/c", 1);
    assert_eq!(it.index.nodes.len(), 0);
    it.remove("a/b", 1);
    assert_eq!(it.index.clients("a/b"), ["002"], "another's subscription");
    it.remove("a/b", 2);
    assert!(it.index.is_empty());
}

/// A filter with many subscribers finds each of them all the same.
#[test]
fn many_subscribers_of_one_filter() {
    let mut it = index();
    for round in 0..3 {
        for client in 0..200 {
            it.insert("a", client);
            it.insert("a", (client + round) % 200);
        }
        assert_eq!(it.index.clients("a").len(), 200);
        for client in (0..200).filter(|client| client % 3 != round) {
            it.remove("a", client);
            it.remove("a", client);
        }
        let left = (0..200).filter(|client| client % 3 == round).count();
        assert_eq!(it.index.clients("a").len(), left);
    }
    for client in 0..200 {
        it.remove("a", client);
    }
    assert!(it.index.is_empty());
}

#[test]
fn nodes_and_slots_are_small() {
    assert_eq!(size_of::<Node>(), 48);
    assert_eq!(size_of::<Subscribers>(), 32);
    assert_eq!(size_of::<Exact>(), 32);
}

fn filters() -> impl Strategy<Value = String> {
    "([ab$]{0,2}|\\+)(/([ab]{0,1}|\\+)){0,3}(/#)?".prop_map(|text| match text.as_str() {
        "" => "#".to_owned(),
        _ => text,
    })
}

proptest! {
    /// The index finds what the plain definition of matching finds, whatever came and went before.
    #[test]
    fn the_index_agrees_with_the_definition(
        steps in prop::collection::vec((any::<bool>(), filters(), 0..4_usize), 1..80),
        topics in prop::collection::vec("[ab$]{1,2}(/[ab]{0,1}){0,3}", 1..20),
    ) {
        let mut it = index();
        let mut naive: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (adds, text, client) in steps {
            if adds {
                it.insert(&text, client);
                naive.entry(text).or_default().insert(client);
            } else {
                it.remove(&text, client);
                naive.entry(text).or_default().remove(&client);
            }
        }
        for topic in topics {
            let name = TopicName::parse(&topic).expect("no wildcards");
            let mut expected: Vec<_> = naive
                .iter()
                .filter(|(text, _)| filter(text).matches(&name))
                .flat_map(|(_, clients)| clients)
                .map(|client| format!("{client:03}"))
                .collect();
            expected.sort();
            prop_assert_eq!(it.index.clients(&topic), expected, "{}", topic);
        }
        for (text, clients) in naive {
            for client in clients {
                it.remove(&text, client);
            }
        }
        prop_assert!(it.index.is_empty());
    }
}
