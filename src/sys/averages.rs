//! Load averages over 1, 5 and 15 minutes, as mosquitto computes them. Time and counts are passed in.

use std::time::{Duration, Instant};

/// The names of what is averaged, below `load/`, in the order of [`Averages::update`]'s counts.
pub(super) const LOADS: [&str; 9] = [
    "connections",
    "bytes/received",
    "bytes/sent",
    "messages/received",
    "messages/sent",
    "publish/dropped",
    "publish/received",
    "publish/sent",
    "sockets",
];

/// The names of the periods and their seconds.
pub(super) const PERIODS: [(&str, f64); 3] = [("1min", 60.0), ("5min", 300.0), ("15min", 900.0)];

/// Exponentially weighted averages of what happens in a minute.
#[derive(Debug)]
pub(super) struct Averages {
    last: Instant,
    counts: [u64; LOADS.len()],
    loads: [[f64; PERIODS.len()]; LOADS.len()],
}

impl Averages {
    /// Nothing has happened yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last: now,
            counts: [0; LOADS.len()],
            loads: [[0.0; PERIODS.len()]; LOADS.len()],
        }
    }

    /// These are the counts since the start. What has happened since the last update weighs the more, the longer that
    /// is ago: `e^(-elapsed/period)` remains of the average.
    pub(super) fn update(&mut self, counts: [u64; LOADS.len()], now: Instant) {
        let elapsed = now.saturating_duration_since(self.last);
        if elapsed < Duration::from_millis(1) {
            return;
        }
        let seconds = elapsed.as_secs_f64();
        for (index, loads) in self.loads.iter_mut().enumerate() {
            let happened = counts[index].saturating_sub(self.counts[index]);
            let per_minute = happened as f64 * 60.0 / seconds;
            for (load, (_, period)) in loads.iter_mut().zip(PERIODS) {
                let remains = (-seconds / period).exp();
                *load = per_minute + remains * (*load - per_minute);
            }
        }
        self.last = now;
        self.counts = counts;
    }

    /// Per minute, by load and period.
    pub(super) fn loads(&self) -> &[[f64; PERIODS.len()]; LOADS.len()] {
        &self.loads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The averages of `sockets` after these steps of seconds and counts in them, to two decimals.
    fn check(steps: &[(u64, u64)], expected: [&str; 3]) {
        let mut now = tokio::time::Instant::now().into_std();
        let mut averages = Averages::new(now);
        let mut counts = [0; LOADS.len()];
        for (seconds, happened) in steps {
            now += Duration::from_secs(*seconds);
            counts[8] += happened;
            averages.update(counts, now);
        }
        let of_sockets = averages.loads()[8].map(|load| format!("{load:.2}"));
        assert_eq!(of_sockets, expected, "{steps:?}");
        assert_eq!(averages.loads()[0], [0.0; 3]);
    }

    #[test]
    fn averages_approach_the_rate() {
        // 10 in 10 s are 60 a minute: 60·(1-e^(-1/6)), 60·(1-e^(-1/30)), 60·(1-e^(-1/90)).
        check(&[(10, 10)], ["9.21", "1.97", "0.66"]);
        // The same twice: 60·(1-e^(-1/3)), 60·(1-e^(-1/15)), 60·(1-e^(-1/45)).
        check(&[(10, 10), (10, 10)], ["17.01", "3.87", "1.32"]);
        // Steps do not matter where the rate is the same.
        check(&[(20, 20)], ["17.01", "3.87", "1.32"]);
        check(&[(100_000, 100_000)], ["60.00", "60.00", "60.00"]);
    }

    #[test]
    fn averages_decay_in_silence() {
        // 9.2111 after the first step; a minute later e^(-1), e^(-1/5), e^(-1/15) of it.
        check(&[(10, 10), (60, 0)], ["3.39", "1.61", "0.62"]);
    }

    #[test]
    fn no_time_is_no_rate() {
        check(&[(0, 10)], ["0.00", "0.00", "0.00"]);
        // What happened meanwhile is not lost.
        check(&[(0, 10), (10, 0)], ["9.21", "1.97", "0.66"]);
    }
}
