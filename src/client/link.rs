//! A connection that carries MQTT packets, whatever they say: bytes in, bytes out, and the end in words.

use std::{
    collections::VecDeque,
    fmt, io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{ClientError, Target, dial::Agreed, wire::Wire};

/// A connection below a client.
pub struct Link {
    pub(super) wire: Wire,
    pub(super) agreed: Option<Agreed>,
    pub(super) target: Target,
}

impl Link {
    /// More bytes of packets, wherever they begin and end.
    ///
    /// # Errors
    /// The other end has closed, or the network failed.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ClientError>> {
        self.poll_packets(cx, false)
    }

    /// Writes all of it and flushes; what was written is taken away. May be called again after anything.
    ///
    /// # Errors
    /// The network failed.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut VecDeque<Bytes>,
    ) -> Poll<Result<(), ClientError>> {
        self.wire.poll_send(cx, pieces).map_err(ClientError::Io)
    }

    /// Each piece that is sent becomes a message of a WebSocket, so that each has to be a packet; otherwise they may be
    /// joined.
    #[must_use]
    pub const fn is_framed(&self) -> bool {
        self.wire.is_framed()
    }

    /// TLS went on where an earlier connection had ended.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.agreed.as_ref().is_some_and(|agreed| agreed.is_resumed)
    }

    pub(super) fn poll_packets(
        &mut self,
        cx: &mut Context<'_>,
        before_connack: bool,
    ) -> Poll<Result<Bytes, ClientError>> {
        let closed = |wire: &Wire| ClientError::Closed {
            before_connack,
            close_frame: wire.close_frame(),
        };
        Poll::Ready(match ready!(self.wire.poll_receive(cx)) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(closed(&self.wire)),
            Err(error) => {
                let agreed = self.agreed.as_ref();
                let refusal = agreed.and_then(|agreed| agreed.refusal(&error, &self.target));
                Err(match refusal {
                    Some(failure) => ClientError::Tls(failure),
                    None if is_end(&error) => closed(&self.wire),
                    None => ClientError::Io(error),
                })
            }
        })
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
