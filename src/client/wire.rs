//! The stream that carries MQTT, whatever it is made of: bytes in, bytes out, and how it has ended.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

use super::dial::Io;

/// The largest packet there can be: 256 MiB of body behind five bytes of header. A frame of a WebSocket is not longer
/// in practice, and one that announces more does not speak MQTT.
pub(super) const MAX_PACKET: u32 = 268_435_455 + 5;

/// What is read at once.
const READ: usize = 64 * 1024;

/// What a WebSocket reads at once: tungstenite keeps a buffer of this size for each, and a larger one for a message that
/// does not fit.
const READ_WEBSOCKET: usize = 4 * 1024;

thread_local! {
    /// Where bytes are read to first, so that a connection on which nothing comes owns no buffer: thousands of them
    /// stand on one thread of a benchmark.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connection. Receiving and sending go on at the same time: neither waits for the other.
pub(super) enum Wire {
    Bytes {
        stream: Box<dyn Io>,
    },
    WebSocket {
        stream: Box<WebSocketStream<Box<dyn Io>>>,
        /// What the server has said when it closed.
        closed: Option<CloseFrame>,
        /// Something was handed over, and not yet flushed.
        unflushed: bool,
    },
}

impl Wire {
    pub(super) fn bytes(stream: Box<dyn Io>) -> Self {
        Self::Bytes { stream }
    }

    /// A WebSocket from its first frame on; `received` came behind the answer to its opening handshake.
    pub(super) async fn websocket(stream: Box<dyn Io>, received: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_WEBSOCKET)
            .max_message_size(Some(MAX_PACKET as usize))
            .max_frame_size(Some(MAX_PACKET as usize));
        let stream =
            WebSocketStream::from_partially_read(stream, received, Role::Client, Some(config));
        Self::WebSocket {
            stream: Box::new(stream.await),
            closed: None,
            unflushed: false,
        }
    }

    /// More bytes, `None` once the other end has closed in order.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        match self {
            Self::Bytes { stream } => SCRATCH.with_borrow_mut(|scratch| {
                scratch.resize(READ, 0);
                let mut unfilled = ReadBuf::new(scratch);
                ready!(Pin::new(stream).poll_read(cx, &mut unfilled))?;
                let received = Bytes::copy_from_slice(unfilled.filled());
                Poll::Ready(Ok(Some(received).filter(|bytes| !bytes.is_empty())))
            }),
            Self::WebSocket { stream, closed, .. } => loop {
                match ready!(Pin::new(&mut **stream).poll_next(cx)) {
                    Some(Ok(Message::Binary(bytes))) => return Poll::Ready(Ok(Some(bytes))),
                    Some(Ok(Message::Close(frame))) => *closed = frame,
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Text(_))) => {
                        let text = "a text frame, and MQTT comes in binary ones [MQTT-6.0.0-1]";
                        return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                    }
                    Some(Err(error)) => return Poll::Ready(ended(error)),
                    None => return Poll::Ready(Ok(None)),
                }
            },
        }
    }

    /// Writes all of it and flushes. Keeps no state of its own in a future: it may be called again after anything.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        frames: &mut VecDeque<Bytes>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Bytes { stream } => {
                while let Some(frame) = frames.front_mut() {
                    let written = ready!(Pin::new(&mut *stream).poll_write(cx, frame))?;
                    if written == 0 && !frame.is_empty() {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    frame.advance(written);
                    if frame.is_empty() {
                        frames.pop_front();
                    }
                }
                Pin::new(stream).poll_flush(cx)
            }
            Self::WebSocket {
                stream, unflushed, ..
            } => {
                let mut stream = Pin::new(&mut **stream);
                while !frames.is_empty() {
                    ready!(stream.as_mut().poll_ready(cx)).map_err(broken)?;
                    if let Some(frame) = frames.pop_front() {
                        let message = Message::Binary(frame);
                        stream.as_mut().start_send(message).map_err(broken)?;
                        *unflushed = true;
                    }
                }
                if *unflushed {
                    ready!(stream.poll_flush(cx)).map_err(broken)?;
                    *unflushed = false;
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Says that nothing more will be sent.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Bytes { stream } => Pin::new(stream).poll_shutdown(cx),
            Self::WebSocket { stream, .. } => {
                Pin::new(&mut **stream).poll_close(cx).map_err(broken)
            }
        }
    }

    /// A frame of its own for each piece that is sent, where packets begin and end with it.
    pub(super) const fn is_framed(&self) -> bool {
        matches!(self, Self::WebSocket { .. })
    }

    /// Close code and reason of a WebSocket, once it has been closed with any.
    pub(super) fn close_frame(&self) -> Option<(u16, String)> {
        match self {
            Self::WebSocket {
                closed: Some(frame),
                ..
            } => Some((frame.code.into(), frame.reason.to_string())),
            Self::Bytes { .. } | Self::WebSocket { .. } => None,
        }
    }
}

/// A WebSocket's end: in order, or with an error.
fn ended(error: tungstenite::Error) -> io::Result<Option<Bytes>> {
    match broken(error) {
        error if error.kind() == io::ErrorKind::NotConnected => Ok(None),
        error => Err(error),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "tungstenite says itself what is wrong; only the ends are ours to tell apart"
)]
fn broken(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            io::ErrorKind::NotConnected.into()
        }
        other => io::Error::other(other),
    }
}
