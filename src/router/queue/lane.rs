//! Deliveries in order, counted in messages and bytes.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Queued,
    freshness::Freshness,
    gate::{Gate, GateState},
};
use crate::{
    message::QoS,
    router::Delivery,
    telemetry::{DropReason, Metrics},
};

/// A delivery at its place in the queue.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: u64,
    pub(super) delivery: Delivery,
    /// Holds it back, until its message is kept.
    pub(super) gate: Option<Arc<Gate>>,
    /// Storage knows the place, if the session is kept: it is to hear when the place is free.
    pub(super) is_told: bool,
}

impl Entry {
    pub(super) fn gate_state(&self) -> GateState {
        self.gate.as_ref().map_or(GateState::Open, |it| it.state())
    }
}

impl From<Queued> for Entry {
    /// Of QoS 0, storage has been told that it was taken, or was never told of it.
    fn from(Queued { place, delivery }: Queued) -> Self {
        Self {
            place,
            is_told: delivery.qos > QoS::AtMostOnce,
            delivery,
            gate: None,
        }
    }
}

/// A lane of one queue. What it holds stands in the gauges, too.
#[derive(Debug, Default)]
pub(super) struct Lane {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Lane {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The place of the first, beyond all places where there is none.
    pub(super) fn first_place(&self) -> u64 {
        self.entries.front().map_or(u64::MAX, |entry| entry.place)
    }

    /// Whether a delivery stands at this place.
    pub(super) fn contains(&self, place: u64) -> bool {
        let entries = &self.entries;
        entries.binary_search_by_key(&place, |it| it.place).is_ok()
    }

    pub(super) fn front(&self) -> Option<&Entry> {
        self.entries.front()
    }

    /// Its bytes are in the gauge already: that is where the limit of all queues was checked.
    pub(super) fn push_reserved(&mut self, entry: Entry, bytes: usize, metrics: &Metrics) {
        metrics.queued_messages.add(1);
        self.bytes += bytes;
        self.entries.push_back(entry);
    }

    pub(super) fn push_back(&mut self, entry: Entry, metrics: &Metrics) {
        let bytes = entry.delivery.message.footprint();
        metrics.queued_bytes.add(signed(bytes));
        self.push_reserved(entry, bytes, metrics);
    }

    pub(super) fn push_front(&mut self, entry: Entry, metrics: &Metrics) {
        self.push_back(entry, metrics);
        self.entries.rotate_right(1);
    }

    pub(super) fn pop_front(&mut self, metrics: &Metrics) -> Option<Entry> {
        let entry = self.entries.pop_front();
        self.took_out(entry, metrics)
    }

    pub(super) fn pop_back(&mut self, metrics: &Metrics) -> Option<Entry> {
        let entry = self.entries.pop_back();
        self.took_out(entry, metrics)
    }

    /// Takes out everything, or what another may be sent as well: not what is still held back, nor of QoS 0 what is stored
    /// under this session's name.
    pub(super) fn take(&mut self, only_shared: bool, metrics: &Metrics) -> Vec<Entry> {
        self.take_if(metrics, |entry| {
            let is_stored = entry.delivery.qos == QoS::AtMostOnce && entry.is_told;
            let is_free = entry.gate_state() == GateState::Open && !is_stored;
            !only_shared || entry.delivery.share.is_some() && is_free
        })
    }

    /// Takes out what is not worth sending any more, and why.
    pub(super) fn take_lapsed(
        &mut self,
        freshness: Freshness,
        metrics: &Metrics,
    ) -> Vec<(Entry, DropReason)> {
        let lapse = |entry: &Entry| freshness.lapse(&entry.delivery);
        if !self.entries.iter().any(|entry| lapse(entry).is_some()) {
            return Vec::new();
        }
        let lapsed = self.take_if(metrics, |entry| lapse(entry).is_some());
        let with_reason = |entry: Entry| lapse(&entry).map(|reason| (entry, reason));
        lapsed.into_iter().filter_map(with_reason).collect()
    }

    fn take_if(&mut self, metrics: &Metrics, is_meant: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let entries = std::mem::take(&mut self.entries);
        let (taken, left): (VecDeque<_>, _) = entries.into_iter().partition(is_meant);
        self.entries = left;
        self.entries.shrink_to_fit();
        for entry in &taken {
            self.uncount(entry, metrics);
        }
        taken.into()
    }

    /// Puts back what was taken out, each at its place.
    pub(super) fn put_back(&mut self, entries: Vec<Entry>, metrics: &Metrics) {
        if entries.is_empty() {
            return;
        }
        for entry in entries {
            self.push_back(entry, metrics);
        }
        self.entries
            .make_contiguous()
            .sort_unstable_by_key(|entry| entry.place);
    }

    /// What storage has not been told of; it is about to be.
    pub(super) fn tell(&mut self) -> Vec<Queued> {
        let untold = self.entries.iter_mut().filter(|entry| !entry.is_told);
        untold
            .map(|entry| {
                entry.is_told = true;
                Queued {
                    place: entry.place,
                    delivery: entry.delivery.clone(),
                }
            })
            .collect()
    }

    /// Holds back what stands at these places.
    pub(super) fn hold(&mut self, places: std::ops::RangeInclusive<u64>, gate: &Arc<Gate>) {
        let entries = self.entries.iter_mut();
        for entry in entries.filter(|entry| places.contains(&entry.place)) {
            if entry.delivery.qos == QoS::ExactlyOnce {
                entry.gate = Some(gate.clone());
            }
        }
    }

    fn took_out(&mut self, entry: Option<Entry>, metrics: &Metrics) -> Option<Entry> {
        let entry = entry?;
        self.uncount(&entry, metrics);
        // An idle client's queue is next to nothing, whatever once piled up in it.
        let (length, capacity) = (self.entries.len(), self.entries.capacity());
        if capacity > 8 && length < capacity / 8 {
            self.entries.shrink_to(length * 2);
        }
        Some(entry)
    }

    fn uncount(&mut self, entry: &Entry, metrics: &Metrics) {
        let bytes = entry.delivery.message.footprint();
        self.bytes -= bytes;
        metrics.queued_bytes.add(-signed(bytes));
        metrics.queued_messages.add(-1);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.capacity()
    }
}

pub(super) fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
