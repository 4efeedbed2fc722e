//! Encoded packets on their way out.

use std::{cell::Cell, collections::VecDeque, mem};

use bytes::{Buf, Bytes};

/// From here on a payload is passed on as it is instead of being copied behind its header: a second piece of a write
/// costs about what copying 4 KiB costs.
pub(super) const SHARED_FROM: usize = 4096;

/// The largest buffer that is kept for the next connection of this thread: what one connection lets wait, and a packet.
const MAX_SPARE: usize = 128 * 1024;

thread_local! {
    /// The buffer of the connection that was last done with one. Allocating anew, and growing to the size of a packet,
    /// took 0.15 µs of each delivery.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes to be written, in order. Small packets lie one behind the other; large payloads are shared, not copied.
/// Once everything is taken it holds no buffer.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// Before `last`.
    whole: VecDeque<Bytes>,
    last: Vec<u8>,
    /// Bytes of `last` that have been taken already.
    taken: usize,
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
        self.last.len() - self.taken + self.whole.iter().map(Bytes::len).sum::<usize>()
    }

    /// What is next to be written, of one piece; nothing where nothing waits.
    #[must_use]
    pub fn front(&self) -> &[u8] {
        self.pieces().next().unwrap_or_default()
    }

    /// What waits, in order, without empty pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let last = &self.last[self.taken..];
        let pieces = self.whole.iter().map(|piece| &piece[..]);
        pieces.chain([last]).filter(|piece| !piece.is_empty())
    }

    /// So many bytes are taken, of what waits.
    pub fn advance(&mut self, mut bytes: usize) {
        while let Some(piece) = self.whole.front_mut() {
            if piece.len() > bytes {
                piece.advance(bytes);
                return;
            }
            bytes -= piece.len();
            self.whole.pop_front();
        }
        if self.whole.capacity() > 0 {
            self.whole = VecDeque::new();
        }
        self.taken += bytes;
        debug_assert!(self.taken <= self.last.len(), "no more than waits");
        if self.taken >= self.last.len() {
            self.clear();
        } else if self.taken > self.last.len() / 2 {
            self.last.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Everything is taken: the buffer is somebody else's from now on.
    pub fn clear(&mut self) {
        self.whole = VecDeque::new();
        self.taken = 0;
        let mut buffer = mem::take(&mut self.last);
        if buffer.capacity() <= MAX_SPARE {
            buffer.clear();
            SPARE.set(buffer);
        }
    }

    /// All that waits as pieces of their own, for who wants to own them. Nothing is left where this is empty.
    pub fn finish(&mut self) -> &mut VecDeque<Bytes> {
        if !self.last.is_empty() {
            let last = Bytes::from(mem::take(&mut self.last));
            self.whole
                .push_back(last.slice(mem::take(&mut self.taken)..));
        } else if self.whole.is_empty() {
            self.whole = VecDeque::new();
        }
        &mut self.whole
    }

    /// Where small things are appended.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.last.capacity() == 0 {
            self.last = SPARE.take();
        }
        &mut self.last
    }

    /// The same, with room for a packet of so many bytes that ends with this payload: growing to them step by step took
    /// half of the instructions of a small PUBLISH.
    pub(super) fn reserve(&mut self, packet: usize, payload: &Bytes) -> &mut Vec<u8> {
        let is_copied = payload.len() < SHARED_FROM;
        let shared = if is_copied { 0 } else { payload.len() };
        let buffer = self.buffer();
        buffer.reserve(packet - shared);
        buffer
    }

    /// Appends a payload.
    pub(super) fn payload(&mut self, payload: &Bytes) {
        if payload.len() < SHARED_FROM {
            self.buffer().extend_from_slice(payload);
        } else {
            self.finish().push_back(payload.clone());
        }
    }
}

impl Extend<Bytes> for Frames {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, pieces: I) {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        self.finish().extend(pieces);
    }
}

impl FromIterator<Bytes> for Frames {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut frames = Self::default();
        frames.extend(pieces);
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(frames: &Frames) -> Vec<u8> {
        frames.pieces().flatten().copied().collect()
    }

    #[test]
    fn what_is_taken_leaves_the_front() {
        let large = Bytes::from(vec![b'x'; SHARED_FROM]);
        let mut frames = Frames::default();
        let mut expected = Vec::new();
        for _ in 0..3 {
            frames.buffer().extend_from_slice(b"head");
            frames.payload(&large);
            expected.extend_from_slice(b"head");
            expected.extend_from_slice(&large);
        }
        frames.payload(&Bytes::from_static(b"tail"));
        expected.extend_from_slice(b"tail");
        assert!(
            std::ptr::eq(frames.whole[1].as_ptr(), large.as_ptr()),
            "not copied"
        );
        for step in (1..200).cycle() {
            assert_eq!(
                (all(&frames), frames.len_bytes()),
                (expected.clone(), expected.len())
            );
            assert!(expected.starts_with(frames.front()));
            let step = step.min(expected.len());
            if step == 0 {
                break;
            }
            frames.advance(step);
            expected.drain(..step);
        }
        assert!(frames.is_empty() && frames.front().is_empty());
        assert_eq!((frames.last.capacity(), frames.whole.capacity()), (0, 0));
    }

    /// More may come while some is taken; what is taken does not stay for ever.
    #[test]
    fn a_slow_reader_holds_no_more_than_waits() {
        let mut frames = Frames::default();
        for _ in 0..1000 {
            frames.buffer().extend_from_slice(&[7; 100]);
            if frames.len_bytes() > 1000 {
                frames.advance(100);
            }
        }
        assert_eq!(frames.len_bytes(), 1000);
        assert!(frames.last.capacity() < 8192, "{}", frames.last.capacity());
        assert_eq!(frames.finish().len(), 1);
        assert_eq!((frames.finish()[0].len(), frames.len_bytes()), (1000, 1000));
    }
}
