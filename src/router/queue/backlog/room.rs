//! Who gives way, and to whom.

use super::{super::freshness::Freshness, Backlog, Evicted, Wanted, evict, reserve};
use crate::{
    message::QoS,
    router::{QueueConfig, WhenFull},
    telemetry::{DropReason, Metrics},
};

impl Backlog {
    /// Takes a part of what all queues may hold; QoS 0 of this one gives way to what is above it.
    pub(in crate::router::queue) fn reserve(
        &mut self,
        size: usize,
        is_best_effort: bool,
        max_bytes: usize,
        metrics: &Metrics,
        evicted: &mut Evicted,
    ) -> bool {
        while !reserve(size, is_best_effort, max_bytes, metrics) {
            if is_best_effort {
                return false;
            }
            let Some(gone) = self.best_effort.pop_front(metrics) else {
                return false;
            };
            evict(&gone, evicted);
            metrics.dropped(DropReason::Quota);
        }
        true
    }

    /// Whether the consumer is to hear of something new; once.
    pub(in crate::router::queue) fn wants(&mut self, is_best_effort: bool) -> bool {
        let wake = match self.wanted {
            Wanted::Nothing => false,
            Wanted::BestEffort => is_best_effort,
            Wanted::Anything => true,
        };
        if wake {
            self.wanted = Wanted::Nothing;
        }
        wake
    }

    /// Decides who gives way: what is not worth sending any more, then QoS 0, then as configured.
    pub(in crate::router::queue) fn make_room(
        &mut self,
        qos: QoS,
        size: usize,
        fresh: Freshness,
        limits: &QueueConfig,
        metrics: &Metrics,
        evicted: &mut Evicted,
    ) -> bool {
        if self.has_room(qos, size, limits) {
            return true;
        }
        self.drop_lapsed(fresh, metrics, evicted);
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
            let Some(gone) = gone else {
                break;
            };
            evict(&gone, evicted);
            metrics.dropped(DropReason::QueueFull);
        }
        while drops_oldest && !is_best_effort && !self.has_room(qos, size, limits) {
            // Where all of that has given way already, it is only still to be found.
            if self.is_spill_older() && self.spilled().0 > 0 {
                self.skip_spilled(metrics);
            } else if let Some(oldest) = self.reliable.pop_front(metrics) {
                evict(&oldest, evicted);
            } else {
                break;
            }
            metrics.dropped(DropReason::QueueFull);
        }
        self.has_room(qos, size, limits)
    }

    /// Drops what is not worth sending any more and comes first: what waits longest is looked at on each way in.
    pub(in crate::router::queue) fn drop_lapsed(
        &mut self,
        fresh: Freshness,
        metrics: &Metrics,
        evicted: &mut Evicted,
    ) {
        for lane in [&mut self.best_effort, &mut self.reliable] {
            while let Some(reason) = lane.front().and_then(|it| fresh.lapse(&it.delivery))
                && let Some(entry) = lane.pop_front(metrics)
            {
                metrics.dropped(reason);
                evict(&entry, evicted);
            }
        }
    }

    /// Drops everything in memory that is not worth sending any more.
    pub(in crate::router::queue) fn sweep(
        &mut self,
        fresh: Freshness,
        metrics: &Metrics,
        evicted: &mut Evicted,
    ) {
        for lane in [&mut self.best_effort, &mut self.reliable] {
            for (entry, reason) in lane.take_lapsed(fresh, metrics) {
                metrics.dropped(reason);
                evict(&entry, evicted);
            }
        }
    }
}
