//! What the operating system knows of this process: memory, descriptors, processor time.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// Figures of this process at one moment; `None` where the system does not tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Process {
    /// Bytes of memory in use (resident set).
    pub resident_bytes: Option<u64>,
    /// The most that ever was.
    pub resident_bytes_max: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Processor time used by all threads.
    pub cpu_time: Duration,
}

impl Process {
    /// Reads the figures; takes some microseconds.
    #[must_use]
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            resident_bytes: kilobytes(&status, "VmRSS:"),
            resident_bytes_max: kilobytes(&status, "VmHWM:"),
            open_fds: open_fds(),
            cpu_time: clock_gettime(ClockId::ProcessCPUTime)
                .try_into()
                .unwrap_or_default(),
        }
    }
}

/// A line of `/proc/self/status` such as `VmRSS:     1234 kB`, in bytes.
fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024)
}

fn open_fds() -> Option<u64> {
    let folder = "/proc/self/fd";
    // Since Linux 6.2 the size of the folder is the number of its entries: no need to list 20,000 of them.
    match fs::metadata(folder).ok()?.len() {
        0 => u64::try_from(fs::read_dir(folder).ok()?.count()).ok(),
        number => Some(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tgatemq\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(1_048_576));
        assert_eq!(kilobytes(status, "VmHWM:"), Some(2_097_152));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
        assert_eq!(kilobytes("VmRSS:\tx kB", "VmRSS:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_figures() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.resident_bytes_max.unwrap() >= 100_000);
        assert!(process.open_fds.unwrap() >= 3);
        assert!(process.cpu_time > Duration::ZERO);
    }
}
