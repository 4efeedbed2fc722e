//! How far the reading of a store has come, told once a second from the second second on.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::engine::{Engine, Table};

/// Between two words on the progress, and before the first.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far the reading of a store has come.
#[derive(Clone, Copy, Debug)]
pub struct Loading {
    /// Rows read so far.
    pub rows: u64,
    /// Rows that there are, as the engine estimates: what was removed lately may be among them.
    pub about: u64,
    /// Since it began.
    pub elapsed: Duration,
}

impl fmt::Display for Loading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            about,
            elapsed,
        } = self;
        let seconds = elapsed.as_secs();
        let about = about.max(rows);
        write!(f, "{rows} of about {about} rows read in {seconds} s")
    }
}

/// Counts rows for all threads that read.
pub(super) struct Progress<'a> {
    rows: AtomicU64,
    about: u64,
    begin: Instant,
    told: Mutex<Instant>,
    tell: &'a (dyn Fn(Loading) + Sync),
}

impl<'a> Progress<'a> {
    pub(super) fn new(engine: &Engine, tell: &'a (dyn Fn(Loading) + Sync)) -> Self {
        // Messages are not read.
        let read = Table::ALL.iter().filter(|it| **it != Table::Messages);
        let begin = now();
        Self {
            rows: AtomicU64::new(0),
            about: read.map(|table| engine.approximate_rows(*table)).sum(),
            begin,
            told: Mutex::new(begin),
            tell,
        }
    }

    /// So many rows more.
    pub(super) fn add(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        // Whoever finds it locked has a neighbour who is telling.
        if let Some(mut told) = self.told.try_lock()
            && told.elapsed() >= INTERVAL
        {
            *told = now();
            let loading = self.so_far();
            let Loading { rows, about, .. } = loading;
            tracing::info!(code = "storage.loading", rows, about, "store: {loading}");
            (self.tell)(loading);
        }
    }

    /// Everything was read: said where it took long enough to have been waited for. How many rows are gone that the
    /// engine still has.
    pub(super) fn end(&self) -> u64 {
        let loading = self.so_far();
        if loading.elapsed >= INTERVAL {
            let (rows, seconds) = (loading.rows, loading.elapsed.as_secs_f32());
            tracing::info!(
                code = "storage.loaded",
                rows,
                "store: all of {rows} rows read in {seconds:.1} s"
            );
        }
        loading.about.saturating_sub(loading.rows)
    }

    fn so_far(&self) -> Loading {
        Loading {
            rows: self.rows.load(Ordering::Relaxed),
            about: self.about,
            elapsed: self.begin.elapsed(),
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Nothing is said in the first second, then one word a second.
    #[test]
    fn one_word_a_second() {
        let directory = TempDir::new().unwrap();
        let engine = Engine::open(directory.path()).unwrap();
        let words = Mutex::new(Vec::new());
        let tell = |loading: Loading| words.lock().push(loading.to_string());
        let mut progress = Progress::new(&engine, &tell);
        progress.add(10);
        assert!(words.lock().is_empty());
        let earlier = now().checked_sub(INTERVAL * 2).expect("not just booted");
        (progress.begin, progress.told, progress.about) = (earlier, Mutex::new(earlier), 50);
        progress.add(20);
        progress.add(1);
        assert_eq!(*words.lock(), ["30 of about 50 rows read in 2 s"]);
        assert_eq!(progress.end(), 19);
    }
}
