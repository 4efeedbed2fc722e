//! Where it was measured, as Linux says it, and which core does what.

use std::{fs, io, path::Path, process::Command};

/// Which cores are whose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cores {
    /// The broker's; `None` where there is one only, for all.
    pub(crate) broker: Option<usize>,
}

impl Cores {
    /// Puts this process on the last core, and leaves the first to brokers.
    ///
    /// # Errors
    /// There is no taskset, or it fails.
    pub(crate) fn take() -> io::Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        if cores < 2 {
            return Ok(Self { broker: None });
        }
        let status = Command::new("taskset")
            .args(["-acp", &(cores - 1).to_string()])
            .arg(std::process::id().to_string())
            .stdout(std::process::Stdio::null())
            .status()
            .map_err(|error| io::Error::new(error.kind(), format!("taskset: {error}")))?;
        if !status.success() {
            return Err(io::Error::other(format!("taskset ended with {status}")));
        }
        Ok(Self { broker: Some(0) })
    }
}

/// The machine, the disk beneath this folder, and the core of the brokers, as a list.
pub(crate) fn describe(disk: &Path, cores: Cores) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let memory = crate::process::field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let mounts = read("/proc/self/mounts");
    let mount = mount_of(&mounts, &disk.display().to_string());
    let (device, file_system) = mount.unwrap_or(("?", "?"));
    let pinned = match cores.broker {
        Some(core) => format!("brokers on core {core}, clients on another"),
        None => "brokers and clients on the same core".to_owned(),
    };
    format!(
        "- CPU: {}, {} cores; {pinned}\n- memory: {} GiB\n- Linux {}\n- disk: {device}, {file_system}\n",
        value_of(&cpu, "model name").unwrap_or("?"),
        cpu.lines()
            .filter(|line| line.starts_with("processor"))
            .count(),
        memory / 1024 / 1024,
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

/// Device and file system type of the mount that a path is on: the longest that it begins with, and of those the last.
pub(crate) fn mount_of<'a>(mounts: &'a str, path: &str) -> Option<(&'a str, &'a str)> {
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let above = fields.filter(|(_, at, _)| Path::new(path).starts_with(at));
    let (device, _, file_system) = above.max_by_key(|(_, at, _)| at.len())?;
    Some((device, file_system))
}

/// What follows the colon in the first line that begins so.
pub(crate) fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

/// Whether what is written there stays in memory.
pub(crate) fn is_memory(disk: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mount = mount_of(&mounts, &disk.display().to_string());
    matches!(mount, Some((_, "tmpfs" | "ramfs")))
}
