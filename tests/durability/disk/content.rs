//! One file: what of it is on the disk, what is on its way there, and what a power cut makes of that.

use std::collections::HashMap;

use crate::Dice;

/// What the page cache writes at once.
const PAGE: u64 = 4096;

/// What a disk writes at once.
const SECTOR: usize = 512;

/// How much of what was not synced is there afterwards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Survival {
    Nothing,
    /// Of each page any state that it had.
    Any,
    /// Nearly every page.
    Most,
    Everything,
}

impl Survival {
    pub(super) fn choose(dice: &mut Dice) -> Self {
        [Self::Nothing, Self::Any, Self::Most, Self::Everything]
            [usize::try_from(dice.below(4)).expect("few")]
    }

    /// One of the states from 0 to `newest`.
    pub(super) fn state(self, newest: u64, dice: &mut Dice) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Any => dice.below(newest + 1),
            Self::Most if dice.below(10) == 0 => dice.below(newest + 1),
            Self::Most | Self::Everything => newest,
        }
    }
}

/// Bytes, of which those at the end that are 0 may be absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) length: u64,
}

impl Content {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let begin = usize::try_from(offset).expect("fits");
        let end = begin + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[begin..end].copy_from_slice(bytes);
        self.length = self.length.max(end as u64);
    }

    fn cut(&mut self, length: u64) {
        self.bytes.truncate(usize::try_from(length).expect("fits"));
        self.length = length;
    }
}

/// A change that is not known to be on the disk.
#[derive(Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Cut(u64),
}

/// One file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) is_folder: bool,
    pub(super) synced: Content,
    /// Each with the number of its record.
    pending: Vec<(u64, Change)>,
}

impl File {
    pub(super) fn new(is_folder: bool) -> Self {
        Self {
            is_folder,
            synced: Content::default(),
            pending: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, record: u64, offset: u64, bytes: Vec<u8>) {
        self.pending.push((record, Change::Write { offset, bytes }));
    }

    pub(super) fn cut(&mut self, record: u64, length: u64) {
        self.pending.push((record, Change::Cut(length)));
    }

    /// The write before was not done whole.
    pub(super) fn shorten(&mut self, written: u64) {
        if let Some((_, Change::Write { bytes, .. })) = self.pending.last_mut() {
            bytes.truncate(usize::try_from(written).expect("fits"));
        }
    }

    pub(super) fn sync(&mut self, before: u64) {
        let rest = self
            .pending
            .iter()
            .position(|(record, _)| *record >= before);
        let synced = rest.unwrap_or(self.pending.len());
        for (_, change) in self.pending.drain(..synced) {
            match change {
                Change::Write { offset, bytes } => self.synced.write(offset, &bytes),
                Change::Cut(length) => self.synced.cut(length),
            }
        }
    }

    /// Linux marks the pages as clean whose writing has failed: later syncs succeed and do not write them.
    pub(super) fn lose(&mut self, before: u64) {
        self.pending
            .retain(|(record, change)| *record >= before || matches!(change, Change::Cut(_)));
    }

    /// What is there when power is back. A page has the state after any of its writes, whatever became of other pages;
    /// the last one may be torn.
    pub(super) fn after_cut(&self, survival: Survival, dice: &mut Dice) -> Content {
        let mut content = self.synced.clone();
        let mut writes: HashMap<u64, u64> = HashMap::new();
        for (_, change) in &self.pending {
            if let Change::Write { offset, bytes } = change {
                for (page, _) in pages(*offset, bytes) {
                    *writes.entry(page).or_default() += 1;
                }
            }
        }
        // In an order that a seed repeats.
        let mut states: Vec<_> = writes.into_iter().collect();
        states.sort_unstable();
        let torn = (dice.below(2) == 0)
            .then(|| states.last().map(|(page, _)| *page))
            .flatten();
        let mut states: HashMap<u64, u64> = states
            .into_iter()
            .map(|(page, newest)| (page, survival.state(newest, dice)))
            .collect();
        let keeps_cuts = survival.state(1, dice) == 1;
        for (_, change) in &self.pending {
            match change {
                Change::Cut(length) if keeps_cuts => content.cut(*length),
                Change::Cut(_) => {}
                Change::Write { offset, bytes } => {
                    for (page, range) in pages(*offset, bytes) {
                        let left = states.get_mut(&page).expect("counted");
                        if *left == 0 {
                            continue;
                        }
                        *left -= 1;
                        let at = offset + range.start as u64;
                        let bytes = &bytes[range];
                        if *left == 0 && torn == Some(page) {
                            tear(&mut content, at, bytes, dice);
                        } else {
                            content.write(at, bytes);
                        }
                    }
                }
            }
        }
        content
    }
}

/// Some of the sectors, or the beginning up to any byte.
fn tear(content: &mut Content, offset: u64, bytes: &[u8], dice: &mut Dice) {
    if dice.below(2) == 0 {
        let end = usize::try_from(dice.below(bytes.len() as u64 + 1)).expect("fits");
        content.write(offset, &bytes[..end]);
        return;
    }
    let mut begin = 0;
    while begin < bytes.len() {
        let at = usize::try_from(offset).expect("fits") + begin;
        let end = bytes.len().min(begin + SECTOR - at % SECTOR);
        if dice.below(2) == 0 {
            content.write(offset + begin as u64, &bytes[begin..end]);
        }
        begin = end;
    }
}

/// The pages that a write touches, and which of its bytes lie in each.
fn pages(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let end = offset + bytes.len() as u64;
    let last = if bytes.is_empty() {
        offset / PAGE
    } else {
        (end - 1) / PAGE + 1
    };
    (offset / PAGE..last).map(move |page| {
        let begin = (page * PAGE).max(offset) - offset;
        let end = ((page + 1) * PAGE).min(end) - offset;
        let fits = |number: u64| usize::try_from(number).expect("fits");
        (page, fits(begin)..fits(end))
    })
}
