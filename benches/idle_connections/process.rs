//! What Linux tells about a process, and how many descriptors it lets one have.

use std::{fs, io, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Of the times in `/proc/PID/stat`, in a second: the same on every architecture that Rust supports.
const TICKS: u64 = 100;

/// What a process uses.
pub(crate) struct Usage {
    /// Pages of its own: heap and stacks.
    pub(crate) anonymous_bytes: u64,
    /// In user and kernel mode, of all threads.
    pub(crate) cpu: Duration,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Result<Self, String> {
        let rollup = read(&format!("/proc/{pid}/smaps_rollup"))?;
        let stat = read(&format!("/proc/{pid}/stat"))?;
        Ok(Self {
            anonymous_bytes: anonymous(&rollup).ok_or("smaps_rollup without Anonymous")? * 1024,
            cpu: cpu(&stat).ok_or("stat without times")?,
        })
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// In kB.
fn anonymous(rollup: &str) -> Option<u64> {
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The 14th and the 15th field. The second is the name of the program in parentheses, and may hold spaces.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS))
}

/// Raises the soft limit of this process, which its children inherit, to the hard one, and returns that.
pub(crate) fn raise_descriptors() -> io::Result<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    // `None` is without a limit.
    Ok(maximum.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    }))
}
