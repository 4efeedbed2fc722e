//! The head of the first request on an HTTP/1 connection, read before hyper reads it again. What hyper would refuse
//! without a word, or take though two readers could understand it differently, is refused here in words; and a minor
//! version that is yet to come is taken for 1.1. Later requests are hyper's alone: it ends the connection wherever
//! this would. Start at [`read`].

use bytes::Bytes;
use hyper::{StatusCode, Uri, Version};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, timeout_at},
};

use super::answer::Refusal;
use crate::listener::{
    Limits,
    detect::{self, Detected, Prefixed},
    path::Stream,
};

/// Header lines of one request. A browser behind three proxies sends forty.
pub(super) const MAX_HEADERS: usize = 256;

/// Up to so many bytes a head is parsed with each piece that comes; beyond that with each line, so that somebody who
/// sends it byte by byte costs no more than his lines do.
const SMALL: usize = 4096;

/// A connection whose first head is not in order.
pub(super) struct Refused<S> {
    pub(super) stream: S,
    /// As it is to be answered.
    pub(super) version: Version,
    /// The answer to HEAD has no body (RFC 9110, 9.3.2).
    pub(super) is_head: bool,
    pub(super) refusal: Refusal,
}

/// Reads the first head, within `http_header_timeout`; of HTTP/2 what must come first.
pub(super) async fn read<S: Stream>(
    stream: Prefixed<S>,
    limits: &Limits,
) -> Result<Prefixed<S>, Refused<S>> {
    let deadline = Instant::now() + limits.http_header_timeout;
    let (mut stream, first) = stream.into_parts();
    let is_http2 = detect::detect(&first) == Detected::Http2;
    let version = if is_http2 {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    };
    let mut head = Vec::from(first);
    let mut is_worth_parsing = true;
    let refusal = loop {
        if is_worth_parsing {
            let checked = if is_http2 {
                check_preface(&head)
            } else {
                check(&mut head, limits.max_header_bytes)
            };
            match checked {
                Ok(true) => return Ok(Prefixed::new(stream, Bytes::from(head))),
                Ok(false) => {}
                Err(refusal) => {
                    break refusal;
                }
            }
        }
        let before = head.len();
        head.reserve(2048);
        let read = timeout_at(deadline, stream.read_buf(&mut head)).await;
        break match read {
            Ok(Ok(1..)) => {
                is_worth_parsing = head.len() <= SMALL
                    || head.len() > 2 * limits.max_header_bytes
                    || head[before..].contains(&b'\n');
                continue;
            }
            Ok(Ok(0) | Err(_)) => Refusal::bad_request("the head of the request is cut"),
            Err(_) => Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                format!(
                    "the head of a request must come within {} s",
                    limits.http_header_timeout.as_secs()
                ),
            ),
        };
    };
    let is_head = head.trim_ascii_start().starts_with(b"HEAD ");
    Err(Refused {
        stream,
        version,
        is_head,
        refusal,
    })
}

/// RFC 9113, 3.4: the preface is a text and a SETTINGS frame, and everything else a connection error. h2 would begin
/// with any frame.
fn check_preface(head: &[u8]) -> Result<bool, Refusal> {
    const TEXT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// Behind the length (4.1): SETTINGS, no ACK, stream 0.
    const SETTINGS: &[u8] = &[4, 0, 0, 0, 0, 0];
    let (text, first_frame) = head.split_at(head.len().min(TEXT.len()));
    let settings = first_frame.get(3..).unwrap_or_default();
    let settings = &settings[..settings.len().min(SETTINGS.len())];
    if TEXT.starts_with(text) && SETTINGS.starts_with(settings) {
        return Ok(settings.len() == SETTINGS.len());
    }
    Err(Refusal::new(
        StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        "the preface of HTTP/2 is malformed",
    ))
}

/// Whether the head is whole, and in order.
fn check(head: &mut [u8], max_header_bytes: usize) -> Result<bool, Refusal> {
    // RFC 9112, 2.2: empty lines before it do not count.
    let is_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    let start = head.iter().take_while(is_end).count();
    let head = &mut head[start..];
    let line_length = head.iter().position(|byte| *byte == b'\n');
    if line_length.unwrap_or(head.len()) > max_header_bytes {
        let text = format!("a request line may have {max_header_bytes} bytes");
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, text));
    }
    if let Some(line_length) = line_length {
        check_version(&mut head[..line_length])?;
    }
    let length = check_syntax(head)?;
    // Two line feeds and a carriage return more are the ends of the line and of the head.
    let ends = line_length.unwrap_or(head.len()) + 3;
    if length.unwrap_or(head.len()) > ends + max_header_bytes {
        return Err(Refusal::too_large(max_header_bytes));
    }
    Ok(length.is_some())
}

/// RFC 9110, 2.5: a higher minor version is to be taken for the highest that is known, another major version is none
/// that is served here.
fn check_version(line: &mut [u8]) -> Result<(), Refusal> {
    let line = match line {
        [line @ .., b'\r'] => line,
        line => line,
    };
    let Some((_, version)) = line.split_last_chunk_mut::<9>() else {
        return Ok(());
    };
    match version {
        [
            b' ',
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor @ b'2'..=b'9',
        ] => *minor = b'1',
        [
            b' ',
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'0' | b'2'..=b'9',
            b'.',
            b'0'..=b'9',
        ] => {
            return Err(Refusal::new(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "the versions of HTTP here are 1.0, 1.1 and 2",
            ));
        }
        // A good one, or none at all: the parser knows.
        _ => {}
    }
    Ok(())
}

/// The length of the head, once it is whole.
fn check_syntax(head: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(head) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(length)) => length,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                format!("a request may have {MAX_HEADERS} headers"),
            ));
        }
        Err(error) => {
            return Err(Refusal::bad_request(format!(
                "the head of the request is malformed: {error}"
            )));
        }
    };
    if request.path.is_none_or(|path| path.parse::<Uri>().is_err()) {
        return Err(Refusal::bad_request("the target of the request is no URI"));
    }
    check_framing(&request).map(|()| Some(length))
}

/// RFC 9112, 6.1 and 6.3: there is one way to say where the body ends.
fn check_framing(request: &httparse::Request<'_, '_>) -> Result<(), Refusal> {
    let values = |name: &'static str| {
        let headers = request.headers.iter();
        headers
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    };
    let mut lengths = values("content-length");
    let length = lengths.next();
    if length.is_some_and(|length| !is_length(length) || lengths.any(|other| other != length)) {
        return Err(Refusal::bad_request("Content-Length must be one number"));
    }
    let mut codings = values("transfer-encoding")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .peekable();
    if codings.peek().is_none() {
        return Ok(());
    }
    if length.is_some() {
        return Err(Refusal::bad_request(
            "Content-Length and Transfer-Encoding exclude each other",
        ));
    }
    if request.version == Some(0) {
        return Err(Refusal::bad_request("HTTP/1.0 has no Transfer-Encoding"));
    }
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let codings: Vec<&[u8]> = codings.filter(|coding| !coding.is_empty()).collect();
    let chunked = codings.iter().filter(|coding| is_chunked(coding)).count();
    if chunked != 1 || !codings.last().is_some_and(is_chunked) {
        return Err(Refusal::bad_request(
            "the last Transfer-Encoding of a request must be chunked",
        ));
    }
    if codings.len() > 1 {
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "the only Transfer-Encoding here is chunked",
        ));
    }
    Ok(())
}

fn is_length(value: &[u8]) -> bool {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value).ok().map(str::parse::<u64>);
    is_number && matches!(number, Some(Ok(0..=MAX_LENGTH)))
}

/// The longest body that hyper can count.
const MAX_LENGTH: u64 = u64::MAX - 2;
