//! What Linux tells about a process: bytes that it had written to a disk, and the memory that it occupies.

use std::{fs, io};

/// Bytes that the process has caused to be written to a disk, overwritten and deleted ones included.
pub(crate) fn written_bytes(pid: u32) -> io::Result<u64> {
    let path = format!("/proc/{pid}/io");
    field(&fs::read_to_string(&path)?, "write_bytes").ok_or_else(|| missing(&path))
}

/// Memory that it occupies, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> io::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let kibibytes = field(&fs::read_to_string(&path)?, "VmRSS").ok_or_else(|| missing(&path))?;
    Ok(kibibytes * 1024)
}

/// The number in a line `NAME: NUMBER`, whatever follows.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    values.next()?.split_whitespace().next()?.parse().ok()
}

fn missing(path: &str) -> io::Error {
    io::Error::other(format!("{path} does not say it"))
}
