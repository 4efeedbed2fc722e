//! The first bytes of a stream tell what is spoken on it. Start at [`detect`].

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::proxy_protocol;

/// What the first bytes of a stream are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detected {
    /// Too few to say. Never the answer from [`MAX_BYTES`] on.
    NeedMore,
    /// A PROXY header, version 1 or 2.
    Proxy,
    /// A TLS record with a handshake (RFC 8446, 5.1).
    Tls,
    /// An MQTT CONNECT packet, which is the only one that may come first [MQTT-3.1.0-1].
    Mqtt,
    /// An HTTP/1 request line (RFC 9112, 3).
    Http1,
    /// The HTTP/2 connection preface (RFC 9113, 3.4).
    Http2,
    /// None of these.
    Unknown,
}

/// From so many bytes on [`detect`] always has an answer.
pub const MAX_BYTES: usize = 32;

/// Letters of `UPDATEREDIRECTREF`, the longest HTTP method that is registered (RFC 9110, 16.1).
const MAX_METHOD: usize = 17;

/// The line that the HTTP/2 preface begins with.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Says what a stream beginning with these bytes is.
///
/// [`Detected::Proxy`] is the answer wherever a PROXY header begins; whether one may come is for the caller to know.
#[must_use]
pub fn detect(first: &[u8]) -> Detected {
    match *first {
        [] => Detected::NeedMore,
        // CONNECT; its flags are reserved and zero.
        [0x10, ..] => Detected::Mqtt,
        [0x16] => Detected::NeedMore,
        // Every version of TLS says 3 here for compatibility with SSL 3.0.
        [0x16, 0x03, ..] => Detected::Tls,
        _ => match progress(first, &[&proxy_protocol::SIGNATURE_V2, b"PROXY "]) {
            Progress::Whole => Detected::Proxy,
            Progress::Begun => Detected::NeedMore,
            Progress::Other => detect_http(first),
        },
    }
}

fn detect_http(first: &[u8]) -> Detected {
    // A server should overlook an empty line before the request line (RFC 9112, 2.2).
    let blank = first
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    if blank > MAX_BYTES - MAX_METHOD - 1 {
        return Detected::Unknown;
    }
    match progress(first, &[HTTP2_PREFACE]) {
        Progress::Whole => return Detected::Http2,
        Progress::Begun => return Detected::NeedMore,
        Progress::Other => {}
    }
    let line = &first[blank..];
    match line.iter().position(|byte| !is_token(*byte)) {
        Some(length) if (1..=MAX_METHOD).contains(&length) && line[length] == b' ' => {
            Detected::Http1
        }
        None if line.len() <= MAX_METHOD => Detected::NeedMore,
        _ => Detected::Unknown,
    }
}

enum Progress {
    Whole,
    Begun,
    Other,
}

/// How far a stream has come towards one of these beginnings.
fn progress(first: &[u8], beginnings: &[&[u8]]) -> Progress {
    if beginnings
        .iter()
        .any(|beginning| first.starts_with(beginning))
    {
        Progress::Whole
    } else if beginnings
        .iter()
        .any(|beginning| beginning.starts_with(first))
    {
        Progress::Begun
    } else {
        Progress::Other
    }
}

/// `tchar` of RFC 9110, 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// A stream that gives back first what has already been read of it.
#[derive(Debug)]
pub struct Prefixed<S> {
    stream: S,
    first: Bytes,
}

impl<S> Prefixed<S> {
    /// `first` is what has already been read of `stream`; it may be empty.
    pub const fn new(stream: S, first: Bytes) -> Self {
        Self { stream, first }
    }

    /// The stream behind.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream, and what of its beginning has not been given back.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.first)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.advance(length);
        if self.first.is_empty() {
            // Even an empty end of a `Bytes` keeps the whole allocation.
            self.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// The whole gives the answer, and so does a byte at a time, with nothing else on the way.
    #[track_caller]
    fn check(bytes: &[u8], expected: Detected) {
        for length in 0..bytes.len() {
            let answer = detect(&bytes[..length]);
            assert!(
                answer == Detected::NeedMore || answer == expected,
                "{answer:?} after {length} bytes of {}",
                bytes.escape_ascii()
            );
        }
        assert_eq!(detect(bytes), expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn proxy_headers() {
        check(b"PROXY TCP4 192.0.2.1", Detected::Proxy);
        check(b"PROXY ", Detected::Proxy);
        check(b"PROXY", Detected::NeedMore);
        check(b"\r\n\r\n\0\r\nQUIT\n\x21", Detected::Proxy);
        check(b"\r\n\r\n\0\r\nQUIT", Detected::NeedMore);
        check(b"\r\n\r\n\0\r\nQUIX", Detected::Unknown);
    }

    #[test]
    fn tls() {
        check(b"\x16\x03\x01\x02\x00\x01", Detected::Tls);
        check(b"\x16\x03", Detected::Tls);
        check(b"\x16", Detected::NeedMore);
        check(b"\x16\x02\x01", Detected::Unknown);
        // An alert, and the hello of SSL 2.
        check(b"\x15\x03\x01", Detected::Unknown);
        check(b"\x80\x2e\x01\x03\x01", Detected::Unknown);
    }

    /// [MQTT-3.1.0-1] The first packet is a CONNECT.
    #[test]
    fn mqtt() {
        check(b"\x10", Detected::Mqtt);
        check(b"\x10\x0c\0\x04MQTT", Detected::Mqtt);
        check(b"\x11\x0c\0\x04MQTT", Detected::Unknown);
        check(b"\xc0\0", Detected::Unknown);
        check(b"\x30\x05", Detected::Unknown);
    }

    #[test]
    fn http() {
        for method in [
            "GET",
            "HEAD",
            "POST",
            "PUT",
            "PATCH",
            "PROPFIND",
            "PROXYING",
            "PRI",
            "OPTIONS",
            "M-SEARCH",
            "UPDATEREDIRECTREF",
            "get",
        ] {
            check(
                format!("{method} / HTTP/1.1\r\n").as_bytes(),
                Detected::Http1,
            );
        }
        check(b"\r\nGET / HTTP/1.1\r\n", Detected::Http1);
        check(b"\r\n\r\nGET / HTTP/1.1\r\n", Detected::Http1);
        check(b"UPDATEREDIRECTREF", Detected::NeedMore);
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Detected::Http2);
        check(b"PRI * HTTP/2.0", Detected::NeedMore);
        check(b"PRI * HTTP/1.1\r\n", Detected::Http1);
    }

    #[test]
    fn everything_else_is_unknown() {
        check(b"SSH-2.0-OpenSSH_9.2p1\r\n", Detected::Unknown);
        check(b"ABCDEFGHIJKLMNOPQR", Detected::Unknown);
        check(b"GET\r\n", Detected::Unknown);
        check(b" GET / HTTP/1.1", Detected::Unknown);
        check(b"G\0T ", Detected::Unknown);
        check(b"\0\0\0", Detected::Unknown);
        check(&[b'\n'; MAX_BYTES], Detected::Unknown);
    }

    proptest! {
        #[test]
        fn enough_bytes_always_give_an_answer_and_more_never_change_it(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), proptest::sample::select(b"\r\n\0PRIOXYGET */".to_vec())],
                MAX_BYTES..64,
            ),
        ) {
            prop_assert_ne!(detect(&bytes[..MAX_BYTES]), Detected::NeedMore);
            let first = (0..=bytes.len())
                .map(|length| detect(&bytes[..length]))
                .find(|answer| *answer != Detected::NeedMore);
            prop_assert_eq!(first, Some(detect(&bytes)));
        }
    }

    #[tokio::test]
    async fn what_was_read_is_given_back_first() {
        let (ours, mut peer) = tokio::io::duplex(64);
        let mut stream = Prefixed::new(ours, Bytes::from_static(b"abc"));
        peer.write_all(b"def").await.expect("written");
        let mut read = [0; 2];
        stream.read_exact(&mut read).await.expect("read");
        assert_eq!(&read, b"ab");
        let mut read = [0; 4];
        stream.read_exact(&mut read).await.expect("read");
        assert_eq!(&read, b"cdef");
        stream.write_all(b"back").await.expect("written");
        peer.read_exact(&mut read).await.expect("read");
        assert_eq!(&read, b"back");
    }
}
