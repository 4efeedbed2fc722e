//! One port, every protocol: what is spoken on a connection is told by ALPN and by its first bytes.

use std::os::unix::fs::FileTypeExt;

use gatemq::{
    message::QoS,
    mqtt::packet::{Packet, ProtocolVersion},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use crate::support::{
    Broker, Carrier, Client, Stream, connect, http1, http2::Http2, stream_tls as tls, until, within,
};

/// MQTT works on this stream: there and back.
async fn check_mqtt(stream: Stream) {
    let mut client = Client::new(stream, ProtocolVersion::V5);
    client
        .expect_accepted(connect(ProtocolVersion::V5, ""))
        .await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client
        .publish("t", "there and back", QoS::AtLeastOnce)
        .await;
    client.expect_message("t", "there and back").await;
    client.disconnect().await;
}

async fn check_http1(stream: &mut Stream) {
    let answer = http1::get(stream, "/livez").await;
    assert_eq!((answer.status, &*answer.text()), (200, "ok\n"));
}

async fn check_http2(http2: &mut Http2) {
    let answer = http2.get("/livez").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body(), b"ok\n");
}

/// The stream ends without a byte.
async fn check_closed(mut stream: Stream) {
    assert_eq!(within(stream.read()).await, b"");
}

/// ALPN says `mqtt`, says nothing, or says what nobody knows: MQTT all the same, on the port of HTTPS.
#[tokio::test]
async fn mqtt_over_tls_whatever_alpn_says() {
    let broker = Broker::start();
    for (offered, agreed) in [
        (&[&b"mqtt"[..]][..], Some(&b"mqtt"[..])),
        (&[b"x-amzn-mqtt-ca"], Some(b"x-amzn-mqtt-ca")),
        (&[], None),
        (&[b"mqttv5"], None),
        (&[b"foo", b"bar"], None),
        (&[b"foo", b"mqtt"], Some(b"mqtt")),
        (&[b"http/1.1"], Some(b"http/1.1")),
    ] {
        let stream = tls(broker.secure_addr(), &broker.ca_path(), offered).await;
        let stream = stream.unwrap_or_else(|error| panic!("{offered:?}: {error}"));
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{offered:?}");
        check_mqtt(Stream::Tls(Box::new(stream))).await;
    }
}

#[tokio::test]
async fn http1_over_tls() {
    let broker = Broker::start();
    for alpn in [&[][..], &[&b"http/1.1"[..]], &[b"foo"]] {
        let stream = Stream::tls(broker.secure_addr(), &broker.ca_path(), alpn).await;
        check_http1(&mut stream.expect("a handshake")).await;
    }
}

/// Who says `mqtt` and then speaks HTTP has the answer of MQTT: none.
#[tokio::test]
async fn http_after_the_alpn_of_mqtt_is_closed() {
    let broker = Broker::start();
    let stream = Stream::tls(broker.secure_addr(), &broker.ca_path(), &[b"mqtt"]).await;
    let mut stream = stream.expect("a handshake");
    stream
        .write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("written");
    check_closed(stream).await;
}

#[tokio::test]
async fn http2_by_alpn_and_by_prior_knowledge() {
    let broker = Broker::start();
    let alpn: &[&[u8]] = &[b"h2", b"http/1.1"];
    let stream = tls(broker.secure_addr(), &broker.ca_path(), alpn).await;
    let stream = stream.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    check_http2(&mut Http2::over(stream).await).await;
    let plain = TcpStream::connect(broker.plain_addr()).await;
    check_http2(&mut Http2::over(plain.expect("connected")).await).await;
    let stream = tls(broker.secure_addr(), &broker.ca_path(), &[]).await;
    check_http2(&mut Http2::over(stream.expect("a handshake")).await).await;
}

#[tokio::test]
async fn websocket_over_http1() {
    let broker = Broker::start();
    for carrier in [Carrier::Ws, Carrier::Wss] {
        let broker = &broker;
        let stream = match carrier {
            Carrier::Ws => Stream::ws(broker.plain_addr()).await,
            _ => Stream::wss(broker.secure_addr(), &broker.ca_path()).await,
        };
        check_mqtt(stream.expect("an upgrade")).await;
    }
}

/// RFC 8441: several WebSockets and requests at once on one connection, with MQTT inside.
#[tokio::test]
async fn websockets_over_http2_share_a_connection() {
    const STREAMS: usize = 8;
    let broker = Broker::start();
    let plain = TcpStream::connect(broker.plain_addr()).await;
    let secure = tls(broker.secure_addr(), &broker.ca_path(), &[b"h2"]).await;
    for mut http2 in [
        Http2::over(plain.expect("connected")).await,
        Http2::over(secure.expect("a handshake")).await,
    ] {
        let mut clients = Vec::new();
        for number in 0..STREAMS {
            let path = ["/mqtt", "/ws/", "/"][number % 3];
            let stream = http2.websocket(path).await.expect("a WebSocket");
            let mut client = Client::new(stream, ProtocolVersion::V5);
            client
                .expect_accepted(connect(ProtocolVersion::V5, &number.to_string()))
                .await;
            client.subscribe("all", QoS::ExactlyOnce).await;
            clients.push(client);
        }
        check_http2(&mut http2).await;
        let large = "x".repeat(200_000);
        clients[0].publish("all", &large, QoS::ExactlyOnce).await;
        for client in &mut clients {
            client.expect_message("all", &large).await;
        }
        // One ends, the others do not notice.
        clients.remove(3).disconnect().await;
        clients[0].publish("all", "after", QoS::AtLeastOnce).await;
        for client in &mut clients {
            client.expect_message("all", "after").await;
        }
        check_http2(&mut http2).await;
    }
}

/// RFC 8441, 5: what is wrong with a request is answered as over HTTP/1.1.
#[tokio::test]
async fn websockets_over_http2_are_refused_with_words() {
    let broker = Broker::start();
    let plain = TcpStream::connect(broker.plain_addr()).await;
    let mut http2 = Http2::over(plain.expect("connected")).await;
    let protocols = [("sec-websocket-protocol", "chat")];
    let refused = http2.websocket_with("/mqtt", &protocols).await;
    let refused = refused.err().expect("no WebSocket");
    assert_eq!(refused.status(), 400);
    assert!(String::from_utf8_lossy(refused.body()).contains("mqtt"));
    let refused = http2.websocket("/elsewhere").await;
    assert_eq!(refused.err().expect("no WebSocket").status(), 404);
    check_http2(&mut http2).await;
}

/// A byte in each segment: detection, the codec and HTTP put them together again.
#[tokio::test]
async fn one_byte_at_a_time() {
    let broker = Broker::start();
    for is_secure in [false, true] {
        let open = async || match is_secure {
            false => Stream::tcp(broker.plain_addr()).await.expect("connected"),
            true => Stream::tls(broker.secure_addr(), &broker.ca_path(), &[])
                .await
                .expect("a handshake"),
        };
        let mut client = Client::new(open().await, ProtocolVersion::V5);
        let wanted = connect(ProtocolVersion::V5, "slow");
        for byte in client.encode(&Packet::Connect(Box::new(wanted))) {
            client.send_bytes(&[byte]).await;
        }
        assert!(matches!(client.expect_packet().await, Packet::ConnAck(_)));

        let mut http = open().await;
        for byte in b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" {
            http.write(&[*byte]).await.expect("written");
        }
        let answer = http1::answer(&mut http, true).await;
        assert_eq!(answer.expect("an answer").status, 200);
    }
}

#[tokio::test]
async fn rubbish_is_closed_and_counted() {
    let broker = Broker::start();
    let rubbish: [&[u8]; 6] = [
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\0\0\0\0",
        b"\x30\x05\0\x01ttt",
        b"\x80\x2e\x01\x03\x01",
        b"{\"jsonrpc\":\"2.0\"}",
        &[0xFF; 40],
    ];
    for (at, bytes) in rubbish.into_iter().enumerate() {
        let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
        stream.write(bytes).await.expect("written");
        check_closed(stream).await;
        let so_far = at as i64 + 1;
        until("counted", || broker.refused("unknown_protocol") == so_far).await;
    }
    // The same inside TLS and instead of it.
    let stream = Stream::tls(broker.secure_addr(), &broker.ca_path(), &[]).await;
    let mut stream = stream.expect("a handshake");
    stream.write(b"\0\0\0").await.expect("written");
    check_closed(stream).await;
    let mut stream = Stream::tcp(broker.secure_addr()).await.expect("connected");
    stream.write(b"\0\0\0").await.expect("written");
    check_closed(stream).await;
    until("counted", || broker.refused("unknown_protocol") == 8).await;
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_sent_to_https() {
    let broker = Broker::start();
    let mut stream = Stream::tcp(broker.secure_addr()).await.expect("connected");
    let request = "GET /status?x=1 HTTP/1.1\r\nHost: broker.example:8443\r\n\r\n";
    let answer = http1::ask(&mut stream, request).await;
    assert_eq!(answer.status, 308);
    let location = answer.header("location");
    assert_eq!(location, "https://broker.example:8443/status?x=1");
    assert!(answer.text().contains("wss://"), "{}", answer.text());
    check_closed(stream).await;
    until("counted", || broker.refused("plain_on_tls") == 1).await;
}

#[tokio::test]
async fn plain_mqtt_on_a_tls_port_is_closed() {
    let broker = Broker::start();
    let stream = Stream::tcp(broker.secure_addr()).await.expect("connected");
    let mut client = Client::new(stream, ProtocolVersion::V5);
    let wanted = connect(ProtocolVersion::V5, "c");
    client.send(&Packet::Connect(Box::new(wanted))).await;
    assert_eq!(client.expect_end().await, []);
    until("counted", || broker.refused("plain_on_tls") == 1).await;
}

#[tokio::test]
async fn tls_on_a_plain_port_is_closed() {
    let broker = Broker::start();
    let refused = Stream::tls(broker.plain_addr(), &broker.ca_path(), &[b"mqtt"]).await;
    assert!(refused.is_err());
    until("counted", || broker.refused("tls_on_plain") == 1).await;
}

/// What `protocols` leave out is not spoken, with TLS or without.
#[tokio::test]
async fn protocols_narrow_a_listener() {
    let listener = |protocols: &str, tls: bool| {
        format!("[[listener]]\nbind = \"127.0.0.1:0\"\ntls = {tls}\nprotocols = [{protocols}]\n")
    };
    for (protocols, mqtt, websocket, http) in [
        ("\"mqtt\"", true, false, false),
        ("\"websocket\"", false, true, false),
        ("\"http\"", false, false, true),
        ("\"mqtt\", \"http\"", true, false, true),
    ] {
        let both = listener(protocols, false) + &listener(protocols, true);
        let broker = Broker::start_with(&both);
        for (addr, is_secure) in [(broker.plain_addr(), false), (broker.secure_addr(), true)] {
            let open = async || match is_secure {
                false => Stream::tcp(addr).await.expect("connected"),
                true => Stream::tls(addr, &broker.ca_path(), &[])
                    .await
                    .expect("a handshake"),
            };
            let ca = broker.ca_path();
            if mqtt {
                check_mqtt(open().await).await;
            } else {
                let mut client = Client::new(open().await, ProtocolVersion::V5);
                let wanted = connect(ProtocolVersion::V5, "c");
                client.send(&Packet::Connect(Box::new(wanted))).await;
                assert_eq!(client.expect_end().await, [], "{protocols}");
            }
            let upgraded = match is_secure {
                false => Stream::ws(addr).await,
                true => Stream::wss(addr, &ca).await,
            };
            assert_eq!(upgraded.is_ok(), websocket, "{protocols}");
            let mut stream = open().await;
            let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write(request).await.expect("written");
            let answer = http1::answer(&mut stream, true).await;
            let expected = match (http, websocket) {
                (true, _) => Some(200),
                (false, true) => Some(404),
                (false, false) => None,
            };
            assert_eq!(answer.map(|it| it.status), expected, "{protocols}");
        }
    }
}

/// ALPN offers only what the listener serves; who insists on something else is let in without.
#[tokio::test]
async fn alpn_agrees_to_nothing_that_is_not_served() {
    let toml = "[[listener]]\nbind = \"127.0.0.1:0\"\ntls = true\nprotocols = [\"mqtt\"]\n";
    let broker = Broker::start_with(toml);
    let stream = tls(broker.secure_addr(), &broker.ca_path(), &[b"h2", b"mqtt"]).await;
    let stream = stream.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"mqtt"[..]));
    check_mqtt(Stream::Tls(Box::new(stream))).await;
}

#[tokio::test]
async fn a_unix_socket_speaks_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("broker.sock");
    let toml = format!(
        "[[listener]]\nbind = \"unix:{}\"\ntls = false\n",
        path.display()
    );
    let mut broker = Broker::start_with(&toml);
    let open = async || UnixStream::connect(&path).await.expect("connected");
    check_mqtt(Stream::Io(Box::new(open().await))).await;
    check_http1(&mut Stream::Io(Box::new(open().await))).await;
    let mut http2 = Http2::over(open().await).await;
    check_http2(&mut http2).await;
    check_mqtt(http2.websocket("/mqtt").await.expect("a WebSocket")).await;
    drop(http2);
    let kind = std::fs::metadata(&path).expect("the socket").file_type();
    assert!(kind.is_socket());
    broker.drain().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn ipv4_and_ipv6_at_once() {
    let toml = "[[listener]]\nbind = \"[::1]:0\"\ntls = false\n\
                [[listener]]\nbind = \"127.0.0.1:0\"\ntls = false\n\
                [[listener]]\nbind = \"[::]:0\"\ntls = false\n";
    let broker = Broker::start_with(toml);
    let addrs: Vec<std::net::SocketAddr> = broker
        .app()
        .local_addrs()
        .iter()
        .map(|bind| bind.to_string().parse().expect("an address"))
        .collect();
    for addr in [addrs[0], addrs[1]] {
        check_mqtt(Stream::tcp(addr).await.expect("connected")).await;
    }
    // `[::]` takes both.
    for host in ["127.0.0.1", "[::1]"] {
        let addr = format!("{host}:{}", addrs[2].port())
            .parse()
            .expect("an address");
        check_mqtt(Stream::tcp(addr).await.expect("connected")).await;
    }
}

/// A message crosses from every way in to every other.
#[tokio::test]
async fn all_ways_in_lead_to_one_broker() {
    let broker = Broker::start();
    let plain = TcpStream::connect(broker.plain_addr()).await;
    let mut http2 = Http2::over(plain.expect("connected")).await;
    let mut streams = vec![http2.websocket("/mqtt").await.expect("a WebSocket")];
    for stream in [
        Stream::tcp(broker.plain_addr()).await,
        Stream::tls(broker.secure_addr(), &broker.ca_path(), &[b"foo"]).await,
        Stream::ws(broker.plain_addr()).await,
        Stream::wss(broker.secure_addr(), &broker.ca_path()).await,
    ] {
        streams.push(stream.expect("a stream"));
    }
    let mut clients = Vec::new();
    for stream in streams {
        let mut client = Client::new(stream, ProtocolVersion::V5);
        client
            .expect_accepted(connect(ProtocolVersion::V5, ""))
            .await;
        client.subscribe("to/all", QoS::AtLeastOnce).await;
        clients.push(client);
    }
    for from in 0..clients.len() {
        let payload = format!("from {from}");
        clients[from]
            .publish("to/all", &payload, QoS::AtLeastOnce)
            .await;
        for client in &mut clients {
            client.expect_message("to/all", &payload).await;
        }
    }
}

/// RFC 9112, 9.3.2: requests may follow each other without waiting, and their answers come in order.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let broker = Broker::start();
    let mut stream = TcpStream::connect(broker.plain_addr())
        .await
        .expect("connected");
    let requests = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n\
                    GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream
        .write_all(requests.as_bytes())
        .await
        .expect("written");
    let mut answers = String::new();
    within(stream.read_to_string(&mut answers))
        .await
        .expect("answers");
    let statuses: Vec<_> = answers
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
        .map(|line| &line[..3])
        .collect();
    assert_eq!(statuses, ["200", "404", "200"]);
}
