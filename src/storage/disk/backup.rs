//! A store row by row: written from a running store as it is at one moment, read into an empty one.
//!
//! A line of text that names the format, then each row with its table and lengths, then a mark of the end with the number
//! of rows and a checksum of everything before it: a file that was cut is not taken for a whole one.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use super::{
    engine::{Engine, Table},
    fill::Filling,
};
use crate::storage::{Copied, CopyError, FillError};

/// The first bytes: what it is, and the format of the file. The rows in it have the format of the store.
const HEADER: &[u8] = b"GateMQ backup 1\n";

/// In place of a table: nothing follows but the number of rows and the checksum.
const END: u8 = 0xFF;

/// No key or value is longer: a packet has at most 256 MiB.
const MAX_LENGTH: u32 = 512 * 1024 * 1024;

pub(super) fn write(engine: &Engine, to: &mut dyn Write) -> Result<Copied, CopyError> {
    let mut out = Summed {
        inner: to,
        sum: crc32fast::Hasher::new(),
    };
    out.put(HEADER)?;
    let view = engine.view();
    let mut rows = 0_u64;
    for table in Table::ALL {
        view.scan(table, &[], |key, value| {
            let length =
                |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
            rows += 1;
            out.put(&[table as u8])?;
            out.put(&length(key))?;
            out.put(&length(value))?;
            out.put(key)?;
            out.put(value)
        })?;
    }
    out.put(&[END])?;
    out.put(&rows.to_le_bytes())?;
    let sum = out.sum.clone().finalize();
    out.put(&sum.to_le_bytes())?;
    Ok(Copied { rows, damaged: 0 })
}

/// Reads a backup into a store that holds nothing yet. How many rows.
pub(super) fn restore(from: &mut dyn Read, store: &Path) -> Result<u64, FillError> {
    let mut input = Summed {
        inner: from,
        sum: crc32fast::Hasher::new(),
    };
    let header: [u8; HEADER.len()] = input.array()?;
    if header[..] != *HEADER {
        let text = "it is no backup that this version reads; what `gatemq export` has written is for `gatemq import`";
        return Err(FillError::Backup(text));
    }
    let mut filling = Filling::begin(store)?;
    let mut rows = 0;
    loop {
        let [table] = input.array()?;
        if table == END {
            break;
        }
        let table = Table::ALL.get(usize::from(table));
        let table = *table.ok_or(FillError::Backup("it is damaged: an unknown table"))?;
        let [key, value] = input.row()?;
        filling.put(table, key.into(), value)?;
        rows += 1;
    }
    let counted = u64::from_le_bytes(input.array()?);
    let expected = input.sum.clone().finalize();
    let sum = u32::from_le_bytes(input.array()?);
    if counted != rows || sum != expected {
        return Err(FillError::Backup("it is damaged: its checksum is wrong"));
    }
    filling.finish()?;
    Ok(rows)
}

/// Sums up what passes.
struct Summed<T> {
    inner: T,
    sum: crc32fast::Hasher,
}

impl Summed<&mut dyn Write> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), CopyError> {
        self.sum.update(bytes);
        self.inner.write_all(bytes).map_err(CopyError::Output)
    }
}

impl Summed<&mut dyn Read> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], FillError> {
        let mut array = [0; N];
        let read = self.inner.read_exact(&mut array);
        read.map_err(unreadable)?;
        self.sum.update(&array);
        Ok(array)
    }

    fn row(&mut self) -> Result<[Vec<u8>; 2], FillError> {
        let lengths = [self.array()?, self.array()?].map(u32::from_le_bytes);
        let mut row = [Vec::new(), Vec::new()];
        for (part, length) in row.iter_mut().zip(lengths) {
            if length > MAX_LENGTH {
                return Err(FillError::Backup("it is damaged: a row is too long"));
            }
            // Grows with what is there, not with what a damaged length says.
            let taken = (&mut *self.inner).take(length.into()).read_to_end(part);
            if taken.map_err(unreadable)? < length as usize {
                return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
            }
            self.sum.update(part);
        }
        Ok(row)
    }
}

fn unreadable(error: io::Error) -> FillError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        FillError::Backup("it ends too early: it was cut, or is no backup")
    } else {
        FillError::Input(error)
    }
}
