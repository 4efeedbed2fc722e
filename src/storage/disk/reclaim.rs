//! Gives back to the disk what removed rows took. The engine removes a row by writing that it is gone, and merges both away
//! when more is written; where nothing more is, a queue of a million messages would lie there after its session has ended.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::engine::{Engine, Table};

/// Fewer removed rows are not worth it: some ten megabytes.
const LEAST: u64 = 100_000;

/// Between two beginnings: what is written in between is merged by the engine as it comes.
const APART: Duration = Duration::from_secs(60);

/// Between two looks at whether what is under way has ended.
const LOOK: Duration = Duration::from_secs(1);

/// What is written goes to tables within so long; what does not is left for the next time.
const FLUSH: Duration = Duration::from_secs(10);

/// The tables that grow with what waits.
const TABLES: [Table; 2] = [Table::Queues, Table::Messages];

/// Merges tables beside the thread that writes.
#[derive(Default)]
pub(super) struct Reclaim {
    /// Rows removed since it was begun last.
    removed: u64,
    begun: Option<Instant>,
    thread: Option<JoinHandle<()>>,
}

impl Reclaim {
    /// So many rows were removed already.
    pub(super) fn new(removed: u64) -> Self {
        Self {
            removed,
            ..Self::default()
        }
    }

    /// So many rows were removed.
    pub(super) const fn removed(&mut self, rows: u64) {
        self.removed += rows;
    }

    /// How long until there is something to do, unless more is removed; `None` where that is not foreseen.
    pub(super) fn patience(&self, engine: &Engine, now: Instant) -> Option<Duration> {
        if self.thread.is_some() {
            return Some(LOOK);
        }
        if !self.is_wanted(engine) {
            return None;
        }
        let since = self.begun.map(|begun| now.saturating_duration_since(begun));
        Some(since.map_or(Duration::ZERO, |since| APART.saturating_sub(since)))
    }

    /// Whether tables have been merged since it was asked last: then the engine is to let go of those of before.
    pub(super) fn has_ended(&mut self) -> bool {
        let has_ended = self.thread.as_ref().is_some_and(JoinHandle::is_finished);
        if has_ended {
            self.end();
        }
        has_ended
    }

    /// As many are gone as are there: then half of the disk comes back for a write of what is left. A row that is gone
    /// counts twice with the engine, as what it was and as what says that it is gone.
    fn is_wanted(&self, engine: &Engine) -> bool {
        let rows = || TABLES.iter().map(|table| engine.approximate_rows(*table));
        self.removed >= LEAST && self.removed.saturating_mul(3) >= rows().sum()
    }

    /// Begins, where it is time.
    pub(super) fn begin(&mut self, engine: &Arc<Engine>, now: Instant) {
        if self.patience(engine, now) != Some(Duration::ZERO) {
            return;
        }
        self.begun = Some(now);
        self.removed = 0;
        let engine = engine.clone();
        let begun = std::thread::Builder::new()
            .name("gatemq-reclaim".to_owned())
            .spawn(move || reclaim(&engine));
        // Without a thread the disk stays as full as it is, until it is tried again.
        self.thread = begun.ok();
    }

    /// Waits until nothing is under way.
    pub(super) fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            // One that has panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn reclaim(engine: &Engine) {
    let before = engine.disk_space();
    engine.flush(FLUSH);
    for table in TABLES {
        if let Err(error) = engine.merge(table) {
            // What is there stays readable, and a failing disk is found by whoever writes.
            tracing::debug!(code = "storage.reclaim", "{error}: {}", error.source);
            return;
        }
    }
    let after = engine.disk_space();
    tracing::debug!(
        code = "storage.reclaim",
        before,
        after,
        "what was removed is off the disk"
    );
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use tempfile::TempDir;

    use super::*;
    use crate::storage::disk::engine::{Operation, Reach};

    /// As they lie there: the engine does not count what it keeps for readers of before.
    fn bytes_of_tables(directory: &Path) -> u64 {
        let folders = fs::read_dir(directory.join("keyspaces")).unwrap();
        let tables = folders.map(|it| it.unwrap().path().join("tables"));
        tables
            .filter_map(|it| fs::read_dir(it).ok())
            .flatten()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    }

    /// What was removed takes no place any more, what is beside it stays; nothing is done where little was removed.
    #[test]
    fn removed_rows_leave_the_disk() {
        const ROWS: u64 = 4000;
        let directory = TempDir::new().unwrap();
        let engine = Arc::new(Engine::open(directory.path()).unwrap());
        let mut state = 1_u64;
        let mut noise = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 32) as u8
        };
        let key = |row: u64| row.to_be_bytes()[..].into();
        let row = |row| -> Operation {
            let value = (0..1000).map(|_| noise()).collect();
            (Table::Messages, key(row), Some(value))
        };
        engine
            .write((0..ROWS).map(row).collect(), Reach::System)
            .unwrap();
        engine.flush(FLUSH);
        let full = bytes_of_tables(directory.path());
        assert!(full > ROWS * 1000, "{full}");
        let gone = |row| -> Operation { (Table::Messages, key(row), None) };
        engine
            .write((1..ROWS).map(gone).collect(), Reach::System)
            .unwrap();
        let now = tokio::time::Instant::now().into_std();
        let mut reclaim = Reclaim::new(LEAST - 1);
        assert_eq!(reclaim.patience(&engine, now), None);
        reclaim.removed(1);
        assert_eq!(reclaim.patience(&engine, now), Some(Duration::ZERO));
        reclaim.begin(&engine, now);
        reclaim.end();
        engine.let_go().unwrap();
        let left = bytes_of_tables(directory.path());
        assert!(left < full / 10, "{full} became {left}");
        assert!(engine.get(Table::Messages, &key(0)).unwrap().is_some());
        // Not again within the minute, however much is removed.
        reclaim.removed(LEAST);
        assert_eq!(reclaim.patience(&engine, now), Some(APART));
    }
}
