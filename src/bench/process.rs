//! What a process has used, from `/proc`.

use std::{fs, io};

/// CPU time and memory of a process so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Seconds.
    pub(super) user: f64,
    /// Seconds.
    pub(super) system: f64,
    /// Bytes in memory, and those of them that are no file's.
    pub(super) resident: u64,
    pub(super) anonymous: u64,
}

impl Usage {
    /// That of the process with this identifier.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let folder = format!("/proc/{pid}");
        Self::read(&folder)
    }

    pub(super) fn own() -> io::Result<Self> {
        Self::read("/proc/self")
    }

    fn read(folder: &str) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        let status = fs::read_to_string(format!("{folder}/status"))?;
        // The name, in parentheses, may contain anything.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
        let mut fields = fields.unwrap_or_default().split_whitespace().skip(11);
        let mut seconds = || {
            let ticks: f64 = fields.next()?.parse().ok()?;
            Some(ticks / rustix::param::clock_ticks_per_second() as f64)
        };
        let (user, system) = (seconds(), seconds());
        let kilobytes = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let number: u64 = line.split_whitespace().next()?.parse().ok()?;
            Some(number * 1024)
        };
        Ok(Self {
            user: user.unwrap_or_default(),
            system: system.unwrap_or_default(),
            // A zombie has none.
            resident: kilobytes("VmRSS:").unwrap_or_default(),
            anonymous: kilobytes("RssAnon:").unwrap_or_default(),
        })
    }

    /// Seconds of CPU since then.
    pub(super) fn cpu_since(&self, before: &Self) -> (f64, f64) {
        (self.user - before.user, self.system - before.system)
    }
}
