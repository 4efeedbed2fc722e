//! What all threads of a benchmark share, and the phases it goes through.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    flow::Flow,
    plan::{Limits, Plan, Scenario},
    recorder::{Counters, Counts},
};

/// What is larger than any packet but a PUBLISH.
const OTHER_PACKETS: usize = 1024 * 1024;

/// What everybody does now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Connects, subscribes, waits.
    Connect,
    /// Publishes.
    Publish,
    /// Nothing new: what is on its way arrives.
    Drain,
    /// Cut off, and back.
    Round(u32),
    /// Says good-bye.
    Leave,
}

/// What all threads share.
pub(super) struct Shared {
    /// Tells this run from others.
    pub(super) run: u32,
    pub(super) plan: Plan,
    /// One for each thread.
    pub(super) counters: Vec<Counters>,
    /// One for each publisher.
    pub(super) flows: Vec<Flow>,
    claimed: AtomicU64,
    start: AtomicU64,
    from: AtomicU64,
    until: AtomicU64,
}

impl Phase {
    /// Whether who has connected in the other phase stays no longer.
    pub(super) fn ends(self, other: Self) -> bool {
        self == Self::Leave || (matches!(self, Self::Round(_)) && self != other)
    }
}

impl Shared {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            run: rand::random(),
            counters: (0..plan.threads).map(|_| Counters::default()).collect(),
            flows: (0..plan.publishers()).map(|_| Flow::new()).collect(),
            claimed: AtomicU64::new(0),
            start: AtomicU64::new(0),
            from: AtomicU64::new(u64::MAX),
            until: AtomicU64::new(u64::MAX),
            plan,
        }
    }

    pub(super) const fn is_storm(&self) -> bool {
        matches!(self.plan.scenario, Scenario::Storm { .. })
    }

    /// The counters of all threads.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for counters in &self.counters {
            counts.add(counters.read());
        }
        counts
    }

    /// The largest packet that can come in order.
    pub(super) const fn packet_limit(&self) -> usize {
        self.plan.load.size + OTHER_PACKETS
    }

    /// The way back to a publisher.
    pub(super) fn flow(&self, publisher: u32) -> Option<&Flow> {
        self.flows.get(publisher as usize)
    }

    /// One more message may be published, of those there are to be.
    pub(super) fn claim(&self) -> bool {
        let Some(limit) = self.plan.load.limit else {
            return true;
        };
        self.claimed.load(Ordering::Relaxed) < limit
            && self.claimed.fetch_add(1, Ordering::Relaxed) < limit
    }

    /// When publishing has begun, and from when on it counts.
    pub(super) fn begin(&self, start: u64, from: u64) {
        self.start.store(start, Ordering::SeqCst);
        self.from.store(from, Ordering::SeqCst);
    }

    /// What is published from then on does not count.
    pub(super) fn end(&self, until: u64) {
        self.until.store(until, Ordering::SeqCst);
    }

    pub(super) fn start(&self) -> u64 {
        self.start.load(Ordering::Relaxed)
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            from: self.from.load(Ordering::Relaxed),
            until: self.until.load(Ordering::Relaxed),
        }
    }
}
