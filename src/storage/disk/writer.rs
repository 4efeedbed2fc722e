//! The one thread that writes. It takes what has come, makes one batch of it, and tells everybody who waits.
//!
//! While the store fails, messages are refused at once and everything else waits in [`Deferred`]; the store is opened
//! again every second until it takes that.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Health, Page, Refused, Shared, Transaction,
    deferred::Deferred,
    engine::{Engine, Reach},
    format, load,
    reader::Reader,
    reclaim::Reclaim,
    stage::{Index, Stage},
    waiting::{self, Waiting},
};
use crate::{
    storage::{Change, StorageError},
    telemetry::Metrics,
};

/// A commit waits at most so long for those that the commit before has answered to come again, and never longer than a
/// commit takes: what comes in between shares one fdatasync. Who is alone waits for nobody.
const WINDOW: Duration = Duration::from_millis(1);

/// What nobody waits for is on the disk after so long.
const LINGER: Duration = Duration::from_millis(100);

/// Between two attempts to open a store that has failed. Tests fail often, and do not wait.
const RETRY: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 1000 });

/// Rows of ended sessions that one batch removes where nothing else is to do.
const SWEEP: usize = 1000;

/// Between two looks at how large the store is.
const MEASURE: Duration = Duration::from_secs(5);

/// How long a stop may take to bring what is in the journal to tables, which the next start does otherwise: of the two
/// seconds that are left of what Docker gives.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// Steps of QoS 2 that may wait for a store that fails.
const MAX_WAITING: usize = 100_000;

pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Health,
    pub(super) index: Index,
    /// `None` while the store fails.
    pub(super) engine: Option<Arc<Engine>>,
    pub(super) reader: Reader,
    /// Something was written and is not on the disk yet.
    pub(super) is_dirty: bool,
    /// How many waited for the last commit.
    pub(super) awaited: usize,
    /// How long it took.
    pub(super) took: Duration,
    pub(super) last_sync: Instant,
    pub(super) measured: Instant,
    pub(super) failure: Option<Failure>,
    pub(super) reclaim: Reclaim,
}

/// What waits until the store works again.
pub(super) struct Failure {
    error: StorageError,
    deferred: Deferred,
    waiting: Vec<Waiting>,
    pages: Vec<Page>,
    next_try: Instant,
}

impl Writer {
    /// Until the store is closed and everything is where it has to be.
    pub(super) fn run(mut self) {
        loop {
            let patience = self.patience();
            let at_most = self.took.min(WINDOW);
            let (group, is_closed) = self.shared.wait(patience, self.awaited, at_most);
            if self.failure.is_some() {
                self.refuse(group, false);
                self.try_again(is_closed);
            } else {
                self.commit(group);
            }
            if is_closed && self.shared.is_empty() {
                break;
            }
        }
        if let Some(failure) = self.failure.take() {
            failure.abandon();
        }
        if let Some(engine) = &self.engine
            && let Err(error) = engine.sync()
        {
            complain(&error);
        }
        self.reclaim.end();
        if let Some(engine) = &self.engine {
            engine.flush(LAST_FLUSH);
        }
    }

    /// How long nothing may happen.
    fn patience(&self) -> Option<Duration> {
        if self.failure.is_some() {
            return Some(RETRY);
        }
        if !self.index.sweeping.is_empty() {
            return Some(Duration::ZERO);
        }
        let reclaim = self.engine.as_ref();
        let reclaim = reclaim.and_then(|engine| self.reclaim.patience(engine, now()));
        self.is_dirty.then_some(LINGER).or(reclaim)
    }

    fn commit(&mut self, group: Vec<Transaction>) {
        let awaited = group.iter().filter(|it| it.receipt.is_some()).count();
        let begin = now();
        // Both are small: they hold what is on its way.
        let (given_up, lost) = (self.index.given_up.clone(), self.index.lost.clone());
        match self.write(&group, awaited > 0) {
            Ok(wrote) => {
                let took = now() - begin;
                if wrote {
                    self.metrics.store_commits.increment();
                    self.metrics.store_commit_latency.observe(took);
                }
                if awaited > 0 {
                    (self.awaited, self.took) = (awaited, took);
                }
                let mut told = Vec::with_capacity(awaited);
                for transaction in group {
                    told.extend(transaction.receipt);
                    if let (Some(page), Some(engine)) = (transaction.page, &self.engine) {
                        self.reader.read(engine.clone(), page);
                    }
                }
                waiting::tell(told, &Ok(()));
            }
            Err(error) => {
                // What the batch has made of places is as little true as the batch.
                (self.index.given_up, self.index.lost) = (given_up, lost);
                self.fail(error, group);
            }
        }
        self.reclaim();
        self.measure();
    }

    /// Has what was removed taken off the disk.
    fn reclaim(&mut self) {
        let Some(engine) = &self.engine else { return };
        if self.index.sweeping.is_empty() {
            self.reclaim.begin(engine, now());
        }
        if self.reclaim.has_ended()
            && let Err(error) = engine.let_go()
        {
            self.fail(error, Vec::new());
        }
    }

    /// Figures that cost something, once in a while.
    fn measure(&mut self) {
        if self.measured.elapsed() < MEASURE {
            return;
        }
        self.measured = now();
        let metrics = &self.metrics;
        if let Some(engine) = &self.engine {
            measure(engine, metrics);
        }
    }

    /// Whether there was anything to write.
    fn write(&mut self, group: &[Transaction], is_awaited: bool) -> Result<bool, StorageError> {
        let Some(engine) = &self.engine else {
            return Ok(false);
        };
        for Refused { places, gave_way } in group.iter().filter_map(|it| it.refused.as_ref()) {
            for (id, place) in places {
                self.index.refuse(*id, *place);
            }
            for place in gave_way {
                self.index.lost.remove(place);
            }
        }
        let mut stage = Stage::new(engine, &mut self.index);
        // Who waits for a commit does not wait for much of what others have left. First, since what ends in this batch has
        // rows in it.
        stage.sweep(if group.is_empty() { SWEEP } else { SWEEP / 10 })?;
        for change in group.iter().flat_map(|it| &it.changes) {
            stage.apply(change)?;
        }
        let lingers = self.last_sync.elapsed() >= LINGER;
        if stage.is_empty() {
            if self.is_dirty && (is_awaited || lingers) {
                engine.sync()?;
                self.metrics.store_syncs.increment();
                self.is_dirty = false;
                self.last_sync = now();
            }
            return Ok(false);
        }
        let reach = if is_awaited || lingers {
            Reach::Disk
        } else {
            Reach::System
        };
        let batch = stage.into_batch();
        let removed = batch.iter().filter(|(_, _, value)| value.is_none()).count();
        engine.write(batch, reach)?;
        self.reclaim.removed(removed as u64);
        self.is_dirty = reach == Reach::System;
        if !self.is_dirty {
            self.metrics.store_syncs.increment();
            self.last_sync = now();
        }
        Ok(true)
    }

    /// The store has failed: what it was given may be in it or not.
    fn fail(&mut self, error: StorageError, group: Vec<Transaction>) {
        complain(&error);
        self.metrics.store_failing.set(1);
        self.metrics.store_failures.increment();
        (self.health)(false);
        // After a failed write nothing that the engine says of itself can be relied on: it is read anew.
        self.engine = None;
        *self.shared.engine.lock() = None;
        self.failure = Some(Failure {
            error,
            deferred: Deferred::default(),
            waiting: Vec::new(),
            pages: Vec::new(),
            next_try: now() + RETRY,
        });
        self.refuse(group, true);
    }

    /// Refuses what cannot wait and keeps what can. `was_tried`: the store may have part of it.
    fn refuse(&mut self, group: Vec<Transaction>, was_tried: bool) {
        let Some(failure) = &mut self.failure else {
            return;
        };
        for Transaction {
            changes,
            receipt,
            page,
            refused,
        } in group
        {
            failure.pages.extend(page);
            if let Some(refused) = refused {
                failure.deferred.refused(refused, &mut self.index);
            }
            // Without changes it asks whether what was before is kept, and it is not.
            let mut is_refused = changes.is_empty();
            let has_message = changes
                .iter()
                .any(|it| matches!(it, Change::MessageQueued(..)));
            for change in changes {
                // All or none: what gives way to a message, or is handed on as one, stays where it is.
                if has_message
                    && let Change::MessageDropped(id, place) = &change
                    && !self.index.lost.contains(&(*id, *place))
                {
                    continue;
                }
                is_refused |= failure.deferred.take(change, was_tried, &mut self.index);
            }
            match receipt {
                Some(receipt) if is_refused || failure.waiting.len() >= MAX_WAITING => {
                    waiting::tell([receipt], &Err(failure.error.clone()));
                }
                receipt => failure.waiting.extend(receipt),
            }
        }
    }

    /// Opens the store anew and gives it what has waited.
    fn try_again(&mut self, is_last: bool) {
        let Some(failure) = &self.failure else {
            return;
        };
        if now() < failure.next_try && !is_last {
            return;
        }
        match self.reopen(failure) {
            Ok((engine, index)) => {
                self.index = index;
                let engine = Arc::new(engine);
                self.engine = Some(engine.clone());
                *self.shared.engine.lock() = Some(engine.clone());
                self.is_dirty = false;
                self.metrics.store_failing.set(0);
                (self.health)(true);
                tracing::info!(code = "storage.recovered", "storage works again");
                if let Some(failure) = self.failure.take() {
                    waiting::tell(failure.waiting, &Ok(()));
                    for page in failure.pages {
                        self.reader.read(engine.clone(), page);
                    }
                }
            }
            Err(error) => {
                tracing::debug!(code = "storage.failing", "{error} still: {}", error.source);
                if let Some(failure) = &mut self.failure {
                    failure.error = error;
                    failure.next_try = now() + RETRY;
                }
            }
        }
    }

    fn reopen(&self, failure: &Failure) -> Result<(Engine, Index), StorageError> {
        let engine = Engine::open(&self.path)?;
        // A store that takes nothing yet need not be read: all that waits may be millions of rows.
        format::mark(&engine)?;
        let mut index = Index::new(self.metrics.clone());
        load::load(&engine, &mut index, &|_| {})?;
        let mut stage = Stage::new(&engine, &mut index);
        for change in failure.deferred.changes() {
            stage.apply(&change)?;
        }
        let batch = stage.into_batch();
        engine.write(batch, Reach::Disk)?;
        index.inherit(&self.index, failure.deferred.doubtful());
        Ok((engine, index))
    }
}

impl Failure {
    /// The store is closed before it works again: everybody who waits is told.
    fn abandon(self) {
        waiting::tell(self.waiting, &Err(self.error.clone()));
        for page in self.pages {
            (page.answer)(Err(self.error.clone()));
        }
    }
}

/// How large the store is, and could become.
pub(super) fn measure(engine: &Engine, metrics: &Metrics) {
    metrics.store_disk_bytes.set(signed(engine.disk_space()));
    metrics
        .store_disk_free_bytes
        .set(signed(engine.free_space()));
}

fn complain(error: &StorageError) {
    tracing::error!(
        code = "storage.failed",
        "{error}: {}; messages that must be kept are not acknowledged until it works again",
        error.source
    );
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
