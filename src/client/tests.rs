//! What a client says of servers that are not, or not quite, brokers: real sockets, with answers to the letter.

use std::time::Duration;

use futures_util::SinkExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        handshake::server::{Request, Response},
        http::HeaderValue,
        protocol::{CloseFrame, Message},
    },
};

use super::*;
use crate::mqtt::packet::{Connect, ProtocolVersion};

/// Long, since the machine that runs the tests may be busy; short where it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn connect() -> Connect {
    Connect {
        version: ProtocolVersion::V5,
        client_id: "test".into(),
        clean_start: true,
        keep_alive: 60,
        username: None,
        password: None,
        will: None,
        session_expiry_interval: 0,
        receive_maximum: 65_535,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication: None,
        user_properties: Vec::new(),
    }
}

/// Connects to a server that does this with its only connection.
async fn against<F: Future<Output = ()>>(
    scheme: &str,
    timeout: Duration,
    server: impl FnOnce(TcpStream) -> F,
) -> ClientError {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let target = Target::parse(&format!("{scheme}://127.0.0.1:{port}")).expect("a URL");
    let dial = Dial {
        timeout,
        ..Dial::default()
    };
    let serving = async {
        let (stream, _) = listener.accept().await.expect("a client");
        server(stream).await;
    };
    let connect = connect();
    let connecting = Client::connect(&dial, &target, &connect, Session::default());
    let (opened, ()) = tokio::join!(connecting, serving);
    match opened {
        Ok(mut client) => client.next().await.expect_err("an end"),
        Err(error) => error,
    }
}

/// Reads what the client says first, then answers, then closes.
async fn answering(mut stream: TcpStream, answer: Vec<u8>) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

async fn check(scheme: &str, answer: &[u8], kind: Kind, words: &[&str]) {
    let answer = answer.to_vec();
    let error = against(scheme, PATIENCE, |stream| answering(stream, answer)).await;
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    assert_eq!(error.kind(), kind, "{text}");
}

#[tokio::test]
async fn refused_upgrades_are_told_with_status_and_text() {
    let refused = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nnot here\n";
    check(
        "ws",
        refused,
        Kind::Refused,
        &["403 Forbidden: \"not here\"", "a proxy or the broker"],
    )
    .await;
    let page = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>";
    check(
        "ws",
        page,
        Kind::Refused,
        &["502 Bad Gateway; the proxy does not reach"],
    )
    .await;
    let moved = b"HTTP/1.1 301 Moved\r\nLocation: https://h/mqtt\r\nContent-Length: 0\r\n\r\n";
    check("ws", moved, Kind::Refused, &["points to https://h/mqtt"]).await;
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    check(
        "ws",
        page,
        Kind::Refused,
        &["200 OK", "does not pass Upgrade on"],
    )
    .await;
}

#[tokio::test]
async fn what_is_no_websocket_is_told_apart() {
    check(
        "ws",
        b"SSH-2.0-OpenSSH\r\n",
        Kind::Unreachable,
        &["does not speak HTTP", "SSH-2.0"],
    )
    .await;
    check("ws", b"", Kind::Unreachable, &["broke off", "closed"]).await;
    let wrong = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
    check("ws", wrong, Kind::Unreachable, &["answers another request"]).await;
    let endless = vec![b'x'; 100_000];
    check("ws", &endless, Kind::Unreachable, &["does not speak HTTP"]).await;
}

#[tokio::test]
async fn what_is_no_mqtt_is_told_apart() {
    check(
        "mqtt",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        Kind::Unreachable,
        &["speaks HTTP", "ws://"],
    )
    .await;
    check(
        "mqtt",
        &[0x15, 3, 1, 0, 2, 2, 70],
        Kind::Unreachable,
        &["speaks TLS", "mqtts://"],
    )
    .await;
    check(
        "mqtt",
        b"",
        Kind::Unreachable,
        &["instead of answering CONNECT"],
    )
    .await;
    check(
        "mqtt",
        &[0x30, 4, 0, 1, b'a', 0],
        Kind::Unreachable,
        &["PUBLISH where none may come"],
    )
    .await;
    check(
        "mqtt",
        &[0xf0, 0xff, 0xff, 0xff, 0xff],
        Kind::Unreachable,
        &["no MQTT"],
    )
    .await;
    // MQTT 3.1.1 to the client of MQTT 5.
    check("mqtt", &[0x20, 2, 0, 1], Kind::Unreachable, &["-V 311"]).await;
    let refused = [0x20, 8, 0, 0x88, 5, 0x1f, 0, 2, b'n', b'o'];
    check(
        "mqtt",
        &refused,
        Kind::Refused,
        &["server unavailable (0x88): no; try again"],
    )
    .await;
}

#[tokio::test]
async fn silence_ends_with_a_timeout() {
    let short = Duration::from_millis(50);
    for scheme in ["mqtt", "ws", "mqtts"] {
        let silent = async |mut stream: TcpStream| {
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        };
        let error = against(scheme, short, silent).await;
        assert_eq!(error.kind(), Kind::Timeout, "{scheme}: {error}");
    }
}

#[tokio::test]
async fn a_websocket_is_closed_with_code_and_reason() {
    let closing = async |stream: TcpStream| {
        #[expect(
            clippy::result_large_err,
            reason = "the callback's type is tungstenite's"
        )]
        let mqtt = |_: &Request, mut response: Response| {
            let headers = response.headers_mut();
            headers.insert("sec-websocket-protocol", HeaderValue::from_static("mqtt"));
            Ok(response)
        };
        let mut stream = accept_hdr_async(stream, mqtt).await.expect("a WebSocket");
        let frame = CloseFrame {
            code: 1008.into(),
            reason: "not today".into(),
        };
        stream
            .send(Message::Close(Some(frame)))
            .await
            .expect("sent");
    };
    let error = against("ws", PATIENCE, closing).await.to_string();
    assert!(
        error.contains("closed the WebSocket with 1008: not today"),
        "{error}"
    );
}

#[tokio::test]
async fn messages_before_the_end_are_not_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let target = Target::parse(&format!("mqtt://127.0.0.1:{port}")).expect("a URL");
    // CONNACK, PUBLISH and DISCONNECT at once.
    let answer = [
        0x20, 3, 0, 0, 0, 0x30, 5, 0, 1, b'a', 0, b'x', 0xe0, 1, 0x8b,
    ];
    let serving = async {
        let (stream, _) = listener.accept().await.expect("a client");
        answering(stream, answer.to_vec()).await;
    };
    let connect = connect();
    let dial = Dial::default();
    let connecting = Client::connect(&dial, &target, &connect, Session::default());
    let (client, ()) = tokio::join!(connecting, serving);
    let mut client = client.expect("accepted");
    let event = client.next().await.expect("a message");
    assert!(matches!(event, Event::Message(publish) if &publish.message.payload[..] == b"x"));
    let end = client.next().await.expect_err("an end");
    assert!(matches!(&end, ClientError::Disconnected(_)), "{end}");
    assert!(end.is_worth_retrying());
}
