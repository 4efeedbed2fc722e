//! RFC 6455, by raw bytes: the upgrade (4.2), the frames (5), the end (7). Over plain streams and over TLS.

mod ending;
mod handshake;

use crate::support::{
    Broker,
    raw::{ACCEPT, KEY, Raw, frame, upgrade_request},
};

/// MQTT 3.1.1, clean session, no keep alive, client identifier `ws`.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02ws";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const PINGREQ: &[u8] = b"\xc0\x00";
const PINGRESP: &[u8] = b"\xd0\x00";

const BINARY: u8 = 0x82;

/// Runs a test over plain streams and over TLS.
async fn each(test: impl AsyncFn(&Broker, bool)) {
    let broker = Broker::start();
    for is_secure in [false, true] {
        eprintln!("{}", if is_secure { "over TLS" } else { "plain" });
        test(&broker, is_secure).await;
    }
}

async fn open(broker: &Broker, is_secure: bool) -> Raw {
    if is_secure {
        Raw::secure(broker, &[b"http/1.1"]).await
    } else {
        Raw::plain(broker).await
    }
}

async fn upgraded(broker: &Broker, is_secure: bool) -> Raw {
    let mut raw = open(broker, is_secure).await;
    raw.upgrade().await;
    raw
}

/// A WebSocket on which CONNECT was accepted.
async fn connected(broker: &Broker, is_secure: bool) -> Raw {
    let mut raw = upgraded(broker, is_secure).await;
    raw.write(frame(BINARY, CONNECT)).await;
    expect_data(&mut raw, CONNACK).await;
    raw
}

async fn expect_data(raw: &mut Raw, payload: &[u8]) {
    let frame = raw.frame().await;
    assert_eq!((frame.first, &frame.payload[..]), (BINARY, payload));
}

/// The connection works.
async fn expect_open(raw: &mut Raw) {
    raw.write(frame(BINARY, PINGREQ)).await;
    expect_data(raw, PINGRESP).await;
}

/// 5.1 to 5.5: each breaks the protocol, and the connection fails with the code that says how.
#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn frames_that_break_the_protocol() {
    let long = |first: u8, length: [u8; 8]| [&[first, 0xff][..], &length, &[1, 2, 3, 4]].concat();
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("5.1 not masked", vec![0x82, 2, 0xc0, 0], 1002),
        ("5.1 not masked, empty", vec![0x82, 0], 1002),
        ("5.1 Ping not masked", vec![0x89, 0], 1002),
        ("5.1 Close not masked", vec![0x88, 0], 1002),
        ("5.2 RSV1, compressed", frame(0xc2, PINGREQ), 1002),
        ("5.2 RSV2", frame(0xa2, PINGREQ), 1002),
        ("5.2 RSV3", frame(0x92, PINGREQ), 1002),
        ("5.2 all RSV", frame(0xf2, PINGREQ), 1002),
        ("5.2 RSV1 in Ping", frame(0xc9, b""), 1002),
        ("5.2 RSV1 in Close", frame(0xc8, b""), 1002),
        ("5.2 opcode 3", frame(0x83, b""), 1002),
        ("5.2 opcode 4", frame(0x84, b"x"), 1002),
        ("5.2 opcode 5", frame(0x85, b""), 1002),
        ("5.2 opcode 6", frame(0x86, b"x"), 1002),
        ("5.2 opcode 7", frame(0x87, b""), 1002),
        ("5.2 opcode B", frame(0x8b, b""), 1002),
        ("5.2 opcode C", frame(0x8c, b"x"), 1002),
        ("5.2 opcode D", frame(0x8d, b""), 1002),
        ("5.2 opcode E", frame(0x8e, b"x"), 1002),
        ("5.2 opcode F", frame(0x8f, b""), 1002),
        (
            "5.2 length 2 in two bytes",
            vec![0x82, 0xfe, 0, 2, 1, 2, 3, 4],
            1002,
        ),
        (
            "5.2 length 125 in two bytes",
            vec![0x82, 0xfe, 0, 125, 1, 2, 3, 4],
            1002,
        ),
        (
            "5.2 length 2 in eight bytes",
            long(0x82, [0, 0, 0, 0, 0, 0, 0, 2]),
            1002,
        ),
        (
            "5.2 length 65535 in eight bytes",
            long(0x82, [0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            1002,
        ),
        (
            "5.2 length 2^63",
            long(0x82, [0x80, 0, 0, 0, 0, 0, 0, 0]),
            1002,
        ),
        ("5.2 length 2^64-1", long(0x82, [0xff; 8]), 1002),
        (
            "7.4.1 length 2^62",
            long(0x82, [0x40, 0, 0, 0, 0, 0, 0, 0]),
            1009,
        ),
        (
            "7.4.1 length 2^63-1",
            long(0x82, [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            1009,
        ),
        (
            "5.4 continuation of nothing, final",
            frame(0x80, b"x"),
            1002,
        ),
        ("5.4 continuation of nothing", frame(0x00, b"x"), 1002),
        (
            "5.4 new message inside one",
            [frame(0x02, b""), frame(0x82, b"")].concat(),
            1002,
        ),
        (
            "5.4 text inside a message",
            [frame(0x02, b""), frame(0x81, b"")].concat(),
            1002,
        ),
        ("5.5 Ping in fragments", frame(0x09, b""), 1002),
        ("5.5 Pong in fragments", frame(0x0a, b""), 1002),
        ("5.5 Close in fragments", frame(0x08, b""), 1002),
        ("5.5 Ping of 126", frame(0x89, &[0; 126]), 1002),
        ("5.5 Pong of 126", frame(0x8a, &[0; 126]), 1002),
        ("5.5 Close of 126", frame(0x88, &[3; 126]), 1002),
        ("5.5 Ping of 65536", frame(0x89, &[0; 65_536]), 1002),
        ("5.5.1 Close of one byte", frame(0x88, &[3]), 1002),
        ("5.6 [MQTT-6.0.0-1] text", frame(0x81, b"text"), 1003),
        ("5.6 [MQTT-6.0.0-1] text, empty", frame(0x81, b""), 1003),
        (
            "5.6 [MQTT-6.0.0-1] text in fragments",
            frame(0x01, b"te"),
            1003,
        ),
    ];
    each(async |broker, is_secure| {
        let mut witness = connected(broker, is_secure).await;
        for (name, bytes, code) in &cases {
            eprintln!("{name}");
            let mut raw = upgraded(broker, is_secure).await;
            let connect = CONNECT[..CONNECT.len() - 2].iter().copied();
            let connect: Vec<u8> = connect.chain(*b"xx").collect();
            raw.write(frame(BINARY, &connect)).await;
            expect_data(&mut raw, CONNACK).await;
            raw.write(bytes).await;
            let reason = raw.expect_close(*code).await;
            assert!(!reason.is_empty());
            // The same before CONNECT.
            let mut raw = upgraded(broker, is_secure).await;
            raw.write(bytes).await;
            raw.expect_close(*code).await;
        }
        expect_open(&mut witness).await;
    })
    .await;
}

/// 5.5.2, 5.5.3: Ping is answered by Pong with the same body, at any time; Pong is never answered.
#[tokio::test]
async fn pings_are_answered() {
    each(async |broker, is_secure| {
        // Before CONNECT as well.
        let mut raw = upgraded(broker, is_secure).await;
        for payload in [&b""[..], b"hello", &[0, 0xff, 0xfe, 0x80], &[b'x'; 125]] {
            raw.write(frame(0x89, payload)).await;
            let pong = raw.frame().await;
            assert_eq!((pong.first, &pong.payload[..]), (0x8a, payload));
        }
        let mut raw = connected(broker, is_secure).await;
        raw.write([frame(0x8a, b"unsolicited"), frame(0x8a, b"")].concat())
            .await;
        expect_open(&mut raw).await;
        // Between the fragments of a message, and a byte at a time.
        let bytes = [
            frame(0x02, b"\xc0"),
            frame(0x89, b"mid"),
            frame(0x80, b"\x00"),
        ]
        .concat();
        for byte in bytes {
            raw.write([byte]).await;
        }
        let pong = raw.frame().await;
        assert_eq!((pong.first, &pong.payload[..]), (0x8a, &b"mid"[..]));
        expect_data(&mut raw, PINGRESP).await;
    })
    .await;
}

/// [MQTT-6.0.0-2]: packets across frames, several packets in a frame, frames without anything, fragments of nothing.
#[tokio::test]
async fn packets_need_not_keep_to_frames() {
    each(async |broker, is_secure| {
        for pieces in [1, 2, 3, 7, 64] {
            let mut raw = upgraded(broker, is_secure).await;
            let packets = [CONNECT, PINGREQ, PINGREQ].concat();
            for piece in packets.chunks(pieces) {
                raw.write([frame(BINARY, b""), frame(BINARY, piece)].concat())
                    .await;
            }
            expect_payload(&mut raw, &[CONNACK, PINGRESP, PINGRESP].concat()).await;
            // One message in as many fragments, some of them empty.
            raw.write(frame(0x02, b"")).await;
            for piece in [PINGREQ, PINGREQ].concat().chunks(pieces) {
                raw.write([frame(0x00, b""), frame(0x00, piece)].concat())
                    .await;
            }
            // The payload of an unfinished message counts already.
            expect_payload(&mut raw, &[PINGRESP, PINGRESP].concat()).await;
            raw.write(frame(0x80, b"")).await;
            expect_open(&mut raw).await;
        }
    })
    .await;
}

async fn expect_payload(raw: &mut Raw, expected: &[u8]) {
    let mut payload = Vec::new();
    while payload.len() < expected.len() {
        let frame = raw.frame().await;
        assert_eq!(frame.first, BINARY);
        payload.extend(frame.payload);
    }
    assert_eq!(payload, expected);
}

/// 5.2, 5.3: lengths in all their forms arrive, and leave, unharmed; every mask is undone, that of zeros included.
#[tokio::test]
async fn frames_of_every_length() {
    each(async |broker, is_secure| {
        let mut raw = connected(broker, is_secure).await;
        // SUBSCRIBE to `t`, QoS 0.
        raw.write(frame(BINARY, b"\x82\x06\x00\x01\x00\x01t\x00"))
            .await;
        expect_data(&mut raw, b"\x90\x03\x00\x01\x00").await;
        for frame_length in [125, 126, 127, 65_535, 65_536, 65_537, 200_000] {
            let packet = publish(frame_length);
            assert_eq!(packet.len(), frame_length);
            raw.write(frame(BINARY, &packet)).await;
            expect_payload(&mut raw, &packet).await;
        }
        raw.write(b"\x82\x82\x00\x00\x00\x00\xc0\x00").await;
        expect_data(&mut raw, PINGRESP).await;
    })
    .await;
}

/// A PUBLISH to `t` of so many bytes in all.
fn publish(length: usize) -> Vec<u8> {
    let lengths = 1..=4;
    let remaining = lengths
        .map(|bytes| length - 1 - bytes)
        .find(|&remaining| remaining_length(remaining).len() + remaining + 1 == length)
        .expect("a length that can be said");
    let payload: Vec<u8> = (0..remaining - 3).map(|n| (n % 251) as u8).collect();
    [
        b"\x30",
        &remaining_length(remaining)[..],
        b"\x00\x01t",
        &payload,
    ]
    .concat()
}

fn remaining_length(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (length % 128) as u8;
        length /= 128;
        bytes.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            return bytes;
        }
    }
}

/// DESIGN: the server sends Pings of its own, whose Pongs need no answer.
#[tokio::test]
async fn the_server_pings() {
    let broker = Broker::start_with("[websocket]\nping_interval = \"1s\"\n");
    for is_secure in [false, true] {
        let mut raw = connected(&broker, is_secure).await;
        for _ in 0..2 {
            let ping = raw.frame().await;
            assert_eq!(ping.first, 0x89);
            raw.write(frame(0x8a, &ping.payload)).await;
        }
        expect_open(&mut raw).await;
    }
}
