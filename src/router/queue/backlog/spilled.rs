//! What of a queue is in storage only: counted here, told and read by [`Queue`](super::super::Queue).

use std::time::Instant;

use super::{
    super::{
        freshness::Freshness,
        lane::{Entry, signed},
        spill::{Page, Spill, Spilled, WINDOW, WINDOW_BYTES},
    },
    AWAY_SHARE, Backlog, Evicted, Presence, Pushed, count_spilled,
};
use crate::{storage::QueuePart, telemetry::Metrics};

impl Backlog {
    /// Messages and bytes that are in storage only.
    pub(in crate::router::queue) fn spilled(&self) -> (usize, usize) {
        let stretch = self.spill.as_ref().map(|spill| &spill.stretch);
        stretch.map_or((0, 0), |it| (it.messages, it.bytes))
    }

    /// Whether a delivery above QoS 0 of a kept session goes to storage only. What came by a shared subscription
    /// stays in memory: another member may have to take it over.
    pub(in crate::router::queue) fn spills(
        &self,
        max_queued_bytes: usize,
        metrics: &Metrics,
    ) -> bool {
        let (share, of) = AWAY_SHARE;
        let is_crowded = || metrics.queued_bytes.get() >= signed(max_queued_bytes / of * share);
        self.spill.is_some()
            || self.reliable.len() >= WINDOW
            || self.reliable.bytes() >= WINDOW_BYTES
            || self.presence == Presence::Parked && is_crowded()
    }

    pub(in crate::router::queue) fn spill(
        &mut self,
        size: usize,
        queued_at: Instant,
        metrics: &Metrics,
    ) -> Pushed {
        let place = self.next_place;
        self.next_place += 1;
        let begin = || {
            Box::new(Spill::new(Spilled {
                first: place,
                last: place,
                messages: 0,
                bytes: 0,
                queued_at,
            }))
        };
        self.spill.get_or_insert_with(begin).push(place, size);
        count_spilled((0, 0), (1, size), metrics);
        Pushed::Spilled { place }
    }

    /// Whether what is in storage only comes before what is in memory.
    pub(in crate::router::queue) fn is_spill_older(&self) -> bool {
        let spilled = self.spill.as_ref().map(|spill| spill.stretch.first);
        spilled.is_some_and(|first| first < self.reliable.first_place())
    }

    /// The oldest of what is in storage only gives way. It stops to count at once; which place that is shows when it is
    /// read.
    pub(in crate::router::queue) fn skip_spilled(&mut self, metrics: &Metrics) {
        let before = self.spilled();
        if let Some(spill) = &mut self.spill {
            spill.skip();
        }
        count_spilled(before, self.spilled(), metrics);
    }

    /// Storage has been told of a place that is there only.
    pub(in crate::router::queue) fn told(&mut self, place: u64) {
        if let Some(spill) = &mut self.spill {
            spill.told(place);
        }
    }

    /// What is to be read from storage now.
    pub(in crate::router::queue) fn next_page(&mut self, fresh: Freshness) -> Option<Page> {
        let in_memory = (self.reliable.len(), self.reliable.bytes());
        let is_parked = self.presence == Presence::Parked;
        self.spill.as_mut()?.next_page(in_memory, is_parked, fresh)
    }

    /// A page has been read, or could not be. Places that are free join `evicted`.
    pub(in crate::router::queue) fn page_in(
        &mut self,
        page: Page,
        read: Option<QueuePart>,
        fresh: Freshness,
        metrics: &Metrics,
        evicted: &mut Evicted,
    ) {
        let before = self.spilled();
        let (Some(spill), Some(read)) = (&mut self.spill, read) else {
            if let Some(spill) = &mut self.spill {
                spill.failed();
            }
            return;
        };
        let reliable = &self.reliable;
        let mut found = spill.find(page, read, fresh, |place| reliable.contains(place));
        if self.presence == Presence::Parked {
            spill.stay(&mut found);
        } else {
            spill.take(&found);
        }
        if spill.is_over() {
            self.spill = None;
        }
        count_spilled(before, self.spilled(), metrics);
        for reason in found.lapsed {
            metrics.dropped(reason);
        }
        evicted.extend(found.gone);
        let entries = found.wanted.into_iter().map(Entry::from).collect();
        self.reliable.put_back(entries, metrics);
    }
}
