//! RFC 6455, by raw bytes: the upgrade (4.2), the frames (5), the end (7). Over plain streams and over TLS.

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

/// 4.2.2 (5): 101, Upgrade, Connection, Accept, the sub-protocol; no extension.
#[tokio::test]
async fn an_upgrade_is_answered_with_what_the_standard_names() {
    each(async |broker, is_secure| {
        let mut raw = open(broker, is_secure).await;
        let answer = raw.ask(upgrade_request(&[])).await;
        assert_eq!((&answer.version[..], answer.status), ("HTTP/1.1", 101));
        let upgrade = answer.header("upgrade").expect("Upgrade");
        assert!(upgrade.eq_ignore_ascii_case("websocket"));
        let connection = answer.header("connection").expect("Connection");
        assert!(connection.eq_ignore_ascii_case("upgrade"));
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
        assert_eq!(answer.header("sec-websocket-protocol"), Some("mqtt"));
        assert_eq!(answer.header("sec-websocket-extensions"), None);
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(answer.header("transfer-encoding"), None);
    })
    .await;
}

/// 4.2.1: what a handshake may look like besides.
#[tokio::test]
async fn handshakes_that_are_accepted() {
    each(async |broker, is_secure| {
        for changes in [
            // (3), (4): without regard to case, and in a list.
            &[("Upgrade", Some("WebSocket"))][..],
            &[("Upgrade", Some("foo/2, websocket"))],
            &[("Connection", Some("keep-alive, Upgrade"))],
            &[("Connection", Some("UPGRADE"))],
            &[
                ("Connection", Some("keep-alive")),
                ("Connection", Some("upgrade")),
            ],
            // (8): no sub-protocol, (9): extensions that are not known, 9.1.
            &[("Sec-WebSocket-Protocol", None)],
            &[(
                "Sec-WebSocket-Extensions",
                Some("permessage-deflate; client_max_window_bits"),
            )],
            &[("Sec-WebSocket-Extensions", Some("foo, bar; baz=2"))],
            // (10): cookies and whatever else.
            &[("Cookie", Some("a=b")), ("X-Unknown", Some("x"))],
            &[("Content-Length", Some("0"))],
            // The value's white space is none of it (RFC 9110, 5.5).
            &[("Sec-WebSocket-Version", Some("  13  "))],
            &[("Sec-WebSocket-Key", Some(" dGhlIHNhbXBsZSBub25jZQ==\t"))],
        ] {
            let mut raw = open(broker, is_secure).await;
            let answer = raw.ask(upgrade_request(changes)).await;
            assert_eq!(answer.status, 101, "{changes:?}");
            assert_eq!(answer.header("sec-websocket-extensions"), None);
        }
    })
    .await;
}

/// 4.2.1, 4.2.2, 4.4: what a handshake may not look like, and what it is answered.
#[tokio::test]
async fn handshakes_that_are_refused() {
    each(async |broker, is_secure| {
        for (changes, status) in [
            (&[("Host", None)][..], 400),
            (&[("Host", Some("a")), ("Host", Some("b"))], 400),
            (&[("Host", Some("not a host"))], 400),
            (&[("Upgrade", None)], 400),
            (&[("Upgrade", Some("h2c"))], 400),
            (&[("Upgrade", Some("websockets"))], 400),
            (&[("Connection", None)], 400),
            (&[("Connection", Some("keep-alive"))], 400),
            (&[("Sec-WebSocket-Key", None)], 400),
            (&[("Sec-WebSocket-Key", Some(""))], 400),
            (&[("Sec-WebSocket-Key", Some("c2hvcnQ="))], 400),
            (
                &[("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ==dGhl"))],
                400,
            ),
            (
                &[
                    ("Sec-WebSocket-Key", Some(KEY)),
                    ("Sec-WebSocket-Key", Some(KEY)),
                ],
                400,
            ),
            (&[("Sec-WebSocket-Version", None)], 426),
            (&[("Sec-WebSocket-Version", Some("8"))], 426),
            (&[("Sec-WebSocket-Version", Some("0"))], 426),
            (&[("Sec-WebSocket-Version", Some("14"))], 426),
            (&[("Sec-WebSocket-Version", Some("013"))], 426),
            (
                &[
                    ("Sec-WebSocket-Version", Some("13")),
                    ("Sec-WebSocket-Version", Some("8")),
                ],
                426,
            ),
            (&[("Sec-WebSocket-Protocol", Some("chat, superchat"))], 400),
            (&[("Content-Length", Some("5"))], 400),
            (&[("Transfer-Encoding", Some("chunked"))], 400),
        ] {
            let mut raw = open(broker, is_secure).await;
            let answer = raw.ask(upgrade_request(changes)).await;
            assert_eq!(answer.status, status, "{changes:?}");
            assert_eq!(answer.header("sec-websocket-accept"), None);
            assert!(!answer.text().is_empty(), "{changes:?}");
            if status == 426 {
                // 4.4: the versions that are understood; RFC 9110, 15.5.22: the protocol to upgrade to.
                assert_eq!(answer.header("sec-websocket-version"), Some("13"));
                assert_eq!(answer.header("upgrade"), Some("websocket"));
            }
        }
    })
    .await;
}

/// 4.2.1 (1): GET, and HTTP/1.1 or higher.
#[tokio::test]
async fn method_and_version_of_the_request() {
    each(async |broker, is_secure| {
        for (request_line, status) in [
            ("POST /mqtt HTTP/1.1", 405),
            ("HEAD /mqtt HTTP/1.1", 405),
            ("OPTIONS /mqtt HTTP/1.1", 405),
            ("GET /mqtt HTTP/1.0", 426),
            ("GET /mqtt HTTP/1.2", 101),
            ("GET /elsewhere HTTP/1.1", 404),
            ("GET /MQTT HTTP/1.1", 404),
            ("GET /mqtt/ HTTP/1.1", 101),
            ("GET /ws HTTP/1.1", 101),
            ("GET / HTTP/1.1", 101),
            ("GET /mqtt?token=x&y=%20 HTTP/1.1", 101),
            ("GET http://localhost/mqtt HTTP/1.1", 101),
        ] {
            let mut raw = open(broker, is_secure).await;
            let request = upgrade_request(&[]).replace("GET /mqtt HTTP/1.1", request_line);
            let answer = raw.ask(request).await;
            assert_eq!(answer.status, status, "{request_line}");
        }
    })
    .await;
}

/// 4.2.2 (5), 4.1: one of the client's list, as it spells it, or none.
#[tokio::test]
async fn a_subprotocol_is_one_of_those_offered() {
    each(async |broker, is_secure| {
        for (offered, chosen) in [
            (&[][..], None),
            (&["mqtt"], Some("mqtt")),
            (&["mqttv3.1"], Some("mqttv3.1")),
            (&["chat, mqtt"], Some("mqtt")),
            (&["mqttv3.1,mqtt"], Some("mqtt")),
            (&["chat", "mqtt"], Some("mqtt")),
            (&["MQTT"], Some("MQTT")),
        ] {
            let mut changes = vec![("Sec-WebSocket-Protocol", None)];
            changes.extend(
                offered
                    .iter()
                    .map(|offer| ("Sec-WebSocket-Protocol", Some(*offer))),
            );
            let mut raw = open(broker, is_secure).await;
            let answer = raw.ask(upgrade_request(&changes)).await;
            assert_eq!(answer.status, 101, "{offered:?}");
            assert_eq!(
                answer.header("sec-websocket-protocol"),
                chosen,
                "{offered:?}"
            );
        }
    })
    .await;
}

/// 10.2: a page of another origin is refused after the upgrade, where it can see why; pages of the same are not.
#[tokio::test]
async fn a_foreign_origin_is_told_so_by_a_close_frame() {
    each(async |broker, is_secure| {
        let mut raw = open(broker, is_secure).await;
        let answer = raw
            .ask(upgrade_request(&[("Origin", Some("https://evil.example"))]))
            .await;
        assert_eq!(answer.status, 101);
        let closing = async {
            let reason = raw.expect_close(1008).await;
            assert!(reason.contains("https://evil.example"), "{reason}");
        };
        closing.await;
        let same = [
            ("Host", Some("example.com")),
            ("Origin", Some("https://example.com")),
        ];
        let mut raw = open(broker, is_secure).await;
        assert_eq!(raw.ask(upgrade_request(&same)).await.status, 101);
        raw.write(frame(BINARY, CONNECT)).await;
        expect_data(&mut raw, CONNACK).await;
    })
    .await;
}

/// 4.1: frames may come together with the request, in one segment.
#[tokio::test]
async fn frames_behind_the_request_are_not_lost() {
    each(async |broker, is_secure| {
        let mut raw = open(broker, is_secure).await;
        let bytes = [upgrade_request(&[]).as_bytes(), &frame(BINARY, CONNECT)].concat();
        assert_eq!(raw.ask(bytes).await.status, 101);
        expect_data(&mut raw, CONNACK).await;
        expect_open(&mut raw).await;
    })
    .await;
}

/// 5.1 to 5.5: each breaks the protocol, and the connection fails with the code that says how.
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

/// 7.4: which codes may stand in a Close frame; the rest is a protocol error.
#[tokio::test]
async fn close_codes() {
    each(async |broker, is_secure| {
        for code in [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
            4000, 4999,
        ] {
            let mut raw = upgraded(broker, is_secure).await;
            raw.write(frame(0x88, &u16::to_be_bytes(code))).await;
            // 5.5.1: it is answered, with the code it had.
            raw.expect_close(code).await;
        }
        for code in [
            0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
        ] {
            let mut raw = upgraded(broker, is_secure).await;
            raw.write(frame(0x88, &u16::to_be_bytes(code))).await;
            let reason = raw.expect_close(1002).await;
            assert!(reason.contains(&code.to_string()), "{reason}");
        }
    })
    .await;
}

/// 5.5.1: a Close frame without a body is answered by one; its reason is UTF-8, of up to 123 bytes.
#[tokio::test]
async fn close_bodies() {
    each(async |broker, is_secure| {
        let mut raw = connected(broker, is_secure).await;
        raw.write(frame(0x88, b"")).await;
        let answer = raw.frame().await;
        assert_eq!((answer.first, &answer.payload[..]), (0x88, &b""[..]));
        assert_eq!(raw.read_to_end().await, b"");

        let longest = [b"\x03\xe8".to_vec(), vec![b'a'; 123]].concat();
        for body in [
            &b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"[..],
            &longest,
        ] {
            let mut raw = connected(broker, is_secure).await;
            raw.write(frame(0x88, body)).await;
            raw.expect_close(1000).await;
        }
        for reason in [
            &b"\xff"[..],
            b"\xc0\x80",         // overlong
            b"\xed\xa0\x80",     // a surrogate
            b"\xf4\x90\x80\x80", // above U+10FFFF
            b"\xce\xba\xe1\xbd", // cut
            b"abc\x80",
        ] {
            let mut raw = connected(broker, is_secure).await;
            raw.write(frame(0x88, &[b"\x03\xe8", reason].concat()))
                .await;
            raw.expect_close(1007).await;
        }
    })
    .await;
}

/// 5.5.1, 1.4: nothing after Close is processed, nor answered.
#[tokio::test]
async fn nothing_after_close_counts() {
    each(async |broker, is_secure| {
        let mut raw = connected(broker, is_secure).await;
        let bytes = [
            frame(0x88, b"\x03\xe8"),
            frame(0x89, b"ping"),
            frame(BINARY, PINGREQ),
            vec![0xff; 100],
        ];
        raw.write(bytes.concat()).await;
        raw.expect_close(1000).await;
    })
    .await;
}

/// 7.1.1: the server ends the stream first; what comes before Close is answered before it.
#[tokio::test]
async fn the_server_ends_the_stream_once_both_have_closed() {
    each(async |broker, is_secure| {
        let mut raw = connected(broker, is_secure).await;
        raw.write([frame(BINARY, PINGREQ), frame(0x88, b"\x0f\xa0")].concat())
            .await;
        expect_data(&mut raw, PINGRESP).await;
        raw.expect_close(4000).await;
    })
    .await;
}

/// [MQTT-3.14.4-1]: DISCONNECT ends the WebSocket with 1000, and the client's Close is waited for.
#[tokio::test]
async fn disconnect_closes_the_web_socket() {
    each(async |broker, is_secure| {
        let mut raw = connected(broker, is_secure).await;
        raw.write(frame(BINARY, b"\xe0\x00")).await;
        let close = raw.frame().await;
        assert_eq!((close.first, &close.payload[..]), (0x88, &b"\x03\xe8"[..]));
        raw.write(frame(0x88, b"\x03\xe8")).await;
        assert_eq!(raw.read_to_end().await, b"");
    })
    .await;
}

/// MQTT that is wrong ends the WebSocket with 1002, and says why.
#[tokio::test]
async fn a_malformed_packet_closes_the_web_socket() {
    each(async |broker, is_secure| {
        let mut raw = connected(broker, is_secure).await;
        raw.write(frame(BINARY, b"\x00\x00")).await;
        assert!(!raw.expect_close(1002).await.is_empty());
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

/// The stream may end in the midst of a frame, or of a message: nobody else is disturbed.
#[tokio::test]
async fn a_stream_that_is_cut() {
    each(async |broker, is_secure| {
        let mut witness = connected(broker, is_secure).await;
        for bytes in [
            &b"\x82"[..],
            b"\x82\xfe",
            b"\x82\x84\x01\x02\x03\x04x",
            b"\x89\x84\x01",
        ] {
            let mut raw = upgraded(broker, is_secure).await;
            raw.write(bytes).await;
            raw.shutdown().await;
            while raw.try_frame().await.is_some() {}
        }
        expect_open(&mut witness).await;
    })
    .await;
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
