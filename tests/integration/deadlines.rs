//! Silence at each stage of the way in costs the peer its connection, and nobody else anything.

use std::time::{Duration, Instant};

use gatemq::{
    message::QoS,
    mqtt::packet::{Packet, ProtocolVersion, ReasonCode},
};
use tokio::net::TcpStream;

use crate::support::{
    Broker, Carrier, Client, Stream, connect, http1, http2::Http2, until, within,
};

/// What every stage is given here.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A busy machine may be late, but none of the defaults (5 s and more) is in force.
const LATEST: Duration = Duration::from_secs(10);

const TOML: &str = r#"
[limits]
proxy_header_timeout = "1s"
tls_handshake_timeout = "1s"
first_byte_timeout = "1s"
http_header_timeout = "1s"
[mqtt]
connect_timeout = "1s"
"#;

const LISTENERS: &str = r#"
[[listener]]
bind = "127.0.0.1:0"
tls = false
[[listener]]
bind = "127.0.0.1:0"
tls = true
[[listener]]
bind = "127.0.0.1:0"
tls = false
proxy_protocol = "required"
trusted_proxies = ["127.0.0.1"]
"#;

fn broker() -> Broker {
    Broker::start_with(&format!("{TOML}{LISTENERS}"))
}

/// Nothing is said any more: the broker ends the stream when its time has come, not before and not much later. It was
/// opened after `begin`.
async fn check_patience(begin: Instant, mut stream: Stream) -> Vec<u8> {
    let mut received = Vec::new();
    loop {
        let bytes = within(stream.read()).await;
        if bytes.is_empty() {
            break;
        }
        received.extend(bytes);
    }
    let waited = begin.elapsed();
    assert!(waited > TIMEOUT, "{waited:?}");
    assert!(waited < LATEST, "{waited:?}");
    received
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn silent_before_the_proxy_header(broker: &Broker) {
    let addr = broker.app().local_addrs()[2]
        .to_string()
        .parse()
        .expect("an address");
    for begun in [
        &b""[..],
        b"PROXY TCP4 192.0.2.1",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11",
    ] {
        let begin = now();
        let mut stream = Stream::tcp(addr).await.expect("connected");
        stream.write(begun).await.expect("written");
        assert_eq!(check_patience(begin, stream).await, b"");
    }
    until("counted", || broker.refused("proxy_header_timeout") == 3).await;
}

async fn silent_before_tls(broker: &Broker) {
    for (at, begun) in [&b""[..], b"\x16", b"\x16\x03\x01\x02\0\x01\0"]
        .into_iter()
        .enumerate()
    {
        let begin = now();
        let mut stream = Stream::tcp(broker.secure_addr()).await.expect("connected");
        stream.write(begun).await.expect("written");
        check_patience(begin, stream).await;
        let refused = || broker.refused("tls_timeout") + broker.refused("first_byte_timeout");
        until("counted", || refused() > at as i64).await;
    }
}

async fn silent_before_the_first_byte(broker: &Broker) {
    let begin = now();
    let stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    assert_eq!(check_patience(begin, stream).await, b"");
    let begin = now();
    let stream = Stream::tls(broker.secure_addr(), &broker.ca_path(), &[]).await;
    assert_eq!(
        check_patience(begin, stream.expect("a handshake")).await,
        b""
    );
    let begin = now();
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    stream.write(b"PRI * HTT").await.expect("written");
    assert_eq!(check_patience(begin, stream).await, b"");
}

async fn silent_in_an_http_head(broker: &Broker) {
    for begun in ["GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: local"] {
        let begin = now();
        let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
        stream.write(begun.as_bytes()).await.expect("written");
        check_patience(begin, stream).await;
        let begin = now();
        let mut stream = Stream::tls(broker.secure_addr(), &broker.ca_path(), &[])
            .await
            .expect("a handshake");
        stream.write(begun.as_bytes()).await.expect("written");
        check_patience(begin, stream).await;
        // Not on the way to the redirect either.
        let begin = now();
        let mut stream = Stream::tcp(broker.secure_addr()).await.expect("connected");
        stream.write(begun.as_bytes()).await.expect("written");
        check_patience(begin, stream).await;
    }
}

async fn silent_before_connect(broker: &Broker) {
    for carrier in Carrier::ALL {
        let begin = now();
        let stream = match carrier {
            Carrier::Tcp => Stream::tcp(broker.plain_addr()).await,
            Carrier::Tls => Stream::tls(broker.secure_addr(), &broker.ca_path(), &[b"mqtt"]).await,
            Carrier::Ws => Stream::ws(broker.plain_addr()).await,
            Carrier::Wss => Stream::wss(broker.secure_addr(), &broker.ca_path()).await,
        };
        let mut stream = stream.expect("a stream");
        // Half a CONNECT is none.
        stream.write(b"\x10\x20\0\x04MQ").await.expect("written");
        assert_eq!(check_patience(begin, stream).await, b"");
    }
    until("counted", || broker.refused("connect_timeout") == 4).await;
}

async fn idle_on_http1(broker: &Broker) {
    let begin = now();
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    assert_eq!(http1::get(&mut stream, "/livez").await.status, 200);
    assert_eq!(http1::get(&mut stream, "/livez").await.status, 200);
    assert_eq!(check_patience(begin, stream).await, b"");
}

async fn idle_on_http2(broker: &Broker) {
    let plain = TcpStream::connect(broker.plain_addr())
        .await
        .expect("connected");
    let mut http2 = Http2::over(plain).await;
    assert_eq!(http2.get("/livez").await.status(), 200);
    let begin = now();
    http2.expect_end().await;
    assert!(begin.elapsed() < LATEST, "{:?}", begin.elapsed());
    // The preface, and then nothing.
    let begin = now();
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    stream
        .write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .expect("written");
    check_patience(begin, stream).await;
}

/// A connection of HTTP/2 whose WebSocket is quiet is not idle.
async fn quiet_websocket_on_http2(broker: &Broker) {
    let plain = TcpStream::connect(broker.plain_addr())
        .await
        .expect("connected");
    let mut http2 = Http2::over(plain).await;
    let stream = http2.websocket("/mqtt").await.expect("a WebSocket");
    let mut client = Client::new(stream, ProtocolVersion::V5);
    client
        .expect_accepted(connect(ProtocolVersion::V5, "quiet"))
        .await;
    tokio::time::sleep(2 * TIMEOUT).await;
    client.expect_nothing().await;
}

/// Every stage at once, while a client that is in goes on as if nothing were.
#[tokio::test]
async fn silence_at_any_stage_ends_a_connection_and_disturbs_nobody() {
    let broker = broker();
    let watch = async {
        let stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
        let mut client = Client::new(stream, ProtocolVersion::V5);
        client
            .expect_accepted(connect(ProtocolVersion::V5, "watcher"))
            .await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        for number in 0..100 {
            let begin = now();
            client
                .publish("t", &number.to_string(), QoS::AtLeastOnce)
                .await;
            client.expect_message("t", &number.to_string()).await;
            assert!(
                begin.elapsed() < LATEST,
                "held up for {:?}",
                begin.elapsed()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(
        silent_before_the_proxy_header(&broker),
        silent_before_tls(&broker),
        silent_before_the_first_byte(&broker),
        silent_in_an_http_head(&broker),
        silent_before_connect(&broker),
        idle_on_http1(&broker),
        idle_on_http2(&broker),
        quiet_websocket_on_http2(&broker),
        watch,
    );
}

/// A byte now and then is no progress: the deadline is for the whole.
#[tokio::test]
async fn a_byte_now_and_then_does_not_extend_a_deadline() {
    let broker = broker();
    let check = async |mut stream: Stream, bytes: &[u8]| {
        let begin = now();
        for byte in bytes {
            if stream.write(&[*byte]).await.is_err() {
                break;
            }
            let read = tokio::time::timeout(Duration::from_millis(150), stream.read()).await;
            if read.is_ok_and(|bytes| bytes.is_empty()) {
                break;
            }
        }
        assert!(begin.elapsed() < LATEST, "{:?}", begin.elapsed());
    };
    let plain = async || Stream::tcp(broker.plain_addr()).await.expect("connected");
    let secure = async || Stream::tcp(broker.secure_addr()).await.expect("connected");
    let mut connect_packet = b"\x10\x4c\0\x04MQTT\x05\x02\0\0\0\0\x40".to_vec();
    connect_packet.extend([b'x'; 64]);
    let hello = [&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], &[7; 64]].concat();
    tokio::join!(
        check(plain().await, &connect_packet),
        check(
            plain().await,
            "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: and so on, and so on\r\n\r\n".as_bytes()
        ),
        check(secure().await, &hello),
    );
}

/// [MQTT-3.1.2-22] One and a half times the keep alive without a packet.
#[tokio::test]
async fn a_client_that_promised_to_speak_and_does_not_is_ended() {
    let broker = broker();
    let stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    let mut client = Client::new(stream, ProtocolVersion::V5);
    let mut wanted = connect(ProtocolVersion::V5, "c");
    wanted.keep_alive = 1;
    client.expect_accepted(wanted).await;
    let begin = now();
    match client.expect_packet().await {
        Packet::Disconnect(disconnect) => {
            assert_eq!(disconnect.reason_code, ReasonCode::KeepAliveTimeout);
        }
        other => panic!("not DISCONNECT but {other:?}"),
    }
    assert!(begin.elapsed() > Duration::from_millis(1300));
    assert!(begin.elapsed() < LATEST);
}
