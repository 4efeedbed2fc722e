//! HTTP/2 (RFC 9113) and WebSocket over it (RFC 8441), by raw frames. Over plain streams and over TLS.

mod frames;
mod requests;
mod websocket;

use crate::support::{Broker, raw::Raw};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02h2";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";

/// A frame as it came.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A connection whose settings have been exchanged.
struct Http2 {
    raw: Raw,
    settings: Vec<(u16, u32)>,
}

/// How the server must take what it was sent.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The connection ends, by GOAWAY with this code (5.4.1).
    ConnectionError(u32),
    /// The stream ends, by RST_STREAM with this code (5.4.2), or the connection does; or the request is answered 400.
    StreamError(u32),
    /// The request is answered.
    Status(u16),
    /// Nothing becomes of it: the connection works.
    Ignored,
}

use Expected::{ConnectionError, Ignored, Status, StreamError};

/// Runs a test over plain streams (prior knowledge) and over TLS (ALPN).
async fn each(test: impl AsyncFn(&Broker, bool)) {
    let broker = Broker::start();
    for is_secure in [false, true] {
        eprintln!("{}", if is_secure { "over TLS" } else { "plain" });
        test(&broker, is_secure).await;
    }
}

async fn open(broker: &Broker, is_secure: bool) -> Raw {
    if is_secure {
        Raw::secure(broker, &[b"h2"]).await
    } else {
        Raw::plain(broker).await
    }
}

impl Http2 {
    async fn open(broker: &Broker, is_secure: bool) -> Self {
        let mut raw = open(broker, is_secure).await;
        raw.write([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
            .await;
        let mut http2 = Self {
            raw,
            settings: Vec::new(),
        };
        let first = http2.frame().await;
        assert_eq!(
            (first.kind, first.flags),
            (SETTINGS, 0),
            "3.4: SETTINGS come first"
        );
        http2.settings = first
            .payload
            .chunks(6)
            .map(|setting| {
                let value = setting[2..].try_into().expect("four bytes");
                (
                    u16::from_be_bytes([setting[0], setting[1]]),
                    u32::from_be_bytes(value),
                )
            })
            .collect();
        http2.write(&frame(SETTINGS, ACK, 0, &[])).await;
        http2
    }

    async fn write(&mut self, bytes: &[u8]) {
        let _ = self.raw.try_write(bytes).await;
    }

    async fn try_frame(&mut self) -> Option<Frame> {
        let head = self.raw.read(9).await;
        if head.len() < 9 {
            return None;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        assert_eq!(stream >> 31, 0, "4.1: the reserved bit is not set");
        assert!(length <= 16_384, "4.2: within SETTINGS_MAX_FRAME_SIZE");
        let payload = self.raw.read(length as usize).await;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }

    async fn frame(&mut self) -> Frame {
        self.try_frame().await.expect("a frame")
    }

    /// The next frame of this kind on this stream; others are read over.
    async fn frame_of(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let frame = self.frame().await;
            if (frame.kind, frame.stream) == (kind, stream) {
                return frame;
            }
            // 8.1: RST_STREAM without error asks for no more of a request that is answered.
            let ends =
                frame.kind == GOAWAY || (frame.kind == RST_STREAM && frame.payload != [0; 4]);
            assert!(!ends, "{frame:?}");
        }
    }

    /// Payload of DATA frames, until there is so much of it.
    async fn expect_data(&mut self, stream: u32, expected: &[u8]) {
        let mut data = Vec::new();
        while data.len() < expected.len() {
            data.extend(self.frame_of(DATA, stream).await.payload);
        }
        assert_eq!(data, expected);
    }

    async fn expect_works(&mut self) {
        self.write(&frame(PING, 0, 0, b"8 bytes!")).await;
        loop {
            let answer = self.frame_of(PING, 0).await;
            if answer.flags == ACK {
                assert_eq!(answer.payload, b"8 bytes!", "6.7: the same payload");
                return;
            }
        }
    }

    async fn expect(&mut self, expected: Expected, name: &str) {
        if matches!(expected, Ignored) {
            return self.expect_works().await;
        }
        loop {
            let Some(frame) = self.try_frame().await else {
                panic!("{name}: the connection ended without a word");
            };
            match (frame.kind, expected) {
                (GOAWAY, ConnectionError(code) | StreamError(code)) => {
                    let found =
                        u32::from_be_bytes(frame.payload[4..8].try_into().expect("four bytes"));
                    if found == 0 {
                        continue;
                    }
                    // 7: the general code may stand for each; h2 uses it for frames that it cannot read.
                    assert!(found == code || found == PROTOCOL_ERROR, "{name}: {found}");
                    while self.try_frame().await.is_some() {}
                    return;
                }
                (RST_STREAM, StreamError(code)) => {
                    let found =
                        u32::from_be_bytes(frame.payload[..4].try_into().expect("four bytes"));
                    assert_eq!(found, code, "{name}");
                    return self.expect_works().await;
                }
                // The answer was under way already.
                (HEADERS, StreamError(STREAM_CLOSED)) => {}
                (HEADERS, StreamError(PROTOCOL_ERROR)) => {
                    assert_eq!(status(&frame.payload), 400, "{name}");
                    return self.expect_works().await;
                }
                (HEADERS, Status(expected)) => {
                    assert_eq!(status(&frame.payload), expected, "{name}");
                    return self.expect_works().await;
                }
                (GOAWAY | RST_STREAM | HEADERS, _) => panic!("{name}: {frame:?}"),
                _ => {}
            }
        }
    }

    fn setting(&self, id: u16) -> Option<u32> {
        let mut settings = self.settings.iter();
        settings
            .find(|(other, _)| *other == id)
            .map(|(_, value)| *value)
    }

    /// A WebSocket on a stream.
    async fn upgrade(&mut self, stream: u32) {
        self.write(&frame(
            HEADERS,
            END_HEADERS,
            stream,
            &websocket::websocket(&[]),
        ))
        .await;
        let answer = self.frame_of(HEADERS, stream).await;
        assert_eq!(status(&answer.payload), 200);
        assert_eq!(answer.flags & END_STREAM, 0);
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block without compression: literals that are not indexed (RFC 7541, 6.2.2).
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            let length = u8::try_from(text.len()).expect("short");
            assert!(length < 127);
            block.push(length);
            block.extend(text.as_bytes());
        }
    }
    block
}

const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/livez"),
    (":authority", "localhost"),
];

fn get(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&GET[..], more].concat())
}

/// The status of an answer, which is the first of its headers.
fn status(block: &[u8]) -> u16 {
    let block = match block {
        // The size of a dynamic table.
        [0x20..=0x3f, block @ ..] => block,
        block => block,
    };
    match *block {
        [index @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        [0x48 | 0x08 | 0x18, 3, a, b, c, ..] => String::from_utf8_lossy(&[a, b, c])
            .parse()
            .expect("a status"),
        // Huffman: digits below 3 have five bits, others six, from 0b011001 for 3 on.
        [0x48 | 0x08 | 0x18, 0x82, a, b, ..] => huffman_digits(u32::from_be_bytes([a, b, 0, 0])),
        [0x48 | 0x08 | 0x18, 0x83, a, b, c, ..] => huffman_digits(u32::from_be_bytes([a, b, c, 0])),
        _ => panic!("{block:02x?}"),
    }
}

fn huffman_digits(mut bits: u32) -> u16 {
    let mut number = 0;
    for _ in 0..3 {
        let (digit, length) = match bits >> 27 {
            digit @ 0..3 => (digit, 5),
            _ => ((bits >> 26) - 0b01_1001 + 3, 6),
        };
        number = number * 10 + digit as u16;
        bits <<= length;
    }
    number
}

async fn check(cases: &[(&str, Vec<u8>, Expected)]) {
    each(async |broker, is_secure| {
        for (name, bytes, expected) in cases {
            eprintln!("{name}");
            let mut http2 = Http2::open(broker, is_secure).await;
            http2.write(bytes).await;
            http2.expect(*expected, name).await;
        }
    })
    .await;
}

const WHOLE: u8 = END_STREAM | END_HEADERS;
