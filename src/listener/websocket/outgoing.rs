//! Puts the server's bytes into frames (RFC 6455, 5), one for each packet and many of them into one write, and keeps what
//! a slow peer has not yet taken. Start at [`Outgoing::poll`].

use std::{
    collections::VecDeque,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    frame::{MAX_CONTROL, Opcode},
    packets,
};
use crate::listener::stream;

/// Payload of one data frame at most: what a header of four bytes can say, and a message that libraries with a limit
/// of their own still take. A longer packet goes on in the next message [MQTT-6.0.0-2].
const MAX_DATA: usize = u16::MAX as usize;

/// Payload of one write, or the packet that goes beyond it: four TLS records.
const MAX_STAGED: usize = 64 * 1024;

/// From here on a piece of a packet is passed on as it is: a second piece of a write costs about what copying 4 KiB costs.
const SHARED_FROM: usize = 4096;

/// Pieces of which the list stays allocated while nothing is sent: 512 bytes after a busy time, 128 without one.
const KEPT: usize = 16;

/// What is on its way to the peer.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Control frames, then data frames, which go on in `body`; what is written is taken away.
    head: SmallVec<[u8; 16]>,
    body: VecDeque<Bytes>,
    /// Bytes of the packet at the front that have not been taken yet; 0 between two packets.
    unsent: usize,
    /// The answer to the last Ping; earlier ones need none (5.5.3).
    pong: Option<Vec<u8>>,
    is_ping_due: bool,
    close: Close,
    /// Something is written and not flushed.
    is_dirty: bool,
}

/// What has become of our Close frame, after which nothing is sent (5.5.1).
#[derive(Debug, Default)]
enum Close {
    #[default]
    None,
    /// With this payload, behind the frame that is on its way.
    Due(Vec<u8>),
    Sent,
}

impl Outgoing {
    /// Answers a Ping, unless a later one comes first.
    pub(super) fn pong(&mut self, payload: Vec<u8>) {
        debug_assert!(payload.len() <= MAX_CONTROL, "the decoder refuses it");
        self.pong = Some(payload);
    }

    /// Sends a Ping, unless one still waits to be sent.
    pub(super) const fn ping(&mut self) {
        self.is_ping_due = true;
    }

    /// Sends a Close frame, unless there was one, and nothing more behind it.
    pub(super) fn close(&mut self, payload: Vec<u8>) {
        debug_assert!(payload.len() <= MAX_CONTROL, "close_payload cuts it");
        if matches!(self.close, Close::None) {
            self.close = Close::Due(payload);
        }
    }

    /// Writes everything that is due, then `frames`, and flushes. What is taken from `frames` is kept here until it is
    /// written; after a Close frame it is dropped.
    pub(super) fn poll<S>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        frames: &mut VecDeque<Bytes>,
    ) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            if self.is_written() {
                self.stage(frames);
            }
            if self.is_written() {
                break;
            }
            self.is_dirty = true;
            let written = ready!(stream::poll_write(stream, cx, &self.head, &mut self.body))?;
            self.head.drain(..written);
        }
        if self.head.spilled() {
            self.head = SmallVec::new();
        }
        if self.body.capacity() > KEPT {
            self.body = VecDeque::new();
        }
        if self.is_dirty {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    fn is_written(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    /// Between two frames: makes the next ones, control frames first.
    fn stage(&mut self, frames: &mut VecDeque<Bytes>) {
        if matches!(self.close, Close::Sent) {
            frames.clear();
            self.pong = None;
            self.is_ping_due = false;
            return;
        }
        if let Some(payload) = self.pong.take() {
            self.push_control(Opcode::Pong, &payload);
        }
        if mem::take(&mut self.is_ping_due) {
            self.push_control(Opcode::Ping, &[]);
        }
        if let Close::Due(payload) = &mut self.close {
            let payload = mem::take(payload);
            self.push_control(Opcode::Close, &payload);
            self.close = Close::Sent;
            frames.clear();
            return;
        }
        self.take_data(frames);
    }

    fn push_control(&mut self, opcode: Opcode, payload: &[u8]) {
        self.head.extend_from_slice(&header(opcode, payload.len()));
        self.head.extend_from_slice(payload);
    }

    /// Takes packets from `frames` until there are enough for a write, each as a message of its own.
    fn take_data(&mut self, frames: &mut VecDeque<Bytes>) {
        let mut available: usize = frames.iter().map(Bytes::len).sum();
        let mut staging = Staging {
            head: &mut self.head,
            body: &mut self.body,
            tail: Vec::new(),
        };
        let mut staged = 0;
        while staged < MAX_STAGED
            && let Some(front) = frames.front()
        {
            if front.is_empty() {
                frames.pop_front();
                continue;
            }
            if self.unsent == 0 {
                self.unsent = packets::first_length(front);
            }
            let length = self.unsent.min(available).min(MAX_DATA);
            staging.copy(&header(Opcode::Binary, length));
            staging.take(frames, length);
            self.unsent -= length;
            available -= length;
            staged += length;
        }
        staging.seal();
    }
}

/// Where the next write is put together: small pieces are copied one behind the other, large ones are shared.
struct Staging<'a> {
    head: &'a mut SmallVec<[u8; 16]>,
    body: &'a mut VecDeque<Bytes>,
    /// Behind `body`.
    tail: Vec<u8>,
}

impl Staging<'_> {
    fn copy(&mut self, bytes: &[u8]) {
        if self.body.is_empty() {
            self.head.extend_from_slice(bytes);
        } else {
            self.tail.extend_from_slice(bytes);
        }
    }

    /// Moves so many bytes here, which are there.
    fn take(&mut self, frames: &mut VecDeque<Bytes>, mut length: usize) {
        while length > 0
            && let Some(front) = frames.front_mut()
        {
            let part = front.len().min(length);
            if part < SHARED_FROM {
                self.copy(&front[..part]);
                front.advance(part);
            } else {
                self.seal();
                self.body.push_back(front.split_to(part));
            }
            if front.is_empty() {
                frames.pop_front();
            }
            length -= part;
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.body.push_back(mem::take(&mut self.tail).into());
        }
    }
}

/// Of a final frame without mask, of at most [`MAX_DATA`] bytes.
fn header(opcode: Opcode, length: usize) -> SmallVec<[u8; 4]> {
    let first = 0x80 | opcode as u8;
    let [high, low] = (length as u16).to_be_bytes();
    if length <= MAX_CONTROL {
        SmallVec::from_slice(&[first, low])
    } else {
        SmallVec::from_slice(&[first, 126, high, low])
    }
}
