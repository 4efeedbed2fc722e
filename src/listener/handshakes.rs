//! Connections on their way in: as many at once as may be; more wait to be accepted, and who says nothing gives way to
//! them. Knows neither sockets nor protocols. Start at [`Handshakes::place`].

use std::{
    collections::BTreeMap,
    future::ready,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Limits, turned_away::TurnedAway};

/// Silence after which a connection gives way to one that waits: a client that dials sends its first bytes with the
/// end of TCP's handshake, so it is a round trip, with one loss on the way. With 2,048 places it is also how fast a
/// flood of silent connections is worked off: 2,048 of them a second.
const GRACE: Duration = Duration::from_secs(1);
/// How long one that was asked to give way may take, before another is asked.
const NOTICE: Duration = Duration::from_millis(100);

/// The connections of all listeners that have not yet become a client or a request.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    count: AtomicUsize,
    /// A place has been given back.
    freed: Notify,
    silent: Mutex<Silent>,
}

/// Those from which the next bytes are awaited, the longest silent first.
#[derive(Debug, Default)]
struct Silent {
    next: u64,
    waiting: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// A place of one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Handshake {
    handshakes: Arc<Handshakes>,
    key: Mutex<u64>,
    has_spoken: AtomicBool,
    notice: Arc<Notify>,
}

impl Handshakes {
    /// A place, as soon as there is one. While a listener waits here it accepts nothing: the kernel's backlog holds
    /// what comes, so that a storm of clients takes longer and none of them is closed.
    pub(super) async fn place(self: &Arc<Self>, limits: &ArcSwap<Limits>) -> Handshake {
        loop {
            let freed = self.freed.notified();
            if let Some(handshake) = self.try_place(limits.load().max_handshakes) {
                return handshake;
            }
            // No matter which: a reload may have moved the limit, a place may be free, or it is time to ask again.
            let _ = timeout(self.ask_the_longest_silent(Instant::now()), freed).await;
        }
    }

    fn try_place(self: &Arc<Self>, max: usize) -> Option<Handshake> {
        let is_free = |count: usize| (count < max).then_some(count + 1);
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_free)
            .ok()?;
        let handshake = Handshake {
            handshakes: self.clone(),
            key: Mutex::default(),
            has_spoken: AtomicBool::new(false),
            notice: Arc::default(),
        };
        handshake.expect_bytes();
        Some(handshake)
    }

    /// Asks the longest silent to give way, where it has been silent long enough. Returns when to ask the next.
    fn ask_the_longest_silent(&self, now: Instant) -> Duration {
        let mut silent = self.silent.lock();
        let Some(first) = silent.waiting.first_entry() else {
            return GRACE;
        };
        let left = GRACE.saturating_sub(now.saturating_duration_since(first.get().0));
        if left.is_zero() {
            let (_, notice) = first.remove();
            notice.notify_one();
            return NOTICE;
        }
        left
    }
}

impl Handshake {
    /// The peer is to send something now; until it does, it may have to give way.
    pub(super) fn expect_bytes(&self) {
        let mut silent = self.handshakes.silent.lock();
        let mut key = self.key.lock();
        silent.waiting.remove(&key);
        silent.next += 1;
        *key = silent.next;
        let entry = (Instant::now(), self.notice.clone());
        silent.waiting.insert(*key, entry);
        self.has_spoken.store(false, Ordering::Relaxed);
    }

    /// The peer has sent something.
    pub(super) fn heard(&self) {
        if !self.has_spoken.swap(true, Ordering::Relaxed) {
            let mut silent = self.handshakes.silent.lock();
            silent.waiting.remove(&self.key.lock());
        }
    }

    /// Runs the way in to its end, or until it has to give way.
    pub(super) async fn unless_it_gives_way<T>(
        &self,
        arriving: impl Future<Output = Result<T, TurnedAway>>,
    ) -> Result<T, TurnedAway> {
        let mut arriving = pin!(arriving);
        loop {
            tokio::select! {
                biased;
                arrived = &mut arriving => return arrived,
                () = self.notice.notified() => {}
            }
            // On a busy core its bytes may be there and nobody has looked: a task that yields runs again only after the
            // runtime has asked the sockets.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                arrived = &mut arriving => return arrived,
                () = ready(()) => {}
            }
            if self.is_to_give_way() {
                return Err(TurnedAway::GaveWay);
            }
        }
    }

    /// Nothing was heard since the notice, which took it out of the list.
    fn is_to_give_way(&self) -> bool {
        let silent = self.handshakes.silent.lock();
        let is_listed = silent.waiting.contains_key(&self.key.lock());
        !self.has_spoken.load(Ordering::Relaxed) && !is_listed
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.handshakes
            .silent
            .lock()
            .waiting
            .remove(&self.key.lock());
        self.handshakes.count.fetch_sub(1, Ordering::Relaxed);
        self.handshakes.freed.notify_one();
    }
}
