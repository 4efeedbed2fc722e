//! The byte stream that is left of a WebSocket without its frames.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep},
};

use super::{
    decoder::{Decoder, Event},
    frame::{self, Violation},
    outgoing::Outgoing,
};
use crate::{
    listener::stream,
    mqtt::transport::{Closing, Frames, Transport},
};

/// For our Close frame to leave and the peer's to come.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a peer may still send before its Close frame. As with a stream: a large packet that is on its way.
const CLOSE_BYTES: usize = 4 * 1024 * 1024;

/// The server's end of a WebSocket. While nothing happens it holds a timer, and no buffer.
#[derive(Debug)]
pub struct WebSocketTransport<S> {
    stream: S,
    decoder: Decoder,
    incoming: Incoming,
    outgoing: Outgoing,
    ping_interval: Duration,
    /// Set when the client is first waited for.
    ping_timer: Option<Pin<Box<Sleep>>>,
}

/// What is to be expected of the peer.
#[derive(Clone, Copy, Debug)]
enum Incoming {
    Open,
    /// It has ended, but what it said before is looked at first, and answered.
    Ending(Ending),
    Ended,
}

/// How the peer has ended its stream of frames.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Closed(Option<u16>),
    Violated(Violation),
    Stream,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> WebSocketTransport<S> {
    /// `stream` begins with the first frame. A Ping leaves every `ping_interval`, to keep proxies from taking the
    /// connection for dead, and never if it is zero. Whether it is answered does not matter: keep alive is MQTT's.
    pub fn new(stream: S, ping_interval: Duration) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
            incoming: Incoming::Open,
            outgoing: Outgoing::default(),
            ping_interval,
            ping_timer: None,
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match self.incoming {
                Incoming::Open => {}
                Incoming::Ending(ending) => return Poll::Ready(self.finish(ending, cx)),
                Incoming::Ended => return Poll::Ready(Ok(None)),
            }
            match self.poll_frames(cx) {
                Poll::Ready(Ok(payload)) if payload.is_empty() => {}
                Poll::Ready(Ok(payload)) => return Poll::Ready(Ok(Some(payload))),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        self.poll_ping_timer(cx);
        // Nobody waits for control frames to leave; but where they cannot, nothing else will come either.
        match self.poll_outgoing(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    /// Reads once; the payload of what has come, which may be none.
    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let Self {
            stream,
            decoder,
            incoming,
            outgoing,
            ..
        } = self;
        let mut is_let_go = false;
        let read = stream::poll_read(stream, cx, |mut input| {
            let mut payload = BytesMut::new();
            if input.is_empty() {
                *incoming = Incoming::Ending(Ending::Stream);
            }
            is_let_go = outgoing.heard();
            while !input.is_empty() {
                match decoder.decode(&mut input, &mut payload) {
                    Ok(None) => {}
                    Ok(Some(Event::Ping(payload))) => outgoing.pong(payload),
                    Ok(Some(Event::Close(code))) => {
                        *incoming = Incoming::Ending(Ending::Closed(code));
                    }
                    Err(violation) => *incoming = Incoming::Ending(Ending::Violated(violation)),
                }
            }
            payload.freeze()
        });
        if is_let_go {
            // The same task sends, and may have tried before.
            cx.waker().wake_by_ref();
        }
        read
    }

    /// What the peer said is dealt with: answers its end, as far as the network takes it now. The rest leaves with
    /// `close`.
    fn finish(&mut self, ending: Ending, cx: &mut Context<'_>) -> io::Result<Option<Bytes>> {
        self.incoming = Incoming::Ended;
        let result = match ending {
            Ending::Closed(code) => {
                // The same code comes back (5.5.1).
                let payload = code.map_or_else(Vec::new, |code| frame::close_payload(code, ""));
                self.outgoing.close(payload);
                Ok(None)
            }
            Ending::Violated(violation) => {
                let reason = violation.to_string();
                self.outgoing
                    .close(frame::close_payload(violation.close_code(), &reason));
                Err(io::Error::new(io::ErrorKind::InvalidData, violation))
            }
            Ending::Stream if self.decoder.is_between_messages() => Ok(None),
            Ending::Stream => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the stream ended inside a WebSocket message",
            )),
        };
        // Why the stream ends is known; that the answer does not arrive adds nothing.
        let _ = self.poll_outgoing(cx);
        result
    }

    /// Wakes the task when the next Ping is due.
    fn poll_ping_timer(&mut self, cx: &mut Context<'_>) {
        if self.ping_interval.is_zero() {
            return;
        }
        let interval = self.ping_interval;
        let timer = self
            .ping_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(interval)));
        while timer.as_mut().poll(cx).is_ready() {
            self.outgoing.ping();
            timer.as_mut().reset(Instant::now() + interval);
        }
    }

    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing
            .poll(&mut self.stream, cx, &mut Frames::default())
    }

    /// Ready once the peer has answered our Close frame, or will not.
    fn poll_peer_close(&mut self, cx: &mut Context<'_>, discarded: &mut usize) -> Poll<()> {
        while matches!(self.incoming, Incoming::Open) && *discarded < CLOSE_BYTES {
            match ready!(self.poll_frames(cx)) {
                Ok(payload) => *discarded += payload.len(),
                Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for WebSocketTransport<S> {
    async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Once either side has closed, frames are dropped: nothing may be sent then, and [`receive`](Self::receive) says
    /// so.
    async fn send(&mut self, frames: &mut Frames) -> io::Result<()> {
        poll_fn(|cx| self.outgoing.poll(&mut self.stream, cx, frames)).await
    }

    async fn close(&mut self, closing: Closing) {
        let (code, reason) = (close_code(&closing), closing.reason());
        self.outgoing.close(frame::close_payload(code, reason));
        let handshake = async {
            poll_fn(|cx| self.poll_outgoing(cx)).await?;
            let mut discarded = 0;
            poll_fn(|cx| self.poll_peer_close(cx, &mut discarded)).await;
            io::Result::Ok(())
        };
        // Half-open, or too slow: the stream ends without.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, handshake).await;
        stream::end(&mut self.stream).await;
    }
}

const fn close_code(closing: &Closing) -> u16 {
    match closing {
        Closing::Normal => 1000,
        Closing::GoingAway => 1001,
        Closing::ProtocolError(_) => 1002,
        Closing::Refused(_) => 1008,
        Closing::TryAgainLater(_) => 1013,
    }
}
