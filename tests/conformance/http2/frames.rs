//! RFC 9113, 3 to 6: frames, and the states of streams.

use super::*;

/// 3.4: the preface, and SETTINGS first.
#[tokio::test]
async fn prefaces() {
    each(async |broker, is_secure| {
        for bytes in [
            [PREFACE, &frame(HEADERS, WHOLE, 1, &get(&[]))].concat(),
            [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat(),
            [&PREFACE[..18], b"XX\r\n\r\n"].concat(),
        ] {
            let mut raw = open(broker, is_secure).await;
            let _ = raw.try_write(&bytes).await;
            let mut http2 = Http2 {
                raw,
                settings: Vec::new(),
            };
            let mut last = None;
            while let Some(frame) = http2.try_frame().await {
                assert!(
                    matches!(frame.kind, SETTINGS | GOAWAY | WINDOW_UPDATE),
                    "{frame:?}"
                );
                last = Some(frame);
            }
            let last = last.expect("a last word");
            let code = &last.payload[4..8];
            assert_eq!((last.kind, code), (GOAWAY, &[0, 0, 0, 1][..]));
        }
        // 6.5.2: what is advertised. RFC 8441, 3: the extended CONNECT.
        let mut http2 = Http2::open(broker, is_secure).await;
        assert_eq!(
            http2.setting(8),
            Some(1),
            "SETTINGS_ENABLE_CONNECT_PROTOCOL"
        );
        assert!(http2.setting(3).is_some_and(|streams| streams >= 100));
        assert_eq!(
            http2.setting(6),
            Some(65_536),
            "SETTINGS_MAX_HEADER_LIST_SIZE"
        );
        let acknowledged = http2.frame_of(SETTINGS, 0).await;
        assert_eq!((acknowledged.flags, acknowledged.payload.len()), (ACK, 0));
    })
    .await;
}

/// 4, 6: frames of a wrong size, on a wrong stream, with values that may not be.
#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn frames_that_break_the_protocol() {
    let headers = || frame(HEADERS, END_HEADERS, 1, &get(&[]));
    check(&[
        (
            "4.1 unknown type",
            frame(0xfa, 0xff, 0, b"anything"),
            Ignored,
        ),
        (
            "4.1 unknown flags",
            frame(PING, 0xfe & !ACK, 0, b"8 bytes!"),
            Ignored,
        ),
        (
            "4.2 frame above SETTINGS_MAX_FRAME_SIZE",
            [headers(), frame(DATA, 0, 1, &[0; 16_385])].concat(),
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        (
            "4.3 a block that is no HPACK",
            frame(HEADERS, WHOLE, 1, b"\x00\x7f\xff\xff\xff\xff\xff"),
            ConnectionError(COMPRESSION_ERROR),
        ),
        (
            "4.3 an index beyond the table",
            frame(HEADERS, WHOLE, 1, &[0xff, 0x7f]),
            ConnectionError(COMPRESSION_ERROR),
        ),
        (
            "6.1 DATA on stream 0",
            frame(DATA, 0, 0, b"x"),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.1 padding longer than DATA",
            [headers(), frame(DATA, PADDED, 1, b"\x05abc")].concat(),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.2 HEADERS on stream 0",
            frame(HEADERS, WHOLE, 0, &get(&[])),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.2 padding longer than HEADERS",
            frame(HEADERS, WHOLE | PADDED, 1, b"\xff\x82"),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.3 PRIORITY of four bytes",
            frame(PRIORITY, 0, 1, &[0; 4]),
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        (
            "6.3 PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &[0; 5]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.3 PRIORITY on an idle stream",
            frame(PRIORITY, 0, 7, &[0, 0, 0, 0, 9]),
            Ignored,
        ),
        (
            "6.4 RST_STREAM on stream 0",
            frame(RST_STREAM, 0, 0, &[0, 0, 0, 8]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.4 RST_STREAM of an idle stream",
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.4 RST_STREAM of three bytes",
            [headers(), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        (
            "6.5 SETTINGS on a stream",
            frame(SETTINGS, 0, 1, &[]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.5 ACK with a payload",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        (
            "6.5 SETTINGS of five bytes",
            frame(SETTINGS, 0, 0, &[0; 5]),
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        (
            "6.5.2 ENABLE_PUSH 2",
            frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.5.2 INITIAL_WINDOW_SIZE 2^31",
            frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
            ConnectionError(FLOW_CONTROL_ERROR),
        ),
        (
            "6.5.2 MAX_FRAME_SIZE 16383",
            frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.5.2 MAX_FRAME_SIZE 2^24",
            frame(SETTINGS, 0, 0, &[0, 5, 1, 0, 0, 0]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.5.2 unknown setting",
            frame(SETTINGS, 0, 0, &[0xff, 0xff, 1, 2, 3, 4]),
            Ignored,
        ),
        (
            "6.6 PUSH_PROMISE by a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.7 PING on a stream",
            frame(PING, 0, 1, &[0; 8]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.7 PING of six bytes",
            frame(PING, 0, 0, &[0; 6]),
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        ("6.7 PING with ACK", frame(PING, ACK, 0, &[0; 8]), Ignored),
        (
            "6.8 GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.9 WINDOW_UPDATE of 0",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.9 WINDOW_UPDATE of three bytes",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            ConnectionError(FRAME_SIZE_ERROR),
        ),
        (
            "6.9 WINDOW_UPDATE of an idle stream",
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.9.1 a window above 2^31-1",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            ConnectionError(FLOW_CONTROL_ERROR),
        ),
        (
            "6.10 CONTINUATION of nothing",
            frame(CONTINUATION, END_HEADERS, 1, &[]),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.10 CONTINUATION after END_HEADERS",
            [headers(), frame(CONTINUATION, END_HEADERS, 1, &[])].concat(),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.2 a frame within a block",
            [frame(HEADERS, 0, 1, &get(&[])), frame(PING, 0, 0, &[0; 8])].concat(),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "6.10 CONTINUATION of another stream",
            [
                frame(HEADERS, 0, 1, &get(&[])),
                frame(CONTINUATION, END_HEADERS, 3, &[]),
            ]
            .concat(),
            ConnectionError(PROTOCOL_ERROR),
        ),
    ])
    .await;
}

/// 5.1: what may come on a stream in each of its states.
#[tokio::test]
async fn stream_states() {
    let request = || frame(HEADERS, WHOLE, 1, &get(&[]));
    check(&[
        (
            "5.1 idle: DATA",
            frame(DATA, END_STREAM, 1, b"x"),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "5.1.1 an even identifier",
            frame(HEADERS, WHOLE, 2, &get(&[])),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "5.1.1 an identifier below the last",
            [
                frame(HEADERS, WHOLE, 5, &get(&[])),
                frame(HEADERS, WHOLE, 3, &get(&[])),
            ]
            .concat(),
            ConnectionError(PROTOCOL_ERROR),
        ),
        (
            "5.1 closed: DATA",
            [
                request(),
                frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
                frame(DATA, 0, 1, b"x"),
            ]
            .concat(),
            StreamError(STREAM_CLOSED),
        ),
        ("8.1 END_STREAM", request(), Status(200)),
        (
            "8.1 trailers without END_STREAM",
            [
                frame(HEADERS, END_HEADERS, 1, &get(&[(":method", "POST")][1..])),
                frame(HEADERS, END_HEADERS, 1, &block(&[("x", "y")])),
            ]
            .concat(),
            StreamError(PROTOCOL_ERROR),
        ),
    ])
    .await;
    // 5.1: half-closed or closed, DATA is an error of the stream or of the connection.
    each(async |broker, is_secure| {
        let mut http2 = Http2::open(broker, is_secure).await;
        http2.write(&request()).await;
        assert_eq!(status(&http2.frame_of(HEADERS, 1).await.payload), 200);
        http2.write(&frame(DATA, END_STREAM, 1, b"x")).await;
        http2
            .expect(StreamError(STREAM_CLOSED), "closed: DATA")
            .await;
    })
    .await;
}
