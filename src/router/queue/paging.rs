//! What a queue reads of what lies in storage, and when. Start at [`Queue::read`].

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;

use super::{Queue, backlog::Evicted, freshness::Freshness, spill::Page};
use crate::storage::{QueuePart, StorageError};

impl Queue {
    pub(super) fn freshness(&self, now: Instant) -> Freshness {
        let max_age = self.environment.config.load().queue.max_age;
        Freshness { now, max_age }
    }

    /// Drops what is not worth sending any more, so that it frees its place before anybody asks for it.
    pub fn sweep(&self, now: Instant) {
        let fresh = self.freshness(now);
        let mut evicted = Evicted::new();
        let page = {
            let mut backlog = self.backlog.lock();
            backlog.sweep(fresh, &self.environment.metrics, &mut evicted);
            backlog.next_page(fresh)
        };
        self.give_up(&evicted);
        if let Some(page) = page {
            self.read(page);
        }
    }

    /// Fetches what follows in storage, until enough of it is there.
    pub(super) fn read(&self, page: Page) {
        let Some(router) = self.router.upgrade() else {
            return;
        };
        let mut next = Some(page);
        while let Some(page) = next {
            let turn = Arc::new(Mutex::new(Turn::Asking));
            let (this, asked) = (self.this.clone(), turn.clone());
            let answer = move |read: Result<QueuePart, StorageError>| {
                let Some(queue) = this.upgrade() else {
                    return;
                };
                let next = queue.page_in(page, read);
                let mut turn = asked.lock();
                if *turn == Turn::Asking {
                    *turn = Turn::Answered(next);
                } else if let Some(next) = next {
                    drop(turn);
                    queue.read(next);
                }
            };
            let answer = Box::new(answer);
            router.storage.read(self.id, page.from, page.most, answer);
            next = match std::mem::replace(&mut *turn.lock(), Turn::Left) {
                Turn::Answered(next) => next,
                Turn::Asking | Turn::Left => None,
            };
        }
    }

    /// A page has come. The one to be read next, where little of it was of use.
    fn page_in(&self, page: Page, read: Result<QueuePart, StorageError>) -> Option<Page> {
        let is_read = read.is_ok();
        let fresh = self.freshness(tokio::time::Instant::now().into_std());
        let mut evicted = Evicted::new();
        let mut backlog = self.backlog.lock();
        backlog.page_in(
            page,
            read.ok(),
            fresh,
            &self.environment.metrics,
            &mut evicted,
        );
        // After a failure its owner asks again.
        let next = is_read.then(|| backlog.next_page(fresh)).flatten();
        drop(backlog);
        self.give_up(&evicted);
        self.wake();
        next
    }

    /// Storage has been told of what is there only.
    pub(in crate::router) fn told(&self, place: u64, now: Instant) {
        let mut backlog = self.backlog.lock();
        backlog.told(place);
        let page = backlog.next_page(self.freshness(now));
        drop(backlog);
        if let Some(page) = page {
            self.read(page);
        }
    }
}

/// Where the one who reads page after page stands: storage may answer before it returns, and a long queue would then be
/// a deep stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    /// It has not come back from storage.
    Asking,
    /// The answer came meanwhile.
    Answered(Option<Page>),
    /// It has gone: whoever answers goes on.
    Left,
}
