//! What outlives a connection: subscriptions and queue (held by the router), and what is in flight both ways.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::in_flight::InFlight;
use crate::{
    message::Message, mqtt::packet::PacketId, router::Queue, storage::SessionRecord,
    telemetry::Metrics,
};

/// The session state of the standard (MQTT 5, 4.1).
#[derive(Debug)]
pub struct State {
    pub(super) queue: Arc<Queue>,
    pub(super) in_flight: InFlight,
    /// Identifiers of QoS 2 publishes taken over and not yet released by PUBREL.
    pub(super) received: HashSet<PacketId>,
    pub(super) expiry_interval: u32,
    /// Storage knows of it.
    is_recorded: bool,
}

impl State {
    /// An empty session.
    #[must_use]
    pub fn new(queue: Arc<Queue>, metrics: Arc<Metrics>) -> Self {
        Self {
            queue,
            in_flight: InFlight::new(metrics),
            received: HashSet::new(),
            expiry_interval: 0,
            is_recorded: false,
        }
    }

    /// What storage kept. The queue has its subscriptions and deliveries back already.
    #[must_use]
    pub fn restore(queue: Arc<Queue>, metrics: Arc<Metrics>, record: &mut SessionRecord) -> Self {
        let mut state = Self::new(queue, metrics);
        state.expiry_interval = record.expiry_interval;
        state.is_recorded = true;
        state.received = record.received.drain(..).collect();
        state
            .in_flight
            .restore(std::mem::take(&mut record.in_flight));
        state
    }

    /// The session as the router sees it.
    #[must_use]
    pub const fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Takes out the QoS 1 deliveries of shared subscriptions that were not acknowledged, the last one first: when the
    /// session ends they are for another member. Those of QoS 2 are for nobody [MQTT-4.8.2-5].
    pub fn unacknowledged_shares(&mut self) -> Vec<crate::router::Delivery> {
        self.in_flight.take_shares()
    }

    /// How long it is kept without a connection; `None` ends with the connection.
    #[must_use]
    pub fn kept_for(&self) -> Option<Duration> {
        (self.expiry_interval > 0).then(|| Duration::from_secs(u64::from(self.expiry_interval)))
    }

    /// Whether storage has been given a record of it, and must hear of its end.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    /// What storage is to keep, the queue's deliveries given.
    #[must_use]
    pub fn to_record(
        &mut self,
        queue: Vec<(u64, crate::router::Delivery)>,
        disconnected_at: Option<SystemTime>,
        will: Option<(Arc<Message>, SystemTime)>,
    ) -> SessionRecord {
        self.is_recorded = true;
        SessionRecord {
            client_id: self.queue.client_id().clone(),
            expiry_interval: self.expiry_interval,
            disconnected_at,
            subscriptions: self.queue.subscriptions(),
            in_flight: self.in_flight.to_records(),
            received: self.received.iter().copied().collect(),
            queue,
            will,
        }
    }
}
