//! How far a benchmark is: on a terminal in one line that changes, elsewhere once in a while.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use gatemq::bench::Progress;

/// Between two lines of a log.
const SELDOM: Duration = Duration::from_secs(10);

/// A line on standard error.
pub(super) struct Line {
    is_quiet: bool,
    is_terminal: bool,
    next: Duration,
    /// There is a line to be cleared.
    has_said: bool,
}

impl Line {
    pub(super) fn new(is_quiet: bool) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self {
            is_quiet,
            is_terminal,
            next: if is_terminal { Duration::ZERO } else { SELDOM },
            has_said: false,
        }
    }

    pub(super) fn tell(&mut self, progress: &Progress) {
        if self.is_quiet || progress.elapsed < self.next {
            return;
        }
        let Progress {
            stage,
            elapsed,
            clients,
            counts,
            sent,
            delivered,
        } = progress;
        let mut text = format!("{:.0} s, {stage}: ", elapsed.as_secs_f64());
        let connected = counts.connected.min(*clients as u64);
        text.push_str(&format!("{connected} of {clients} connected"));
        if counts.failed + counts.lost > 0 {
            text.push_str(&format!(", {} failed, {} lost", counts.failed, counts.lost));
        }
        if counts.sent + counts.delivered > 0 {
            text.push_str(&format!(", {sent} sent/s, {delivered} delivered/s"));
        }
        // It is only a word on the way: whoever does not take it misses nothing.
        let _ = if self.is_terminal {
            write!(io::stderr(), "\r{text}\x1b[K")
        } else {
            self.next = *elapsed + SELDOM;
            writeln!(io::stderr(), "{text}")
        };
        self.has_said = true;
    }

    pub(super) fn clear(&self) {
        if self.has_said && self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
