//! Files that are there whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::super::error::{Finding, Problem};

/// Everybody may read it.
pub(super) const PUBLIC: u32 = 0o644;
/// A private key: nobody else.
pub(super) const PRIVATE: u32 = 0o600;

/// Makes the folder where it is missing, and keeps other processes from it for as long as the result lives.
pub(super) fn lock(dir: &Path) -> Result<File, Finding> {
    let open = || {
        fs::create_dir_all(dir)?;
        let file = File::open(dir)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|error: io::Error| Finding::new(dir, Problem::Unwritable(error.to_string())))
}

/// Writes a file beside its place, then moves it there: a crash leaves the old one, or none, never half of one.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Finding> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let written = write_beside(beside, bytes, mode).and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // The error that is reported is the first one.
        let _ = fs::remove_file(beside);
    }
    // A rename is on disk once its folder is.
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    written
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|error| Finding::new(path, Problem::Unwritable(error.to_string())))
}

fn write_beside(beside: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // Under the folder's lock, so one that is there was left by a crash; its mode may be another.
    if beside.exists() {
        fs::remove_file(beside)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(beside)?;
    file.write_all(bytes)?;
    file.sync_all()
}
