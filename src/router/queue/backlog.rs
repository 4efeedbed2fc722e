//! What waits for one session: the order it leaves in, and what gives way when there is no room.
//!
//! Three lanes, told apart by what may hold them up. QoS 1 and 2 wait while the client's Receive Maximum is used up;
//! QoS 0 does not wait for them, as the order that must be kept is that of one topic and one QoS [MQTT-4.6.0-6]. The
//! retained messages of a subscription stand where it was made: nothing behind them comes first, nor do they
//! themselves before a message that stands before them, so that a topic's last message arrives last.

use std::{collections::VecDeque, time::Instant};

use smallvec::SmallVec;

use super::lane::{Entry, Lane, signed};
use crate::{
    message::{QoS, TopicFilter},
    router::{Config, Delivery, QueueConfig, WhenFull, retained::Cursor},
    telemetry::{DropReason, Metrics},
};

/// Where places begin: what is given back goes before the first, and may be given back often.
const FIRST_PLACE: u64 = 1 << 32;

/// Places kept free for the messages of a cursor, which get theirs when the session is saved.
const CURSOR_PLACES: u64 = 1 << 24;

/// QoS 0 may use seven eighths of what all queues may hold: the rest is for what is acknowledged.
const QOS0_SHARE: (usize, usize) = (7, 8);

/// The lanes of one queue.
#[derive(Debug)]
pub(super) struct Backlog {
    best_effort: Lane,
    reliable: Lane,
    retained: VecDeque<Box<Cursor>>,
    /// Of each cursor, in their order.
    retained_places: VecDeque<u64>,
    first_place: u64,
    next_place: u64,
    pub(super) presence: Presence,
    pub(super) has_overflowed: bool,
    wanted: Wanted,
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
    /// It waits at this place; the consumer wants to know where `wake` is set.
    Queued { place: u64, wake: bool },
    /// It was dropped.
    Dropped,
    /// It was dropped, and the client is to be disconnected.
    Overflowed,
    /// The session is over.
    Gone(Delivery),
}

/// What there is for the consumer.
pub(super) enum Popped {
    Delivery(Delivery),
    Nothing,
    /// This cursor comes next and has to look for messages first; it is to be put back.
    Hungry(Box<Cursor>),
}

/// Places of QoS 1 and 2 deliveries that gave way.
pub(super) type Evicted = SmallVec<[u64; 4]>;

impl Backlog {
    pub(super) fn new() -> Self {
        Self {
            best_effort: Lane::default(),
            reliable: Lane::default(),
            retained: VecDeque::new(),
            retained_places: VecDeque::new(),
            first_place: FIRST_PLACE,
            next_place: FIRST_PLACE,
            presence: Presence::Parked,
            has_overflowed: false,
            wanted: Wanted::Nothing,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.best_effort.len() + self.reliable.len()
    }

    fn bytes(&self) -> usize {
        self.best_effort.bytes() + self.reliable.bytes()
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
        now: Option<Instant>,
        config: &Config,
        metrics: &Metrics,
        evicted: &mut Evicted,
    ) -> Pushed {
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
        if !self.make_room(qos, size, now, &config.queue, metrics, evicted) {
            metrics.dropped(DropReason::QueueFull);
            self.has_overflowed = config.queue.when_full == WhenFull::Disconnect
                && matches!(self.presence, Presence::Connected(_));
            return if self.has_overflowed {
                Pushed::Overflowed
            } else {
                Pushed::Dropped
            };
        }
        while !reserve(size, is_best_effort, config.max_queued_bytes, metrics) {
            if is_best_effort || self.best_effort.pop_front(metrics).is_none() {
                return dropped(DropReason::Quota);
            }
            metrics.dropped(DropReason::Quota);
        }
        let place = self.next_place;
        self.next_place += 1;
        let lane = if is_best_effort {
            &mut self.best_effort
        } else {
            &mut self.reliable
        };
        lane.push_reserved(Entry { place, delivery }, size, metrics);
        let wake = match self.wanted {
            Wanted::Nothing => false,
            Wanted::BestEffort => is_best_effort,
            Wanted::Anything => true,
        };
        if wake {
            self.wanted = Wanted::Nothing;
        }
        Pushed::Queued { place, wake }
    }

    /// Decides who gives way: what has expired, then QoS 0, then as configured.
    fn make_room(
        &mut self,
        qos: QoS,
        size: usize,
        now: Option<Instant>,
        limits: &QueueConfig,
        metrics: &Metrics,
        evicted: &mut Evicted,
    ) -> bool {
        if self.has_room(qos, size, limits) {
            return true;
        }
        if let Some(now) = now {
            self.drop_expired(now, metrics, evicted);
        }
        let fits_beside_reliable = self.reliable.len() < self.max_messages(qos, limits)
            && self.reliable.bytes() + size <= limits.max_bytes;
        let is_best_effort = qos == QoS::AtMostOnce;
        let drops_oldest = limits.when_full == WhenFull::DropOldest && size <= limits.max_bytes;
        let qos0_gives_way = if is_best_effort {
            drops_oldest && fits_beside_reliable
        } else {
            drops_oldest || fits_beside_reliable
        };
        while qos0_gives_way && !self.has_room(qos, size, limits) {
            let gone = if drops_oldest {
                self.best_effort.pop_front(metrics)
            } else {
                self.best_effort.pop_back(metrics)
            };
            if gone.is_none() {
                break;
            }
            metrics.dropped(DropReason::QueueFull);
        }
        while drops_oldest && !is_best_effort && !self.has_room(qos, size, limits) {
            let Some(oldest) = self.reliable.pop_front(metrics) else {
                break;
            };
            evicted.push(oldest.place);
            metrics.dropped(DropReason::QueueFull);
        }
        self.has_room(qos, size, limits)
    }

    fn drop_expired(&mut self, now: Instant, metrics: &Metrics, evicted: &mut Evicted) {
        for lane in [&mut self.best_effort, &mut self.reliable] {
            while lane
                .front()
                .is_some_and(|entry| entry.delivery.message.has_expired(now))
                && let Some(entry) = lane.pop_front(metrics)
            {
                metrics.dropped(DropReason::Expired);
                if entry.delivery.qos > QoS::AtMostOnce {
                    evicted.push(entry.place);
                }
            }
        }
    }

    /// What the consumer gets next; QoS 1 and 2 only with an open window.
    pub(super) fn pop(&mut self, window_open: bool, now: Instant, metrics: &Metrics) -> Popped {
        loop {
            let best_effort = self.best_effort.first_place();
            let reliable = self.reliable.first_place();
            let retained = self.retained_places.front().copied().unwrap_or(u64::MAX);
            let entry = if retained < best_effort.min(reliable) {
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
            match entry {
                Some(entry) if entry.delivery.message.has_expired(now) => {
                    metrics.dropped(DropReason::Expired);
                }
                Some(entry) => {
                    self.wanted = Wanted::Nothing;
                    return Popped::Delivery(entry.delivery);
                }
                None => return self.nothing(window_open),
            }
        }
    }

    /// `None` where the first cursor was over or its first message expired.
    fn pop_retained(
        &mut self,
        window_open: bool,
        now: Instant,
        metrics: &Metrics,
    ) -> Option<Popped> {
        let cursor = self.retained.front_mut()?;
        if cursor.is_hungry() {
            return self.retained.pop_front().map(Popped::Hungry);
        }
        let Some((message, qos)) = cursor.first() else {
            self.retained.pop_front();
            self.retained_places.pop_front();
            if self.retained.is_empty() {
                (self.retained, self.retained_places) = Default::default();
            }
            return None;
        };
        if message.has_expired(now) {
            metrics.dropped(DropReason::Expired);
            cursor.take();
            return None;
        }
        if qos > QoS::AtMostOnce && !window_open {
            return Some(self.nothing(window_open));
        }
        self.wanted = Wanted::Nothing;
        cursor.take().map(Popped::Delivery)
    }

    fn nothing(&mut self, window_open: bool) -> Popped {
        self.wanted = if window_open {
            Wanted::Anything
        } else {
            Wanted::BestEffort
        };
        Popped::Nothing
    }

    /// Puts a cursor back that was taken out hungry.
    pub(super) fn put_back(&mut self, cursor: Box<Cursor>) {
        // Meanwhile the session may have ended, which took the cursor's place away.
        if self.retained_places.len() > self.retained.len() {
            self.retained.push_front(cursor);
        }
    }

    /// Takes in what a subscription is owed of the retained messages, instead of what is left from the last time it
    /// was made. Whether the consumer wants to know.
    pub(super) fn add_cursor(&mut self, cursor: Cursor) -> bool {
        self.remove_cursor(cursor.filter());
        if self.presence == Presence::Gone || cursor.is_over() {
            return false;
        }
        self.retained.push_back(Box::new(cursor));
        self.retained_places.push_back(self.next_place);
        self.next_place += CURSOR_PLACES;
        std::mem::replace(&mut self.wanted, Wanted::Nothing) != Wanted::Nothing
    }

    pub(super) fn remove_cursor(&mut self, filter: &TopicFilter) {
        let mut cursors = self.retained.iter();
        if let Some(at) = cursors.position(|cursor| cursor.filter() == filter) {
            self.retained.remove(at);
            self.retained_places.remove(at);
        }
    }

    pub(super) fn push_front(&mut self, delivery: Delivery, metrics: &Metrics) {
        self.first_place -= 1;
        let place = self.first_place;
        let lane = self.lane(delivery.qos);
        lane.push_front(Entry { place, delivery }, metrics);
    }

    pub(super) fn restore(&mut self, deliveries: Vec<(u64, Delivery)>, metrics: &Metrics) {
        for (place, delivery) in deliveries {
            self.first_place = self.first_place.min(place);
            self.next_place = self.next_place.max(place.saturating_add(1));
            let lane = self.lane(delivery.qos);
            lane.push_back(Entry { place, delivery }, metrics);
        }
    }

    const fn lane(&mut self, qos: QoS) -> &mut Lane {
        match qos {
            QoS::AtMostOnce => &mut self.best_effort,
            QoS::AtLeastOnce | QoS::ExactlyOnce => &mut self.reliable,
        }
    }

    /// Takes out what came by a shared subscription.
    pub(super) fn take_shared(&mut self, metrics: &Metrics) -> Vec<(u64, Delivery)> {
        [&mut self.reliable, &mut self.best_effort]
            .into_iter()
            .flat_map(|lane| lane.take(true, metrics))
            .map(|entry| (entry.place, entry.delivery))
            .collect()
    }

    /// Puts back what was taken out and nobody else could take.
    pub(super) fn return_shared(&mut self, deliveries: Vec<(u64, Delivery)>, metrics: &Metrics) {
        let (best_effort, reliable) = deliveries
            .into_iter()
            .map(|(place, delivery)| Entry { place, delivery })
            .partition(|entry| entry.delivery.qos == QoS::AtMostOnce);
        self.best_effort.put_back(best_effort, metrics);
        self.reliable.put_back(reliable, metrics);
    }

    /// The client is gone: QoS 0 is given up unless it is kept, too.
    pub(super) fn park(&mut self, queue_qos0: bool, metrics: &Metrics) {
        self.presence = Presence::Parked;
        self.has_overflowed = false;
        self.wanted = Wanted::Nothing;
        if queue_qos0 {
            return;
        }
        for _ in self.best_effort.take(false, metrics) {
            metrics.dropped(DropReason::QoS0);
        }
        let mut cursors = std::mem::take(&mut self.retained).into_iter();
        let mut places = std::mem::take(&mut self.retained_places).into_iter();
        while let (Some(cursor), Some(place)) = (cursors.next(), places.next()) {
            if cursor.qos() > QoS::AtMostOnce {
                self.retained.push_back(cursor);
                self.retained_places.push_back(place);
            }
        }
    }

    /// The cursors, each with its place.
    pub(super) fn cursors(&mut self) -> impl Iterator<Item = (u64, &mut Box<Cursor>)> {
        self.retained_places.iter().copied().zip(&mut self.retained)
    }

    /// The QoS 1 and 2 deliveries by place: what a session record holds.
    pub(super) fn reliable(&self) -> Vec<(u64, Delivery)> {
        let pair = |entry: &Entry| (entry.place, entry.delivery.clone());
        self.reliable.iter().map(pair).collect()
    }

    /// Takes out everything: the session is over.
    pub(super) fn end(&mut self, metrics: &Metrics) -> Vec<Delivery> {
        self.presence = Presence::Gone;
        (self.retained, self.retained_places) = Default::default();
        let mut entries = self.reliable.take(false, metrics);
        entries.extend(self.best_effort.take(false, metrics));
        entries.into_iter().map(|entry| entry.delivery).collect()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.best_effort.capacity() + self.reliable.capacity() + self.retained.capacity()
    }
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
