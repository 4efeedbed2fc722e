//! What waits for one session: the order it leaves in, and what gives way when there is no room.
//!
//! Three lanes, told apart by what may hold them up. QoS 1 and 2 wait while the client's Receive Maximum is used up;
//! QoS 0 does not wait for them, as the order that must be kept is that of one topic and one QoS [MQTT-4.6.0-6]. The
//! retained messages of a subscription stand where it was made: nothing behind them comes first, nor do they
//! themselves before a message that stands before them, so that a topic's last message arrives last.

mod retained;
mod room;
mod spilled;

use std::{collections::VecDeque, sync::Arc};

use smallvec::SmallVec;

use super::{
    Queued, Route,
    freshness::Freshness,
    gate::{Gate, GateState},
    lane::{Entry, Lane, signed},
    spill::{Spill, Spilled, can_spill},
};
use crate::{
    message::QoS,
    router::{Delivery, QueueConfig, WhenFull, retained::Cursor},
    telemetry::{DropReason, Metrics},
};

/// Where places begin: what is given back goes before the first, and may be given back often.
pub(super) const FIRST_PLACE: u64 = 1 << 32;

/// QoS 0 may use seven eighths of what all queues may hold: the rest is for what is acknowledged.
const QOS0_SHARE: (usize, usize) = (7, 8);

/// Once all queues together hold a quarter of what they may, what comes for who is away goes to storage only: however many
/// are away, there is room for who is there.
const AWAY_SHARE: (usize, usize) = (1, 4);

/// The lanes of one queue.
#[derive(Debug)]
pub(super) struct Backlog {
    best_effort: Lane,
    reliable: Lane,
    /// What follows in storage only.
    spill: Option<Box<Spill>>,
    retained: VecDeque<Owed>,
    next_place: u64,
    /// What was taken last above QoS 0.
    last_taken: u64,
    pub(super) presence: Presence,
    pub(super) has_overflowed: bool,
    wanted: Wanted,
}

/// The retained messages of one subscription.
#[derive(Debug)]
struct Owed {
    /// Of the next of them.
    place: u64,
    /// `None` while it is out to look for messages.
    cursor: Option<Box<Cursor>>,
}

/// Where the client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence {
    /// Connected, with this Receive Maximum.
    Connected(u16),
    /// Its connection has ended; what becomes of the session is being decided.
    Leaving,
    /// Not connected.
    Parked,
    /// The session is over.
    Gone,
}

/// What is done for a session that is to outlive its connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Keeping {
    Nothing,
    /// Storage hears of it, and holds it in memory as well.
    InMemory,
    /// Storage takes what memory has no room for.
    BeyondMemory,
}

/// What would interest the consumer, which has found nothing it can take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wanted {
    /// Nothing: it has not come to the end yet, so it will ask again.
    Nothing,
    /// What its closed window lets through.
    BestEffort,
    Anything,
}

/// What has become of a delivery.
pub(super) enum Pushed {
    /// It waits at this place, which storage is to hear of where it `is_told`; the consumer wants to know where `wake` is
    /// set.
    Queued {
        place: u64,
        is_told: bool,
        wake: bool,
    },
    /// It waits at this place in storage only, once that has been told.
    Spilled { place: u64 },
    /// It was dropped.
    Dropped,
    /// It was dropped, and the client is to be disconnected.
    Overflowed,
    /// The session is over.
    Gone(Delivery),
}

/// What there is for the consumer.
pub(super) enum Popped {
    Delivery(Queued),
    Nothing,
    /// These retained deliveries come next, and are to be told to storage first: they stand in the queue now.
    Taken(Vec<Queued>),
    /// This cursor comes next and has to look for messages first; it is to be put back.
    Hungry(Box<Cursor>),
}

/// Places that are free, of which storage knows.
pub(super) type Evicted = SmallVec<[u64; 4]>;

impl Backlog {
    pub(super) fn new() -> Self {
        Self {
            best_effort: Lane::default(),
            reliable: Lane::default(),
            spill: None,
            retained: VecDeque::new(),
            next_place: FIRST_PLACE,
            last_taken: 0,
            presence: Presence::Parked,
            has_overflowed: false,
            wanted: Wanted::Nothing,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.best_effort.len() + self.reliable.len() + self.spilled().0
    }

    fn bytes(&self) -> usize {
        self.best_effort.bytes() + self.reliable.bytes() + self.spilled().1
    }

    /// Whether a delivery of this QoS and size needs nobody to give way.
    pub(super) fn has_room(&self, qos: QoS, size: usize, limits: &QueueConfig) -> bool {
        self.len() < self.max_messages(qos, limits) && self.bytes() + size <= limits.max_bytes
    }

    /// What the client's Receive Maximum lets be in flight may wait to become so.
    fn max_messages(&self, qos: QoS, limits: &QueueConfig) -> usize {
        match self.presence {
            Presence::Connected(receive_maximum) if qos > QoS::AtMostOnce => {
                limits.max_messages.saturating_add(receive_maximum.into())
            }
            Presence::Connected(_) | Presence::Leaving | Presence::Parked | Presence::Gone => {
                limits.max_messages
            }
        }
    }

    /// Takes a delivery in at the end, if there is room or something gives way.
    pub(super) fn push(
        &mut self,
        delivery: Delivery,
        size: usize,
        keeping: Keeping,
        route: &Route<'_>,
        metrics: &Metrics,
        evicted: &mut Evicted,
    ) -> Pushed {
        let Route { config, now, .. } = route;
        let qos = delivery.qos;
        let is_best_effort = qos == QoS::AtMostOnce;
        let dropped = |reason| {
            metrics.dropped(reason);
            Pushed::Dropped
        };
        match self.presence {
            Presence::Gone => return Pushed::Gone(delivery),
            Presence::Parked if is_best_effort && !config.queue.queue_qos0 => {
                return dropped(DropReason::QoS0);
            }
            Presence::Connected(_) if self.has_overflowed => return dropped(DropReason::QueueFull),
            Presence::Connected(_) | Presence::Leaving | Presence::Parked => {}
        }
        let fresh = Freshness {
            now: *now,
            max_age: config.queue.max_age,
        };
        if !self.make_room(qos, size, fresh, &config.queue, metrics, evicted) {
            metrics.dropped(DropReason::QueueFull);
            self.has_overflowed = config.queue.when_full == WhenFull::Disconnect
                && matches!(self.presence, Presence::Connected(_));
            return if self.has_overflowed {
                Pushed::Overflowed
            } else {
                Pushed::Dropped
            };
        }
        let may_spill = keeping == Keeping::BeyondMemory && can_spill(&delivery);
        let limit = config.max_queued_bytes;
        let is_held = !(may_spill && self.spills(limit, metrics))
            && self.reserve(size, is_best_effort, limit, metrics, evicted);
        if !is_held {
            return if may_spill {
                self.spill(size, delivery.queued_at, metrics)
            } else {
                dropped(DropReason::Quota)
            };
        }
        let place = self.next_place;
        self.next_place += 1;
        let lane = if is_best_effort {
            &mut self.best_effort
        } else {
            &mut self.reliable
        };
        let gate = (qos == QoS::ExactlyOnce).then(|| route.gate().clone());
        // Of QoS 0, only what waits for a client that is away is kept.
        let is_kept = keeping != Keeping::Nothing;
        let is_told = !is_best_effort || is_kept && self.presence == Presence::Parked;
        let entry = Entry {
            place,
            delivery,
            gate,
            is_told,
        };
        lane.push_reserved(entry, size, metrics);
        let wake = self.wants(is_best_effort);
        Pushed::Queued {
            place,
            is_told,
            wake,
        }
    }

    /// What the consumer gets next; QoS 1 and 2 only with an open window. Places of what had expired join `evicted`;
    /// of a session that `is_kept`, retained messages are taken into the queue before they are sent.
    pub(super) fn pop(
        &mut self,
        window_open: bool,
        is_kept: bool,
        fresh: Freshness,
        metrics: &Metrics,
        evicted: &mut Evicted,
    ) -> Popped {
        let now = fresh.now;
        let mut window_open = window_open;
        loop {
            if self.is_spill_older() {
                // What comes next has to be read first.
                window_open = false;
            }
            while let Some(entry) = self.reliable.front() {
                match entry.gate_state() {
                    GateState::Open => break,
                    // It waits for its commit as for the window.
                    GateState::Closed => {
                        window_open = false;
                        break;
                    }
                    // Storage waits to hear that the place is free.
                    GateState::Failed => {
                        let gone = self.reliable.pop_front(metrics);
                        evicted.extend(gone.map(|entry| entry.place));
                    }
                }
            }
            let best_effort = self.best_effort.first_place();
            let reliable = self.reliable.first_place();
            let retained = self.retained.front().map_or(u64::MAX, |owed| owed.place);
            let entry = if retained < best_effort.min(reliable) {
                if is_kept && window_open {
                    let taken = self.take_retained(0, usize::MAX, now, metrics);
                    if !taken.is_empty() {
                        return Popped::Taken(taken);
                    }
                }
                match self.pop_retained(window_open, now, metrics) {
                    Some(popped) => return popped,
                    None => continue,
                }
            } else if best_effort < retained && (best_effort < reliable || !window_open) {
                self.best_effort.pop_front(metrics)
            } else if reliable < retained && window_open {
                self.reliable.pop_front(metrics)
            } else {
                None
            };
            let Some(entry) = entry else {
                return self.nothing(window_open);
            };
            if let Some(reason) = fresh.lapse(&entry.delivery) {
                metrics.dropped(reason);
                evict(&entry, evicted);
                continue;
            }
            self.wanted = Wanted::Nothing;
            if entry.delivery.qos > QoS::AtMostOnce {
                self.last_taken = entry.place;
            } else {
                // It is sent once, and nobody says that it has come.
                evict(&entry, evicted);
            }
            let Entry {
                place, delivery, ..
            } = entry;
            return Popped::Delivery(Queued { place, delivery });
        }
    }

    /// Holds back what was taken in until the gate opens.
    pub(super) fn hold(&mut self, taken: &[Queued], gate: &Arc<Gate>) {
        if let (Some(first), Some(last)) = (taken.first(), taken.last()) {
            self.reliable.hold(first.place..=last.place, gate);
        }
    }

    fn nothing(&mut self, window_open: bool) -> Popped {
        self.wanted = if window_open {
            Wanted::Anything
        } else {
            Wanted::BestEffort
        };
        Popped::Nothing
    }

    pub(super) fn push_front(&mut self, queued: Queued, metrics: &Metrics) {
        let lane = self.lane(queued.delivery.qos);
        lane.push_front(queued.into(), metrics);
    }

    pub(super) fn restore(
        &mut self,
        queue: Vec<Queued>,
        spilled: Option<Spilled>,
        next_place: u64,
        metrics: &Metrics,
    ) {
        self.next_place = self.next_place.max(next_place);
        if let Some(spilled) = spilled {
            self.next_place = self.next_place.max(spilled.last.saturating_add(1));
            count_spilled((0, 0), (spilled.messages, spilled.bytes), metrics);
            self.spill = Some(Box::new(Spill::new(spilled)));
        }
        for queued in queue {
            self.next_place = self.next_place.max(queued.place.saturating_add(1));
            let lane = self.lane(queued.delivery.qos);
            let is_told = true;
            lane.push_back(
                Entry {
                    is_told,
                    ..queued.into()
                },
                metrics,
            );
        }
    }

    pub(super) fn waits_before(&self, place: u64) -> bool {
        let spilled = self.spill.as_ref().map(|it| it.stretch.first);
        let first = spilled.unwrap_or(u64::MAX).min(self.reliable.first_place());
        first < place
    }

    /// Everything above QoS 0 before this place has been taken, if it was taken at all.
    pub(super) const fn taken_before(&self) -> u64 {
        self.last_taken.saturating_add(1)
    }

    const fn lane(&mut self, qos: QoS) -> &mut Lane {
        match qos {
            QoS::AtMostOnce => &mut self.best_effort,
            QoS::AtLeastOnce | QoS::ExactlyOnce => &mut self.reliable,
        }
    }

    /// Takes out what came by a shared subscription.
    pub(super) fn take_shared(&mut self, metrics: &Metrics) -> Vec<Queued> {
        [&mut self.reliable, &mut self.best_effort]
            .into_iter()
            .flat_map(|lane| lane.take(true, metrics))
            .map(
                |Entry {
                     place, delivery, ..
                 }| Queued { place, delivery },
            )
            .collect()
    }

    /// Puts back what was taken out and nobody else could take.
    pub(super) fn return_shared(&mut self, unsent: Vec<Queued>, metrics: &Metrics) {
        let (best_effort, reliable) = unsent
            .into_iter()
            .map(Entry::from)
            .partition(|entry| entry.delivery.qos == QoS::AtMostOnce);
        self.best_effort.put_back(best_effort, metrics);
        self.reliable.put_back(reliable, metrics);
    }

    /// The client is gone: QoS 0 is given up unless it is kept, too. What storage is to hear of.
    pub(super) fn park(
        &mut self,
        queue_qos0: bool,
        metrics: &Metrics,
        evicted: &mut Evicted,
    ) -> Vec<Queued> {
        self.presence = Presence::Parked;
        self.has_overflowed = false;
        self.wanted = Wanted::Nothing;
        if queue_qos0 {
            return self.best_effort.tell();
        }
        for entry in self.best_effort.take(false, metrics) {
            metrics.dropped(DropReason::QoS0);
            evict(&entry, evicted);
        }
        let cursors = std::mem::take(&mut self.retained).into_iter();
        self.retained = cursors.filter(Owed::is_reliable).collect();
        Vec::new()
    }

    /// Takes out everything: the session is over.
    pub(super) fn end(&mut self, metrics: &Metrics) -> Vec<Delivery> {
        self.presence = Presence::Gone;
        self.retained = VecDeque::new();
        // Storage forgets it with the session.
        count_spilled(self.spilled(), (0, 0), metrics);
        self.spill = None;
        let mut entries = self.reliable.take(false, metrics);
        entries.extend(self.best_effort.take(false, metrics));
        entries.into_iter().map(|entry| entry.delivery).collect()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.best_effort.capacity() + self.reliable.capacity() + self.retained.capacity()
    }
}

/// A place is free: storage hears of it where it knows it.
fn evict(entry: &Entry, evicted: &mut Evicted) {
    evicted.extend(entry.is_told.then_some(entry.place));
}

/// What is in storage only has changed from so many messages and bytes to so many.
fn count_spilled(before: (usize, usize), after: (usize, usize), metrics: &Metrics) {
    let messages = signed(after.0) - signed(before.0);
    metrics.queued_messages.add(messages);
    metrics.spilled_messages.add(messages);
    metrics
        .spilled_bytes
        .add(signed(after.1) - signed(before.1));
}

/// Takes a part of what all queues may hold; the gauge is what is counted with.
fn reserve(size: usize, is_best_effort: bool, max_bytes: usize, metrics: &Metrics) -> bool {
    let limit = if is_best_effort {
        max_bytes / QOS0_SHARE.1 * QOS0_SHARE.0
    } else {
        max_bytes
    };
    if metrics.queued_bytes.add(signed(size)) <= signed(limit) {
        return true;
    }
    metrics.queued_bytes.add(-signed(size));
    false
}
