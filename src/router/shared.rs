//! Shared subscriptions (MQTT 5, 4.8.2): a group of sessions, of which one gets each message.
//!
//! Members take turns. One that is connected and has room comes before one that would only keep the message, and that
//! one before one whose queue is full. A member that goes hands on what it was not sent ([`Router::remove`],
//! [`Queue::park`]); what only sessions without a connection are left to take stays with one of them, stored under
//! its name until it returns or ends: to move it later would take it out of storage before anybody has had it.
//!
//! [`Router::remove`]: super::Router::remove

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::{Config, Delivery, Queue, queue::Standing, subscriptions::Subscriber};
use crate::message::{Message, TopicFilter};

/// The members of one shared subscription.
#[derive(Debug)]
pub(super) struct Group {
    /// Share name and filter together name a group [MQTT-4.8.2-4].
    filter: TopicFilter,
    members: Vec<Subscriber>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

/// A member, and the delivery for it.
pub(super) type Chosen = (Arc<Queue>, Delivery);

impl Group {
    pub(super) fn new(filter: TopicFilter, first: Subscriber) -> Self {
        Self {
            filter,
            members: vec![first],
            turn: AtomicUsize::new(0),
        }
    }

    pub(super) const fn filter(&self) -> &TopicFilter {
        &self.filter
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a member or replaces its options.
    pub(super) fn insert(&mut self, subscriber: Subscriber) {
        match self.position(&subscriber.queue) {
            Some(at) => self.members[at].options = subscriber.options,
            None => self.members.push(subscriber),
        }
    }

    pub(super) fn remove(&mut self, queue: &Arc<Queue>) {
        if let Some(at) = self.position(queue) {
            self.members.remove(at);
        }
    }

    fn position(&self, queue: &Arc<Queue>) -> Option<usize> {
        self.members
            .iter()
            .position(|member| Arc::ptr_eq(&member.queue, queue))
    }

    /// The member that gets this message, queued first at that moment, of those that are at least `fit`; never `except`.
    pub(super) fn choose(
        &self,
        (message, queued_at): (&Arc<Message>, Instant),
        size: usize,
        config: &Config,
        except: Option<&Queue>,
        fit: Standing,
    ) -> Option<Chosen> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.members.len().max(1);
        let (before, after) = self.members.split_at(first);
        let mut best: Option<(Standing, &Subscriber)> = None;
        for member in after.iter().chain(before) {
            if except.is_some_and(|queue| std::ptr::eq(queue, &*member.queue)) {
                continue;
            }
            let qos = message.qos.min(member.options.qos);
            let Some(standing) = member.queue.standing(qos, size, &config.queue) else {
                continue;
            };
            if standing <= fit && best.is_none_or(|(best, _)| standing < best) {
                best = Some((standing, member));
                if standing == Standing::Ready {
                    break;
                }
            }
        }
        let (_, member) = best?;
        Some((
            member.queue.clone(),
            self.delivery(message, queued_at, member),
        ))
    }

    fn delivery(
        &self,
        message: &Arc<Message>,
        queued_at: Instant,
        member: &Subscriber,
    ) -> Delivery {
        let options = member.options;
        Delivery {
            message: message.clone(),
            qos: message.qos.min(options.qos),
            retain: message.retain && options.retain_as_published,
            queued_at,
            subscription_identifiers: options.identifier.iter().map(|id| id.get()).collect(),
            share: Some(self.filter.clone()),
        }
    }
}
