//! The transport against tokio-tungstenite as an independent client, and against raw bytes where no client would do.

mod ending;
mod upgrading;

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{
            Role,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};

use super::WebSocketTransport;
use crate::mqtt::transport::{Frames, Transport};

type Server = WebSocketTransport<DuplexStream>;
type Client = WebSocketStream<DuplexStream>;

const PING_INTERVAL: Duration = Duration::from_secs(25);

/// A server and the raw end of its stream.
fn raw_pair(capacity: usize) -> (Server, DuplexStream) {
    let (ours, peer) = tokio::io::duplex(capacity);
    (WebSocketTransport::new(ours, PING_INTERVAL), peer)
}

async fn pair(capacity: usize) -> (Server, Client) {
    let (server, peer) = raw_pair(capacity);
    let client = WebSocketStream::from_raw_socket(peer, Role::Client, None).await;
    (server, client)
}

/// A frame with a mask of zeros, which changes nothing.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

async fn receive_all(server: &mut Server) -> io::Result<Vec<u8>> {
    let mut received = Vec::new();
    while let Some(bytes) = server.receive().await? {
        assert!(!bytes.is_empty(), "nothing was received");
        received.extend(bytes);
    }
    Ok(received)
}

fn next_message(message: Option<Result<Message, impl std::fmt::Debug>>) -> Message {
    message.expect("a message").expect("a right frame")
}

#[tokio::test]
async fn messages_of_every_size_arrive_as_bytes() {
    let (mut server, mut client) = pair(1000).await;
    let sizes = [0, 1, 125, 126, 65_535, 65_536, 300_000];
    let sending = async {
        for size in sizes {
            let message = Message::binary(vec![size as u8; size]);
            client.send(message).await.expect("sent");
        }
        client.close(None).await.expect("closed");
        client
    };
    let (received, _client) = tokio::join!(receive_all(&mut server), sending);
    let expected: Vec<u8> = sizes
        .iter()
        .flat_map(|&size| vec![size as u8; size])
        .collect();
    assert_eq!(received.expect("received"), expected);
}

#[tokio::test]
async fn fragments_are_passed_on_as_they_come() {
    let (mut server, mut client) = pair(1000).await;
    let fragment = |payload: &'static [u8], opcode, is_final| {
        Message::Frame(Frame::message(payload, OpCode::Data(opcode), is_final))
    };
    client
        .send(fragment(b"abc", Data::Binary, false))
        .await
        .expect("sent");
    let received = server.receive().await.expect("received");
    assert_eq!(
        received.as_deref(),
        Some(&b"abc"[..]),
        "the message is not over"
    );
    client
        .send(fragment(b"def", Data::Continue, true))
        .await
        .expect("sent");
    let received = server.receive().await.expect("received");
    assert_eq!(received.as_deref(), Some(&b"def"[..]));
}

/// What piles up leaves in one write, and each packet in a message of its own: clients exist that read only the first.
#[tokio::test(start_paused = true)]
async fn each_packet_is_a_message_however_they_are_handed_over() {
    let (mut server, mut client) = pair(1000).await;
    let large = vec![7; 5000];
    let pieces: [&[u8]; 6] = [
        &[0xD0, 0, 0x40, 2, 0, 1],
        b"",
        // PUBLISH whose payload is a piece of its own, and one more behind it.
        &[0x90, 1, 0, 0x30, 0x8B, 0x27, 0, 1, b'a'],
        &large,
        &[0x40, 2, 0],
        &[2],
    ];
    let mut frames = Frames::from_iter(pieces.map(Bytes::copy_from_slice));
    let publish = [&[0x30, 0x8B, 0x27, 0, 1, b'a'][..], &large].concat();
    let packets: [&[u8]; 5] = [
        &[0xD0, 0],
        &[0x40, 2, 0, 1],
        &[0x90, 1, 0],
        &publish,
        &[0x40, 2, 0, 2],
    ];
    let receiving = async {
        for packet in packets {
            let message = next_message(client.next().await);
            assert_eq!(message, Message::binary(packet.to_vec()));
        }
    };
    let (sent, ()) = tokio::join!(server.send(&mut frames), receiving);
    sent.expect("sent");
    assert!(frames.is_empty());
}

/// Clients exist that listen only after they have dealt with CONNACK: what follows it waits a little, or until they
/// speak.
#[tokio::test(start_paused = true)]
async fn what_follows_the_first_packet_waits_until_that_is_read() {
    for speaks in [true, false] {
        let (near, mut far) = tokio::io::duplex(1000);
        let mut server = WebSocketTransport::new(near, Duration::ZERO);
        let begin = Instant::now();
        let mut frames = Frames::from_iter([Bytes::from_static(&[0x20, 2, 0, 0, 0xD0, 0])]);
        let client = async {
            let mut first = [0; 6];
            far.read_exact(&mut first).await.expect("read");
            assert_eq!(first, [0x82, 4, 0x20, 2, 0, 0]);
            if speaks {
                // A Pong, for once without mask.
                far.write_all(&[0x8A, 0]).await.expect("written");
            }
            let mut second = [0; 4];
            far.read_exact(&mut second).await.expect("read");
            assert_eq!(second, [0x82, 2, 0xD0, 0]);
        };
        // As a connection does: both directions in one task, each polled anew.
        let connection = poll_fn(|cx| {
            let sent = pin!(server.send(&mut frames)).poll(cx);
            let received = pin!(server.receive()).poll(cx);
            assert!(received.is_pending());
            sent.map(|sent| sent.expect("sent"))
        });
        tokio::join!(connection, client);
        assert_eq!(begin.elapsed() < Duration::from_millis(50), speaks);
    }
}

#[tokio::test]
async fn a_long_packet_arrives_in_several_messages() {
    let (mut server, mut client) = pair(5000).await;
    let packet: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let mut frames = Frames::from_iter([Bytes::from_static(b"!"), packet.clone().into()]);
    let receiving = async {
        let mut received = Vec::new();
        while received.len() <= packet.len() {
            let payload = next_message(client.next().await).into_data();
            assert!(payload.len() <= 65_535);
            received.extend(payload);
        }
        received
    };
    let (sent, received) = tokio::join!(server.send(&mut frames), receiving);
    sent.expect("sent");
    assert_eq!(received, [b"!", &packet[..]].concat());
}

/// The contract of `Transport`: futures polled once and dropped lose and double nothing, in both directions at once.
#[tokio::test]
async fn both_directions_at_once_through_dropped_futures() {
    let (mut server, client) = pair(64).await;
    let (mut sink, mut stream) = client.split();
    let packets: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; usize::from(n) * 3]).collect();
    let expected = packets.concat();
    let sending = async {
        for packet in &packets {
            sink.send(Message::binary(packet.clone()))
                .await
                .expect("sent");
        }
    };
    let receiving = async {
        let mut received = Vec::new();
        while received.len() < expected.len() {
            received.extend(next_message(stream.next().await).into_data());
        }
        received
    };
    let mut frames = Frames::default();
    let mut to_send = packets.iter();
    let mut received = Vec::new();
    let mut is_sending = false;
    let serving = poll_fn(|cx| {
        loop {
            if frames.is_empty() {
                frames.extend(to_send.next().map(|packet| Bytes::from(packet.clone())));
            }
            if is_sending || !frames.is_empty() {
                is_sending = pin!(server.send(&mut frames)).poll(cx).is_pending();
            }
            match pin!(server.receive()).poll(cx) {
                Poll::Ready(bytes) => received.extend(bytes.expect("received").expect("open")),
                Poll::Pending if !is_sending && to_send.len() > 0 => {}
                Poll::Pending if is_sending || received.len() < expected.len() => {
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Ready(()),
            }
        }
    });
    let ((), client_received, ()) = tokio::join!(sending, receiving, serving);
    assert_eq!(client_received, expected);
    assert_eq!(received, expected);
}

/// RFC 6455, 5.5.3: the most recent Ping is answered; it may be the only one.
#[tokio::test]
async fn a_ping_is_answered() {
    let (mut server, mut client) = pair(1000).await;
    client
        .send(Message::Ping("one".into()))
        .await
        .expect("sent");
    client
        .send(Message::Pong("unsolicited".into()))
        .await
        .expect("sent");
    client
        .send(Message::Ping("two".into()))
        .await
        .expect("sent");
    client.send(Message::binary("data")).await.expect("sent");
    let received = server.receive().await.expect("received");
    assert_eq!(received.as_deref(), Some(&b"data"[..]));
    let mut frames = Frames::from_iter([Bytes::from_static(b"answer")]);
    server.send(&mut frames).await.expect("sent");
    assert_eq!(
        next_message(client.next().await),
        Message::Pong("two".into())
    );
    assert_eq!(next_message(client.next().await), Message::binary("answer"));
}

#[tokio::test]
async fn a_ping_is_answered_while_nothing_is_sent() {
    let (mut server, mut client) = pair(1000).await;
    client
        .send(Message::Ping("one".into()))
        .await
        .expect("sent");
    tokio::select! {
        received = server.receive() => panic!("{received:?}"),
        message = client.next() => assert_eq!(next_message(message), Message::Pong("one".into())),
    }
}

/// A peer that pings without end and reads nothing is owed the last answer, beside those that the network holds.
#[tokio::test]
async fn a_flood_of_pings_costs_no_memory() {
    let (mut server, mut peer) = raw_pair(300);
    let flooding = async {
        for n in 0..10_000_u16 {
            let ping = masked(0x89, &[&n.to_be_bytes()[..], &[7; 123]].concat());
            peer.write_all(&ping).await.expect("written");
        }
        peer.write_all(&masked(0x82, b"x")).await.expect("written");
    };
    let (received, ()) = tokio::join!(server.receive(), flooding);
    assert_eq!(received.expect("received").as_deref(), Some(&b"x"[..]));
    let reading = async {
        let mut answers = 0;
        let mut pong = [0; 127];
        while pong[2..4] != 9_999_u16.to_be_bytes() {
            peer.read_exact(&mut pong).await.expect("a pong");
            answers += 1;
        }
        answers
    };
    tokio::select! {
        received = server.receive() => panic!("{received:?}"),
        answers = reading => assert!(answers <= 5, "{answers} answers"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_pings_whether_it_is_answered_or_not() {
    let (mut server, mut peer) = raw_pair(1000);
    let start = Instant::now();
    for n in 1..=3 {
        let mut ping = [0; 2];
        tokio::select! {
            received = server.receive() => panic!("{received:?}"),
            read = peer.read_exact(&mut ping) => { read.expect("read"); }
        }
        assert_eq!(ping, [0x89, 0]);
        assert_eq!(start.elapsed().as_secs(), n * 25);
    }
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_zero_sends_no_pings() {
    let (ours, mut peer) = tokio::io::duplex(100);
    let mut server = WebSocketTransport::new(ours, Duration::ZERO);
    let a_day = Duration::from_secs(24 * 3600);
    let _ = tokio::time::timeout(a_day, server.receive()).await;
    drop(server);
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await.expect("read to the end");
    assert!(read.is_empty());
}
