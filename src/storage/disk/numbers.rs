//! Which numbers there are, of many millions: messages are counted up, so most lie side by side.

use hashbrown::{HashMap, hash_map::Entry};

/// A set of numbers: a bit for each where they are dense, 80 bytes at most.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// By what precedes the last nine bits.
    blocks: HashMap<u64, [u64; 8]>,
}

impl Numbers {
    /// Whether it was not there.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let (block, word, bit) = place(number);
        let word = &mut self.blocks.entry(block).or_default()[word];
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let (block, word, bit) = place(number);
        self.blocks
            .get(&block)
            .is_some_and(|words| words[word] & bit != 0)
    }

    /// Takes in those of another set, and names each that both have.
    pub(super) fn merge(&mut self, other: Self, mut in_both: impl FnMut(u64)) {
        for (block, others) in other.blocks {
            let words = match self.blocks.entry(block) {
                Entry::Vacant(entry) => {
                    entry.insert(others);
                    continue;
                }
                Entry::Occupied(entry) => entry.into_mut(),
            };
            for (at, (word, others)) in (0..).zip(words.iter_mut().zip(others)) {
                let mut both = *word & others;
                *word |= others;
                while both != 0 {
                    in_both((block << 9) + (at << 6) + u64::from(both.trailing_zeros()));
                    both &= both - 1;
                }
            }
        }
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
