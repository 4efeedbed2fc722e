//! Puts the server's bytes into frames (RFC 6455, 5), one for whatever is to be sent at once, and keeps what a slow
//! peer has not yet taken. Start at [`Outgoing::poll`].

use std::{
    collections::VecDeque,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite};

use super::frame::{MAX_CONTROL, Opcode};
use crate::listener::stream;

/// Payload of one data frame at most: what a header of four bytes can say, and a message that libraries with a limit
/// of their own still take. A longer packet goes on in the next message [MQTT-6.0.0-2].
const MAX_DATA: usize = u16::MAX as usize;

/// Frames of which the list stays allocated while nothing is sent: 512 bytes after a busy time, 128 without one.
const KEPT: usize = 16;

/// What is on its way to the peer.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Control frames, then the header of the data frame whose payload is `body`; what is written is taken away.
    head: SmallVec<[u8; 16]>,
    body: VecDeque<Bytes>,
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
        self.push_header(opcode, payload.len());
        self.head.extend_from_slice(payload);
    }

    /// A final frame without mask, of at most [`MAX_DATA`] bytes.
    fn push_header(&mut self, opcode: Opcode, length: usize) {
        self.head.push(0x80 | opcode as u8);
        if length <= MAX_CONTROL {
            self.head.push(length as u8);
        } else {
            self.head.push(126);
            self.head.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }

    /// Takes the payload of one data frame and puts its header before it.
    fn take_data(&mut self, frames: &mut VecDeque<Bytes>) {
        let mut length = 0;
        while let Some(frame) = frames.front_mut()
            && length < MAX_DATA
        {
            let room = MAX_DATA - length;
            if frame.len() > room {
                length += room;
                self.body.push_back(frame.split_to(room));
            } else {
                length += frame.len();
                self.body.extend(frames.pop_front());
            }
        }
        if length == 0 {
            // Nothing, or only empty ones: no frame, then.
            self.body.clear();
        } else {
            self.push_header(Opcode::Binary, length);
        }
    }
}
