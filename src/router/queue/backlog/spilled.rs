//! What of a queue is in storage only: counted here, told and read by [`Queue`](super::super::Queue).

use super::{
    super::{
        Queued,
        lane::{Entry, signed},
        spill::{Page, Spill, Spilled, WINDOW, WINDOW_BYTES},
    },
    Backlog, Pushed,
};
use crate::{router::Delivery, telemetry::Metrics};

impl Backlog {
    /// Messages and bytes that are in storage only.
    pub(in crate::router::queue) fn spilled(&self) -> (usize, usize) {
        let stretch = self.spill.as_ref().map(|spill| &spill.stretch);
        stretch.map_or((0, 0), |it| (it.messages, it.bytes))
    }

    /// Whether a delivery above QoS 0 of a kept session goes to storage only. What came by a shared subscription
    /// stays in memory: another member may have to take it over.
    pub(in crate::router::queue) fn spills(&self, delivery: &Delivery) -> bool {
        delivery.share.is_none()
            && (self.spill.is_some()
                || self.reliable.len() >= WINDOW
                || self.reliable.bytes() >= WINDOW_BYTES)
    }

    pub(in crate::router::queue) fn spill(&mut self, size: usize, metrics: &Metrics) -> Pushed {
        let place = self.next_place;
        self.next_place += 1;
        let begin = || {
            Box::new(Spill::new(Spilled {
                first: place,
                last: place,
                messages: 0,
                bytes: 0,
            }))
        };
        self.spill.get_or_insert_with(begin).push(place, size);
        metrics.queued_messages.add(1);
        Pushed::Spilled { place }
    }

    /// Storage has been told of a place that is there only.
    pub(in crate::router::queue) fn told(&mut self, place: u64) {
        if let Some(spill) = &mut self.spill {
            spill.told(place);
        }
    }

    /// What is to be read from storage now.
    pub(in crate::router::queue) fn next_page(&mut self) -> Option<Page> {
        let in_memory = self.reliable.len();
        self.spill.as_mut()?.next_page(in_memory)
    }

    /// A page has been read, or could not be.
    pub(in crate::router::queue) fn page_in(
        &mut self,
        page: Page,
        read: Option<Vec<Queued>>,
        metrics: &Metrics,
    ) {
        let (Some(spill), Some(read)) = (&mut self.spill, read) else {
            if let Some(spill) = &mut self.spill {
                spill.failed();
            }
            return;
        };
        let before = spill.stretch.messages;
        let reliable = &self.reliable;
        let (taken, is_over) = spill.take(page, read, |place| reliable.contains(place));
        let left = if is_over { 0 } else { spill.stretch.messages };
        if is_over {
            self.spill = None;
        }
        metrics.queued_messages.add(signed(left) - signed(before));
        let entries = taken.into_iter().map(Entry::from).collect();
        self.reliable.put_back(entries, metrics);
    }
}
