//! RFC 6455, 5.5.1 and 7: the end.

use super::*;

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
