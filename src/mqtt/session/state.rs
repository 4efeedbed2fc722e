//! What outlives a connection: subscriptions and queue (held by the router), and what is in flight both ways.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::in_flight::InFlight;
use crate::{
    message::QoS,
    mqtt::packet::PacketId,
    router::{Queue, Queued},
    storage::{Presence, SessionRecord, StoredSession, StoredWill},
    telemetry::Metrics,
};

/// The session state of the standard (MQTT 5, 4.1).
#[derive(Debug)]
pub struct State {
    pub(super) queue: Arc<Queue>,
    pub(super) in_flight: InFlight,
    /// Identifiers of QoS 2 publishes taken over and not yet released by PUBREL, and what storage says to each.
    pub(super) received: BTreeMap<PacketId, Arc<Acceptance>>,
    pub(super) expiry_interval: u32,
    pub(super) sent: SentBefore,
}

/// What a process that has ended may have sent already of what waits in storage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SentBefore {
    /// Only what stands before this place.
    place: u64,
    /// And only so many deliveries of it.
    left: usize,
}

impl SentBefore {
    /// Whether it may have been sent: then it bears DUP [MQTT-3.3.1-1].
    pub(super) const fn covers(self, place: u64) -> bool {
        place < self.place && self.left > 0
    }

    /// Another one is sent again.
    pub(super) const fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Everything that may have been sent stands before this place.
    const fn end(self) -> u64 {
        if self.left > 0 { self.place } else { 0 }
    }
}

/// Whether storage keeps what a QoS 2 publish led to. It outlives the connection that waits for it.
#[derive(Debug, Default)]
pub struct Acceptance(AtomicU8);

impl Acceptance {
    /// Storage has answered, or need not be asked.
    pub fn settle(&self, is_kept: bool) {
        self.0.store(if is_kept { 1 } else { 2 }, Ordering::Release);
    }

    /// Storage need not be asked, and knows nothing of it.
    pub fn settle_unstored(&self) {
        self.0.store(3, Ordering::Release);
    }

    /// What storage has answered, `None` while it has not.
    #[must_use]
    pub fn is_kept(&self) -> Option<bool> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            2 => Some(false),
            _ => Some(true),
        }
    }

    /// Whether storage may know of it.
    pub(super) fn may_be_stored(&self) -> bool {
        self.0.load(Ordering::Acquire) != 3
    }

    fn settled() -> Arc<Self> {
        let acceptance = Self::default();
        acceptance.settle(true);
        Arc::new(acceptance)
    }
}

impl State {
    /// An empty session.
    #[must_use]
    pub fn new(queue: Arc<Queue>, metrics: Arc<Metrics>) -> Self {
        Self {
            in_flight: InFlight::new(queue.is_kept(), metrics),
            queue,
            received: BTreeMap::new(),
            expiry_interval: 0,
            sent: SentBefore::default(),
        }
    }

    /// What storage kept. The queue has its subscriptions back already, and gets its deliveries.
    #[must_use]
    pub fn restore(queue: Arc<Queue>, metrics: Arc<Metrics>, stored: StoredSession) -> Self {
        let mut state = Self::new(queue, metrics);
        state.expiry_interval = stored.record.expiry_interval;
        let received = stored.received.into_iter();
        state.received = received.map(|id| (id, Acceptance::settled())).collect();
        let places = stored.queue.iter().map(|(place, _)| *place);
        let last = places.chain(stored.released.iter().copied()).max();
        let mut next_place = last.map_or(0, |last| last.saturating_add(1));
        // QoS 0 is never in flight.
        let (mut queued, best_effort): (VecDeque<_>, VecDeque<_>) = stored
            .queue
            .into_iter()
            .map(|(place, delivery)| Queued { place, delivery })
            .partition(|queued| queued.qos > QoS::AtMostOnce);
        state.sent = match stored.record.presence {
            // How far it had come is not known: as far as the client allowed.
            Presence::Connected { receive_maximum } => SentBefore {
                place: u64::MAX,
                left: usize::from(receive_maximum),
            },
            Presence::Away { sent_before, .. } => {
                next_place = next_place.max(sent_before);
                SentBefore {
                    place: sent_before,
                    left: usize::MAX,
                }
            }
        };
        let sent = queued.partition_point(|it| it.place < state.sent.place);
        let sent = sent.min(state.sent.left);
        state.sent = match &stored.unread {
            // What comes from now on was never sent.
            Some(unread) => SentBefore {
                place: state.sent.place.min(unread.last.saturating_add(1)),
                left: state.sent.left,
            },
            None => SentBefore::default(),
        };
        let waiting = queued.split_off(sent);
        let mut left = state.in_flight.restore(&stored.released, queued);
        left.extend(waiting);
        left.extend(best_effort);
        state.queue.restore(left.into(), stored.unread, next_place);
        state
    }

    /// Whether deliveries wait in storage that may have been sent by a process that has ended.
    pub(super) fn owes_resending(&self) -> bool {
        self.sent.left > 0 && self.queue.waits_before(self.sent.place)
    }

    /// The session as the router sees it.
    #[must_use]
    pub const fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Takes out the QoS 1 deliveries of shared subscriptions that were not acknowledged, the last one first: when the
    /// session ends they are for another member. Those of QoS 2 are for nobody [MQTT-4.8.2-5].
    pub fn unacknowledged_shares(&mut self) -> Vec<Queued> {
        self.in_flight.take_shares()
    }

    /// How long it is kept without a connection; `None` ends with the connection.
    #[must_use]
    pub fn kept_for(&self) -> Option<Duration> {
        (self.expiry_interval > 0).then(|| Duration::from_secs(u64::from(self.expiry_interval)))
    }

    /// Whether storage has been given a record of it, and must hear of its end.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.queue.is_kept()
    }

    /// What storage is to know of a client that is connected.
    #[must_use]
    pub fn connected(&self, receive_maximum: u16, will: Option<StoredWill>) -> SessionRecord {
        self.record(Presence::Connected { receive_maximum }, will)
    }

    /// What storage is to know of a client that has gone.
    #[must_use]
    pub fn away(&self, sent_before: u64, will: Option<StoredWill>) -> SessionRecord {
        let since = SystemTime::now();
        let sent_before = sent_before.max(self.sent.end());
        self.record(Presence::Away { since, sent_before }, will)
    }

    fn record(&self, presence: Presence, will: Option<StoredWill>) -> SessionRecord {
        SessionRecord {
            id: self.queue.id(),
            client_id: self.queue.client_id().clone(),
            expiry_interval: self.expiry_interval,
            presence,
            will,
        }
    }
}
