//! What the disk itself can do: appending 4 KiB and syncing them, again and again, as any log does.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::time::Instant;

/// The longest time that is told apart from longer ones, in microseconds.
const MAX_TIME: u64 = 60_000_000;
const BLOCK: [u8; 4096] = [0x5A; 4096];

/// Times of fdatasync.
pub(crate) struct Syncs(Histogram<u64>);

impl Syncs {
    /// Writes and syncs so often in this folder.
    pub(crate) fn measure(folder: &Path, count: usize) -> io::Result<Self> {
        let mut file = File::create(folder.join("syncs"))?;
        let mut times = Histogram::new_with_max(MAX_TIME, 3).map_err(io::Error::other)?;
        for _ in 0..count {
            let begin = Instant::now();
            file.write_all(&BLOCK)?;
            file.sync_data()?;
            times.saturating_record(micros(begin.elapsed()));
        }
        Ok(Self(times))
    }

    /// A percentile, in milliseconds.
    pub(crate) fn ms(&self, percentile: f64) -> f64 {
        self.0.value_at_quantile(percentile / 100.0) as f64 / 1000.0
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(MAX_TIME)
}
