//! Storage on a disk. Owns the directory, its format, and the thread that writes; knows what the trait says and no more.
//!
//! Start at [`Disk::open`]. Changes are collected by [`Disk`], made into one batch by `stage`, committed by `writer`
//! with one fdatasync for all who wait, as rows that `record` reads and writes; `load` reads them at start. `backup` and
//! `export` are two forms of a copy, and `fill` makes a store from either. `engine` is the only file that knows which
//! database lies beneath.

mod backup;
#[cfg(test)]
mod copy_tests;
mod deferred;
mod engine;
mod export;
#[cfg(test)]
mod faults;
mod files;
mod fill;
mod format;
mod import;
mod journal;
mod load;
mod numbers;
mod page;
mod progress;
mod reader;
mod reclaim;
mod record;
mod references;
mod scan;
mod stage;
#[cfg(test)]
mod tests;
mod waiting;
mod writer;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use self::{
    engine::Engine, reader::Reader, reclaim::Reclaim, stage::Index, waiting::Waiting,
    writer::Writer,
};
use super::{
    Answer, Change, Copied, CopyError, FillError, Form, Imported, Receipt, SessionId, Snapshot,
    Storage, StorageError,
};
use crate::{message::TopicName, telemetry::Metrics};

pub use self::{progress::Loading, record::read_any};

/// Messages that may wait for the disk, by footprint, before more are refused. Receive Maximum bounds what each client
/// has under way; this bounds all of them together.
const MAX_PENDING: usize = 256 * 1024 * 1024;

/// Hears when the store begins to fail (`false`) and when it works again.
pub type Health = Box<dyn Fn(bool) + Send>;

/// Keeps everything in a directory.
pub struct Disk {
    path: PathBuf,
    shared: Arc<Shared>,
    max_pending: usize,
    snapshot: Mutex<Option<Snapshot>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What came to be kept together.
struct Transaction {
    changes: Vec<Change>,
    receipt: Option<Waiting>,
    /// What is to be read once that is done.
    page: Option<Page>,
    refused: Option<Refused>,
}

/// What of a transaction was refused because too much waits: only that it was is left to know.
#[derive(Default)]
struct Refused {
    /// Where its messages would have been.
    places: Vec<(SessionId, u64)>,
    /// What was to give way to them, or to be handed on as one of them: it stays where it is, if it is there.
    gave_way: Vec<(SessionId, u64)>,
}

/// A part of a queue that somebody wants.
struct Page {
    id: SessionId,
    from: u64,
    most: usize,
    answer: Answer,
}

/// Between those who commit and the thread that writes.
#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    has_come: Condvar,
    /// What the writer uses; nothing while the store fails.
    engine: Mutex<Option<Arc<Engine>>>,
}

#[derive(Default)]
struct Pending {
    transactions: Vec<Transaction>,
    /// What the messages among them occupy.
    bytes: usize,
    /// How many of them somebody waits for.
    awaited: usize,
    /// So many are enough for whoever waits for more of them.
    enough: usize,
    /// Retained messages that came when that was too much: the last of each topic, told after all else. Not more than
    /// there may be retained.
    retained: HashMap<TopicName, Change>,
    is_closed: bool,
}

impl Disk {
    /// Opens the store in a directory, or makes it; reads what it holds.
    ///
    /// # Errors
    /// Another process has it open, its format is newer than this program, or it cannot be read or written.
    pub fn open(path: &Path, metrics: Arc<Metrics>, health: Health) -> Result<Self, StorageError> {
        Self::open_and_tell(path, metrics, health, &|_| {})
    }

    /// The same, and tells how far it has come while that takes longer than a second.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_and_tell(
        path: &Path,
        metrics: Arc<Metrics>,
        health: Health,
        tell: &(dyn Fn(Loading) + Sync),
    ) -> Result<Self, StorageError> {
        let engine = Engine::open(path)?;
        format::check(&engine, path)?;
        let mut index = Index::new(metrics.clone());
        let damaged = i64::try_from(engine.damaged()).unwrap_or(i64::MAX);
        metrics.store_corrupt.add(damaged);
        let snapshot = load::load(&engine, &mut index, tell)?;
        let gone = index.gone;
        let engine = Arc::new(engine);
        let shared = Arc::new(Shared::default());
        *shared.engine.lock() = Some(engine.clone());
        let now = tokio::time::Instant::now().into_std();
        writer::measure(&engine, &metrics);
        let writer = Writer {
            path: path.to_owned(),
            shared: shared.clone(),
            metrics: metrics.clone(),
            health,
            index,
            engine: Some(engine),
            reader: Reader::start(path, metrics)?,
            is_dirty: false,
            awaited: 0,
            took: Duration::ZERO,
            last_sync: now,
            measured: now,
            failure: None,
            reclaim: Reclaim::new(gone),
        };
        let thread = std::thread::Builder::new()
            .name("gatemq-storage".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| StorageError {
                path: path.to_owned(),
                source: Arc::new(source),
            })?;
        Ok(Self {
            path: path.to_owned(),
            shared,
            max_pending: MAX_PENDING,
            snapshot: Mutex::new(Some(snapshot)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Writes what a store holds that no broker has open.
    ///
    /// # Errors
    /// The store cannot be read, or what is written to does not take it.
    pub fn copy_at_rest(
        store: &Path,
        form: Form,
        to: &mut dyn io::Write,
    ) -> Result<Copied, CopyError> {
        let engine = Engine::open(store)?;
        format::check(&engine, store)?;
        write_copy(&engine, form, to)
    }

    /// Makes a store from a backup, all or nothing. How many rows it has.
    ///
    /// # Errors
    /// There is a store that holds something, or the backup cannot be read to its end.
    pub fn restore(from: &mut dyn io::Read, store: &Path) -> Result<u64, FillError> {
        backup::restore(from, store)
    }

    /// Makes a store from an export, all or nothing.
    ///
    /// # Errors
    /// There is a store that holds something, or a line of the export is not what it should be.
    pub fn import(from: &mut dyn io::BufRead, store: &Path) -> Result<Imported, FillError> {
        import::import(from, store)
    }

    fn refused(&self, text: &'static str) -> StorageError {
        StorageError {
            path: self.path.clone(),
            source: Arc::new(io::Error::new(io::ErrorKind::ResourceBusy, text)),
        }
    }
}

impl Storage for Disk {
    fn load(&self) -> Result<Snapshot, StorageError> {
        let snapshot = self.snapshot.lock().take();
        snapshot.ok_or_else(|| self.refused("it was loaded already"))
    }

    fn commit(&self, changes: Vec<Change>, receipt: Option<Receipt>) {
        self.submit(Transaction::new(changes, receipt.map(Waiting::new)));
    }

    fn read(&self, id: SessionId, from: u64, most: usize, answer: Answer) {
        let page = Some(Page {
            id,
            from,
            most,
            answer,
        });
        self.submit(Transaction {
            page,
            ..Transaction::new(Vec::new(), None)
        });
    }

    fn copy(&self, form: Form, to: &mut dyn io::Write) -> Result<Copied, CopyError> {
        let engine = self.shared.engine.lock().clone();
        let engine = engine.ok_or_else(|| self.refused("it fails just now"))?;
        write_copy(&engine, form, to)
    }

    fn close(&self) {
        self.shared.pending.lock().is_closed = true;
        self.shared.has_come.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A thread that has panicked has said so already.
            let _ = thread.join();
        }
        // Its files are another's from now on.
        let engine = self.shared.engine.lock().take();
        if let Some(engine) = engine.and_then(Arc::into_inner)
            && let Err(error) = engine.close()
        {
            tracing::warn!(code = "storage.failed", "{}", error.with_cause());
        }
    }
}

impl Disk {
    fn submit(&self, mut transaction: Transaction) {
        let bytes: usize = transaction.changes.iter().map(footprint).sum();
        let mut pending = self.shared.pending.lock();
        if pending.is_closed {
            drop(pending);
            return self.refuse(transaction.receipt, "it is closed");
        }
        let is_too_much = bytes > 0 && pending.bytes + bytes > self.max_pending;
        let refused = if is_too_much {
            pending.reduce(&mut transaction)
        } else {
            pending.bytes += bytes;
            for change in &transaction.changes {
                pending.overtake(change);
            }
            None
        };
        let is_awaited = transaction.receipt.is_some();
        pending.awaited += usize::from(is_awaited);
        let is_first = pending.transactions.is_empty();
        let is_enough = is_awaited && pending.awaited == pending.enough;
        pending.transactions.push(transaction);
        drop(pending);
        if is_first || is_enough {
            self.shared.has_come.notify_one();
        }
        self.refuse(refused, "more messages wait for the disk than may");
    }

    fn refuse(&self, receipt: Option<Waiting>, text: &'static str) {
        if receipt.is_some() {
            waiting::tell(receipt, &Err(self.refused(text)));
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

impl Pending {
    /// Leaves of a transaction what occupies next to nothing: retained messages wait by topic, and messages that somebody
    /// waits for are refused, whose receipt is returned then. What nobody waits for is in a queue already.
    fn reduce(&mut self, transaction: &mut Transaction) -> Option<Waiting> {
        let is_message = |it: &Change| matches!(it, Change::MessageQueued(..));
        let is_awaited = transaction.receipt.is_some();
        let is_refused = is_awaited && transaction.changes.iter().any(is_message);
        let mut refused = Refused::default();
        let mut left = Vec::new();
        for change in transaction.changes.drain(..) {
            self.overtake(&change);
            match change {
                Change::RetainedSet(message) => {
                    let topic = message.topic.clone();
                    self.retained.insert(topic, Change::RetainedSet(message));
                }
                Change::MessageQueued(id, place, _) if is_refused => {
                    refused.places.push((id, place));
                }
                Change::MessageDropped(id, place) if is_refused => {
                    refused.gave_way.push((id, place));
                }
                Change::Received(..) if is_awaited => {}
                Change::MessageQueued(..)
                | Change::MessageDropped(..)
                | Change::Received(..)
                | Change::RetainedCleared(_)
                | Change::SessionSaved(_)
                | Change::SessionEnded(_)
                | Change::Subscribed(..)
                | Change::Unsubscribed(..)
                | Change::MessageReleased(..)
                | Change::ReceivedReleased(..) => left.push(change),
            }
        }
        transaction.changes = left;
        transaction.refused = Some(refused);
        transaction.receipt.take()
    }

    /// A change that is taken comes before what waits by topic.
    fn overtake(&mut self, change: &Change) {
        if let Change::RetainedSet(message) = change {
            self.retained.remove(&message.topic);
        } else if let Change::RetainedCleared(topic) = change {
            self.retained.remove(topic);
        }
    }

    fn take(&mut self) -> Vec<Transaction> {
        self.bytes = 0;
        self.awaited = 0;
        let mut taken = std::mem::take(&mut self.transactions);
        if !self.retained.is_empty() {
            let retained = std::mem::take(&mut self.retained);
            taken.push(Transaction::new(retained.into_values().collect(), None));
        }
        taken
    }
}

impl Transaction {
    const fn new(changes: Vec<Change>, receipt: Option<Waiting>) -> Self {
        Self {
            changes,
            receipt,
            page: None,
            refused: None,
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Shared {
    /// What has come, once something has or patience is at its end; and whether nothing more will. Once something has
    /// come, waits until so many are waited for, or until `at_most` has passed.
    fn wait(
        &self,
        patience: Option<Duration>,
        enough: usize,
        at_most: Duration,
    ) -> (Vec<Transaction>, bool) {
        let mut pending = self.pending.lock();
        if pending.transactions.is_empty() && !pending.is_closed {
            match patience {
                Some(patience) => {
                    self.has_come.wait_for(&mut pending, patience);
                }
                None => self.has_come.wait(&mut pending),
            }
        }
        if pending.awaited > 0 {
            pending.enough = enough;
            let end = now() + at_most;
            while pending.awaited < enough
                && !pending.is_closed
                && !self.has_come.wait_until(&mut pending, end).timed_out()
            {}
            pending.enough = 0;
        }
        let is_closed = pending.is_closed;
        (pending.take(), is_closed)
    }

    fn is_empty(&self) -> bool {
        self.pending.lock().transactions.is_empty()
    }
}

fn write_copy(engine: &Engine, form: Form, to: &mut dyn io::Write) -> Result<Copied, CopyError> {
    match form {
        Form::Backup => backup::write(engine, to),
        Form::Export => export::write(engine, to),
    }
}

fn footprint(change: &Change) -> usize {
    match change {
        Change::MessageQueued(_, _, delivery) => delivery.message.footprint(),
        Change::RetainedSet(message) => message.footprint(),
        Change::RetainedCleared(_)
        | Change::SessionSaved(_)
        | Change::SessionEnded(_)
        | Change::Subscribed(..)
        | Change::Unsubscribed(..)
        | Change::MessageReleased(..)
        | Change::MessageDropped(..)
        | Change::Received(..)
        | Change::ReceivedReleased(..) => 0,
    }
}
