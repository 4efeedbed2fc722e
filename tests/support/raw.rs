//! Raw bytes for HTTP and WebSocket: a stream, with TLS or without, on which a test says exactly what it wants to say.

use std::{io, net::SocketAddr, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Broker, Stream, within};

/// The key of the example in RFC 6455, 1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What that key is answered with.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A stream of raw bytes, and what was read beyond what a test has looked at.
pub struct Raw {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
}

/// An answer of HTTP/1.
#[derive(Debug)]
pub struct Answer {
    pub version: String,
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A frame of WebSocket from the server.
#[derive(Debug, Eq, PartialEq)]
pub struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Raw {
    /// To the port without TLS.
    pub async fn plain(broker: &Broker) -> Self {
        Self::plain_at(broker.plain_addr()).await
    }

    /// To any port, without TLS.
    pub async fn plain_at(addr: SocketAddr) -> Self {
        match Stream::tcp(addr).await.expect("a stream") {
            Stream::Tcp(stream) => Self::new(stream),
            _ => unreachable!("it is TCP"),
        }
    }

    /// To the port with TLS, by ALPN.
    pub async fn secure(broker: &Broker, alpn: &[&[u8]]) -> Self {
        let ca = broker.ca_path();
        let stream = Stream::tls(broker.secure_addr(), &ca, alpn).await;
        match stream.expect("a stream") {
            Stream::Tls(stream) => Self::new(*stream),
            _ => unreachable!("it is TLS"),
        }
    }

    fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
        }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes.as_ref()).await.expect("written");
    }

    /// Writes to a server that may have ended already.
    pub async fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        within(async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
    }

    /// Ends this side of the stream.
    pub async fn shutdown(&mut self) {
        within(self.stream.shutdown()).await.expect("ended");
    }

    /// Reads more; `false` at the end, in order or not.
    async fn fill(&mut self) -> bool {
        let mut bytes = vec![0; 64 * 1024];
        let read = within(self.stream.read(&mut bytes)).await.unwrap_or(0);
        self.buffer.extend_from_slice(&bytes[..read]);
        read > 0
    }

    /// So many bytes; fewer where the stream ends before.
    pub async fn read(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length && self.fill().await {}
        let length = length.min(self.buffer.len());
        self.buffer.drain(..length).collect()
    }

    /// Everything up to the end of the stream, which must come in order: no reset.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.buffer);
        within(self.stream.read_to_end(&mut rest))
            .await
            .expect("an end in order");
        rest
    }

    /// The stream ends without another byte.
    pub async fn expect_end(&mut self) {
        let rest = self.read(1).await;
        assert!(rest.is_empty(), "{:?}", rest.escape_ascii().to_string());
    }

    /// The head of the next answer of HTTP/1, with the body that goes with it; `None` where the stream ends.
    pub async fn try_answer(&mut self, method: &str) -> Option<Answer> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                assert_eq!(self.buffer, b"", "half a head");
                return None;
            }
        };
        let head = String::from_utf8(self.read(end).await).expect("a head is text");
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().expect("a status line");
        let (version, status) = status_line.split_once(' ').expect("a status line");
        let headers = lines
            .map(|line| line.split_once(": ").expect("a header line"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer {
            version: version.to_owned(),
            status: status[..3].parse().expect("a status"),
            headers,
            body: Vec::new(),
        };
        let has_body = method != "HEAD" && !matches!(answer.status, 100..200 | 204 | 304);
        if has_body {
            let length = answer.header("content-length").expect("a length");
            let length = length.parse().expect("a number");
            answer.body = self.read(length).await;
            assert_eq!(answer.body.len(), length);
        }
        Some(answer)
    }

    pub async fn answer(&mut self, method: &str) -> Answer {
        self.try_answer(method).await.expect("an answer")
    }

    /// Sends a request, whose answer is returned.
    pub async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        let request = request.as_ref();
        self.write(request).await;
        let is_head = request.starts_with(b"HEAD");
        self.answer(if is_head { "HEAD" } else { "GET" }).await
    }

    /// Upgrades to WebSocket.
    pub async fn upgrade(&mut self) {
        let answer = self.ask(upgrade_request(&[])).await;
        assert_eq!(answer.status, 101, "{answer:?}");
    }

    /// The next frame; `None` at the end of the stream.
    pub async fn try_frame(&mut self) -> Option<Frame> {
        let start = self.read(2).await;
        let [first, second] = start[..] else {
            assert_eq!(start, b"", "half a frame");
            return None;
        };
        assert_eq!(second & 0x80, 0, "a server must not mask (5.1)");
        assert_eq!(first & 0x70, 0, "no extension was negotiated (5.2)");
        let length = match second {
            126 => {
                let length = self.read(2).await;
                usize::from(u16::from_be_bytes([length[0], length[1]]))
            }
            127 => {
                let length = self.read(8).await;
                u64::from_be_bytes(length.try_into().expect("eight bytes")) as usize
            }
            short => usize::from(short),
        };
        let payload = self.read(length).await;
        assert_eq!(payload.len(), length);
        Some(Frame { first, payload })
    }

    pub async fn frame(&mut self) -> Frame {
        self.try_frame().await.expect("a frame")
    }

    /// The server closes: Close with this code, then nothing, then it ends the stream, in order. Its reason.
    pub async fn expect_close(&mut self, code: u16) -> String {
        let frame = self.frame().await;
        assert_eq!(frame.first, 0x88, "{frame:?}");
        assert!(frame.payload.len() >= 2, "{frame:?}");
        let (found, reason) = frame.payload.split_at(2);
        let reason = String::from_utf8(reason.to_vec()).expect("a reason is UTF-8 (5.5.1)");
        assert_eq!(u16::from_be_bytes([found[0], found[1]]), code, "{reason}");
        assert_eq!(self.read_to_end().await, b"", "nothing after Close (5.5.1)");
        reason
    }
}

impl Answer {
    /// The value of a header that is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice in {self:?}");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// An upgrade request as it should be, but for these headers: they replace those of their name, or are left out where
/// they have no value.
pub fn upgrade_request(changes: &[(&str, Option<&str>)]) -> String {
    let standard = [
        ("Host", "localhost"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "mqtt"),
    ];
    let mut request = String::from("GET /mqtt HTTP/1.1\r\n");
    for (name, value) in standard {
        if !changes.iter().any(|(other, _)| *other == name) {
            request += &format!("{name}: {value}\r\n");
        }
    }
    for (name, value) in changes {
        if let Some(value) = value {
            request += &format!("{name}: {value}\r\n");
        }
    }
    request + "\r\n"
}

/// A frame as a client sends it, masked, its length in as few bytes as it needs.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length @ 126..65_536 => {
            bytes.push(0xfe);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0xff);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
