//! The retained messages that a subscription is owed, fetched as the subscriber takes them.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
    time::Instant,
};

use super::{
    Kept, VISITS,
    walk::{self, Levels, Step},
};
use crate::{
    message::{ClientId, Message, QoS, TopicFilter},
    router::{Delivery, SubscriptionOptions},
};

/// One subscription's way through the retained messages.
///
/// It passes over what was set after it began: that reaches the subscriber as a live message, which stands behind the
/// cursor in the queue. So no newer message of a topic comes before an older one.
#[derive(Debug)]
pub(in crate::router) struct Cursor {
    filter: TopicFilter,
    options: SubscriptionOptions,
    /// Not what this client published itself [MQTT-3.8.3-3].
    except: Option<ClientId>,
    /// What was set later is passed over.
    moment: u64,
    found: VecDeque<Arc<Message>>,
    /// Where the walk goes on; `None` once it has come to its end.
    next: Option<Vec<u8>>,
}

impl Cursor {
    pub(in crate::router) fn new(
        filter: TopicFilter,
        options: SubscriptionOptions,
        client_id: &ClientId,
        moment: u64,
    ) -> Self {
        Self {
            filter,
            options,
            except: options.no_local.then(|| client_id.clone()),
            moment,
            found: VecDeque::new(),
            next: Some(Vec::new()),
        }
    }

    pub(in crate::router) const fn filter(&self) -> &TopicFilter {
        &self.filter
    }

    /// The highest QoS of its deliveries.
    pub(in crate::router) const fn qos(&self) -> QoS {
        self.options.qos
    }

    /// Whether it has to look for more before it can say what comes next.
    pub(in crate::router) fn is_hungry(&self) -> bool {
        self.found.is_empty() && self.next.is_some()
    }

    /// Whether nothing comes any more.
    pub(in crate::router) fn is_over(&self) -> bool {
        self.found.is_empty() && self.next.is_none()
    }

    /// The message that comes next, of those found.
    pub(in crate::router) fn first(&self) -> Option<(&Arc<Message>, QoS)> {
        let message = self.found.front()?;
        Some((message, message.qos.min(self.options.qos)))
    }

    /// Takes that message.
    pub(in crate::router) fn take(&mut self, now: Instant) -> Option<Delivery> {
        let message = self.found.pop_front()?;
        if self.found.is_empty() {
            self.found = VecDeque::new();
        }
        Some(self.delivery(message, now))
    }

    /// Takes what was found above QoS 0, at most so many.
    pub(in crate::router) fn take_reliable(
        &mut self,
        messages: usize,
        now: Instant,
    ) -> Vec<Delivery> {
        if self.options.qos == QoS::AtMostOnce {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for message in std::mem::take(&mut self.found) {
            if message.qos > QoS::AtMostOnce && taken.len() < messages {
                taken.push(self.delivery(message, now));
            } else {
                self.found.push_back(message);
            }
        }
        taken
    }

    fn delivery(&self, message: Arc<Message>, now: Instant) -> Delivery {
        Delivery {
            qos: message.qos.min(self.options.qos),
            message,
            // [MQTT-3.3.1-8]
            retain: true,
            queued_at: now,
            subscription_identifiers: self.options.identifier.iter().map(|id| id.get()).collect(),
            share: None,
        }
    }

    /// Goes on with the walk until this many are found or enough topics were visited.
    pub(super) fn fill(
        &mut self,
        kept: &BTreeMap<Box<[u8]>, Kept>,
        messages: usize,
        now: Option<Instant>,
    ) {
        let mut visits = VISITS;
        while let Some(from) = self.next.take() {
            let levels: Levels<'_> = self.filter.levels().collect();
            let range = (Bound::Included(from.as_slice()), Bound::Unbounded);
            for (topic, Kept { message, moment }) in kept.range::<[u8], _>(range) {
                if visits == 0 || self.found.len() >= messages {
                    self.next = Some(topic.to_vec());
                    return;
                }
                visits -= 1;
                match walk::step(&levels, topic) {
                    Step::Match => {
                        let is_own = self.except.is_some() && self.except == message.origin;
                        let has_expired = now.is_some_and(|now| message.has_expired(now));
                        if *moment <= self.moment && !has_expired && !is_own {
                            self.found.push_back(message.clone());
                        }
                    }
                    Step::Leap(to) => {
                        self.next = Some(to);
                        break;
                    }
                    Step::End => return,
                }
            }
        }
    }
}
