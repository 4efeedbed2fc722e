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

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::turned_away::TurnedAway;

/// While somebody waits and no place comes free for so long, those give way that have been silent for as long. A storm of
/// clients frees places all the time, and costs none of them its connection, however late its first bytes come; a flood of
/// silent ones frees none.
const GRACE: Duration = Duration::from_secs(2);

/// So much of all places gives way at once: 128 connections a second come in beside a flood that holds 2,048.
const SHARE: usize = 8;

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
    /// When a place last came free, or somebody was asked to give way.
    last_freed: Option<Instant>,
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
    /// `max` says how many there may be, as of now.
    pub(super) async fn place(self: &Arc<Self>, max: impl Fn() -> usize + Send) -> Handshake {
        loop {
            let freed = self.freed.notified();
            let max = max();
            if let Some(handshake) = self.try_place(max) {
                return handshake;
            }
            // No matter which: a reload may have moved the limit, a place may be free, or it is time to ask again.
            let patience = self.ask_the_silent(max / SHARE, Instant::now());
            let _ = timeout(patience, freed).await;
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

    /// Where no place has come free for long enough, asks the longest silent to give way, at most so many and one in any
    /// case. Returns when to look again.
    fn ask_the_silent(&self, most: usize, now: Instant) -> Duration {
        let mut silent = self.silent.lock();
        let last_freed = *silent.last_freed.get_or_insert(now);
        let left = GRACE.saturating_sub(now.saturating_duration_since(last_freed));
        if !left.is_zero() {
            return left;
        }
        silent.last_freed = Some(now);
        for _ in 0..most.max(1) {
            match silent.waiting.first_entry() {
                Some(first) if now.saturating_duration_since(first.get().0) >= GRACE => {
                    let (_, notice) = first.remove();
                    notice.notify_one();
                }
                Some(_) | None => break,
            }
        }
        GRACE
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
        let mut silent = self.handshakes.silent.lock();
        silent.waiting.remove(&self.key.lock());
        silent.last_freed = Some(Instant::now());
        drop(silent);
        self.handshakes.count.fetch_sub(1, Ordering::Relaxed);
        self.handshakes.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// A connection that says nothing, on its way in: whether it had to give way.
    async fn silence(handshake: Handshake) -> bool {
        let nothing = pending::<Result<(), TurnedAway>>();
        let arrived = handshake.unless_it_gives_way(nothing).await;
        matches!(arrived, Err(TurnedAway::GaveWay))
    }

    #[tokio::test(start_paused = true)]
    async fn the_silent_give_way_once_nothing_comes_free() {
        let handshakes = Arc::new(Handshakes::default());
        let mut silent = Vec::new();
        for _ in 0..16 {
            let handshake = handshakes.place(|| 16).await;
            silent.push(tokio::spawn(silence(handshake)));
        }
        let begin = Instant::now();
        let _first = handshakes.place(|| 16).await;
        assert!(
            (GRACE..2 * GRACE).contains(&begin.elapsed()),
            "{:?}",
            begin.elapsed()
        );
        let _second = handshakes.place(|| 16).await;
        assert!(begin.elapsed() < 2 * GRACE, "two gave way: an eighth");
        let gone = silent.iter().filter(|it| it.is_finished()).count();
        assert_eq!(gone, 2);
        assert!(
            silent.swap_remove(0).await.expect("no panic"),
            "the longest silent"
        );
    }

    /// Clients that come late, in a storm that goes on.
    #[tokio::test(start_paused = true)]
    async fn nobody_gives_way_while_places_come_free() {
        let handshakes = Arc::new(Handshakes::default());
        let late = tokio::spawn(silence(handshakes.place(|| 2).await));
        let mut quick = handshakes.place(|| 2).await;
        for _ in 0..10 {
            let next = handshakes.place(|| 2);
            let others = async {
                tokio::time::sleep(GRACE / 2).await;
                drop(quick);
            };
            (quick, ()) = tokio::join!(next, others);
        }
        assert!(!late.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_spoken_keeps_its_place() {
        let handshakes = Arc::new(Handshakes::default());
        let spoken = handshakes.place(|| 2).await;
        spoken.heard();
        let spoken = tokio::spawn(silence(spoken));
        let silent = tokio::spawn(silence(handshakes.place(|| 2).await));
        let _next = handshakes.place(|| 2).await;
        assert!(silent.await.expect("no panic"));
        assert!(!spoken.is_finished());
    }
}
