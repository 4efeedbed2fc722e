//! The opening handshake of a WebSocket over HTTP/1.1 (RFC 6455, 4.1). By hand, since the text of a refusal is what
//! people need to read: libraries keep the status and throw the body away.

use std::time::Duration;

use bytes::BytesMut;
use httparse::{EMPTY_HEADER, Response, Status};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::{DialError, Io, Stage};
use crate::client::{Target, wire::Wire};

/// More than any server sends in front of a body; nginx itself takes no more than 32 KiB from what is behind it.
const MAX_HEAD: usize = 64 * 1024;

/// Twice what servers answer an upgrade with.
const MAX_HEADERS: usize = 64;

/// What of a refusal's body is read: an error page's beginning says what is wrong.
const MAX_BODY: usize = 4096;

/// What of it is shown.
const MAX_TEXT: usize = 300;

/// Part of the time a body may take after its head: it only explains.
const BODY_PATIENCE: Duration = Duration::from_secs(2);

/// The answer's head.
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

/// Asks for a WebSocket that carries MQTT.
pub(super) async fn open(
    mut stream: Box<dyn Io>,
    target: &Target,
    subprotocol: &str,
) -> Result<Wire, DialError> {
    let failed = |error| DialError::Io(Stage::Upgrade, error);
    let key = generate_key();
    let request = request(target, &key, subprotocol);
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let mut received = BytesMut::new();
    let head = loop {
        if stream.read_buf(&mut received).await.map_err(failed)? == 0 {
            return Err(broken_off(&received));
        }
        if let Some((head, length)) = parse(&received)? {
            let _ = received.split_to(length);
            break head;
        }
    };
    if head.status != 101 {
        return Err(refusal(stream, &head, received).await);
    }
    check(&head, &key, subprotocol)?;
    Ok(Wire::websocket(stream, received.to_vec()).await)
}

fn request(target: &Target, key: &str, subprotocol: &str) -> String {
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {subprotocol}\r\nUser-Agent: gatemq/{}\r\n\r\n",
        target.path,
        target.authority(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// The head and its length, once it is whole.
fn parse(received: &[u8]) -> Result<Option<(Head, usize)>, DialError> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut headers);
    match response.parse(received) {
        Ok(Status::Complete(length)) => {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let header = |header: &httparse::Header<'_>| {
                (header.name.to_ascii_lowercase(), text(header.value))
            };
            let head = Head {
                status: response.code.unwrap_or_default(),
                headers: response.headers.iter().map(header).collect(),
            };
            Ok(Some((head, length)))
        }
        Ok(Status::Partial) if received.len() <= MAX_HEAD => Ok(None),
        Ok(Status::Partial) | Err(_) => Err(DialError::NotHttp(excerpt(received))),
    }
}

fn broken_off(received: &[u8]) -> DialError {
    if received.is_empty() {
        let closed =
            std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the other end closed it");
        return DialError::Io(Stage::Upgrade, closed);
    }
    DialError::NotHttp(excerpt(received))
}

/// RFC 6455, 4.1: what makes an answer of 101 the answer to this request.
fn check(head: &Head, key: &str, subprotocol: &str) -> Result<(), DialError> {
    if !head
        .value("upgrade")
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    {
        return Err(DialError::NotWebSocket("does not say Upgrade: websocket"));
    }
    if head.value("sec-websocket-accept") != Some(&derive_accept_key(key.as_bytes())) {
        return Err(DialError::NotWebSocket(
            "its Sec-WebSocket-Accept answers another request: a cache between the two?",
        ));
    }
    check_subprotocol(head.value("sec-websocket-protocol"), subprotocol)
}

/// Without the subprotocol, what is behind the WebSocket speaks something else than MQTT [MQTT-6.0.0-4].
pub(super) fn check_subprotocol(answered: Option<&str>, offered: &str) -> Result<(), DialError> {
    if answered.is_some_and(|answered| answered.eq_ignore_ascii_case(offered)) {
        return Ok(());
    }
    Err(DialError::NotWebSocket(
        "does not take up the subprotocol of MQTT (Sec-WebSocket-Protocol)",
    ))
}

async fn refusal(mut stream: Box<dyn Io>, head: &Head, mut body: BytesMut) -> DialError {
    let length = head
        .value("content-length")
        .and_then(|length| length.parse().ok());
    let wanted = length.unwrap_or(MAX_BODY).min(MAX_BODY);
    let reading = async {
        while body.len() < wanted
            && stream
                .read_buf(&mut body)
                .await
                .is_ok_and(|count| count > 0)
        {}
    };
    // What has come by then is shown.
    let _ = timeout(BODY_PATIENCE, reading).await;
    DialError::Http {
        status: head.status,
        location: head.value("location").map(str::to_owned),
        text: text_of(head.value("content-type"), &body),
    }
}

/// The beginning of a body that people can read: text, but not the source of a page.
pub(super) fn text_of(content_type: Option<&str>, body: &[u8]) -> String {
    let content_type = content_type.unwrap_or_default();
    if content_type.starts_with("text/plain") || content_type.contains("json") {
        excerpt(body)
    } else {
        String::new()
    }
}

fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_BODY)]);
    text.trim().chars().take(MAX_TEXT).collect()
}

impl Head {
    /// The value of a header, its name in lower case.
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim())
    }
}
