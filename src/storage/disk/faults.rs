//! A disk that fails when a test wants it to.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use parking_lot::Mutex;

use crate::storage::StorageError;

/// How writes fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// Nothing is written.
    Refused,
    /// It is written and said not to be, as where only the sync has failed.
    Doubtful,
}

/// The stores that fail.
static FAILING: LazyLock<Mutex<HashMap<PathBuf, Fault>>> = LazyLock::new(Mutex::default);

/// From now on writes to this store fail so, or not any more.
pub(super) fn set(path: &Path, fault: Option<Fault>) {
    let mut failing = FAILING.lock();
    match fault {
        Some(fault) => failing.insert(path.to_owned(), fault),
        None => failing.remove(path),
    };
}

/// Fails where the store is to fail at this point of a write.
pub(super) fn strike(path: &Path, at: Fault) -> Result<(), StorageError> {
    if FAILING.lock().get(path) != Some(&at) {
        return Ok(());
    }
    Err(StorageError {
        path: path.to_owned(),
        source: Arc::new(io::Error::other("a test wants it")),
    })
}
