//! Behind proxies: the real source is what limits, and the log, go by.

use std::net::SocketAddr;

use gatemq::mqtt::packet::{Packet, ProtocolVersion, ReasonCode};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixStream},
};

use crate::support::{
    Broker, Client, Stream, certificates::Ca, connect, http1, logs, roots, tls_with, until,
    upgrade, within,
};

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n";

/// A header of version 2: command, family and protocol, addresses.
fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend((addresses.len() as u16).to_be_bytes());
    header.extend(addresses);
    header
}

/// From this address, port 4711.
fn v2_from(host: [u8; 4]) -> Vec<u8> {
    let mut addresses = host.to_vec();
    addresses.extend([198, 51, 100, 1]);
    addresses.extend(4711_u16.to_be_bytes());
    addresses.extend(443_u16.to_be_bytes());
    v2(1, 0x11, &addresses)
}

fn v2_from_ipv6() -> Vec<u8> {
    let mut addresses = vec![0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    addresses.extend([0; 15]);
    addresses.push(1);
    addresses.extend(4711_u16.to_be_bytes());
    addresses.extend(443_u16.to_be_bytes());
    v2(1, 0x21, &addresses)
}

/// A plain listener and one with TLS, both behind a proxy on loopback.
fn broker(mode: &str, trusted: &str, limits: &str) -> Broker {
    logs::capture();
    let listener = |tls: bool| {
        format!(
            "[[listener]]\nbind = \"127.0.0.1:0\"\ntls = {tls}\n\
             proxy_protocol = \"{mode}\"\ntrusted_proxies = [{trusted}]\n"
        )
    };
    let listeners = listener(false) + &listener(true);
    Broker::start_with(&format!("{limits}\n{listeners}"))
}

const LOOPBACK: &str = "\"127.0.0.0/8\"";

/// A plain stream with these bytes before everything else.
async fn plain(broker: &Broker, header: &[u8]) -> Stream {
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    stream.write(header).await.expect("written");
    stream
}

/// TLS after these bytes.
async fn secure(broker: &Broker, header: &[u8]) -> Stream {
    let mut tcp = TcpStream::connect(broker.secure_addr())
        .await
        .expect("connected");
    tcp.write_all(header).await.expect("written");
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots(&broker.ca_path()))
        .with_no_client_auth();
    let stream = tls_with(config, "localhost", tcp).await;
    Stream::Tls(Box::new(stream.expect("a handshake")))
}

async fn accepted(stream: Stream, client_id: &str) -> Client {
    let mut client = Client::new(stream, ProtocolVersion::V5);
    client
        .expect_accepted(connect(ProtocolVersion::V5, client_id))
        .await;
    client
}

/// The log names this source for this client.
async fn check_source(addr: SocketAddr, client_id: &str, source: &str) {
    let (addr, client_id) = (addr.to_string(), format!("client_id={client_id} "));
    let line = logs::wait_for(&["client connected", &addr, &client_id]).await;
    assert!(line.contains(&format!("source={source}")), "{line}");
}

#[tokio::test]
async fn the_source_of_a_header_shows() {
    let broker = broker("required", LOOPBACK, "");
    for (name, header, source) in [
        ("v1", V1.to_vec(), "192.0.2.1:4711"),
        (
            "v1-6",
            b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n".to_vec(),
            "[2001:db8::7]:4711",
        ),
        ("v2", v2_from([192, 0, 2, 1]), "192.0.2.1:4711"),
        ("v2-6", v2_from_ipv6(), "[2001:db8::7]:4711"),
        ("unknown", b"PROXY UNKNOWN\r\n".to_vec(), "local"),
        ("local", v2(0, 0, &[]), "local"),
        ("local-with-addresses", v2(0, 0x11, &[0; 12]), "local"),
    ] {
        accepted(plain(&broker, &header).await, name).await;
        check_source(broker.plain_addr(), name, source).await;
        let name = format!("tls-{name}");
        accepted(secure(&broker, &header).await, &name).await;
        check_source(broker.secure_addr(), &name, source).await;
    }
}

/// The header and what follows it may come in one segment, or byte by byte.
#[tokio::test]
async fn a_header_may_come_in_any_pieces() {
    let broker = broker("required", LOOPBACK, "");
    for header in [V1.to_vec(), v2_from([192, 0, 2, 1])] {
        let mut encoder = Client::new(
            Stream::tcp(broker.plain_addr()).await.expect("connected"),
            ProtocolVersion::V5,
        );
        let wanted = connect(ProtocolVersion::V5, "pieces");
        let mut bytes = header.clone();
        bytes.extend(encoder.encode(&Packet::Connect(Box::new(wanted))));
        for size in [1, bytes.len()] {
            let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
            for chunk in bytes.chunks(size) {
                stream.write(chunk).await.expect("written");
            }
            let mut client = Client::new(stream, ProtocolVersion::V5);
            assert!(matches!(client.expect_packet().await, Packet::ConnAck(_)));
        }
    }
}

/// HTTP and WebSocket come behind a header as well.
#[tokio::test]
async fn every_protocol_comes_behind_a_header() {
    let broker = broker("required", LOOPBACK, "");
    for header in [V1.to_vec(), v2_from([192, 0, 2, 1])] {
        for stream in [
            plain(&broker, &header).await,
            secure(&broker, &header).await,
        ] {
            let Stream::Tcp(_) = stream else {
                let mut stream = stream;
                assert_eq!(http1::get(&mut stream, "/livez").await.status, 200);
                continue;
            };
            let Stream::Tcp(tcp) = stream else { continue };
            let request = upgrade(&format!("ws://{}/mqtt", broker.plain_addr()), "mqtt");
            let stream = Stream::upgrade(Box::new(tcp), request).await;
            accepted(stream.expect("an upgrade"), "by-websocket").await;
            check_source(broker.plain_addr(), "by-websocket", "192.0.2.1:4711").await;
        }
    }
}

async fn check_closed(broker: &Broker, mut stream: Stream, so_far: i64) {
    assert_eq!(within(stream.read()).await, b"");
    until("counted", || broker.refused("proxy_header") == so_far).await;
}

#[tokio::test]
async fn a_malformed_header_is_closed_and_counted() {
    let broker = broker("optional", LOOPBACK, "");
    let malformed: [&[u8]; 6] = [
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.1 4711 443\r\n",
        b"PROXY TCP4 2001:db8::7 198.51.100.1 4711 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 70000\r\n",
        &[b"PROXY TCP4 ", &[b'1'; 200][..]].concat(),
        &v2(1, 0x11, &[192, 0]),
    ];
    for (at, header) in malformed.into_iter().enumerate() {
        check_closed(&broker, plain(&broker, header).await, at as i64 + 1).await;
    }
}

#[tokio::test]
async fn an_optional_header_may_be_missing() {
    let broker = broker("optional", LOOPBACK, "");
    let tcp = Stream::tcp(broker.plain_addr()).await.expect("connected");
    accepted(tcp, "without").await;
    let line = logs::wait_for(&["client_id=without ", &broker.plain_addr().to_string()]).await;
    assert!(line.contains("source=127.0.0.1:"), "{line}");
    accepted(secure(&broker, b"").await, "without-tls").await;
    accepted(plain(&broker, V1).await, "with").await;
    check_source(broker.plain_addr(), "with", "192.0.2.1:4711").await;
}

#[tokio::test]
async fn a_required_header_may_not_be_missing() {
    let broker = broker("required", LOOPBACK, "");
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    check_closed(&broker, plain(&broker, request).await, 1).await;
    check_closed(&broker, plain(&broker, b"\x10\x0c\0\x04MQTT").await, 2).await;
}

/// Nobody may say who he is but who is trusted.
#[tokio::test]
async fn who_is_not_trusted_is_not_believed() {
    let elsewhere = "\"203.0.113.0/24\"";
    let required = broker("required", elsewhere, "");
    let mut stream = Stream::tcp(required.plain_addr()).await.expect("connected");
    // It may be closed before a byte is written.
    let _ = stream.write(V1).await;
    check_closed(&required, stream, 1).await;
    for mode in ["optional", "off"] {
        let broker = broker(mode, elsewhere, "");
        check_closed(&broker, plain(&broker, V1).await, 1).await;
        check_closed(&broker, plain(&broker, &v2_from([192, 0, 2, 1])).await, 2).await;
        let tcp = Stream::tcp(broker.plain_addr()).await.expect("connected");
        accepted(tcp, "itself").await;
    }
}

/// Whose connections are counted is who connects, not the proxy.
#[tokio::test]
async fn the_limit_of_an_address_goes_by_the_header() {
    let limits = "[limits]\nmax_connections_per_address = 2\n";
    let broker = broker("required", LOOPBACK, limits);
    let mut clients = Vec::new();
    for last in 1..=4 {
        for _ in 0..2 {
            let stream = plain(&broker, &v2_from([192, 0, 2, last])).await;
            clients.push(accepted(stream, "").await);
        }
    }
    let stream = plain(&broker, &v2_from([192, 0, 2, 3])).await;
    let mut beyond = Client::new(stream, ProtocolVersion::V5);
    let answer = beyond.connect(connect(ProtocolVersion::V5, "")).await;
    assert_eq!(answer.reason_code, ReasonCode::QuotaExceeded);
    let stream = plain(&broker, &v2_from([192, 0, 2, 9])).await;
    accepted(stream, "").await;
}

/// A WebSocket whose upgrade has these headers.
async fn websocket(broker: &Broker, headers: &[(&'static str, &str)]) -> Stream {
    let tcp = TcpStream::connect(broker.plain_addr())
        .await
        .expect("connected");
    let mut request = upgrade(&format!("ws://{}/mqtt", broker.plain_addr()), "mqtt");
    for (name, value) in headers {
        let value = value.parse().expect("a value");
        request.headers_mut().append(*name, value);
    }
    let stream = Stream::upgrade(Box::new(tcp), request).await;
    stream.expect("an upgrade")
}

#[tokio::test]
async fn the_source_of_an_upgrade_shows() {
    let trusted = "\"127.0.0.0/8\", \"10.0.0.0/8\"";
    let broker = broker("off", trusted, "");
    for (name, headers, source) in [
        (
            "xff",
            &[("x-forwarded-for", "192.0.2.1")][..],
            "192.0.2.1:0",
        ),
        (
            "two",
            &[("x-forwarded-for", "198.51.100.9, 192.0.2.1, 10.1.2.3")],
            "192.0.2.1:0",
        ),
        (
            "forwarded",
            &[("forwarded", "for=\"[2001:db8::7]:4711\";proto=https")],
            "[2001:db8::7]:4711",
        ),
        (
            "one-each",
            &[
                ("x-forwarded-for", "192.0.2.1"),
                ("forwarded", "for=192.0.2.9"),
            ],
            "127.0.0.1:",
        ),
        ("garbage", &[("x-forwarded-for", "me, you")], "127.0.0.1:"),
    ] {
        accepted(websocket(&broker, headers).await, name).await;
        check_source(broker.plain_addr(), name, source).await;
    }
}

#[tokio::test]
async fn the_source_of_an_upgrade_is_believed_of_nobody_else() {
    let broker = broker("off", "\"203.0.113.0/24\"", "");
    let headers = &[
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
    ];
    accepted(websocket(&broker, headers).await, "itself").await;
    check_source(broker.plain_addr(), "itself", "127.0.0.1:").await;
}

#[tokio::test]
async fn the_limit_of_an_address_goes_by_the_upgrade() {
    let limits = "[limits]\nmax_connections_per_address = 1\n";
    let broker = broker("off", LOOPBACK, limits);
    let from = |host| [("x-forwarded-for", host)];
    let _first = accepted(websocket(&broker, &from("192.0.2.1")).await, "").await;
    let stream = websocket(&broker, &from("192.0.2.1")).await;
    let mut second = Client::new(stream, ProtocolVersion::V5);
    let wanted = connect(ProtocolVersion::V5, "");
    second.send(&Packet::Connect(Box::new(wanted))).await;
    assert_eq!(second.expect_end().await, []);
    assert_eq!(second.stream.close_frame().expect("a close frame").0, 1013);
    accepted(websocket(&broker, &from("192.0.2.2")).await, "").await;
}

/// A proxy keeps connections for many, and is not limited as if they were its own.
#[tokio::test]
async fn the_limit_of_an_address_is_not_the_proxys() {
    let limits = "[limits]\nmax_connections_per_address = 1\n";
    let broker = broker("off", LOOPBACK, limits);
    let mut connections = Vec::new();
    for _ in 0..3 {
        let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
        assert_eq!(http1::get(&mut stream, "/livez").await.status, 200);
        connections.push(stream);
    }
    accepted(
        websocket(&broker, &[("x-forwarded-for", "192.0.2.1")]).await,
        "",
    )
    .await;
}

/// A proxy on the same machine may come by a Unix socket.
#[tokio::test]
async fn a_header_on_a_unix_socket_is_believed() {
    logs::capture();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("behind.sock");
    let toml = format!(
        "[[listener]]\nbind = \"unix:{}\"\ntls = false\nproxy_protocol = \"required\"\n\
         trusted_proxies = [\"127.0.0.1\"]\n",
        path.display()
    );
    let _broker = Broker::start_with(&toml);
    let mut unix = UnixStream::connect(&path).await.expect("connected");
    unix.write_all(V1).await.expect("written");
    accepted(Stream::Io(Box::new(unix)), "by-unix").await;
    let line = logs::wait_for(&["client_id=by-unix", &path.display().to_string()]).await;
    assert!(line.contains("source=192.0.2.1:4711"), "{line}");
}

/// The client certificate is the client's own, whoever carries its bytes.
#[tokio::test]
async fn a_client_certificate_comes_behind_a_header() {
    logs::capture();
    let folder = tempfile::tempdir().expect("a folder");
    let ca = Ca::new();
    ca.issue(&["localhost"]).write(folder.path(), "server");
    std::fs::write(folder.path().join("ca.pem"), ca.pem()).expect("written");
    let toml = "[tls]\nclient_ca = \"ca.pem\"\n\
                [[tls.certificate]]\nchain = \"server.pem\"\nkey = \"server.key\"\n\
                [[listener]]\nbind = \"127.0.0.1:0\"\ntls = true\nclient_certificates = \"required\"\n\
                proxy_protocol = \"required\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let broker = Broker::start_in(folder, toml);
    let mut tcp = TcpStream::connect(broker.plain_addr())
        .await
        .expect("connected");
    tcp.write_all(&v2_from([192, 0, 2, 1]))
        .await
        .expect("written");
    let config = ca.client_showing(&ca.issue_client("device", 7));
    let stream = tls_with(config, "localhost", tcp)
        .await
        .expect("a handshake");
    accepted(Stream::Tls(Box::new(stream)), "device").await;
    check_source(broker.plain_addr(), "device", "192.0.2.1:4711").await;
}
