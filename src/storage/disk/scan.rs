//! Reads all queues at start, without a message: how much waits in each, and how often each message is referred to.
//!
//! Several threads share the work. One begins with everything; whoever has nothing to do gets half of what is left of
//! another's stretch of keys, so that one session of ten million rows keeps all of them as busy as a million of ten.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use parking_lot::{Condvar, Mutex};

use super::{
    engine::{Engine, Table},
    load::{SHORT_KEY, id_of},
    progress::Progress,
    record::{self, Corrupt, Entry, Moment, Options},
    references::References,
    stage::complain,
};
use crate::{
    router::Spilled,
    storage::{SessionId, StorageError},
    telemetry::Metrics,
};

/// More threads than this wait for the disk, and each keeps blocks in memory.
const MAX_THREADS: usize = 4;

/// Rows between two looks at whether another thread has nothing to do.
const LOOK: u64 = 8192;

/// What was found in the queues.
#[derive(Default)]
pub(super) struct Queues {
    /// In ascending order.
    pub(super) sessions: Vec<(SessionId, Found)>,
    pub(super) references: References,
}

/// What lies in one queue.
#[derive(Default)]
pub(super) struct Found {
    /// Deliveries that are left where they are.
    pub(super) unread: Option<Spilled>,
    /// Places that wait for PUBCOMP only.
    pub(super) released: Vec<u64>,
    /// Deliveries that wait in memory.
    pub(super) in_memory: Vec<(u64, u64, Options)>,
}

/// Reads all queues.
pub(super) fn queues(
    engine: &Engine,
    progress: &Progress<'_>,
    metrics: &Metrics,
) -> Result<Queues, StorageError> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let work = Work::default();
    let moment = Moment::now();
    work.give(Stretch::default());
    let reader = || {
        let mut parts = Vec::new();
        let mut references = References::default();
        while let Some(turn) = work.take() {
            let mut part = Part {
                first: turn.stretch.first.clone(),
                sessions: Vec::new(),
                references: &mut references,
                moment,
                metrics,
            };
            part.read(engine, &work, progress, turn.stretch.end.clone())?;
            parts.push((part.first, part.sessions));
        }
        Ok((parts, references))
    };
    let read: Vec<_> = thread::scope(|scope| {
        let readers = (1..threads.min(MAX_THREADS)).map(|_| scope.spawn(reader));
        let readers: Vec<_> = readers.collect();
        let own = reader();
        let joined = readers.into_iter().map(|reader| {
            reader
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.chain([own]).collect()
    });
    let mut all = Queues::default();
    let mut parts = Vec::new();
    for read in read {
        let (found, references) = read?;
        parts.extend(found);
        all.references.merge(references);
    }
    parts.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for (id, found) in parts.into_iter().flat_map(|(_, sessions)| sessions) {
        match all.sessions.last_mut() {
            Some((last, before)) if *last == id => before.append(found),
            Some(_) | None => all.sessions.push((id, found)),
        }
    }
    Ok(all)
}

/// Keys from one on, to another or all that follow.
#[derive(Default)]
struct Stretch {
    first: Vec<u8>,
    end: Option<Vec<u8>>,
}

/// What is left to be read.
#[derive(Default)]
struct Work {
    left: Mutex<Left>,
    has_changed: Condvar,
    /// Threads that have nothing to do.
    idle: AtomicUsize,
}

#[derive(Default)]
struct Left {
    stretches: Vec<Stretch>,
    /// Threads that read, and may give something away.
    busy: usize,
}

/// A stretch that somebody reads.
struct Turn<'a> {
    stretch: Stretch,
    work: &'a Work,
}

impl Work {
    fn give(&self, stretch: Stretch) {
        self.left.lock().stretches.push(stretch);
        self.has_changed.notify_one();
    }

    /// `None` once everything was read.
    fn take(&self) -> Option<Turn<'_>> {
        let mut left = self.left.lock();
        loop {
            if let Some(stretch) = left.stretches.pop() {
                left.busy += 1;
                return Some(Turn {
                    stretch,
                    work: self,
                });
            }
            if left.busy == 0 {
                return None;
            }
            self.idle.fetch_add(1, Ordering::Relaxed);
            self.has_changed.wait(&mut left);
            self.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.work.left.lock().busy -= 1;
        self.work.has_changed.notify_all();
    }
}

/// What one stretch leads to.
struct Part<'a> {
    first: Vec<u8>,
    sessions: Vec<(SessionId, Found)>,
    references: &'a mut References,
    moment: Moment,
    metrics: &'a Metrics,
}

impl Part<'_> {
    fn read(
        &mut self,
        engine: &Engine,
        work: &Work,
        progress: &Progress<'_>,
        mut end: Option<Vec<u8>>,
    ) -> Result<(), StorageError> {
        let first = self.first.clone();
        let mut rows = 0;
        engine.scan_from(Table::Queues, &first, |key, value| {
            if end.as_deref().is_some_and(|end| key >= end) {
                return false;
            }
            if let Err(corrupt) = self.take(key, value) {
                complain(self.metrics, Table::Queues, key, corrupt);
            }
            rows += 1;
            if rows == LOOK {
                progress.add(std::mem::take(&mut rows));
                if work.idle.load(Ordering::Relaxed) > 0
                    && let Some(middle) = middle(engine, key, end.as_deref())
                {
                    work.give(Stretch {
                        first: middle.clone(),
                        end: end.replace(middle),
                    });
                }
            }
            true
        })?;
        progress.add(rows);
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Corrupt> {
        let id = id_of(key)?;
        let (_, place) = key.split_last_chunk::<8>().ok_or(SHORT_KEY)?;
        let place = u64::from_be_bytes(*place);
        let entry = record::decode_entry(key, value)?;
        if self.sessions.last().is_none_or(|(last, _)| *last != id) {
            self.sessions.push((id, Found::default()));
        }
        let Some((_, found)) = self.sessions.last_mut() else {
            return Ok(());
        };
        match entry {
            Entry::Released => found.released.push(place),
            Entry::Here(_, options) => found.leave(place, &options, self.moment),
            Entry::Elsewhere(number, options) => {
                self.references.add(number);
                if options.stays_in_memory() {
                    found.in_memory.push((place, number, options));
                } else {
                    found.leave(place, &options, self.moment);
                }
            }
        }
        Ok(())
    }
}

impl Found {
    /// Counts a delivery that is left where it is.
    fn leave(&mut self, place: u64, options: &Options, moment: Moment) {
        let bytes = options.bytes();
        let unread = self.unread.get_or_insert(Spilled {
            first: place,
            last: place,
            messages: 0,
            bytes: 0,
            queued_at: options.queued_at(moment),
        });
        unread.last = place;
        unread.messages += 1;
        unread.bytes += bytes;
    }

    /// Takes in what was found of the same session behind it.
    fn append(&mut self, mut behind: Self) {
        self.released.append(&mut behind.released);
        self.in_memory.append(&mut behind.in_memory);
        match (&mut self.unread, behind.unread) {
            (Some(unread), Some(behind)) => {
                unread.last = behind.last;
                unread.messages += behind.messages;
                unread.bytes += behind.bytes;
            }
            (unread @ None, behind) => *unread = behind,
            (Some(_), None) => {}
        }
    }
}

/// A key between one and the last before the end, `None` where they are next to each other.
fn middle(engine: &Engine, from: &[u8], end: Option<&[u8]>) -> Option<Vec<u8>> {
    // What cannot be read here cannot be read by whoever comes there either, and that one says so.
    let last = engine.last_before(Table::Queues, end).ok().flatten()?;
    let (from, last) = (number(from), number(&last));
    let half = last.checked_sub(from)? / 2;
    (half > 0).then(|| (from + half).to_be_bytes().to_vec())
}

/// A key as a number of the same order: session and place have eight bytes each.
fn number(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(key) {
        *to = *from;
    }
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{
        message::QoS,
        storage::{
            Change, Storage,
            disk::tests::{delivery, keep, message, open, read_all, saved},
        },
    };

    /// However the rows are spread over sessions, several threads find the same as one.
    #[test]
    fn all_rows_are_counted_once() {
        const ROWS: u64 = 20_000;
        for sessions in [1, 7, 10_000] {
            let directory = TempDir::new().unwrap();
            let disk = open(directory.path());
            keep(&disk, (1..=sessions).map(saved).collect()).unwrap();
            let shared = message("t", "to all", QoS::AtLeastOnce);
            let queued = |number: u64| {
                let id = SessionId(number % sessions + 1);
                Change::MessageQueued(id, 1 << 32 | number, delivery(&shared))
            };
            keep(&disk, (0..ROWS).map(queued).collect()).unwrap();
            drop(disk);
            let disk = open(directory.path());
            let found = disk.load().unwrap().sessions;
            assert_eq!(found.len() as u64, sessions);
            for session in &found {
                let unread = session.unread.as_ref().expect("some");
                let id = session.record.id.0;
                let expected = (0..ROWS).filter(|number| number % sessions + 1 == id);
                if sessions < 10 {
                    let places: Vec<_> = expected.map(|number| 1 << 32 | number).collect();
                    assert_eq!(unread.first, places[0]);
                    assert_eq!(unread.last, places[places.len() - 1]);
                    assert_eq!(unread.messages, places.len());
                } else {
                    assert_eq!(unread.messages, 2);
                }
            }
            // The last reference takes the message along, and no earlier one does.
            let dropped = |number: u64| {
                let id = SessionId(number % sessions + 1);
                Change::MessageDropped(id, 1 << 32 | number)
            };
            keep(&disk, (1..ROWS).map(dropped).collect()).unwrap();
            assert_eq!(read_all(&disk, SessionId(1), 0).len(), 1);
            keep(&disk, vec![dropped(0)]).unwrap();
            drop(disk);
            let engine = Engine::open(directory.path()).unwrap();
            let left = engine.last_before(Table::Messages, None).unwrap();
            assert_eq!(left, None);
        }
    }
}
