//! What a client asks for that storage has to answer first: publishing, subscribing, the steps of QoS 2.

use std::{sync::Arc, time::Instant};

use super::Client;
use crate::{
    auth::Denied,
    message::{Message, TopicFilter},
    mqtt::{
        mailbox::{Awaited, Commit, Line, Mailbox, Taken},
        packet::{PacketId, Subscription},
        session::{Confirmation, Outcome, SubscribeRefusal},
        transport::Transport,
    },
    storage::{Change, StorageError},
};

impl<T: Transport> Client<'_, T> {
    pub(super) fn subscribe(
        &mut self,
        packet_id: PacketId,
        lines: Vec<Result<Subscription, Denied>>,
        now: Instant,
    ) {
        let router = &self.broker.router;
        let subscribe = |line: Result<Subscription, _>| {
            let line = line.map_err(SubscribeRefusal::Denied)?;
            let filter = line.topic_filter.clone();
            let qos = line.options.qos;
            let before = router
                .subscribe(self.session.queue(), line.topic_filter, line.options, now)
                .map_err(SubscribeRefusal::TooMany)?;
            Ok(Taken {
                filter,
                qos,
                before,
            })
        };
        let lines: Vec<Line> = lines.into_iter().map(subscribe).collect();
        if self.session.is_kept() && lines.iter().any(Result::is_ok) {
            self.subscribing += 1;
            self.commit(Vec::new(), Awaited::Subscribe(packet_id, lines));
        } else {
            self.subscribed(packet_id, lines);
        }
    }

    pub(super) fn subscribed(&mut self, packet_id: PacketId, lines: Vec<Line>) {
        let qos = |line: Line| line.map(|taken| taken.qos);
        let lines: Vec<_> = lines.into_iter().map(qos).collect();
        self.session.subscribed(packet_id, &lines);
    }

    pub(super) fn unsubscribe(&mut self, packet_id: PacketId, filters: &[TopicFilter]) {
        let router = &self.broker.router;
        let queue = self.session.queue();
        let give_up = |filter| router.unsubscribe(queue, filter);
        let existed: Vec<_> = filters.iter().map(give_up).collect();
        if self.session.is_kept() {
            self.commit(Vec::new(), Awaited::Unsubscribe(packet_id, existed));
        } else {
            self.session.unsubscribed(packet_id, existed.into_iter());
        }
    }

    /// Stores something that something else waits for.
    pub(super) fn commit(&self, changes: Vec<Change>, awaited: Awaited) {
        let receipt = receipt(self.mailbox.clone(), awaited);
        self.broker.storage.commit(changes, Some(receipt));
    }

    /// Routes a message; its acknowledgement follows at once, or when storage has answered.
    pub(super) fn publish(
        &mut self,
        message: &Arc<Message>,
        packet_id: Option<PacketId>,
        now: Instant,
    ) {
        let Some(packet_id) = packet_id else {
            return self.broker.publish(message, now);
        };
        let mailbox = self.mailbox;
        let router = &self.broker.router;
        let acceptance = self.session.acceptance(packet_id).cloned();
        let receipt = || {
            let receipt = receipt(mailbox.clone(), Awaited::Publish(packet_id));
            let acceptance = acceptance.clone();
            Box::new(move |result: Result<(), StorageError>| {
                if let Some(acceptance) = acceptance {
                    acceptance.settle(result.is_ok());
                }
                receipt(result);
            }) as crate::storage::Receipt
        };
        let published = if acceptance.is_some() && self.session.is_kept() {
            let received = Change::Received(self.session.queue().id(), packet_id);
            router.publish_once(message, received, now, receipt)
        } else {
            router.publish(message, now, receipt)
        };
        if let Some(acceptance) = &acceptance
            && !published.receipt_pending
        {
            acceptance.settle_unstored();
        }
        if published.retained_refused {
            self.session.published(packet_id, Outcome::NotRetained, now);
        } else if !published.receipt_pending {
            let outcome = Outcome::accepted(published.matched);
            self.session.published(packet_id, outcome, now);
        }
    }

    pub(super) fn committed(&mut self, (awaited, result): Commit, now: Instant) {
        let is_kept = result.is_ok();
        match awaited {
            Awaited::Publish(packet_id) => {
                let outcome = if is_kept {
                    Outcome::Accepted
                } else {
                    Outcome::NotKept
                };
                self.session.published(packet_id, outcome, now);
            }
            Awaited::Step(step) => {
                // What only forgets is tried again until it succeeds; the answer waits with it.
                if is_kept || matches!(step, Confirmation::Repeated(_)) {
                    self.session.confirmed(&step, now);
                }
            }
            Awaited::Subscribe(packet_id, mut lines) => {
                self.subscribing -= 1;
                for line in &mut lines {
                    if let Ok(taken) = line
                        && !is_kept
                    {
                        let queue = self.session.queue();
                        self.broker
                            .router
                            .revoke(queue, &taken.filter, taken.before);
                        *line = Err(SubscribeRefusal::NotKept);
                    }
                }
                self.subscribed(packet_id, lines);
            }
            // Where it cannot be stored now, it will be.
            Awaited::Unsubscribe(packet_id, existed) => {
                self.session.unsubscribed(packet_id, existed.into_iter());
            }
        }
    }
}

/// Brings the answer of storage to the connection that waits for it.
fn receipt(mailbox: Arc<Mailbox>, awaited: Awaited) -> crate::storage::Receipt {
    Box::new(move |result| mailbox.committed(awaited, result))
}
