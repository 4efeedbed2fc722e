//! Which numbers there are, of many millions: messages are counted up, so most lie side by side.

use std::collections::HashMap;

/// A set of numbers: a bit for each where they are dense, 80 bytes at most.
#[derive(Debug, Default)]
pub(in crate::storage::disk) struct Numbers {
    /// By what precedes the last nine bits.
    blocks: HashMap<u64, [u64; 8]>,
}

impl Numbers {
    /// Whether it was not there.
    pub(in crate::storage::disk) fn insert(&mut self, number: u64) -> bool {
        let (block, word, bit) = place(number);
        let word = &mut self.blocks.entry(block).or_default()[word];
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(in crate::storage::disk) fn contains(&self, number: u64) -> bool {
        let (block, word, bit) = place(number);
        self.blocks
            .get(&block)
            .is_some_and(|words| words[word] & bit != 0)
    }
}

const fn place(number: u64) -> (u64, usize, u64) {
    (number >> 9, (number >> 6 & 7) as usize, 1 << (number & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_one_of_its_own() {
        let mut numbers = Numbers::default();
        let some = [0, 1, 63, 64, 511, 512, 1 << 40, u64::MAX];
        for number in some {
            assert!(!numbers.contains(number));
            assert!(numbers.insert(number));
            assert!(!numbers.insert(number));
        }
        let found: Vec<_> = (0..1000).filter(|it| numbers.contains(*it)).collect();
        assert_eq!(found, [0, 1, 63, 64, 511, 512]);
        assert!(numbers.contains(1 << 40) && numbers.contains(u64::MAX));
    }
}
