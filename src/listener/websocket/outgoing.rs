//! Puts the server's bytes into frames (RFC 6455, 5), one for each packet and many of them into one write, and keeps what
//! a slow peer has not yet taken. Start at [`Outgoing::poll`].

use std::{
    future::Future,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Sleep,
};

use super::{
    frame::{MAX_CONTROL, Opcode},
    packets,
};
use crate::{
    listener::stream::{self, SCRATCH, with_scratch},
    mqtt::transport::Frames,
};

/// Payload of one data frame at most: what a header of four bytes can say, and a message that libraries with a limit
/// of their own still take. A longer packet goes on in the next message [MQTT-6.0.0-2].
const MAX_DATA: usize = u16::MAX as usize;

/// The longest header: what [`MAX_DATA`] needs.
const MAX_HEADER: usize = 4;

/// How long what was kept for a session waits behind its CONNACK: enough for a client that is busy connecting.
const HELD: Duration = Duration::from_millis(50);

const _: () = assert!(
    MAX_HEADER + MAX_DATA <= SCRATCH,
    "a frame is put together there"
);

/// What is on its way to the peer.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// What the network has not taken of the last write.
    left: BytesMut,
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

    /// Writes everything that is due, then `frames`, and flushes. What is taken from `frames` and not taken by the network is
    /// kept here; after a Close frame it is dropped.
    pub(super) fn poll<S>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        frames: &mut Frames,
    ) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.poll_greeting(cx);
        loop {
            ready!(stream::poll_left(stream, cx, &mut self.left))?;
            if !with_scratch(|room| self.write(stream, cx, frames, room))? {
                break;
            }
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

    /// Puts the next frames together and hands them to the network; `false` where there are none.
    fn write<S>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        frames: &mut Frames,
        room: &mut [u8],
    ) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut staging = Staging { room, length: 0 };
        self.stage(frames, &mut staging);
        let staged = &staging.room[..staging.length];
        if staged.is_empty() {
            return Ok(false);
        }
        self.is_dirty = true;
        stream::write_or_keep(stream, cx, staged, &mut self.left)?;
        Ok(true)
    }

    /// Between two frames: makes the next ones, control frames first.
    fn stage(&mut self, frames: &mut Frames, staging: &mut Staging<'_>) {
        if matches!(self.close, Close::Sent) {
            frames.clear();
            self.pong = None;
            self.is_ping_due = false;
            return;
        }
        if let Some(payload) = self.pong.take() {
            staging.control(Opcode::Pong, &payload);
        }
        if mem::take(&mut self.is_ping_due) {
            staging.control(Opcode::Ping, &[]);
        }
        if let Close::Due(payload) = &mut self.close {
            let payload = mem::take(payload);
            staging.control(Opcode::Close, &payload);
            self.close = Close::Sent;
            frames.clear();
            return;
        }
        match self.greeting {
            Greeting::Due => {
                if self.stage_message(frames, staging) && self.unsent == 0 {
                    self.greeting = Greeting::Sent;
                }
            }
            Greeting::Sent if !frames.is_empty() => {
                let timer = tokio::time::sleep(HELD);
                self.greeting = Greeting::Held(Box::pin(timer));
            }
            Greeting::Sent | Greeting::Held(_) => {}
            Greeting::Over => while self.stage_message(frames, staging) {},
        }
    }

    /// The next packet, or as much of it as a message takes; `false` where there is none, or no room for it.
    fn stage_message(&mut self, frames: &mut Frames, staging: &mut Staging<'_>) -> bool {
        if frames.is_empty() {
            return false;
        }
        if self.unsent == 0 {
            self.unsent = packets::first_length(frames.front());
        }
        let length = self.unsent.min(frames.len_bytes()).min(MAX_DATA);
        if staging.room() < MAX_HEADER + length {
            return false;
        }
        staging.header(Opcode::Binary, length);
        staging.take(frames, length);
        self.unsent -= length;
        true
    }
}

/// Where the next write is put together.
struct Staging<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl Staging<'_> {
    const fn room(&self) -> usize {
        self.room.len() - self.length
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.room[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) {
        self.header(opcode, payload.len());
        self.push(payload);
    }

    /// Of a final frame without mask, of at most [`MAX_DATA`] bytes.
    fn header(&mut self, opcode: Opcode, length: usize) {
        let first = 0x80 | opcode as u8;
        let [high, low] = (length as u16).to_be_bytes();
        if length <= MAX_CONTROL {
            self.push(&[first, low]);
        } else {
            self.push(&[first, 126, high, low]);
        }
    }

    /// Moves so many bytes here, which are there.
    fn take(&mut self, frames: &mut Frames, mut length: usize) {
        while length > 0 {
            let front = frames.front();
            let part = front.len().min(length);
            self.push(&front[..part]);
            frames.advance(part);
            length -= part;
        }
    }
}
