//! Encoded packets on their way out.

use std::collections::VecDeque;

use bytes::Bytes;

/// From here on a payload is passed on as it is instead of being copied behind its header: a second piece of a write
/// costs about what copying 4 KiB costs.
pub(super) const SHARED_FROM: usize = 4096;

/// Pieces that wait to be written. Behind a slow reader small packets are joined instead of becoming a piece each.
const MAX_PIECES: usize = 64;

/// Bytes to be written, in order. Small packets lie one behind the other; large payloads are shared, not copied.
/// Once everything is taken it holds no buffer.
#[derive(Debug, Default)]
pub struct Frames {
    whole: VecDeque<Bytes>,
    last: Vec<u8>,
}

impl Frames {
    /// Whether nothing waits to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last.is_empty() && self.whole.is_empty()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.last.len() + self.whole.iter().map(Bytes::len).sum::<usize>()
    }

    /// What is next to be written, for the transport to take from: everything, unless that is very many pieces.
    /// Nothing is left where this is empty.
    pub fn finish(&mut self) -> &mut VecDeque<Bytes> {
        if !self.last.is_empty() && self.whole.len() < MAX_PIECES {
            self.whole.push_back(std::mem::take(&mut self.last).into());
        } else if self.whole.is_empty() {
            self.whole = VecDeque::new();
        }
        &mut self.whole
    }

    /// Where small things are appended.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.last
    }

    /// Appends a payload.
    pub(super) fn payload(&mut self, payload: &Bytes) {
        if payload.len() < SHARED_FROM {
            self.last.extend_from_slice(payload);
        } else {
            self.whole.push_back(std::mem::take(&mut self.last).into());
            self.whole.push_back(payload.clone());
        }
    }
}
