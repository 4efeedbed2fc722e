//! How a WebSocket ends: by the client, by the server, by a framing error, by nobody.

use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};

use super::*;
use crate::mqtt::transport::Closing;

fn close_frame(code: CloseCode, reason: &'static str) -> Option<CloseFrame> {
    Some(CloseFrame {
        code,
        reason: reason.into(),
    })
}

/// RFC 6455, 5.5.1: the code comes back, once, and then the server ends the stream (7.1.1).
#[tokio::test]
async fn the_close_of_a_client_is_answered() {
    for (payload, answer) in [
        (&b""[..], &b"\x88\x00"[..]),
        (b"\x03\xe8", b"\x88\x02\x03\xe8"),
        (b"\x0f\xa0bye", b"\x88\x02\x0f\xa0"),
    ] {
        let (mut server, mut peer) = raw_pair(1000);
        let bytes = [
            masked(0x82, b"last"),
            masked(0x88, payload),
            masked(0x82, b"x"),
        ]
        .concat();
        peer.write_all(&bytes).await.expect("written");
        assert_eq!(receive_all(&mut server).await.expect("received"), b"last");
        assert_eq!(server.receive().await.expect("received"), None);
        let mut frames = Frames::from_iter([Bytes::from_static(b"too late")]);
        server.send(&mut frames).await.expect("dropped");
        assert!(frames.is_empty());
        let reading = async {
            let mut read = Vec::new();
            peer.read_to_end(&mut read).await.expect("read to the end");
            drop(peer);
            read
        };
        let ((), read) = tokio::join!(server.close(Closing::Normal), reading);
        assert_eq!(read, answer);
    }
}

/// What comes before Close is answered before Close is.
#[tokio::test]
async fn answers_leave_before_the_answer_to_close() {
    let (mut server, mut client) = pair(1000).await;
    client
        .send(Message::binary("question"))
        .await
        .expect("sent");
    client.close(None).await.expect("sent");
    server
        .receive()
        .await
        .expect("received")
        .expect("a question");
    let mut frames = Frames::from_iter([Bytes::from_static(b"answer")]);
    server.send(&mut frames).await.expect("sent");
    assert_eq!(server.receive().await.expect("received"), None);
    assert_eq!(next_message(client.next().await), Message::binary("answer"));
    assert_eq!(next_message(client.next().await), Message::Close(None));
}

#[tokio::test]
async fn a_reason_to_close_reaches_the_client() {
    for (closing, code, reason) in [
        (Closing::Normal, CloseCode::Normal, ""),
        (Closing::GoingAway, CloseCode::Away, ""),
        (
            Closing::ProtocolError("what was wrong".into()),
            CloseCode::Protocol,
            "what was wrong",
        ),
        (Closing::Refused("why".into()), CloseCode::Policy, "why"),
        (
            Closing::TryAgainLater("busy".into()),
            CloseCode::Again,
            "busy",
        ),
    ] {
        let (mut server, mut client) = pair(1000).await;
        let reading = async {
            let message = next_message(client.next().await);
            // Answers the close frame, and sees the end.
            assert!(client.next().await.is_none());
            drop(client);
            message
        };
        let ((), message) = tokio::join!(server.close(closing), reading);
        assert_eq!(message, Message::Close(close_frame(code, reason)));
    }
}

/// Every framing error: what the peer is told, and that the connection ends.
#[tokio::test]
async fn framing_errors_are_told() {
    for (bytes, code, reason) in [
        (vec![0x82, 0x01, b'x'], 1002, "frame without mask"),
        (masked(0xc2, b"x"), 1002, "reserved bits set"),
        (masked(0x83, b"x"), 1002, "reserved opcode 0x3"),
        (masked(0x80, b"x"), 1002, "continuation of no message"),
        (masked(0x81, b"x"), 1003, "text frame"),
        (masked(0x88, b"\x03"), 1002, "half a close code"),
        (masked(0x88, b"\x03\xec"), 1002, "close code 1004"),
        (masked(0x88, b"\x03\xe8\xff"), 1007, "not UTF-8"),
        (
            vec![0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
            1009,
            "frame of 4611686018427387904 bytes",
        ),
    ] {
        let (mut server, mut peer) = raw_pair(1000);
        peer.write_all(&[masked(0x82, b"before"), bytes].concat())
            .await
            .expect("written");
        let received = server.receive().await.expect("received");
        assert_eq!(received.as_deref(), Some(&b"before"[..]));
        let error = server.receive().await.expect_err("a framing error");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(reason), "{error}");
        let reading = async {
            let mut read = Vec::new();
            peer.read_to_end(&mut read).await.expect("read to the end");
            drop(peer);
            read
        };
        let ((), read) = tokio::join!(server.close(Closing::Normal), reading);
        let text = error.to_string();
        assert_eq!(read[..2], [0x88, text.len() as u8 + 2]);
        assert_eq!(read[2..4], u16::to_be_bytes(code));
        assert_eq!(read[4..], *text.as_bytes());
    }
}

#[tokio::test]
async fn the_end_of_a_stream_is_in_order_only_between_messages() {
    let (mut server, mut peer) = raw_pair(1000);
    peer.write_all(&masked(0x82, b"x")).await.expect("written");
    drop(peer);
    assert_eq!(receive_all(&mut server).await.expect("in order"), b"x");

    let (mut server, mut peer) = raw_pair(1000);
    peer.write_all(&masked(0x82, b"xy")[..7])
        .await
        .expect("written");
    drop(peer);
    let error = receive_all(&mut server).await.expect_err("a cut frame");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

/// Half-open: nobody answers our Close frame, or even takes it.
#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_does_not_hold_up_the_end() {
    for capacity in [1000, 1] {
        let (mut server, _peer) = raw_pair(capacity);
        let start = Instant::now();
        server.close(Closing::GoingAway).await;
        assert!(
            start.elapsed() <= Duration::from_millis(2010),
            "{:?}",
            start.elapsed()
        );
    }
}

/// The frame that was on its way is finished before the Close frame.
#[tokio::test]
async fn a_frame_under_way_is_finished_before_close() {
    let (mut server, peer) = raw_pair(10);
    let mut frames = Frames::from_iter([Bytes::from_static(b"a packet of 22 letters")]);
    let sent = poll_fn(|cx| Poll::Ready(pin!(server.send(&mut frames)).poll(cx).is_ready())).await;
    assert!(!sent);
    let mut client: Client = WebSocketStream::from_raw_socket(peer, Role::Client, None).await;
    let reading = async {
        let packet = next_message(client.next().await);
        let close = next_message(client.next().await);
        assert!(client.next().await.is_none());
        drop(client);
        (packet, close)
    };
    let ((), (packet, close)) = tokio::join!(server.close(Closing::GoingAway), reading);
    assert_eq!(packet, Message::binary("a packet of 22 letters"));
    assert_eq!(close, Message::Close(close_frame(CloseCode::Away, "")));
}
