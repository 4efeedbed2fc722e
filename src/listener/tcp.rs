//! MQTT straight on a byte stream: TCP, a Unix socket, or TLS on either.

use std::{
    future::poll_fn,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::stream;
use crate::mqtt::transport::{Closing, Frames, Transport};

/// A byte stream as it is. Holds no buffer while nothing happens.
#[derive(Debug)]
pub struct StreamTransport<S> {
    stream: S,
    /// Read while the protocol was being found out, and not yet given on.
    first: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> StreamTransport<S> {
    /// `first` is what has already been read of the stream; it may be empty.
    pub const fn new(stream: S, first: Bytes) -> Self {
        Self { stream, first }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Ok(Some(mem::take(&mut self.first))));
        }
        let bytes = ready!(stream::poll_read(
            &mut self.stream,
            cx,
            Bytes::copy_from_slice
        ))?;
        Poll::Ready(Ok(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, frames: &mut Frames) -> Poll<io::Result<()>> {
        while !frames.is_empty() {
            ready!(stream::poll_write(&mut self.stream, cx, frames))?;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for StreamTransport<S> {
    async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    async fn send(&mut self, frames: &mut Frames) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(cx, frames)).await
    }

    async fn close(&mut self, _: Closing) {
        stream::end(&mut self.stream).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, time::Duration};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
        net::{TcpListener, TcpStream},
        time::Instant,
    };

    use super::*;

    fn pair(capacity: usize) -> (StreamTransport<DuplexStream>, DuplexStream) {
        let (ours, peer) = tokio::io::duplex(capacity);
        (StreamTransport::new(ours, Bytes::new()), peer)
    }

    async fn tcp_pair() -> (StreamTransport<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let peer = TcpStream::connect(address).await.expect("connected");
        let (ours, _) = listener.accept().await.expect("accepted");
        (StreamTransport::new(ours, Bytes::new()), peer)
    }

    #[tokio::test]
    async fn bytes_of_detection_come_first() {
        let (ours, mut peer) = tokio::io::duplex(64);
        let mut transport = StreamTransport::new(ours, Bytes::from_static(b"\x10"));
        peer.write_all(b"rest").await.expect("written");
        drop(peer);
        let mut received = Vec::new();
        while let Some(bytes) = transport.receive().await.expect("received") {
            received.push(bytes);
        }
        assert_eq!(received, [&b"\x10"[..], b"rest"]);
    }

    #[tokio::test]
    async fn many_frames_arrive_in_order_through_a_narrow_stream() {
        let (mut transport, mut peer) = pair(7);
        let mut frames: Frames = (0..1000u32)
            .map(|n| Bytes::copy_from_slice(&n.to_be_bytes()[..(n % 5) as usize]))
            .collect();
        let expected = frames.pieces().flatten().copied().collect::<Vec<_>>();
        let reading = async {
            let mut read = vec![0; expected.len()];
            peer.read_exact(&mut read).await.expect("read");
            read
        };
        let (sent, read) = tokio::join!(transport.send(&mut frames), reading);
        sent.expect("sent");
        assert!(frames.is_empty());
        assert_eq!(read, expected);
    }

    /// The contract of `Transport`: a future polled once and dropped loses and doubles nothing.
    #[tokio::test]
    async fn a_dropped_send_goes_on_where_it_was() {
        let (mut transport, mut peer) = pair(4);
        let mut frames =
            Frames::from_iter([Bytes::from_static(b"abcdef"), Bytes::from_static(b"gh")]);
        let mut read = Vec::new();
        while read.len() < 8 {
            let _ = poll_fn(|cx| Poll::Ready(pin!(transport.send(&mut frames)).poll(cx))).await;
            read.push(peer.read_u8().await.expect("read"));
        }
        assert_eq!(read, b"abcdefgh");
    }

    #[tokio::test]
    async fn the_last_packet_survives_what_the_client_still_sends() {
        let (mut transport, mut peer) = tcp_pair().await;
        peer.write_all(&[0; 100_000]).await.expect("written");
        let mut frames = Frames::from_iter([Bytes::from_static(b"because")]);
        transport.send(&mut frames).await.expect("sent");
        let closing = async {
            transport.close(Closing::Normal).await;
            drop(transport);
        };
        let reading = async {
            peer.write_all(&[0; 100_000]).await.expect("written");
            let mut read = Vec::new();
            peer.read_to_end(&mut read).await.expect("read to the end");
            drop(peer);
            read
        };
        let ((), read) = tokio::join!(closing, reading);
        assert_eq!(read, b"because");
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_open_peer_does_not_hold_up_the_end() {
        let (mut transport, _peer) = pair(64);
        let before = Instant::now();
        transport.close(Closing::Normal).await;
        assert_eq!(before.elapsed().as_secs_f32().round(), 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_without_end_does_not_hold_up_the_end() {
        let (mut transport, mut peer) = pair(64 * 1024);
        let sending = async { while peer.write_all(&[0; 64 * 1024]).await.is_ok() {} };
        let closing = async {
            transport.close(Closing::Normal).await;
            drop(transport);
        };
        tokio::time::timeout(Duration::from_secs(10), async {
            tokio::join!(sending, closing)
        })
        .await
        .expect("an end");
    }
}
