//! What a client has to write: packets that are patched where they stand and leave together.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};

use crate::client::{ClientError, Link};

/// Bytes that wait before a publisher has to: more than a socket takes at once.
const MAX_WAITING: usize = 256 * 1024;

/// Packets on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Each packet is a piece of its own.
    is_framed: bool,
    pieces: VecDeque<Bytes>,
    open: BytesMut,
    waiting: usize,
    is_flushed: bool,
}

impl Outbox {
    pub(super) fn new(link: &Link) -> Self {
        Self {
            is_framed: link.is_framed(),
            is_flushed: true,
            ..Self::default()
        }
    }

    /// Appends a packet after it was patched.
    pub(super) fn push(&mut self, packet: &[u8], patch: impl FnOnce(&mut [u8])) {
        let at = self.open.len();
        self.open.extend_from_slice(packet);
        patch(&mut self.open[at..]);
        self.waiting += packet.len();
        self.is_flushed = false;
        if self.is_framed {
            self.pieces.push_back(self.open.split().freeze());
        }
    }

    pub(super) const fn has_room(&self) -> bool {
        self.waiting < MAX_WAITING
    }

    /// Ready once all of it is written.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        link: &mut Link,
    ) -> Poll<Result<(), ClientError>> {
        if self.is_flushed {
            return Poll::Ready(Ok(()));
        }
        if !self.open.is_empty() {
            self.pieces.push_back(self.open.split().freeze());
        }
        let sent = ready!(link.poll_send(cx, &mut self.pieces));
        sent?;
        self.waiting = 0;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }
}
