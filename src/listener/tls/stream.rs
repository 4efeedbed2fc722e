//! The decrypted stream of one client, without a buffer that belongs to it.
//!
//! rustls' buffered connections keep 4 KiB for reading as long as they live, and tokio-rustls has no other. Here records are
//! read into and sealed in a buffer of the thread; what a connection holds is a part of a record that has come, what was
//! decrypted and not asked for, and what the network did not take, each only while there is such.

use std::{
    fmt,
    future::poll_fn,
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use rustls::{
    CommonState, ServerConfig,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::refusal::HandshakeError;
use crate::listener::stream::{self, Scratch};

/// What one write takes: the streams inside write no more at once.
const MAX_WRITE: usize = stream::SCRATCH;

/// What is sealed already leaves together with what is written, up to so much: a ticket, or an answer to a KeyUpdate.
const MAX_JOINED: usize = 1024;

/// One for each thread. The longest handshake message that rustls takes, 64 KiB in records, has to stand in it whole, and so
/// has what [`MAX_WRITE`] becomes.
const SCRATCH: usize = 96 * 1024;

thread_local! {
    static RECORDS: Scratch<SCRATCH> = const { Scratch::new() };
}

/// The server's end of a TLS connection.
pub struct TlsStream<S> {
    stream: S,
    tls: Box<UnbufferedServerConnection>,
    /// Of a record, or of a handshake message over several, that is not whole yet.
    partial: Vec<u8>,
    /// Decrypted, and not yet read.
    plain: BytesMut,
    /// Sealed, and not yet taken by the network.
    sealed: BytesMut,
    /// The peer has said that it sends nothing more (close_notify; RFC 8446, 6.1).
    has_peer_closed: bool,
    has_closed: bool,
    /// The peer broke the protocol: nothing goes in or out any more but the alert that says so.
    has_failed: bool,
}

/// What is to be sealed once records can be.
#[derive(Clone, Copy)]
enum Wish<'a> {
    Nothing,
    Data(&'a [u8]),
    /// close_notify.
    Close,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Shakes hands. `first` is what has come of the stream, which begins with a ClientHello. Where it fails, the peer has
    /// been sent the alert that TLS prescribes.
    pub(super) async fn accept(
        stream: S,
        first: Vec<u8>,
        config: Arc<ServerConfig>,
    ) -> Result<Self, HandshakeError> {
        let mut this = Self {
            stream,
            tls: Box::new(UnbufferedServerConnection::new(config)?),
            partial: first,
            plain: BytesMut::new(),
            sealed: BytesMut::new(),
            has_peer_closed: false,
            has_closed: false,
            has_failed: false,
        };
        let shaken = poll_fn(|cx| this.poll_handshake(cx)).await;
        // A client that has sent its request with its Finished is answered soon: the ticket leaves with that, which saves a
        // write, 7 % of what a new connection costs. Any other may wait for an acknowledgement of its Finished.
        if shaken.is_err() || this.plain.is_empty() {
            let sent = poll_fn(|cx| this.poll_sealed(cx)).await;
            shaken?;
            sent?;
        }
        Ok(this)
    }

    /// What was agreed on in the handshake.
    pub(super) fn tls(&self) -> &CommonState {
        &self.tls
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut nowhere = ReadBuf::new(&mut []);
        self.drive_partial(Wish::Nothing, &mut [])?;
        while self.tls.is_handshaking() {
            // A client may write before it reads on, too.
            if let Poll::Ready(sent) = self.poll_sealed(cx) {
                sent?;
            }
            ready!(self.poll_records(cx, &mut nowhere))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once, and takes in the records that are whole: into `buffer` as far as there is room, the rest into `plain`.
    fn poll_records(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        RECORDS.with(|records| {
            records.lend(|records| {
                let held = self.partial.len();
                records[..held].copy_from_slice(&self.partial);
                let mut input = ReadBuf::new(&mut records[held..]);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut input))?;
                let length = held + input.filled().len();
                if length == held {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the peer ended the stream without close_notify",
                    )));
                }
                let records = &mut records[..length];
                let (used, outcome) = self.drive(records, Wish::Nothing, &mut [], buffer);
                let left = &records[used..];
                if !(left.is_empty() && held == 0) {
                    self.partial = left.to_vec();
                }
                Poll::Ready(outcome.map(|_| ()))
            })
        })
    }

    /// As [`drive`](Self::drive), with what has come and is not whole.
    fn drive_partial(&mut self, wish: Wish<'_>, output: &mut [u8]) -> io::Result<usize> {
        let mut partial = mem::take(&mut self.partial);
        let mut nowhere = ReadBuf::new(&mut []);
        let (used, outcome) = self.drive(&mut partial, wish, output, &mut nowhere);
        partial.drain(..used);
        if !partial.is_empty() {
            self.partial = partial;
        }
        outcome
    }

    /// Takes in as many records as are whole; how many bytes they were. Then seals what is wished, into `output`; how many
    /// bytes that has become. An error is followed by what the peer is to be told of it, in `sealed`.
    fn drive(
        &mut self,
        input: &mut [u8],
        wish: Wish<'_>,
        output: &mut [u8],
        buffer: &mut ReadBuf<'_>,
    ) -> (usize, io::Result<usize>) {
        let mut used = 0;
        let outcome = loop {
            let UnbufferedStatus { discard, state, .. } =
                self.tls.process_tls_records(&mut input[used..]);
            used += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    // What is to be discarded with a record is 0: rustls 0.23 does not decrypt in place.
                    while let Some(Ok(record)) = traffic.next_record() {
                        let room = record.payload.len().min(buffer.remaining());
                        let (now, later) = record.payload.split_at(room);
                        buffer.put_slice(now);
                        self.plain.extend_from_slice(later);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.sealed),
                // It is in `sealed`, which leaves before anything else does.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.has_peer_closed = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    break match wish {
                        Wish::Nothing => Ok(0),
                        Wish::Data(data) => traffic.encrypt(data, output).map_err(unsealed),
                        Wish::Close => traffic.queue_close_notify(output).map_err(unsealed),
                    };
                }
                Ok(_) => break Ok(0),
                Err(error) => {
                    self.has_failed = true;
                    self.take_alert(&mut input[used..]);
                    break Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        };
        (used, outcome)
    }

    /// What rustls has to say about its last error: one record, as everything before it was taken. `input` is the same as
    /// before, since a part of a handshake may still refer to it.
    fn take_alert(&mut self, input: &mut [u8]) {
        if let Ok(ConnectionState::EncodeTlsData(data)) = self.tls.process_tls_records(input).state
        {
            encode(data, &mut self.sealed);
        }
    }

    /// Ready once nothing sealed is left.
    fn poll_sealed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream::poll_left(&mut self.stream, cx, &mut self.sealed)
    }

    /// Seals, and hands to the network as much as it takes; the rest waits.
    fn seal(&mut self, cx: &mut Context<'_>, wish: Wish<'_>) -> io::Result<()> {
        RECORDS.with(|records| {
            records.lend(|records| {
                let length = self.drive_partial(wish, records)?;
                let sealed = &records[..length];
                stream::write_or_keep(&mut self.stream, cx, sealed, &mut self.sealed)
            })
        })
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, sealed: &mut BytesMut) {
    let start = sealed.len();
    let mut encoded = data.encode(&mut []);
    if let Err(EncodeError::InsufficientSize(needed)) = &encoded {
        sealed.resize(start + needed.required_size, 0);
        encoded = data.encode(&mut sealed[start..]);
    }
    debug_assert!(encoded.is_ok(), "{encoded:?}");
}

fn broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "the peer has broken the TLS protocol before",
    )
}

fn unsealed(error: EncryptError) -> io::Error {
    io::Error::other(error)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        loop {
            if !this.plain.is_empty() {
                let length = this.plain.len().min(buffer.remaining());
                buffer.put_slice(&this.plain[..length]);
                this.plain.advance(length);
                if this.plain.is_empty() {
                    this.plain = BytesMut::new();
                }
            }
            if buffer.filled().len() > before || this.has_peer_closed || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if this.has_failed {
                return Poll::Ready(Err(broken()));
            }
            let read = this.poll_records(cx, buffer);
            // A ticket, answers to the peer's KeyUpdate, or an alert. Where the network does not take them now, they leave
            // with the next write.
            let sent = this.poll_sealed(cx);
            if let Err(error) = ready!(read)
                && buffer.filled().len() == before
            {
                return Poll::Ready(Err(error));
            }
            if let Poll::Ready(sent) = sent {
                sent?;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.sealed.len() > MAX_JOINED {
            ready!(self.poll_sealed(cx))?;
        }
        if self.has_failed {
            return Poll::Ready(Err(broken()));
        }
        let bytes = &bytes[..bytes.len().min(MAX_WRITE)];
        self.seal(cx, Wish::Data(bytes))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sealed(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sealed(cx))?;
        if !self.has_closed && !self.has_failed {
            self.has_closed = true;
            self.seal(cx, Wish::Close)?;
            ready!(self.poll_sealed(cx))?;
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
impl<S> TlsStream<S> {
    /// Bytes that it holds in buffers.
    pub(super) fn held(&self) -> usize {
        self.partial.capacity() + self.plain.capacity() + self.sealed.capacity()
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
