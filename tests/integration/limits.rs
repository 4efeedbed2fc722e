//! Limits of the front door: met, told to who is beyond them in its own protocol, counted, and left again.

use gatemq::{
    message::QoS,
    mqtt::packet::{Packet, ProtocolVersion, ReasonCode},
};
use tokio::net::TcpStream;

use crate::support::{Broker, Client, Stream, connect, http1, http2::Http2, until, within};

const LIMIT: usize = 3;

async fn raw(broker: &Broker, version: ProtocolVersion) -> Client {
    let stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    Client::new(stream, version)
}

/// As many clients as there may be.
async fn fill(broker: &Broker) -> Vec<Client> {
    let mut clients = Vec::new();
    for number in 0..LIMIT {
        let mut client = raw(broker, ProtocolVersion::V5).await;
        let client_id = number.to_string();
        client
            .expect_accepted(connect(ProtocolVersion::V5, &client_id))
            .await;
        clients.push(client);
    }
    clients
}

/// One place is free again as soon as somebody has left, over every way in.
async fn check_place_is_given_back(broker: &Broker, clients: &mut Vec<Client>) {
    clients.pop().expect("a client").disconnect().await;
    let mut attempts = 0;
    loop {
        let mut client = raw(broker, ProtocolVersion::V5).await;
        let answer = client.connect(connect(ProtocolVersion::V5, "next")).await;
        if answer.reason_code == ReasonCode::Success {
            clients.push(client);
            return;
        }
        // The broker lingers for the end of the stream.
        attempts += 1;
        assert!(attempts < 1000, "the place is never given back");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn check_refused_in_every_protocol(broker: &Broker, code: ReasonCode, words: &str) {
    // MQTT 5 is told, with words; before, there is a code.
    let mut client = raw(broker, ProtocolVersion::V5).await;
    let answer = client.connect(connect(ProtocolVersion::V5, "more")).await;
    assert_eq!(answer.reason_code, code);
    let reason = answer.reason_string.as_deref().unwrap_or_default();
    assert!(reason.contains(words), "{reason}");
    assert_eq!(client.expect_end().await, []);
    let mut client = raw(broker, ProtocolVersion::V3_1_1).await;
    client
        .send_bytes(b"\x10\x10\0\x04MQTT\x04\x02\0\0\0\x04more")
        .await;
    let received = within(client.stream.read()).await;
    assert_eq!(received, b"\x20\x02\0\x03", "server unavailable");

    // A page is told by the close code that it may come back; CONNACK would make it give up.
    let mut client = Client::new(
        Stream::ws(broker.plain_addr()).await.expect("an upgrade"),
        ProtocolVersion::V5,
    );
    let wanted = connect(ProtocolVersion::V5, "more");
    client.send(&Packet::Connect(Box::new(wanted))).await;
    assert_eq!(client.expect_end().await, []);
    let (close_code, reason) = client.stream.close_frame().expect("a close frame");
    assert_eq!(close_code, 1013);
    assert!(reason.contains(words), "{reason}");
}

/// Connections in all: at the limit and one beyond it.
#[tokio::test]
async fn connections_in_all() {
    let broker = Broker::start_with(&format!("[limits]\nmax_connections = {LIMIT}\n"));
    let mut clients = fill(&broker).await;
    let words = "limit of 3 connections";
    check_refused_in_every_protocol(&broker, ReasonCode::ServerBusy, words).await;
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    let answer = http1::get(&mut stream, "/").await;
    assert_eq!(answer.status, 503);
    assert_ne!(answer.header("retry-after"), "");
    assert!(answer.text().contains(words), "{}", answer.text());
    let tcp = TcpStream::connect(broker.plain_addr())
        .await
        .expect("connected");
    let mut http2 = Http2::over(tcp).await;
    assert_eq!(http2.get("/").await.status(), 503);
    drop(http2);
    until("three are counted", || broker.refused("connections") == 3).await;
    // Nobody who is in has noticed.
    for client in &mut clients {
        client.expect_nothing().await;
    }
    check_place_is_given_back(&broker, &mut clients).await;
}

#[tokio::test]
async fn connections_from_one_address() {
    let broker = Broker::start_with(&format!(
        "[limits]\nmax_connections_per_address = {LIMIT}\n"
    ));
    let mut clients = fill(&broker).await;
    let words = "your address has its limit of 3 connections";
    check_refused_in_every_protocol(&broker, ReasonCode::QuotaExceeded, words).await;
    until("three are counted", || {
        broker.refused("connections_per_address") == 3
    })
    .await;
    check_place_is_given_back(&broker, &mut clients).await;
}

/// Each WebSocket on a connection of HTTP/2 takes a place of its own, and gives it back.
#[tokio::test]
async fn websockets_on_http2_are_counted_one_by_one() {
    let broker = Broker::start_with("[limits]\nmax_connections_per_address = 3\n");
    let tcp = TcpStream::connect(broker.plain_addr())
        .await
        .expect("connected");
    let mut http2 = Http2::over(tcp).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let stream = http2.websocket("/mqtt").await.expect("a WebSocket");
        let mut client = Client::new(stream, ProtocolVersion::V5);
        client
            .expect_accepted(connect(ProtocolVersion::V5, ""))
            .await;
        clients.push(client);
    }
    let stream = http2.websocket("/mqtt").await.expect("a WebSocket");
    let mut beyond = Client::new(stream, ProtocolVersion::V5);
    let wanted = connect(ProtocolVersion::V5, "");
    beyond.send(&Packet::Connect(Box::new(wanted))).await;
    assert_eq!(beyond.expect_end().await, []);
    assert_eq!(beyond.stream.close_frame().expect("a close frame").0, 1013);
    clients.pop().expect("a client").disconnect().await;
    let mut attempts = 0;
    loop {
        let stream = http2.websocket("/mqtt").await.expect("a WebSocket");
        let mut client = Client::new(stream, ProtocolVersion::V5);
        let wanted = connect(ProtocolVersion::V5, "");
        client.send(&Packet::Connect(Box::new(wanted))).await;
        if matches!(client.receive().await, Some(Packet::ConnAck(_))) {
            break;
        }
        attempts += 1;
        assert!(attempts < 1000, "the place is never given back");
    }
}

/// Connections that have not said what they are: as many as may be. Who comes then waits, and the longest silent gives way.
#[tokio::test]
async fn handshakes_in_flight() {
    let broker = Broker::start_with("[limits]\nmax_handshakes = 2\n");
    let silent = [
        Stream::tcp(broker.plain_addr()).await.expect("connected"),
        Stream::tcp(broker.secure_addr()).await.expect("connected"),
    ];
    until("both are there", || {
        broker.app().metrics().sockets_accepted.get() == 2
    })
    .await;
    let mut client = raw(&broker, ProtocolVersion::V5).await;
    client
        .expect_accepted(connect(ProtocolVersion::V5, "beyond"))
        .await;
    assert_eq!(broker.refused("handshakes"), 1);
    for stream in silent {
        stream.abort().await;
    }
    // A client that is in takes no place.
    let mut clients = Vec::new();
    while clients.len() < 4 {
        let mut client = raw(&broker, ProtocolVersion::V5).await;
        let wanted = connect(ProtocolVersion::V5, &clients.len().to_string());
        client.send(&Packet::Connect(Box::new(wanted))).await;
        if client.receive().await.is_some() {
            clients.push(client);
        }
    }
}

/// 64 KiB of headers are taken; more is refused with the limit, and a megabyte as well.
#[tokio::test]
async fn headers() {
    let broker = Broker::start();
    let request = |bytes: usize| {
        let cookie = "x".repeat(bytes);
        format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n")
    };
    let open = async || Stream::tcp(broker.plain_addr()).await.expect("connected");
    let answer = http1::ask(&mut open().await, &request(60_000)).await;
    assert_eq!(answer.status, 200);
    for bytes in [66_000, 100_000] {
        let mut stream = open().await;
        let answer = http1::ask(&mut stream, &request(bytes)).await;
        assert_eq!(answer.status, 431);
        assert!(answer.text().contains("65536"), "{}", answer.text());
        assert_eq!(within(stream.read()).await, b"", "closed after it");
    }
    let mut stream = open().await;
    // It is refused before all of it has arrived, so not all of it can be written.
    let _ = tokio::time::timeout(
        std::time::Duration::from_secs(5),
        stream.write(request(1 << 20).as_bytes()),
    )
    .await;
    // A reset may overtake the answer; what matters is that it ends.
    loop {
        let bytes = within(stream.read()).await;
        if bytes.is_empty() {
            break;
        }
        assert!(
            bytes.starts_with(b"HTTP/1.1 431"),
            "{}",
            bytes.escape_ascii()
        );
    }
    // Many small ones are no different.
    let many = "X-Header: value\r\n".repeat(65_536);
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    let mut stream = open().await;
    let _ = tokio::time::timeout(
        std::time::Duration::from_secs(5),
        stream.write(many.as_bytes()),
    )
    .await;
    while !within(stream.read()).await.is_empty() {}
    // Nobody else has noticed.
    assert_eq!(http1::get(&mut open().await, "/livez").await.status, 200);
}

/// HTTP/2 has its limit of headers, too, and says so.
#[tokio::test]
async fn headers_over_http2() {
    let broker = Broker::start();
    let tcp = TcpStream::connect(broker.plain_addr())
        .await
        .expect("connected");
    let mut http2 = Http2::over(tcp).await;
    let cookie = "x".repeat(100_000);
    let answer = http2.websocket_with("/mqtt", &[("cookie", &cookie)]).await;
    assert_eq!(answer.err().expect("no WebSocket").status(), 431);
    assert_eq!(http2.get("/livez").await.status(), 200);
}

/// As many subscriptions as a session may have, and one more.
#[tokio::test]
async fn subscriptions_of_a_session() {
    let broker = Broker::start_with("[mqtt]\nmax_subscriptions_per_session = 2\n");
    let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
    for (filter, expected) in [
        ("a", ReasonCode::GrantedQoS1),
        ("b", ReasonCode::GrantedQoS1),
        ("c", ReasonCode::QuotaExceeded),
        ("a", ReasonCode::GrantedQoS1),
    ] {
        let code = client.subscribe(filter, QoS::AtLeastOnce).await;
        assert_eq!(code, expected, "{filter}");
    }
}

/// As many sessions as there may be, and one more; those that are there go on.
#[tokio::test]
async fn sessions() {
    let broker = Broker::start_with("[mqtt]\nmax_sessions = 2\n");
    let _first = broker.connect(connect(ProtocolVersion::V5, "1")).await;
    let mut second = broker.connect(connect(ProtocolVersion::V5, "2")).await;
    let mut beyond = broker.client(ProtocolVersion::V5).await;
    let answer = beyond.connect(connect(ProtocolVersion::V5, "3")).await;
    assert_eq!(answer.reason_code, ReasonCode::QuotaExceeded);
    second.expect_nothing().await;
    // Its own place is enough for who comes back.
    let mut again = broker.connect(connect(ProtocolVersion::V5, "2")).await;
    again.expect_nothing().await;
}
