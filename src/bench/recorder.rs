//! What one thread has counted. Counters can be read while it runs; histograms are taken when it has ended.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use hdrhistogram::Histogram;

use super::plan::Limits;
use crate::client::{ClientError, Kind};

/// The longest latency that is told apart: a minute, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// Different reasons that are remembered: more do not help.
const MAX_REASONS: usize = 20;

/// Counters of one thread; only it writes them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connected: AtomicU64,
    pub(super) ready: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) resumed: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) unstamped: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) out_of_order: AtomicU64,
    pub(super) stalls: AtomicU64,
}

/// The same, at one moment, of all threads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Connections that were opened.
    pub connected: u64,
    /// Clients that have done all that comes before publishing.
    pub ready: u64,
    /// Connections that were not opened.
    pub failed: u64,
    /// Connections that ended unasked.
    pub lost: u64,
    /// Connections whose TLS went on where another had ended.
    pub resumed: u64,
    /// Messages that were published.
    pub sent: u64,
    /// Those that were acknowledged to the end.
    pub acknowledged: u64,
    /// Those that the broker has refused.
    pub refused: u64,
    /// Messages that came for the first time, those of others included.
    pub delivered: u64,
    /// Those of `delivered` that others have published.
    pub unstamped: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Those of `delivered` behind a later one of the same publisher.
    pub out_of_order: u64,
    /// Messages that a closed loop has given up waiting for, times it did.
    pub stalls: u64,
}

/// Adds to a counter that no other thread writes.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn read(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connected: load(&self.connected),
            ready: load(&self.ready),
            failed: load(&self.failed),
            lost: load(&self.lost),
            resumed: load(&self.resumed),
            sent: load(&self.sent),
            acknowledged: load(&self.acknowledged),
            refused: load(&self.refused),
            delivered: load(&self.delivered),
            unstamped: load(&self.unstamped),
            duplicates: load(&self.duplicates),
            out_of_order: load(&self.out_of_order),
            stalls: load(&self.stalls),
        }
    }
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.connected += other.connected;
        self.ready += other.ready;
        self.failed += other.failed;
        self.lost += other.lost;
        self.resumed += other.resumed;
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.delivered += other.delivered;
        self.unstamped += other.unstamped;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
        self.stalls += other.stalls;
    }
}

/// Latencies and failures of one thread.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) handshake: Histogram<u64>,
    pub(super) delivery: Histogram<u64>,
    pub(super) acknowledgement: Histogram<u64>,
    /// How many times each, and of which kind.
    pub(super) reasons: BTreeMap<String, (Kind, u64)>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, LONGEST, 3).expect("these bounds are within its limits")
        };
        Self {
            handshake: histogram(),
            delivery: histogram(),
            acknowledgement: histogram(),
            reasons: BTreeMap::new(),
        }
    }

    /// What took from one moment to another, where it belongs to what is measured.
    pub(super) fn record(histogram: &mut Histogram<u64>, since: u64, now: u64, limits: Limits) {
        if limits.contains(since) {
            histogram.saturating_record(now.saturating_sub(since));
        }
    }

    pub(super) fn failed(&mut self, error: &ClientError) {
        let reason = error.to_string();
        if let Some((_, count)) = self.reasons.get_mut(&reason) {
            *count += 1;
        } else if self.reasons.len() < MAX_REASONS {
            self.reasons.insert(reason, (error.kind(), 1));
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let same = "all have the same bounds";
        self.handshake.add(other.handshake).expect(same);
        self.delivery.add(other.delivery).expect(same);
        self.acknowledgement.add(other.acknowledgement).expect(same);
        for (reason, (kind, count)) in other.reasons {
            self.reasons.entry(reason).or_insert((kind, 0)).1 += count;
        }
    }
}
