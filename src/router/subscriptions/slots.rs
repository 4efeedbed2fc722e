//! Values by a small number, so that what refers to them takes four bytes instead of eight.

use std::ops::{Index, IndexMut};

/// Values in one allocation: growing takes another chunk and moves nothing, however many there are.
const CHUNK: usize = 1024;

/// Values with numbers that are given out again once they are free. Number 0 is never given out: it stands for none.
#[derive(Debug)]
pub(super) struct Slots<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    used: usize,
}

impl<T: Default> Slots<T> {
    pub(super) fn new() -> Self {
        Self {
            chunks: vec![vec![T::default()]],
            free: Vec::new(),
            used: 0,
        }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.used += 1;
        if let Some(id) = self.free.pop() {
            self[id] = value;
            return id;
        }
        let last = self.chunks.len() - 1;
        let (chunk, place) = if self.chunks[last].len() < CHUNK {
            (last, self.chunks[last].len())
        } else {
            self.chunks.push(Vec::with_capacity(CHUNK));
            (last + 1, 0)
        };
        self.chunks[chunk].push(value);
        u32::try_from(chunk * CHUNK + place).expect("memory ends before four billion values")
    }

    /// Takes a value out; the last one gives all memory back.
    pub(super) fn remove(&mut self, id: u32) -> T {
        let value = std::mem::take(&mut self[id]);
        self.used -= 1;
        if self.used == 0 {
            self.chunks.truncate(1);
            self.chunks[0].truncate(1);
            self.free = Vec::new();
        } else {
            self.free.push(id);
        }
        value
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.used
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    fn index(&self, id: u32) -> &T {
        let id = id as usize;
        &self.chunks[id / CHUNK][id % CHUNK]
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        let id = id as usize;
        &mut self.chunks[id / CHUNK][id % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_out_again() {
        let mut slots = Slots::new();
        let ids: Vec<_> = (0..3000_u32).map(|value| slots.insert(value)).collect();
        assert!(ids.iter().all(|id| *id != 0));
        assert!((0..).zip(&ids).all(|(value, id)| slots[*id] == value));
        assert_eq!(slots.remove(ids[7]), 7);
        assert_eq!(slots.insert(9), ids[7]);
        for id in ids {
            slots.remove(id);
        }
        assert_eq!((slots.len(), slots.chunks.len()), (0, 1));
    }
}
