//! The engine under the store: fjall, its keyspaces, and what its errors mean. The only file that knows it.
//!
//! `clear()` and the separation of large values are not used: both have lost data in the past. One batch never has a key
//! twice, since all of a batch bears one sequence number.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use smallvec::SmallVec;

use super::{files, journal};
use crate::storage::StorageError;

/// The journal is shared by all keyspaces, and one that is seldom written keeps it from being cut: 128 MiB, of which
/// half is the least the engine takes.
const MAX_JOURNAL: u64 = 128 * 1024 * 1024;

/// Blocks kept in memory: what is drained was mostly written not long ago.
const CACHE: u64 = 64 * 1024 * 1024;

/// What is written to one keyspace before it goes to a table.
const MEMTABLE: u64 = 16 * 1024 * 1024;

/// Between two looks at whether the engine has done something in its own time.
const POLL: Duration = Duration::from_millis(5);

/// The keyspaces.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(usize)]
pub(super) enum Table {
    /// Name → number: the format.
    Meta,
    /// Session → its record.
    Sessions,
    /// Session, filter → options.
    Subscriptions,
    /// Message number → message, once for all its receivers.
    Messages,
    /// Session, place → message number and options.
    Queues,
    /// Session, packet identifier → nothing.
    Received,
    /// Topic → retained message.
    Retained,
}

impl Table {
    pub(super) const ALL: [Self; 7] = [
        Self::Meta,
        Self::Sessions,
        Self::Subscriptions,
        Self::Messages,
        Self::Queues,
        Self::Received,
        Self::Retained,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Sessions => "sessions",
            Self::Subscriptions => "subscriptions",
            Self::Messages => "messages",
            Self::Queues => "queues",
            Self::Received => "received",
            Self::Retained => "retained",
        }
    }
}

/// How far a batch has to get.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// To the operating system: it survives the process.
    System,
    /// To the disk: it survives the machine.
    Disk,
}

/// A key: most have one or two numbers.
pub(super) type Key = SmallVec<[u8; 16]>;

/// One key with its new value, or without one.
pub(super) type Operation = (Table, Key, Option<Vec<u8>>);

/// An open database.
pub(super) struct Engine {
    path: PathBuf,
    database: Database,
    tables: Vec<Keyspace>,
    /// Everything that was written is on the disk.
    is_synced: AtomicBool,
    /// Places of the journal that were passed over.
    damaged: u64,
}

impl Engine {
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        let damaged = files::prepare(path).map_err(faulty)?;
        let failed = |error: fjall::Error| failed(path, error);
        let database = Database::builder(path)
            .cache_size(CACHE)
            .max_journaling_size(MAX_JOURNAL)
            .worker_threads(2)
            .open()
            .map_err(failed)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE);
        let tables: Vec<Keyspace> = Table::ALL
            .iter()
            .map(|table| database.keyspace(table.name(), options))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let numbers = tables.iter().zip(Table::ALL);
        let numbers: Vec<_> = numbers.map(|(it, table)| (it.id(), table.name())).collect();
        files::settle(path, &numbers).map_err(faulty)?;
        Ok(Self {
            path: path.to_owned(),
            database,
            tables,
            is_synced: AtomicBool::new(true),
            damaged,
        })
    }

    /// Ends it, and notes that it was ended in order.
    pub(super) fn close(self) -> Result<(), StorageError> {
        let Self {
            path,
            database,
            tables,
            ..
        } = self;
        drop(tables);
        drop(database);
        files::close(&path).map_err(|error| faulty((path, error)))
    }

    /// Places of the journal whose content is lost, found when it was opened.
    pub(super) const fn damaged(&self) -> u64 {
        self.damaged
    }

    fn table(&self, table: Table) -> &Keyspace {
        &self.tables[table as usize]
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        match self.table(table).get(key) {
            Ok(value) => Ok(value.map(|value| value.to_vec())),
            Err(error) => Err(failed(&self.path, error)),
        }
    }

    /// What has keys that begin so, in their order, until `each` has had enough.
    pub(super) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        for guard in self.table(table).prefix(prefix) {
            let (key, value) = guard
                .into_inner()
                .map_err(|error| failed(&self.path, error))?;
            if !is_mark(table, &key) && !each(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    /// The same from a key on, whatever the keys begin with.
    pub(super) fn scan_from(
        &self,
        table: Table,
        first: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        for guard in self.table(table).range(first..) {
            let (key, value) = guard
                .into_inner()
                .map_err(|error| failed(&self.path, error))?;
            if !each(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    /// The last key before one, or of all.
    pub(super) fn last_before(
        &self,
        table: Table,
        end: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let table = self.table(table);
        let mut rows = match end {
            Some(end) => table.range(..end),
            None => table.iter(),
        };
        let Some(guard) = rows.next_back() else {
            return Ok(None);
        };
        let key = guard.key().map_err(|error| failed(&self.path, error))?;
        Ok(Some(key.to_vec()))
    }

    /// How many rows a table has, where none was ever removed or written twice; otherwise fewer.
    pub(super) fn approximate_rows(&self, table: Table) -> u64 {
        self.table(table).approximate_len() as u64
    }

    /// Everything as it is at this moment.
    pub(super) fn view(&self) -> View<'_> {
        View {
            engine: self,
            snapshot: self.database.snapshot(),
        }
    }

    /// All of it or nothing.
    pub(super) fn write(&self, batch: Vec<Operation>, reach: Reach) -> Result<(), StorageError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mode = match reach {
            Reach::System => PersistMode::Buffer,
            Reach::Disk => PersistMode::SyncData,
        };
        let mut writes = self.database.batch().durability(Some(mode));
        if self.is_synced.swap(false, Ordering::Relaxed) {
            writes.insert(self.table(Table::Meta), journal::MARK, []);
        }
        for (table, key, value) in batch {
            let table = self.table(table);
            match value {
                Some(value) => writes.insert(table, &key[..], value),
                None => writes.remove(table, &key[..]),
            }
        }
        #[cfg(test)]
        super::faults::strike(&self.path, super::faults::Fault::Refused)?;
        writes.commit().map_err(|error| failed(&self.path, error))?;
        #[cfg(test)]
        super::faults::strike(&self.path, super::faults::Fault::Doubtful)?;
        self.is_synced
            .store(reach == Reach::Disk, Ordering::Relaxed);
        Ok(())
    }

    /// Brings what was written before to the disk.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.database
            .persist(PersistMode::SyncData)
            .map_err(|error| failed(&self.path, error))?;
        self.is_synced.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Brings what was written to tables, so that the journals before are not needed any more: whoever opens the store
    /// next has less to read. Waits so long at most, and leaves the rest to the journal.
    pub(super) fn flush(&self, patience: Duration) {
        let end = now() + patience;
        for table in &self.tables {
            // Whatever fails here is in the journal still, and is found by whoever writes.
            let _ = table.rotate_memtable();
        }
        while now() < end && self.tables.iter().any(|it| it.sealed_memtable_count() > 0) {
            std::thread::sleep(POLL);
        }
    }

    /// Merges all that a table has, and drops what was removed. It may take as long as it takes to write what is left.
    pub(super) fn merge(&self, table: Table) -> Result<(), StorageError> {
        self.table(table)
            .major_compact()
            .map_err(|error| failed(&self.path, error))
    }

    /// Lets go of the files of tables that were merged. The engine keeps how it was before for readers, and looks whether
    /// there still are any when more has been written and goes to a table; where nothing is written any more, it never
    /// would.
    pub(super) fn let_go(&self) -> Result<(), StorageError> {
        let row: Operation = (Table::Meta, b"merged"[..].into(), Some(Vec::new()));
        self.sync()?;
        self.write(vec![row], Reach::Disk)?;
        self.table(Table::Meta)
            .rotate_memtable()
            .map(|_| ())
            .map_err(|error| failed(&self.path, error))
    }

    /// Bytes that are free where the store lies; 0 where it cannot be told.
    pub(super) fn free_space(&self) -> u64 {
        rustix::fs::statvfs(&self.path)
            .map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Bytes on the disk, the journal included; 0 where it cannot be told.
    pub(super) fn disk_space(&self) -> u64 {
        self.database.disk_space().unwrap_or_default()
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What is there for the journal alone.
fn is_mark(table: Table, key: &[u8]) -> bool {
    table == Table::Meta && key == journal::MARK
}

fn faulty((path, source): (PathBuf, io::Error)) -> StorageError {
    StorageError {
        path,
        source: Arc::new(source),
    }
}

/// Everything as it was at one moment, whatever is written meanwhile.
pub(super) struct View<'a> {
    engine: &'a Engine,
    snapshot: fjall::Snapshot,
}

impl View<'_> {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        match self.snapshot.get(self.engine.table(table), key) {
            Ok(value) => Ok(value.map(|value| value.to_vec())),
            Err(error) => Err(failed(&self.engine.path, error)),
        }
    }

    /// What has keys that begin so, in their order.
    pub(super) fn scan<E: From<StorageError>>(
        &self,
        table: Table,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for guard in self.snapshot.prefix(self.engine.table(table), prefix) {
            let (key, value) = guard
                .into_inner()
                .map_err(|error| failed(&self.engine.path, error))?;
            if !is_mark(table, &key) {
                each(&key, &value)?;
            }
        }
        Ok(())
    }
}

fn failed(path: &Path, error: fjall::Error) -> StorageError {
    // Where a thread of the engine failed, the cause stays with that thread: the disk is asked.
    let is_elsewhere = matches!(error, fjall::Error::Poisoned);
    let cause = is_elsewhere.then(|| probe(path).err()).flatten();
    let source = cause.unwrap_or_else(|| to_io(error));
    StorageError {
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

/// Writes beside the store as much as tells a full disk from one that works.
fn probe(path: &Path) -> io::Result<()> {
    const BYTES: usize = 1024 * 1024;
    let probe = path.with_extension("probe");
    let written = File::create(&probe).and_then(|mut file| {
        file.write_all(&vec![1; BYTES])?;
        file.sync_data()
    });
    // Empty or not, it is in nobody's way.
    let _ = fs::remove_file(&probe);
    written
}

/// The error of the operating system where there is one beneath: people know what to do about those.
fn to_io(error: fjall::Error) -> io::Error {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the engine has errors that are not listed"
    )]
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error,
        fjall::Error::Locked => io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another process has it open: stop that one first",
        ),
        fjall::Error::Poisoned => io::Error::other("an earlier write has failed"),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
