//! Puts the server's bytes into frames (RFC 6455, 5), one for each packet and many of them into one write, and keeps what
//! a slow peer has not yet taken. Start at [`Outgoing::poll`].

use std::{
    collections::VecDeque,
    future::Future,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Sleep,
};

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

/// How long what was kept for a session waits behind its CONNACK: enough for a client that is busy connecting.
const HELD: Duration = Duration::from_millis(50);

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
    greeting: Greeting,
    /// Something is written and not flushed.
    is_dirty: bool,
}

/// Whether the peer has had time to read our first packet. Clients exist that listen for messages only then, and not in
/// the same turn: MQTT.js says "connect" after it has looked at what comes in the same read as CONNACK, and who listens
/// from there on (Node-RED) loses what was kept for a session. So what follows the first packet waits a little, unless
/// the peer speaks first. Asking by a Ping would be surer, but there are clients that do not survive one.
#[derive(Debug, Default)]
enum Greeting {
    /// Nothing is sent yet.
    #[default]
    Due,
    /// The first packet is on its way, and the peer has said nothing since.
    Sent,
    /// More waits behind it, until this is over.
    Held(Pin<Box<Sleep>>),
    /// Nothing is held any more.
    Over,
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

    /// The peer has said something: it does not wait for our first packet, or has read it. True where that lets go what
    /// was held.
    pub(super) fn heard(&mut self) -> bool {
        if matches!(self.greeting, Greeting::Due) {
            return false;
        }
        matches!(
            mem::replace(&mut self.greeting, Greeting::Over),
            Greeting::Held(_)
        )
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
        self.poll_greeting(cx);
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
        if frames.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            self.poll_greeting(cx);
            Poll::Pending
        }
    }

    /// Lets go what is held once it was for too long, and wakes the task then.
    fn poll_greeting(&mut self, cx: &mut Context<'_>) {
        if let Greeting::Held(timer) = &mut self.greeting
            && timer.as_mut().poll(cx).is_ready()
        {
            self.greeting = Greeting::Over;
            cx.waker().wake_by_ref();
        }
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
        match self.greeting {
            Greeting::Due => {
                if self.take_data(frames, 1) > 0 && self.unsent == 0 {
                    self.greeting = Greeting::Sent;
                }
            }
            Greeting::Sent if !frames.is_empty() => {
                let timer = tokio::time::sleep(HELD);
                self.greeting = Greeting::Held(Box::pin(timer));
            }
            Greeting::Sent | Greeting::Held(_) => {}
            Greeting::Over => {
                self.take_data(frames, MAX_STAGED);
            }
        }
    }

    fn push_control(&mut self, opcode: Opcode, payload: &[u8]) {
        self.head.extend_from_slice(&header(opcode, payload.len()));
        self.head.extend_from_slice(payload);
    }

    /// Takes packets from `frames` until there are so many bytes, each as a message of its own; how many there are then.
    fn take_data(&mut self, frames: &mut VecDeque<Bytes>, enough: usize) -> usize {
        let mut available: usize = frames.iter().map(Bytes::len).sum();
        let mut staging = Staging {
            head: &mut self.head,
            body: &mut self.body,
            tail: Vec::new(),
        };
        let mut staged = 0;
        while staged < enough
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
        staged
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
