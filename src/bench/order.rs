//! Whether what a subscriber gets is what was sent: once each, in the order of its publisher.

use std::collections::HashMap;

/// What a message is, among those of its publisher.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Behind all that have come.
    Next,
    /// It has come before.
    Duplicate,
    /// One with a higher number has come before it.
    Late,
}

/// A run, and a publisher of it.
type Source = (u32, u32);

/// What one subscriber has got of each publisher.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Nearly all subscribers hear one publisher: no look-up for the last one heard.
    last: Option<(Source, Seen)>,
    others: HashMap<Source, Seen>,
}

/// The highest number so far, and which of the 64 up to it have come.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    highest: u32,
    recent: u64,
}

impl Order {
    pub(super) fn note(&mut self, publisher: Source, sequence: u32) -> Place {
        if let Some((last, seen)) = &mut self.last {
            if *last == publisher {
                return seen.note(sequence);
            }
            self.others.insert(*last, *seen);
        }
        let mut seen = self.others.remove(&publisher).unwrap_or_default();
        let place = seen.note(sequence);
        self.last = Some((publisher, seen));
        place
    }
}

impl Seen {
    fn note(&mut self, sequence: u32) -> Place {
        if self.recent == 0 || sequence > self.highest {
            let step = if self.recent == 0 {
                64
            } else {
                sequence - self.highest
            };
            self.recent = self.recent.checked_shl(step).unwrap_or(0) | 1;
            self.highest = sequence;
            return Place::Next;
        }
        let bit = 1_u64.checked_shl(self.highest - sequence).unwrap_or(0);
        if self.recent & bit != 0 {
            return Place::Duplicate;
        }
        self.recent |= bit;
        Place::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_or_late_is_told_apart() {
        let mut order = Order::default();
        let mut check = |publisher, sequence, place| {
            let publisher = (1, publisher);
            assert_eq!(
                order.note(publisher, sequence),
                place,
                "{publisher:?} {sequence}"
            );
        };
        check(1, 5, Place::Next);
        check(1, 6, Place::Next);
        check(2, 6, Place::Next);
        check(1, 6, Place::Duplicate);
        check(1, 9, Place::Next);
        check(1, 8, Place::Late);
        check(1, 8, Place::Duplicate);
        check(1, 7, Place::Late);
        check(1, 200, Place::Next);
        check(1, 10, Place::Late);
        check(2, 6, Place::Duplicate);
        check(2, 0, Place::Late);
    }
}
