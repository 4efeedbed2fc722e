//! A store as one file: written from a running store as it is at one moment, read into an empty one.
//!
//! A line of text that names the format, then each row with its table and lengths, then a mark of the end with the number
//! of rows and a checksum of everything before it: a file that was cut is not taken for a whole one.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
    sync::Arc,
};

use super::{
    engine::{Engine, Operation, Reach, Table},
    format,
};
use crate::storage::StorageError;

/// The first bytes: what it is, and the format of the file. The rows in it have the format of the store.
const HEADER: &[u8] = b"GateMQ backup 1\n";

/// In place of a table: nothing follows but the number of rows and the checksum.
const END: u8 = 0xFF;

/// Rows that one batch takes.
const BATCH: usize = 1000;

/// No key or value is longer: a packet has at most 256 MiB.
const MAX_LENGTH: u32 = 512 * 1024 * 1024;

/// Writes a store to a file, which is there whole or not at all. How many rows.
pub(super) fn write(engine: &Engine, to: &Path) -> Result<u64, StorageError> {
    let failed = |source| failed(to, source);
    let mut name = to.as_os_str().to_owned();
    name.push(".unfinished");
    let unfinished = Path::new(&name);
    let written = (|| {
        let file = File::create(unfinished).map_err(failed)?;
        let mut out = Summed {
            inner: BufWriter::new(file),
            sum: crc32fast::Hasher::new(),
        };
        let rows = write_rows(engine, &mut out, &failed)?;
        let sum = out.sum.clone().finalize();
        out.write_all(&sum.to_le_bytes()).map_err(failed)?;
        let file = out
            .inner
            .into_inner()
            .map_err(|it| failed(it.into_error()))?;
        file.sync_all().map_err(failed)?;
        fs::rename(unfinished, to).map_err(failed)?;
        Ok(rows)
    })();
    if written.is_err() {
        // What is left of it helps nobody; where it cannot be removed, it bears a name that says so.
        let _ = fs::remove_file(unfinished);
    }
    written
}

fn write_rows(
    engine: &Engine,
    out: &mut impl Write,
    failed: &impl Fn(io::Error) -> StorageError,
) -> Result<u64, StorageError> {
    out.write_all(HEADER).map_err(failed)?;
    let mut rows = 0_u64;
    engine.scan_all(|table, key, value| {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        let parts = [&[table as u8][..], &length(key), &length(value), key, value];
        for part in parts {
            out.write_all(part).map_err(failed)?;
        }
        rows += 1;
        Ok(())
    })?;
    out.write_all(&[END]).map_err(failed)?;
    out.write_all(&rows.to_le_bytes()).map_err(failed)?;
    Ok(rows)
}

/// Reads a file into a store that does not exist yet, all or nothing. How many rows.
pub(super) fn restore(from: &Path, store: &Path) -> Result<u64, StorageError> {
    let is_empty = match fs::read_dir(store) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(failed(store, error)),
    };
    if !is_empty {
        let text = "it is not empty: move it away first, or name another data_dir";
        return Err(failed(
            store,
            io::Error::new(io::ErrorKind::AlreadyExists, text),
        ));
    }
    // The whole file is checked before any of it is taken.
    let rows = read(from, |_| Ok(()))?;
    let engine = Engine::open(store)?;
    let mut batch = Vec::new();
    let restored = read(from, |row| {
        batch.push(row);
        if batch.len() == BATCH {
            engine.write(std::mem::take(&mut batch), Reach::System)?;
        }
        Ok(())
    })
    .and_then(|_| engine.write(batch, Reach::Disk))
    .and_then(|()| format::check(&engine, store));
    drop(engine);
    if let Err(error) = restored {
        // Half a store would be taken for one.
        let _ = fs::remove_dir_all(store);
        return Err(error);
    }
    Ok(rows)
}

/// Each row of a file; the number of them, once its end has been found to be right.
fn read(
    from: &Path,
    mut each: impl FnMut(Operation) -> Result<(), StorageError>,
) -> Result<u64, StorageError> {
    let unreadable = |source| failed(from, source);
    let damaged =
        |text: &'static str| failed(from, io::Error::new(io::ErrorKind::InvalidData, text));
    let file = File::open(from).map_err(unreadable)?;
    let mut input = Summed {
        inner: BufReader::new(file),
        sum: crc32fast::Hasher::new(),
    };
    let mut header = [0; HEADER.len()];
    input.read_exact(&mut header).map_err(unreadable)?;
    if header != HEADER {
        return Err(damaged("it is no backup that this version reads"));
    }
    let mut rows = 0;
    loop {
        let mut table = [0];
        input.read_exact(&mut table).map_err(unreadable)?;
        if table[0] == END {
            break;
        }
        let table = Table::ALL.get(usize::from(table[0]));
        let table = *table.ok_or_else(|| damaged("it is damaged: an unknown table"))?;
        let [key, value] = read_row(&mut input).map_err(unreadable)?;
        each((table, key.into(), Some(value)))?;
        rows += 1;
    }
    let mut counted = [0; 8];
    input.read_exact(&mut counted).map_err(unreadable)?;
    let expected = input.sum.clone().finalize();
    let mut sum = [0; 4];
    input.read_exact(&mut sum).map_err(unreadable)?;
    if u64::from_le_bytes(counted) != rows || u32::from_le_bytes(sum) != expected {
        return Err(damaged("it is damaged: its checksum is wrong"));
    }
    Ok(rows)
}

fn read_row(input: &mut impl Read) -> io::Result<[Vec<u8>; 2]> {
    let mut lengths = [[0; 4]; 2];
    for length in &mut lengths {
        input.read_exact(length)?;
    }
    let mut row = [Vec::new(), Vec::new()];
    for (part, length) in row.iter_mut().zip(lengths) {
        let length = u32::from_le_bytes(length);
        if length > MAX_LENGTH {
            let text = "it is damaged: a row is too long";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        // Grows with what is there, not with what a damaged length says.
        let taken = input.by_ref().take(length.into()).read_to_end(part)?;
        if taken < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(row)
}

fn failed(path: &Path, source: io::Error) -> StorageError {
    StorageError {
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

/// Sums up what passes.
struct Summed<T> {
    inner: T,
    sum: crc32fast::Hasher,
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Summed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.sum.update(&buffer[..read]);
        Ok(read)
    }
}
