//! RFC 8441: WebSocket on streams.

use super::*;
use crate::support::raw::frame as websocket_frame;

/// A request for a WebSocket; what is changed replaces what has its name, or is left out where it is empty.
pub(super) fn websocket(changes: &[(&str, &str)]) -> Vec<u8> {
    let standard = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/mqtt"),
        (":authority", "localhost"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "mqtt"),
    ];
    let changed = |name: &str| changes.iter().find(|(other, _)| *other == name);
    let mut headers: Vec<_> = standard
        .iter()
        .map(|header| *changed(header.0).unwrap_or(header))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let is_new = |header: &&(&str, &str)| !standard.iter().any(|(name, _)| *name == header.0);
    headers.extend(changes.iter().filter(is_new));
    block(&headers)
}

/// RFC 8441, 4 and 5: what asks for a WebSocket, rightly or wrongly.
#[tokio::test]
async fn extended_connect() {
    let ask = |changes: &[(&str, &str)]| frame(HEADERS, END_HEADERS, 1, &websocket(changes));
    check(&[
        ("5 accepted", ask(&[]), Status(200)),
        (
            "5 without version",
            ask(&[("sec-websocket-version", "")]),
            Status(200),
        ),
        (
            "5 without sub-protocol",
            ask(&[("sec-websocket-protocol", "")]),
            Status(200),
        ),
        ("5 another path", ask(&[(":path", "/ws?x=y")]), Status(200)),
        ("5 no such path", ask(&[(":path", "/nowhere")]), Status(404)),
        (
            "5 another version",
            ask(&[("sec-websocket-version", "8")]),
            Status(400),
        ),
        (
            "5 another sub-protocol",
            ask(&[("sec-websocket-protocol", "chat")]),
            Status(400),
        ),
        (
            "4 another protocol",
            ask(&[(":protocol", "connect-udp")]),
            Status(501),
        ),
        (
            "4 :protocol of GET",
            ask(&[(":method", "GET")]),
            StreamError(PROTOCOL_ERROR),
        ),
        (
            "4 no :scheme",
            ask(&[(":scheme", "")]),
            StreamError(PROTOCOL_ERROR),
        ),
        (
            "4 no :path",
            ask(&[(":path", "")]),
            StreamError(PROTOCOL_ERROR),
        ),
    ])
    .await;
}

/// RFC 8441, 5: frames are the payload of DATA, cut as it comes; END_STREAM is the end of the stream.
#[tokio::test]
async fn web_sockets_on_streams() {
    each(async |broker, is_secure| {
        let mut http2 = Http2::open(broker, is_secure).await;
        // Two at once, and a request beside them.
        for stream in [1, 3] {
            http2.upgrade(stream).await;
        }
        let id = |stream: u32| {
            let mut connect = CONNECT.to_vec();
            *connect.last_mut().expect("a letter") = b'0' + stream as u8;
            websocket_frame(0x82, &connect)
        };
        for stream in [1, 3] {
            for byte in id(stream) {
                http2.write(&frame(DATA, 0, stream, &[byte])).await;
            }
            http2
                .expect_data(stream, &[b"\x82\x04", CONNACK].concat())
                .await;
        }
        http2.write(&frame(HEADERS, WHOLE, 5, &get(&[]))).await;
        assert_eq!(status(&http2.frame_of(HEADERS, 5).await.payload), 200);
        // RFC 6455, 5.5.1: Close is answered, and the stream ends.
        http2
            .write(&frame(DATA, 0, 1, &websocket_frame(0x88, b"\x03\xe8")))
            .await;
        http2.expect_data(1, b"\x88\x02\x03\xe8").await;
        let last = http2.frame_of(DATA, 1).await;
        assert_eq!((last.flags, last.payload.len()), (END_STREAM, 0));
        http2.write(&frame(DATA, END_STREAM, 1, &[])).await;
        // 5.1 of RFC 6455 on the other one, which still works until then.
        http2
            .write(&frame(DATA, 0, 3, &websocket_frame(0x82, b"\xc0\x00")))
            .await;
        http2.expect_data(3, b"\x82\x02\xd0\x00").await;
        http2.write(&frame(DATA, 0, 3, b"\x82\x00")).await;
        let close = http2.frame_of(DATA, 3).await;
        assert_eq!(close.payload[..4], [0x88, close.payload[1], 0x03, 0xea]);
        http2.expect_works().await;
    })
    .await;
}

/// RFC 8441, 5: RST_STREAM with CANCEL is how a stream is aborted; the others go on.
#[tokio::test]
async fn a_reset_stream_is_the_end_of_one_client() {
    each(async |broker, is_secure| {
        let mut http2 = Http2::open(broker, is_secure).await;
        for round in 0..5 {
            let stream = 1 + 2 * round;
            http2.upgrade(stream).await;
            http2
                .write(&frame(DATA, 0, stream, &websocket_frame(0x82, CONNECT)))
                .await;
            http2
                .expect_data(stream, &[b"\x82\x04", CONNACK].concat())
                .await;
            http2
                .write(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]))
                .await;
            http2.expect_works().await;
        }
    })
    .await;
}

/// 6.9: a message of more than the windows crosses them piece by piece, both ways.
#[tokio::test]
async fn messages_above_the_windows() {
    each(async |broker, is_secure| {
        let mut http2 = Http2::open(broker, is_secure).await;
        http2.upgrade(1).await;
        let subscribe = b"\x82\x06\x00\x01\x00\x01t\x00";
        http2
            .write(&frame(
                DATA,
                0,
                1,
                &[
                    websocket_frame(0x82, CONNECT),
                    websocket_frame(0x82, subscribe),
                ]
                .concat(),
            ))
            .await;
        http2
            .expect_data(1, b"\x82\x04\x20\x02\x00\x00\x82\x05\x90\x03\x00\x01\x00")
            .await;
        // 200,000 bytes of payload: four bytes of header, three of topic.
        let remaining = 200_000 + 3;
        let head = [
            0x30,
            0x80 | (remaining % 128) as u8,
            0x80 | (remaining / 128 % 128) as u8,
            (remaining / 16_384) as u8,
        ];
        let packet = [&head[..], b"\x00\x01t", &vec![7; 200_000]].concat();
        // The server opens its window as it takes what has come.
        let mut window = 0;
        for piece in websocket_frame(0x82, &packet).chunks(16_384) {
            http2.write(&frame(DATA, 0, 1, piece)).await;
            window += piece.len();
            while window > 32_768 {
                let update = http2.frame_of(WINDOW_UPDATE, 1).await.payload;
                let opened: [u8; 4] = update.try_into().expect("four bytes");
                window = window.saturating_sub(u32::from_be_bytes(opened) as usize);
            }
        }
        // Nothing beyond the window of 65,535, of which 13 are used, until it is opened.
        let mut received = Vec::new();
        while received.len() < 65_535 - 13 {
            received.extend(http2.frame_of(DATA, 1).await.payload);
        }
        assert_eq!(received.len(), 65_535 - 13);
        http2.expect_works().await;
        for stream in [0, 1] {
            http2
                .write(&frame(WINDOW_UPDATE, 0, stream, &[0, 0x10, 0, 0]))
                .await;
        }
        while received.iter().filter(|byte| **byte == 7).count() < 200_000 {
            received.extend(http2.frame_of(DATA, 1).await.payload);
        }
    })
    .await;
}

/// RFC 9113, 6.8, RFC 6455, 7.4.1: a stop announces itself by GOAWAY, and closes each WebSocket with 1001.
#[tokio::test]
async fn a_drain_closes_every_web_socket() {
    for is_secure in [false, true] {
        let mut broker = Broker::start();
        let mut http2 = Http2::open(&broker, is_secure).await;
        http2.upgrade(1).await;
        let connect = websocket_frame(0x82, CONNECT);
        http2.write(&frame(DATA, 0, 1, &connect)).await;
        http2.expect_data(1, &[b"\x82\x04", CONNACK].concat()).await;
        let reading = async {
            let mut data = Vec::new();
            let mut is_announced = false;
            while let Some(frame) = http2.try_frame().await {
                is_announced |= frame.kind == GOAWAY;
                if frame.kind == DATA {
                    data.extend(&frame.payload);
                }
                if data.len() >= 4 {
                    let close = websocket_frame(0x88, &data[2..4]);
                    http2
                        .write(&super::frame(DATA, END_STREAM, 1, &close))
                        .await;
                }
                if frame.kind == PING && frame.flags == 0 {
                    http2
                        .write(&super::frame(PING, ACK, 0, &frame.payload))
                        .await;
                }
            }
            assert!(is_announced);
            assert_eq!(data, b"\x88\x02\x03\xe9");
        };
        tokio::join!(broker.drain(), reading);
    }
}
