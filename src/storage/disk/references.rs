//! How many places refer to each message, counted while a store is read: most messages have one receiver, and cost a bit.

use hashbrown::HashMap;

use super::numbers::Numbers;

/// References by message number.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Numbers that were met.
    met: Numbers,
    /// How often, where more than once.
    more: HashMap<u64, u32>,
    /// Beyond all numbers that were met.
    end: u64,
}

impl References {
    /// One more place refers to a message.
    pub(super) fn add(&mut self, number: u64) {
        self.end = self.end.max(number.saturating_add(1));
        if !self.met.insert(number) {
            *self.more.entry(number).or_insert(1) += 1;
        }
    }

    /// Takes in what was counted elsewhere.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.end = self.end.max(other.end);
        let more = &mut self.more;
        self.met.merge(other.met, |number| {
            *more.entry(number).or_insert(1) += other.more.remove(&number).unwrap_or(1);
        });
        self.more.extend(other.more);
    }

    /// The messages that more than one place refers to, with their count; and the first number that is free.
    pub(super) fn into_shared(mut self) -> (HashMap<u64, u32>, u64) {
        self.more.shrink_to_fit();
        (self.more, self.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Counted in two parts, it is as if it had been counted in one.
        #[test]
        fn parts_are_as_the_whole(numbers in prop::collection::vec(0..200_u64, 0..300), at in 0..300_usize) {
            let (first, second) = numbers.split_at(at.min(numbers.len()));
            let mut references = References::default();
            first.iter().for_each(|number| references.add(*number));
            let mut others = References::default();
            second.iter().for_each(|number| others.add(*number));
            references.merge(others);
            let (shared, end) = references.into_shared();
            let count = |of: u64| numbers.iter().filter(|number| **number == of).count();
            for number in 0..200 {
                let counted = shared.get(&number).map_or(1, |count| *count as usize);
                prop_assert_eq!(counted, count(number).max(1));
            }
            prop_assert_eq!(end, numbers.iter().max().map_or(0, |last| last + 1));
        }
    }
}
