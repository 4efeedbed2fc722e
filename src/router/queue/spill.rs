//! The part of a queue that lies in storage only: what does not fit the memory of one session.
//!
//! It is a stretch of places. Everything told to storage from its first place on and not held in memory belongs to it;
//! it is read back page by page as the client takes what stands before it.

use std::time::Instant;

use smallvec::SmallVec;

use super::{Queued, freshness::Freshness};
use crate::{message::QoS, router::Delivery, storage::QueuePart, telemetry::DropReason};

/// Deliveries of one session that stand in memory before more go to storage only: as many as a queue holds by default.
pub(super) const WINDOW: usize = 1000;

/// Bytes of them: a few packets of the largest size allowed by default.
pub(super) const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// Deliveries read at once.
const PAGE: usize = 256;

/// With fewer in memory the next page is fetched.
const LOW: usize = 128;

/// And with less.
const LOW_BYTES: usize = 512 * 1024;

/// Where a queue goes on in storage.
#[derive(Clone, Debug, PartialEq)]
pub struct Spilled {
    /// Nothing before this place is meant.
    pub first: u64,
    /// Nor behind this one.
    pub last: u64,
    /// How many deliveries that is.
    pub messages: usize,
    /// What they occupy, by footprint.
    pub bytes: usize,
    /// None of them has waited for longer than since then.
    pub queued_at: Instant,
}

/// The spilled part of one queue, and what is under way with it.
#[derive(Debug)]
pub(super) struct Spill {
    pub(super) stretch: Spilled,
    /// Places that storage has not been told of yet: reading stops before them.
    untold: SmallVec<[u64; 4]>,
    /// So many at the beginning have given way and do not count any more; storage hears of each once it has been read.
    skipped: usize,
    /// What they were taken to occupy: the average, until they are read.
    skipped_bytes: usize,
    is_reading: bool,
}

/// What is to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Page {
    pub(super) from: u64,
    /// The first place not to be taken.
    pub(super) until: u64,
    pub(super) most: usize,
}

/// What a page has of a stretch.
#[derive(Debug)]
pub(super) struct Found {
    /// What is to be delivered.
    pub(super) wanted: Vec<Queued>,
    /// Places that are free: what stood there gave way or has lapsed.
    pub(super) gone: Vec<u64>,
    /// Why the latter have.
    pub(super) lapsed: Vec<DropReason>,
}

impl Spill {
    pub(super) fn new(stretch: Spilled) -> Self {
        Self {
            stretch,
            untold: SmallVec::new(),
            skipped: 0,
            skipped_bytes: 0,
            is_reading: false,
        }
    }

    /// One more at the end; storage is about to be told.
    pub(super) fn push(&mut self, place: u64, bytes: usize) {
        self.stretch.last = place;
        self.stretch.messages += 1;
        self.stretch.bytes += bytes;
        self.untold.push(place);
    }

    /// The first that counts gives way.
    pub(super) fn skip(&mut self) {
        let Some(left) = self.stretch.messages.checked_sub(1) else {
            return;
        };
        let bytes = self.stretch.bytes / self.stretch.messages;
        self.stretch.messages = left;
        self.stretch.bytes -= bytes;
        self.skipped += 1;
        self.skipped_bytes += bytes;
    }

    /// Storage knows of a place.
    pub(super) fn told(&mut self, place: u64) {
        if let Some(at) = self.untold.iter().position(|it| *it == place) {
            self.untold.swap_remove(at);
        }
    }

    /// The page to be read next, where one is of use and none is being read. Who is away needs none, but that what has
    /// given way or has waited for too long frees its place.
    pub(super) fn next_page(
        &mut self,
        (messages, bytes): (usize, usize),
        is_parked: bool,
        fresh: Freshness,
    ) -> Option<Page> {
        let is_low = messages == 0 || messages < LOW && bytes < LOW_BYTES;
        let is_wanted = if is_parked {
            fresh.is_too_old(self.stretch.queued_at)
        } else {
            is_low
        };
        let until = self.until();
        if self.is_reading || self.stretch.first >= until || !is_wanted && self.skipped == 0 {
            return None;
        }
        self.is_reading = true;
        // Messages are read to be sent; of what has only to be found, no more than that.
        let most = if is_wanted { PAGE } else { self.skipped };
        Some(Page {
            from: self.stretch.first,
            until,
            most: most.min(PAGE),
        })
    }

    /// The first place that storage may not know of.
    fn until(&self) -> u64 {
        let end = self.stretch.last.saturating_add(1);
        self.untold.iter().copied().min().unwrap_or(end)
    }

    /// A page has come: what of it was spilled and is still of use. What is not stops to count.
    pub(super) fn find(
        &mut self,
        page: Page,
        read: QueuePart,
        fresh: Freshness,
        is_in_memory: impl Fn(u64) -> bool,
    ) -> Found {
        self.is_reading = false;
        let is_meant = |queued: &Queued| {
            queued.place < page.until && can_spill(queued) && !is_in_memory(queued.place)
        };
        let queued = |(place, delivery)| Queued { place, delivery };
        let read_to = read.next.map_or(page.until, |next| next.min(page.until));
        let read = read.deliveries.into_iter().map(queued);
        let mut wanted: Vec<_> = read.filter(is_meant).collect();
        let queued_at = wanted.last().map(|it| it.queued_at);
        let skipped: Vec<_> = wanted.drain(..self.skipped.min(wanted.len())).collect();
        self.found_skipped(&skipped);
        let mut gone: Vec<_> = skipped.iter().map(|it| it.place).collect();
        let mut lapsed = Vec::new();
        wanted.retain(|queued| {
            let Some(reason) = fresh.lapse(queued) else {
                return true;
            };
            gone.push(queued.place);
            lapsed.push(reason);
            self.stretch.messages = self.stretch.messages.saturating_sub(1);
            let bytes = queued.message.footprint();
            self.stretch.bytes = self.stretch.bytes.saturating_sub(bytes);
            false
        });
        self.stretch.first = read_to;
        self.stretch.queued_at = queued_at.unwrap_or(self.stretch.queued_at);
        Found {
            wanted,
            gone,
            lapsed,
        }
    }

    /// What was found goes into memory.
    pub(super) fn take(&mut self, found: &Found) {
        let bytes: usize = found.wanted.iter().map(|it| it.message.footprint()).sum();
        // What could not be stored was counted, and is not there.
        self.stretch.messages = self.stretch.messages.saturating_sub(found.wanted.len());
        self.stretch.bytes = self.stretch.bytes.saturating_sub(bytes);
    }

    /// What was found stays in storage: nobody takes it now.
    pub(super) fn stay(&mut self, found: &mut Found) {
        if let Some(first) = std::mem::take(&mut found.wanted).first() {
            self.stretch.first = first.place;
            self.stretch.queued_at = first.queued_at;
        }
    }

    /// Whether nothing is left.
    pub(super) const fn is_over(&self) -> bool {
        self.stretch.first > self.stretch.last
    }

    /// What has given way has been read: what it really occupied is known now.
    fn found_skipped(&mut self, found: &[Queued]) {
        if found.is_empty() {
            return;
        }
        let assumed = self.skipped_bytes / self.skipped * found.len();
        let bytes: usize = found.iter().map(|it| it.message.footprint()).sum();
        self.skipped -= found.len();
        self.skipped_bytes -= assumed;
        self.stretch.bytes = (self.stretch.bytes + assumed).saturating_sub(bytes);
    }

    /// The store could not be read: it is asked again later.
    pub(super) fn failed(&mut self) {
        self.is_reading = false;
    }
}

/// What stays in memory, whatever is around it: another member may have to take over what is shared, and QoS 0 does not
/// wait for what stands before it.
pub(super) fn can_spill(delivery: &Delivery) -> bool {
    delivery.share.is_none() && delivery.qos > QoS::AtMostOnce
}
