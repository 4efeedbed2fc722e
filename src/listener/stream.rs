//! Reading, writing and ending a byte stream without a buffer that belongs to it.
//!
//! Bytes are read into a buffer of the thread and copied out, so that a connection on which nothing happens holds no
//! memory for reading; 20,000 idle clients would otherwise hold 1.3 GB.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use crate::mqtt::transport::Frames;

/// One for each thread: four TLS records, what Linux gives out in one read of a busy socket, and the longest WebSocket
/// frame that is sent.
pub(super) const SCRATCH: usize = 72 * 1024;

/// Slices of one write: small packets are one. Payloads that are shared have 4 KiB, so these are half a megabyte.
const SLICES: usize = 128;

/// For the end of a stream, from our last byte to the peer's: a round trip around the world, several times.
const LINGER: Duration = Duration::from_secs(1);

/// What is read and thrown away at the end, so that a client in the midst of a large packet still hears why.
const LINGER_BYTES: usize = 4 * 1024 * 1024;

thread_local! {
    static BYTES: Scratch<SCRATCH> = const { Scratch::new() };
}

/// A buffer that all connections of a thread use in turns.
pub(super) struct Scratch<const BYTES: usize>(Cell<Vec<u8>>);

impl<const BYTES: usize> Scratch<BYTES> {
    pub(super) const fn new() -> Self {
        Self(Cell::new(Vec::new()))
    }

    /// Lends the buffer. Inside another loan there is a second one, for that time.
    pub(super) fn lend<R>(&self, work: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut buffer = self.0.take();
        buffer.resize(BYTES, 0);
        let result = work(&mut buffer);
        self.0.set(buffer);
        result
    }
}

pub(super) fn with_scratch<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    BYTES.with(|scratch| scratch.lend(work))
}

/// Reads once and shows what has come; nothing at the end of the stream.
pub(super) fn poll_read<S, R>(
    stream: &mut S,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> R,
) -> Poll<io::Result<R>>
where
    S: AsyncRead + Unpin,
{
    with_scratch(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(take(buffer.filled())))
    })
}

/// Writes as much as the network takes in one go, and removes it from `frames`. To be called again until nothing is left.
pub(super) fn poll_write<S>(
    stream: &mut S,
    cx: &mut Context<'_>,
    frames: &mut Frames,
) -> Poll<io::Result<()>>
where
    S: AsyncWrite + Unpin,
{
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut count = 0;
    for (slice, piece) in slices.iter_mut().zip(frames.pieces()) {
        *slice = IoSlice::new(piece);
        count += 1;
    }
    let slices = &slices[..count];
    let stream = Pin::new(stream);
    let written = match slices {
        [] => return Poll::Ready(Ok(())),
        [only] => ready!(stream.poll_write(cx, only))?,
        _ if stream.is_write_vectored() => ready!(stream.poll_write_vectored(cx, slices))?,
        _ => ready!(with_scratch(|scratch| {
            let length = gather(slices, scratch);
            stream.poll_write(cx, &scratch[..length])
        }))?,
    };
    if written == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    frames.advance(written);
    Poll::Ready(Ok(()))
}

/// Hands bytes to the network behind what an earlier write has `left`, and keeps there what it does not take.
pub(super) fn write_or_keep<S>(
    stream: &mut S,
    cx: &mut Context<'_>,
    bytes: &[u8],
    left: &mut BytesMut,
) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let written = if left.is_empty() {
        match Pin::new(&mut *stream).poll_write(cx, bytes) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        }
    } else {
        0
    };
    left.extend_from_slice(&bytes[written..]);
    match poll_left(stream, cx, left) {
        Poll::Ready(written) => written,
        Poll::Pending => Ok(()),
    }
}

/// Ready once nothing is left of earlier writes.
pub(super) fn poll_left<S>(
    stream: &mut S,
    cx: &mut Context<'_>,
    left: &mut BytesMut,
) -> Poll<io::Result<()>>
where
    S: AsyncWrite + Unpin,
{
    while !left.is_empty() {
        let written = ready!(Pin::new(&mut *stream).poll_write(cx, left))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        left.advance(written);
        if left.is_empty() {
            // Even an empty end of a buffer keeps the whole of it.
            *left = BytesMut::new();
        }
    }
    Poll::Ready(Ok(()))
}

/// Copies slices together as far as there is room.
fn gather(slices: &[IoSlice<'_>], into: &mut [u8]) -> usize {
    let mut length = 0;
    for slice in slices {
        let part = slice.len().min(into.len() - length);
        into[length..length + part].copy_from_slice(&slice[..part]);
        length += part;
    }
    length
}

/// Ends our side, then waits for the peer to end its own, reading what it still sends. Closing a socket with unread
/// bytes would reset the connection, and the peer's stack would throw away our last packet. Takes a second at most.
pub(super) async fn end<S>(stream: &mut S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut ending = Ending::new();
    poll_fn(|cx| ending.poll(stream, cx)).await;
}

/// How far the end of a stream has come.
#[derive(Debug)]
struct Ending {
    is_shut_down: bool,
    discarded: usize,
    timer: Pin<Box<Sleep>>,
}

impl Ending {
    fn new() -> Self {
        Self {
            is_shut_down: false,
            discarded: 0,
            timer: Box::pin(tokio::time::sleep(LINGER)),
        }
    }

    fn poll<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // Half-open: whoever has not ended by now will not.
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.is_shut_down {
            if ready!(Pin::new(&mut *stream).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.is_shut_down = true;
        }
        while self.discarded < LINGER_BYTES {
            match ready!(poll_read(stream, cx, <[u8]>::len)) {
                Ok(0) | Err(_) => break,
                Ok(length) => self.discarded += length,
            }
        }
        Poll::Ready(())
    }
}

/// A stream whose end is [`end`], for those who end it by themselves.
#[derive(Debug)]
pub(super) struct Lingering<S> {
    stream: S,
    ending: Option<Box<Ending>>,
}

impl<S> Lingering<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            ending: None,
        }
    }

    /// The stream behind.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, ending } = &mut *self;
        let ending = ending.get_or_insert_with(|| Box::new(Ending::new()));
        ending.poll(stream, cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices<'a>(parts: &'a [&'a [u8]]) -> Vec<IoSlice<'a>> {
        parts.iter().map(|part| IoSlice::new(part)).collect()
    }

    #[test]
    fn slices_are_gathered_as_far_as_there_is_room() {
        let mut into = [0; 5];
        assert_eq!(gather(&slices(&[b"ab", b"", b"cd"]), &mut into), 4);
        assert_eq!(&into[..4], b"abcd");
        assert_eq!(gather(&slices(&[b"abc", b"def", b"g"]), &mut into), 5);
        assert_eq!(&into, b"abcde");
    }

    #[tokio::test]
    async fn nothing_to_write_is_written_at_once() {
        let (mut ours, _peer) = tokio::io::duplex(8);
        let mut frames = Frames::default();
        let written = poll_fn(|cx| poll_write(&mut ours, cx, &mut frames)).await;
        written.expect("written");
    }
}
