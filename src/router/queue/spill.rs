//! The part of a queue that lies in storage only: what does not fit the memory of one session.
//!
//! It is a stretch of places. Everything told to storage from its first place on and not held in memory belongs to it;
//! it is read back page by page as the client takes what stands before it.

use smallvec::SmallVec;

use super::Queued;

/// Deliveries of one session that stand in memory before more go to storage only: as many as a queue holds by default.
pub(super) const WINDOW: usize = 1000;

/// Bytes of them: a few packets of the largest size allowed by default.
pub(super) const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// Deliveries read at once.
const PAGE: usize = 256;

/// With fewer in memory the next page is fetched.
const LOW: usize = 128;

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
}

/// The spilled part of one queue, and what is under way with it.
#[derive(Debug)]
pub(super) struct Spill {
    pub(super) stretch: Spilled,
    /// Places that storage has not been told of yet: reading stops before them.
    untold: SmallVec<[u64; 4]>,
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

impl Spill {
    pub(super) fn new(stretch: Spilled) -> Self {
        Self {
            stretch,
            untold: SmallVec::new(),
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

    /// Storage knows of a place.
    pub(super) fn told(&mut self, place: u64) {
        if let Some(at) = self.untold.iter().position(|it| *it == place) {
            self.untold.swap_remove(at);
        }
    }

    /// The page to be read next, where so few are in memory and none is being read.
    pub(super) fn next_page(&mut self, in_memory: usize) -> Option<Page> {
        let end = self.stretch.last.saturating_add(1);
        let until = self.untold.iter().copied().min().unwrap_or(end);
        if self.is_reading || in_memory >= LOW || self.stretch.first >= until {
            return None;
        }
        self.is_reading = true;
        Some(Page {
            from: self.stretch.first,
            until,
            most: PAGE,
        })
    }

    /// A page has come: what of it was spilled. `true` where nothing is left.
    pub(super) fn take(
        &mut self,
        page: Page,
        read: Vec<Queued>,
        is_in_memory: impl Fn(u64) -> bool,
    ) -> (Vec<Queued>, bool) {
        self.is_reading = false;
        let is_full = read.len() >= page.most;
        let next = match read.last() {
            Some(last) if is_full => last.place.saturating_add(1).min(page.until),
            Some(_) | None => page.until,
        };
        let is_meant = |queued: &Queued| {
            queued.place < page.until && queued.share.is_none() && !is_in_memory(queued.place)
        };
        let taken: Vec<_> = read.into_iter().filter(is_meant).collect();
        let bytes: usize = taken.iter().map(|it| it.message.footprint()).sum();
        self.stretch.first = next;
        // What could not be stored was counted, and is not there.
        self.stretch.messages = self.stretch.messages.saturating_sub(taken.len());
        self.stretch.bytes = self.stretch.bytes.saturating_sub(bytes);
        (taken, next > self.stretch.last)
    }

    /// The store could not be read: it is asked again later.
    pub(super) fn failed(&mut self) {
        self.is_reading = false;
    }
}
