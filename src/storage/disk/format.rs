//! Which format a store has, and how one that an older GateMQ wrote is brought up to date.
//!
//! A change of what is stored that an older GateMQ would misread counts [`FORMAT`] up and adds the step from the format
//! before to [`STEPS`]. Steps are taken when the store is opened, one after the other, each marked in the store once it
//! is on the disk: whoever is interrupted goes on where it was.

use std::{io, path::Path, sync::Arc};

use super::{
    engine::{Engine, Operation, Reach, Table},
    record,
};
use crate::storage::StorageError;

/// The format that is written, and the newest that is read.
const FORMAT: u64 = STEPS.len() as u64 + FIRST;

/// The oldest format that is read.
const FIRST: u64 = 1;

/// Brings a store from one format to the next. It may be interrupted anywhere and is then taken again from its beginning,
/// with part of its work done.
type Step = fn(&Engine) -> Result<(), StorageError>;

/// The step from each format to the next, the first from [`FIRST`].
const STEPS: &[Step] = &[];

/// Name of the format among what is known of the store.
const KEY: &[u8] = b"format";

/// Finds out whether the store can be read, marks a new one, and brings an older one up to date.
pub(super) fn check(engine: &Engine, path: &Path) -> Result<(), StorageError> {
    bring_up_to_date(engine, path, STEPS)
}

/// Whether it is a store of the format that is written.
pub(super) fn is_current(engine: &Engine) -> Result<bool, StorageError> {
    let value = engine.get(Table::Meta, KEY)?;
    Ok(value == Some(record::encode_number(KEY, FORMAT)))
}

/// Marks the store as one of the format that is written: brings it to the disk, which shows that the store can be written.
pub(super) fn mark(engine: &Engine) -> Result<(), StorageError> {
    mark_as(engine, FORMAT)
}

fn bring_up_to_date(engine: &Engine, path: &Path, steps: &[Step]) -> Result<(), StorageError> {
    let newest = FIRST + steps.len() as u64;
    let Some(value) = engine.get(Table::Meta, KEY)? else {
        return mark_as(engine, newest);
    };
    let format = match record::decode_number(KEY, &value) {
        Ok(format) if (FIRST..=newest).contains(&format) => format,
        Ok(format) => {
            return Err(refused(
                path,
                format!(
                    "it has format {format}, and GateMQ {} reads formats {FIRST} up to {newest}: \
                     run the version that wrote it, or name another data_dir",
                    env!("CARGO_PKG_VERSION")
                ),
            ));
        }
        Err(corrupt) => {
            return Err(refused(
                path,
                format!(
                    "the mark of its format cannot be read: {corrupt}; restore a backup, or name another data_dir"
                ),
            ));
        }
    };
    let taken = usize::try_from(format - FIRST).unwrap_or(usize::MAX);
    for (step, from) in steps.iter().skip(taken).zip(format..) {
        tracing::info!(
            code = "storage.upgrading",
            from,
            to = from + 1,
            "the store is brought from format {from} to format {}",
            from + 1
        );
        step(engine)?;
        // With all that the step has written.
        mark_as(engine, from + 1)?;
    }
    Ok(())
}

fn mark_as(engine: &Engine, format: u64) -> Result<(), StorageError> {
    let value = record::encode_number(KEY, format);
    let operation: Operation = (Table::Meta, KEY.into(), Some(value));
    engine.write(vec![operation], Reach::Disk)
}

fn refused(path: &Path, text: String) -> StorageError {
    StorageError {
        path: path.to_owned(),
        source: Arc::new(io::Error::new(io::ErrorKind::InvalidData, text)),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Appends its name to a row, which shows who was there and in which order.
    fn add(engine: &Engine, name: u8) -> Result<(), StorageError> {
        let mut value = engine.get(Table::Meta, b"steps")?.unwrap_or_default();
        value.push(name);
        let row: Operation = (Table::Meta, b"steps"[..].into(), Some(value));
        engine.write(vec![row], Reach::System)
    }

    fn first(engine: &Engine) -> Result<(), StorageError> {
        add(engine, b'1')
    }

    fn second(engine: &Engine) -> Result<(), StorageError> {
        add(engine, b'2')
    }

    fn fails(_: &Engine) -> Result<(), StorageError> {
        Err(refused(Path::new("store"), "no".to_owned()))
    }

    fn steps_taken(engine: &Engine) -> String {
        let value = engine.get(Table::Meta, b"steps").expect("readable");
        String::from_utf8(value.unwrap_or_default()).expect("text")
    }

    #[test]
    fn each_step_is_taken_once_and_in_order() {
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        let engine = Engine::open(path).unwrap();
        bring_up_to_date(&engine, path, &[]).unwrap();
        // A step that fails is taken again the next time; what was before it is not.
        assert!(bring_up_to_date(&engine, path, &[first, fails]).is_err());
        assert_eq!(steps_taken(&engine), "1");
        drop(engine);
        let engine = Engine::open(path).unwrap();
        bring_up_to_date(&engine, path, &[first, second]).unwrap();
        bring_up_to_date(&engine, path, &[first, second]).unwrap();
        assert_eq!(steps_taken(&engine), "12");
        // Whoever knows fewer steps is older than the store.
        let error = bring_up_to_date(&engine, path, &[first]).unwrap_err();
        assert!(error.source.to_string().contains("format 3"), "{error:?}");
    }

    #[test]
    fn a_new_store_needs_no_steps() {
        let directory = TempDir::new().unwrap();
        let engine = Engine::open(directory.path()).unwrap();
        bring_up_to_date(&engine, directory.path(), &[first]).unwrap();
        bring_up_to_date(&engine, directory.path(), &[first]).unwrap();
        assert_eq!(steps_taken(&engine), "");
    }
}
