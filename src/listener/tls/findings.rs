//! Reading files for one load: collects what is wrong, what is worth a warning, and a digest of all that was read.

use std::{
    fs::File,
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{
    error::{Errors, Finding, Problem},
    info::Timestamp,
    provider,
};

/// What one load has found so far.
pub(super) struct Findings {
    /// The time by which validity is judged.
    pub(super) now: Timestamp,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    digests: Vec<u8>,
}

impl Findings {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            now,
            errors: Vec::new(),
            warnings: Vec::new(),
            digests: Vec::new(),
        }
    }

    /// The whole file, where it can be read and has no more than `limit` bytes; otherwise an error is noted.
    pub(super) fn read(&mut self, path: &Path, limit: u64) -> Option<Vec<u8>> {
        match read(path, limit) {
            Ok(bytes) => {
                let digest = provider::sha256(&[path.as_os_str().as_bytes(), &[0], &bytes]);
                self.digests.extend(digest);
                Some(bytes)
            }
            Err(problem) => {
                self.error(path, problem);
                None
            }
        }
    }

    /// Notes what stops the set from being used.
    pub(super) fn error(&mut self, path: impl Into<PathBuf>, problem: Problem) {
        self.errors.push(Finding::new(path, problem));
    }

    /// Notes what the operator ought to know.
    pub(super) fn warn(&mut self, path: impl Into<PathBuf>, problem: Problem) {
        self.warnings.push(Finding::new(path, problem));
    }

    /// Notes what others have found.
    pub(super) fn errors(&mut self, errors: Errors) {
        self.errors.extend(errors.0);
    }

    /// The warnings and a digest of everything that was read.
    ///
    /// # Errors
    /// All errors noted.
    pub(super) fn finish(self) -> Result<(Vec<Finding>, Vec<u8>), Errors> {
        if self.errors.is_empty() {
            Ok((self.warnings, provider::sha256(&[&self.digests])))
        } else {
            Err(Errors(self.errors))
        }
    }
}

/// The whole file, where it has no more than `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Problem> {
    let unreadable = |error: std::io::Error| Problem::Unreadable(error.to_string());
    let file = File::open(path).map_err(unreadable)?;
    // A fifo or a device here would be waited for without end.
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(Problem::Unreadable("it is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(Problem::TooLarge { limit });
    }
    Ok(bytes)
}
