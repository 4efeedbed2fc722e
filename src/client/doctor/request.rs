//! One HTTP/1.1 request, written by hand, and whatever comes back: an answer, another protocol, or nothing.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::way::{Io, Way, is_closed};

/// Bytes of an answer that are read: a page is larger, and not of interest.
const MAX_ANSWER: usize = 64 * 1024;

const MAX_HEADERS: usize = 100;

/// The head of an answer, and what of its body was looked at.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What came instead of an answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// A record of TLS: the port speaks it, and was not asked in it.
    Tls,
    /// Bytes that are no HTTP.
    Foreign(Vec<u8>),
    /// The end of the stream, without a byte.
    Closed,
    /// Nothing in time.
    Silent,
    /// The network or TLS failed.
    Failed(io::Error),
}

/// A stream that has become a WebSocket.
pub(super) struct Upgraded {
    pub(super) stream: Box<dyn Io>,
    /// What came behind the head of the answer.
    pub(super) rest: Vec<u8>,
    /// The sub-protocol that was agreed on.
    pub(super) subprotocol: Option<String>,
    /// The answer belongs to the request: RFC 6455, 4.2.2 (5).
    pub(super) is_accepted: bool,
}

/// What is asked for by an upgrade.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Path and query.
    pub(super) path: &'a str,
    pub(super) subprotocol: Option<&'a str>,
    pub(super) origin: Option<&'a str>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut named = self
            .headers
            .iter()
            .filter(|(header, _)| header.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// The status, and who says so.
    pub(super) fn says(&self) -> String {
        match self.header("server") {
            Some(server) => format!("{} (Server: {server})", self.status),
            None => self.status.to_string(),
        }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// GET on a connection of its own.
pub(super) async fn get(way: &Way, path: &str) -> Result<Answer, NoAnswer> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: gatemq-doctor\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        way.target.authority()
    );
    let mut stream = open(way).await?;
    let (mut answer, rest) = exchange(way, &mut stream, &request).await?;
    answer.body = rest;
    read_body(way, &mut stream, &mut answer, true).await;
    Ok(answer)
}

/// What has a length, and of the rest what came with the head, or everything to the end of the stream.
async fn read_body(way: &Way, stream: &mut Box<dyn Io>, answer: &mut Answer, to_end: bool) {
    let length = answer.header("content-length");
    let length = length.and_then(|length| length.parse().ok());
    let unknown = if to_end { MAX_ANSWER } else { 0 };
    let wanted = length.unwrap_or(unknown).min(MAX_ANSWER);
    let reading = async {
        let mut buffer = [0; 4096];
        while answer.body.len() < wanted {
            match stream.read(&mut buffer).await? {
                0 => break,
                count => answer.body.extend_from_slice(&buffer[..count]),
            }
        }
        Ok(())
    };
    // Half a body is enough to see who answers.
    let _ = way.patiently(reading).await;
}

/// Asks for a WebSocket: either there is one, or an answer that says why not.
pub(super) async fn upgrade(
    way: &Way,
    asked: Asked<'_>,
) -> Result<Result<Upgraded, Answer>, NoAnswer> {
    let key = generate_key();
    let mut request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\nUser-Agent: gatemq-doctor\r\n",
        asked.path,
        way.target.authority()
    );
    if let Some(subprotocol) = asked.subprotocol {
        request.push_str(&format!("Sec-WebSocket-Protocol: {subprotocol}\r\n"));
    }
    if let Some(origin) = asked.origin {
        request.push_str(&format!("Origin: {origin}\r\n"));
    }
    request.push_str("\r\n");
    let mut stream = open(way).await?;
    let (mut answer, rest) = exchange(way, &mut stream, &request).await?;
    if answer.status != 101 {
        answer.body = rest;
        read_body(way, &mut stream, &mut answer, false).await;
        return Ok(Err(answer));
    }
    let accept = derive_accept_key(key.as_bytes());
    Ok(Ok(Upgraded {
        stream,
        rest,
        subprotocol: answer.header("sec-websocket-protocol").map(str::to_owned),
        is_accepted: answer.header("sec-websocket-accept") == Some(accept.as_str()),
    }))
}

async fn open(way: &Way) -> Result<Box<dyn Io>, NoAnswer> {
    way.open().await.map_err(NoAnswer::from)
}

/// Writes a request and reads the head of its answer, with what came behind it.
async fn exchange(
    way: &Way,
    stream: &mut (impl Io + ?Sized),
    request: &str,
) -> Result<(Answer, Vec<u8>), NoAnswer> {
    let mut received = Vec::new();
    let exchanging = async {
        // Whoever refuses may end the stream before all of it is written, and has said why.
        let written = stream.write_all(request.as_bytes()).await;
        let _ = stream.flush().await;
        let mut buffer = [0; 4096];
        loop {
            if let Some(read) = parse(&received)? {
                return Ok(read);
            }
            match stream.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(error) if received.is_empty() => return Err(error.into()),
                Err(_) => break,
            }
        }
        if received.is_empty() {
            return Err(written.err().map_or(NoAnswer::Closed, NoAnswer::from));
        }
        Err(NoAnswer::Foreign(std::mem::take(&mut received)))
    };
    let exchanged = tokio::time::timeout(way.patience, exchanging).await;
    exchanged.unwrap_or(Err(NoAnswer::Silent))
}

/// The head, once it is whole.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, Vec<u8>)>, NoAnswer> {
    // An alert (21) or a handshake (22) of TLS 1.x.
    if matches!(bytes, [0x15 | 0x16, 0x03, ..]) {
        return Err(NoAnswer::Tls);
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let foreign = || NoAnswer::Foreign(bytes.to_vec());
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(at)) => {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let answer = Answer {
                status: head.code.unwrap_or_default(),
                headers: head
                    .headers
                    .iter()
                    .map(|header| (header.name.to_owned(), text(header.value)))
                    .collect(),
                body: Vec::new(),
            };
            Ok(Some((answer, bytes[at..].to_vec())))
        }
        Ok(httparse::Status::Partial) if bytes.len() < MAX_ANSWER => Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => Err(foreign()),
    }
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::TimedOut {
            Self::Silent
        } else if is_closed(&error) {
            Self::Closed
        } else {
            Self::Failed(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_other_protocols() {
        let (answer, rest) = parse(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody")
            .unwrap()
            .unwrap();
        assert_eq!(
            (answer.says().as_str(), &rest[..]),
            ("200 (Server: x)", &b"body"[..])
        );
        assert!(parse(b"HTTP/1.1 200").unwrap().is_none());
        assert!(matches!(parse(b"\x15\x03\x03\x00\x02"), Err(NoAnswer::Tls)));
        assert!(matches!(parse(b"SSH-2.0-x\r\n"), Err(NoAnswer::Foreign(_))));
        let endless = [&b"HTTP/1.1 200 OK\r\nA: "[..], &[b'a'; MAX_ANSWER]].concat();
        assert!(matches!(parse(&endless), Err(NoAnswer::Foreign(_))));
    }
}
