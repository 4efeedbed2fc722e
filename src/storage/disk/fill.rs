//! Makes a store from a copy of one, all or nothing: beside its place, where it is moved once it is complete. Whatever
//! happens before, there is no half a store that would be taken for a whole one.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    engine::{Engine, Key, Reach, Table},
    format,
};
use crate::storage::{FillError, StorageError};

/// Rows that one batch takes.
const BATCH: usize = 1000;

/// Bytes of them, likewise.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A store in the making.
pub(super) struct Filling {
    store: PathBuf,
    unfinished: PathBuf,
    /// `None` once it is closed.
    engine: Option<Engine>,
    /// The next batch.
    batch: HashMap<(Table, Key), Vec<u8>>,
    bytes: usize,
}

impl Filling {
    /// # Errors
    /// There is a store that holds something, or the place beside it cannot be written.
    pub(super) fn begin(store: &Path) -> Result<Self, FillError> {
        if !is_empty(store)? {
            return Err(FillError::NotEmpty(store.to_owned()));
        }
        let unfinished = store.with_extension("unfinished");
        // What an attempt has left that was killed.
        remove(&unfinished)?;
        let engine = Engine::open(&unfinished)?;
        Ok(Self {
            store: store.to_owned(),
            unfinished,
            engine: Some(engine),
            batch: HashMap::new(),
            bytes: 0,
        })
    }

    pub(super) fn put(
        &mut self,
        table: Table,
        key: Key,
        value: Vec<u8>,
    ) -> Result<(), StorageError> {
        self.bytes += key.len() + value.len();
        self.batch.insert((table, key), value);
        if self.batch.len() < BATCH && self.bytes < BATCH_BYTES {
            return Ok(());
        }
        self.flush(Reach::System)
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(value) = self.batch.get(&(table, Key::from_slice(key))) {
            return Ok(Some(value.clone()));
        }
        self.engine()?.get(table, key)
    }

    /// Takes out what `goes` says, by its key.
    pub(super) fn discard(
        &mut self,
        table: Table,
        goes: impl Fn(&[u8]) -> bool,
    ) -> Result<(), StorageError> {
        self.flush(Reach::System)?;
        let engine = self.engine()?;
        let mut batch = Vec::new();
        engine.view().scan(table, &[], |key, _| {
            if goes(key) {
                batch.push((table, key.into(), None));
            }
            if batch.len() < BATCH {
                return Ok(());
            }
            engine.write(std::mem::take(&mut batch), Reach::System)
        })?;
        engine.write(batch, Reach::System)
    }

    /// Closes it and moves it to its place.
    pub(super) fn finish(mut self) -> Result<(), FillError> {
        self.flush(Reach::Disk)?;
        format::check(self.engine()?, &self.store)?;
        self.engine = None;
        // Nothing is in it, as was found before.
        remove(&self.store)?;
        let moved = fs::rename(&self.unfinished, &self.store);
        moved.map_err(|source| failed(&self.store, source))?;
        // The move is on the disk once the directory is.
        if let Some(parent) = self.store.parent() {
            let synced = File::open(parent).and_then(|directory| directory.sync_all());
            synced.map_err(|source| failed(parent, source))?;
        }
        Ok(())
    }

    fn flush(&mut self, reach: Reach) -> Result<(), StorageError> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch).into_iter();
        let batch = batch.map(|((table, key), value)| (table, key, Some(value)));
        self.engine()?.write(batch.collect(), reach)
    }

    fn engine(&self) -> Result<&Engine, StorageError> {
        let closed = || failed(&self.unfinished, io::ErrorKind::NotConnected.into());
        self.engine.as_ref().ok_or_else(closed)
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.engine = None;
        // After a success it is not there. What cannot be removed is by the next attempt.
        let _ = remove(&self.unfinished);
    }
}

/// Whether there is no store, or one with nothing in it: what a broker leaves that nobody has used.
fn is_empty(store: &Path) -> Result<bool, StorageError> {
    match fs::read_dir(store) {
        Ok(mut entries) => {
            if entries.next().is_none() {
                return Ok(true);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(failed(store, error)),
    }
    let engine = Engine::open(store)?;
    // Of another format, or none of ours: not for us to take away.
    let mut is_empty = format::is_current(&engine)?;
    for table in Table::ALL.into_iter().filter(|it| *it != Table::Meta) {
        engine.scan(table, &[], |_, _| {
            is_empty = false;
            false
        })?;
    }
    Ok(is_empty)
}

fn remove(directory: &Path) -> Result<(), StorageError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(directory, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(path: &Path, source: io::Error) -> StorageError {
    StorageError {
        path: path.to_owned(),
        source: Arc::new(source),
    }
}
