//! How far the messages of one publisher have come, told by subscribers on any thread: what closes the loop.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    task::Waker,
};

use futures_util::task::AtomicWaker;

/// Nobody waits.
const NONE: u64 = u64::MAX;

/// The way back from the subscribers to one publisher.
#[derive(Debug)]
pub(super) struct Flow {
    delivered: AtomicU64,
    /// As many deliveries as the publisher waits for.
    wanted: AtomicU64,
    publisher: AtomicWaker,
}

impl Flow {
    pub(super) const fn new() -> Self {
        Self {
            delivered: AtomicU64::new(0),
            wanted: AtomicU64::new(NONE),
            publisher: AtomicWaker::new(),
        }
    }

    /// So many more have come.
    pub(super) fn delivered(&self, count: u64) {
        let total = self.delivered.fetch_add(count, SeqCst) + count;
        if total >= self.wanted.load(SeqCst) {
            self.publisher.wake();
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.delivered.load(SeqCst)
    }

    /// Whether there are so many deliveries; where not, the publisher is woken once there are.
    pub(super) fn has(&self, count: u64, publisher: &Waker) -> bool {
        if self.total() >= count {
            return true;
        }
        self.publisher.register(publisher);
        self.wanted.store(count, SeqCst);
        // A subscriber that did not see what is wanted yet has counted before this.
        let has = self.total() >= count;
        if has {
            self.wanted.store(NONE, SeqCst);
        }
        has
    }
}
