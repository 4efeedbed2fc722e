//! The server's end of a stream that is nowhere but in memory, so that what is measured is what stands on it.

use std::{
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Clones are the same stream.
#[derive(Clone, Debug, Default)]
pub struct Wire(Arc<Mutex<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    incoming: Bytes,
    outgoing: Vec<u8>,
    /// Nobody looks at what is written.
    is_sink: bool,
}

impl Wire {
    /// The next that is read.
    pub fn feed(&self, bytes: Bytes) {
        let mut ends = self.0.lock();
        if ends.incoming.is_empty() {
            ends.incoming = bytes;
        } else {
            ends.incoming = [mem::take(&mut ends.incoming), bytes].concat().into();
        }
    }

    /// What was written since.
    pub fn take_written(&self) -> Vec<u8> {
        mem::take(&mut self.0.lock().outgoing)
    }

    /// From now on what is written is gone.
    pub fn becomes_sink(&self) {
        self.0.lock().is_sink = true;
    }
}

/// What a future comes to that waits for nothing.
pub fn at_once<T>(work: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> T {
    match work(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing is waited for here"),
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut ends = self.0.lock();
        if ends.incoming.is_empty() {
            return Poll::Pending;
        }
        let length = ends.incoming.len().min(buffer.remaining());
        buffer.put_slice(&ends.incoming[..length]);
        ends.incoming.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.0.lock();
        if !ends.is_sink {
            ends.outgoing.extend_from_slice(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
