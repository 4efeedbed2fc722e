//! The engine's journals, looked through before the engine reads them. It stops at the first batch that it cannot read
//! and forgets what follows, or refuses to open at all; neither is right for what a power cut leaves.
//!
//! Start at [`mend`]. What was not synced may be there in any part: it was acknowledged to nobody, and is cut off. What
//! was synced and cannot be read is damage: it is told, and what follows it is kept. The two are told apart by
//! [`MARK`], which a batch bears when everything before it was on the disk.
//!
//! Format 3 of fjall: a batch is `1, count, sequence number`, so many items, and `3, checksum of the items, FJL3`.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

/// Key of an empty value: everything before this batch is on the disk.
pub(super) const MARK: &[u8] = b"synced";

/// Closes each batch.
const TRAILER: &[u8] = b"FJL\x03";

/// A batch that was found to be whole.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Batch {
    bytes: Range<usize>,
    sequence: u64,
    is_marked: bool,
}

/// What of a journal is good.
#[derive(Debug, Eq, PartialEq)]
struct Findings {
    /// What is kept, in order.
    kept: Vec<Range<usize>>,
    /// Where something lies that was synced and cannot be read.
    damaged: Vec<Range<usize>>,
    /// Bytes at the end that were not written to their end.
    torn: usize,
}

/// Brings the journals of a store into a state that the engine reads to their ends. How many damaged places were
/// found: what they held is lost. `closed`: how long each was when the store was closed, where it was.
///
/// # Errors
/// A journal cannot be read or written.
pub(super) fn mend(
    store: &Path,
    closed: &HashMap<u64, usize>,
) -> Result<u64, (PathBuf, io::Error)> {
    let mut damaged = 0;
    let journals = list(store).map_err(|error| (store.to_owned(), error))?;
    for (at, (number, path)) in journals.iter().enumerate() {
        let is_active = at + 1 == journals.len();
        let mended = mend_one(path, is_active, closed.get(number).copied());
        damaged += mended.map_err(|error| (path.clone(), error))?;
    }
    Ok(damaged)
}

/// The journals by their numbers, ascending.
pub(super) fn list(store: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_suffix(".jnl")?.parse().ok());
        journals.extend(number.map(|number| (number, path)));
    }
    journals.sort_unstable();
    Ok(journals)
}

/// How far a journal is filled.
pub(super) fn length(path: &Path) -> io::Result<usize> {
    Ok(used(&fs::read(path)?))
}

fn mend_one(path: &Path, is_active: bool, closed: Option<usize>) -> io::Result<u64> {
    let bytes = fs::read(path)?;
    let synced = match closed {
        None if !is_active => Some(used(&bytes)),
        closed => closed,
    };
    let findings = look_through(&bytes, synced);
    let name = path.display();
    if findings.torn > 0 {
        let torn = findings.torn;
        tracing::warn!(
            code = "storage.torn",
            "the last {torn} bytes of {name} were not written to their end, as by a power cut, and are given up: \
             nobody was told that they are kept"
        );
    }
    for place in &findings.damaged {
        tracing::error!(
            code = "storage.corrupt",
            "bytes {} to {} of {name} are damaged: what they kept is lost, the rest goes on; \
             a copy of the file as it was is beside it, named .damaged",
            place.start,
            place.end
        );
    }
    if !findings.damaged.is_empty() {
        fs::write(path.with_extension("jnl.damaged"), &bytes)?;
        replace(path, &bytes, &findings.kept)?;
        return Ok(findings.damaged.len() as u64);
    }
    if is_active {
        let end = findings.kept.last().map_or(0, |it| it.end);
        settle(path, &bytes[..end], findings.torn > 0)?;
    }
    Ok(0)
}

/// Writes what is there where it is. After a failed fsync the kernel takes pages for written that are not, and no
/// later fsync writes them; so what is read here may be in memory only. Who loses power meanwhile has the same bytes.
fn settle(path: &Path, good: &[u8], is_cut: bool) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.write_all_at(good, 0)?;
    if is_cut {
        file.set_len(good.len() as u64)?;
    }
    file.sync_all()
}

fn replace(path: &Path, bytes: &[u8], kept: &[Range<usize>]) -> io::Result<()> {
    let new = path.with_extension("jnl.new");
    let mut file = File::create(&new)?;
    for range in kept {
        file.write_all(&bytes[range.clone()])?;
    }
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// `synced`: how much of it was on the disk, where that is known.
fn look_through(bytes: &[u8], synced: Option<usize>) -> Findings {
    let used = used(bytes);
    let batches = in_order(batches(&bytes[..used]));
    let synced = synced.unwrap_or_else(|| {
        let marked = batches.iter().rposition(|batch| batch.is_marked);
        marked.map_or(0, |at| batches[at].bytes.start)
    });
    let mut findings = Findings {
        kept: Vec::new(),
        damaged: Vec::new(),
        torn: 0,
    };
    let mut end = 0;
    for batch in batches {
        if batch.bytes.start > end {
            if batch.bytes.start > synced {
                break;
            }
            findings.damaged.push(end..batch.bytes.start);
        }
        end = batch.bytes.end;
        match findings.kept.last_mut() {
            Some(last) if last.end == batch.bytes.start => last.end = end,
            _ => findings.kept.push(batch.bytes),
        }
    }
    if end < synced {
        findings.damaged.push(end..synced);
    } else {
        findings.torn = used - end.min(used);
    }
    findings
}

/// Up to the last byte that is not 0: a journal is made long and filled from its beginning.
fn used(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let is_used = |block: &[u8]| *block != ZEROS[..block.len()];
    let Some(last) = bytes.chunks(ZEROS.len()).rposition(is_used) else {
        return 0;
    };
    let block = &bytes[last * ZEROS.len()..];
    let in_block = block.iter().take(ZEROS.len()).rposition(|byte| *byte != 0);
    // What ends a batch does not end with 0.
    last * ZEROS.len() + in_block.map_or(0, |at| at + 1)
}

/// The batches that can be read, wherever they are.
fn batches(bytes: &[u8]) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match batch(bytes, at) {
            Some(found) => {
                at = found.bytes.end;
                batches.push(found);
            }
            // Not where the last one ended: it begins with a 1, wherever it does.
            None => {
                let next = bytes[at + 1..].iter().position(|byte| *byte == 1);
                at = next.map_or(bytes.len(), |next| at + 1 + next);
            }
        }
    }
    batches
}

/// The sequence numbers ascend. They are under no checksum: one that does not fit between its neighbours is damaged.
fn in_order(batches: Vec<Batch>) -> Vec<Batch> {
    let mut good: Vec<Batch> = Vec::with_capacity(batches.len());
    for batch in batches {
        let before = good.len().checked_sub(2).map(|at| good[at].sequence);
        match good.last() {
            Some(last) if last.sequence < batch.sequence => {}
            Some(_) if before.is_none_or(|before| before < batch.sequence) => {
                good.pop();
            }
            Some(_) => continue,
            None => {}
        }
        good.push(batch);
    }
    good
}

fn batch(bytes: &[u8], start: usize) -> Option<Batch> {
    let mut reader = Reader { bytes, at: start };
    let [1] = reader.take()? else { return None };
    let count = u32::from_le_bytes(reader.take()?);
    let sequence = u64::from_le_bytes(reader.take()?);
    let items = reader.at;
    let mut is_marked = false;
    for _ in 0..count {
        is_marked |= item(&mut reader)?;
    }
    let checksum = xxh3_64(&bytes[items..reader.at]);
    let [3] = reader.take()? else { return None };
    let is_whole = u64::from_le_bytes(reader.take()?) == checksum && reader.skip(4)? == TRAILER;
    is_whole.then_some(Batch {
        bytes: start..reader.at,
        sequence,
        is_marked,
    })
}

/// Whether it is the mark.
fn item(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.take()? {
        [2] => {
            let [kind, compression] = reader.take()?;
            let _keyspace: [u8; 8] = reader.take()?;
            let key = u16::from_le_bytes(reader.take()?);
            let value = u32::from_le_bytes(reader.take()?);
            let stored = u32::from_le_bytes(reader.take()?);
            if kind > 2 || compression > 1 || compression == 0 && value != stored {
                return None;
            }
            let key = reader.skip(key.into())?;
            reader.skip(stored as usize)?;
            Some(key == MARK && kind == 0 && value == 0)
        }
        [4] => reader.take::<8>().map(|_| false),
        _ => None,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, count: usize) -> Option<&'a [u8]> {
        let part = self.bytes.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(part)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.skip(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::engine::{Engine, Reach, Table};
    use proptest::prelude::*;

    /// The journal of a store with a batch for each of these.
    fn written(reaches: &[Reach]) -> (tempfile::TempDir, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(folder.path()).unwrap();
        for (number, reach) in reaches.iter().enumerate() {
            let value = vec![b'a'; 100 * (number + 1)];
            let first = (Table::Messages, [1; 8][..].into(), Some(value));
            let second = (Table::Queues, [2; 16][..].into(), None);
            engine.write(vec![first, second], *reach).unwrap();
        }
        drop(engine);
        let mut bytes = fs::read(folder.path().join("0.jnl")).unwrap();
        bytes.truncate(used(&bytes));
        (folder, bytes)
    }

    /// This range and nothing else.
    fn assert_is(found: &[Range<usize>], range: Range<usize>) {
        assert_eq!(found, std::slice::from_ref(&range));
    }

    fn starts(bytes: &[u8]) -> Vec<usize> {
        batches(bytes).iter().map(|it| it.bytes.start).collect()
    }

    /// Should the engine change its format, this fails.
    #[test]
    fn what_the_engine_writes_is_read() {
        let (_folder, bytes) = written(&[Reach::Disk, Reach::System, Reach::System, Reach::Disk]);
        let found = batches(&bytes);
        assert_eq!(
            found.iter().map(|it| it.bytes.len()).sum::<usize>(),
            bytes.len()
        );
        let marked: Vec<_> = found.iter().map(|it| it.is_marked).collect();
        assert_eq!(marked, [true, true, false, false]);
        assert!(found.is_sorted_by(|a, b| a.sequence < b.sequence));
    }

    /// Wherever it ends, it is read up to the last whole batch.
    #[test]
    fn a_torn_end_is_cut_off() {
        let (_folder, bytes) = written(&[Reach::System; 3]);
        let starts = starts(&bytes);
        for length in starts[2] + 1..bytes.len() {
            let findings = look_through(&bytes[..length], None);
            assert_is(&findings.kept, 0..starts[2]);
            assert!(findings.damaged.is_empty());
            assert!(findings.torn <= length - starts[2]);
        }
    }

    #[test]
    fn damage_is_what_was_synced() {
        for (reach, is_synced) in [(Reach::System, false), (Reach::Disk, true)] {
            let (_folder, mut bytes) = written(&[Reach::Disk, reach, Reach::System]);
            let starts = starts(&bytes);
            bytes[starts[1] + 60] ^= 1;
            let findings = look_through(&bytes, None);
            if is_synced {
                assert_eq!(findings.kept, [0..starts[1], starts[2]..bytes.len()]);
                assert_is(&findings.damaged, starts[1]..starts[2]);
                assert_eq!(findings.torn, 0);
            } else {
                assert_is(&findings.kept, 0..starts[1]);
                assert!(findings.damaged.is_empty());
                assert_eq!(findings.torn, bytes.len() - starts[1]);
            }
        }
    }

    /// What was there when the store was closed was synced; where it is shorter now, something is missing.
    #[test]
    fn a_closed_journal_that_was_cut_is_damaged() {
        let (_folder, bytes) = written(&[Reach::Disk; 2]);
        let cut = &bytes[..starts(&bytes)[1]];
        let findings = look_through(cut, Some(bytes.len()));
        assert_is(&findings.damaged, cut.len()..bytes.len());
        assert_eq!(findings.torn, 0);
    }

    #[test]
    fn a_sequence_number_that_does_not_fit_is_damage() {
        let (_folder, mut bytes) = written(&[Reach::Disk; 3]);
        let starts = starts(&bytes);
        bytes[starts[1] + 11] ^= 1;
        let findings = look_through(&bytes, None);
        assert_is(&findings.damaged, starts[1]..starts[2]);
    }

    /// The engine alone would not open it: a batch with its end and without its middle has a wrong checksum.
    #[test]
    fn a_store_opens_whose_last_batch_lacks_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(folder.path()).unwrap();
        // What does not compress: a page within one value.
        let noise: Vec<u8> = (0..20_000).map(|_| rand::random()).collect();
        let row = |key: u8| (Table::Messages, [key; 8][..].into(), Some(noise.clone()));
        engine.write(vec![row(b'a')], Reach::Disk).unwrap();
        engine.write(vec![row(b'b')], Reach::System).unwrap();
        drop(engine);
        let journal = folder.path().join("0.jnl");
        let mut bytes = fs::read(&journal).unwrap();
        let page = 4096 * (used(&bytes) / 4096 - 2);
        bytes[page..page + 4096].fill(0);
        fs::write(&journal, bytes).unwrap();
        let engine = Engine::open(folder.path()).unwrap();
        let is_there = |key: u8| engine.get(Table::Messages, &[key; 8]).unwrap().is_some();
        assert!(is_there(b'a') && !is_there(b'b'));
        assert_eq!(engine.damaged(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_through(bytes in prop::collection::vec(0_u8..5, 0..400), synced in prop::option::of(0_usize..500)) {
            look_through(&bytes, synced);
        }
    }
}
