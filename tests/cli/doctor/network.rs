//! Before TLS: names, ports, and who has them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use super::examine;
use crate::support::free_port;

/// A server that answers each connection with these bytes, or holds it in silence.
fn server(answer: Option<&'static [u8]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            match answer {
                // Until the client gives up, so that nothing it has sent resets the connection.
                Some(answer) => {
                    thread::spawn(move || {
                        let _ = stream.read(&mut [0; 4096]);
                        let _ = stream.write_all(answer);
                        let _ = stream.shutdown(std::net::Shutdown::Write);
                        let _ = stream.read(&mut [0; 4096]);
                    });
                }
                None => held.push(stream),
            }
        }
    });
    addr
}

#[test]
fn a_name_that_does_not_resolve() {
    // RFC 6761, 6.4: `invalid` never leads anywhere.
    let examined = examine("wss://broker.invalid/mqtt", &[]);
    examined
        .expect_fault("dns", "name-not-resolved", "broker.invalid", 3)
        .expect_skipped(&["tcp", "tls", "connect"]);
}

#[test]
fn a_closed_port() {
    let url = format!("mqtt://127.0.0.1:{}", free_port());
    examine(&url, &[])
        .expect_fault("tcp", "connection-refused", "[[listener]]", 3)
        .expect_skipped(&["tls", "connect", "round-trip"]);
}

/// Its queue of connections is full, so that the kernel drops what comes: as a firewall does.
#[test]
fn a_port_behind_a_firewall() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let _first = TcpStream::connect(addr).unwrap();
    examine(&format!("wss://{addr}/mqtt"), &["--timeout", "2"])
        .expect_fault("tcp", "filtered", "firewall", 5)
        .expect_skipped(&["tls", "http"]);
}

#[test]
fn a_port_that_accepts_and_says_nothing() {
    let addr = server(None);
    examine(&format!("wss://{addr}/mqtt"), &["--timeout", "2"])
        .expect_fault("tls", "tls-timeout", "ss -ltnp", 5)
        .expect_skipped(&["alpn", "http", "connect"]);
    examine(&format!("ws://{addr}/mqtt"), &["--timeout", "2"])
        .expect_fault("http", "no-answer", "proxy_protocol", 5)
        .expect_skipped(&["upgrade"]);
    examine(&format!("mqtt://{addr}"), &["--timeout", "2"])
        .expect_fault("connect", "no-connack", "MQTT broker", 5)
        .expect_skipped(&["round-trip"]);
}

#[test]
fn a_web_server_that_is_not_a_broker() {
    let addr = server(Some(
        b"HTTP/1.1 404 Not Found\r\nServer: shop\r\nContent-Length: 5\r\n\r\nnone\n",
    ));
    let examined = examine(&format!("ws://{addr}/mqtt"), &[]);
    examined
        .expect_fault("upgrade", "not-a-broker", "proxy_pass", 4)
        .expect_skipped(&["connect"]);
    let note = examined.finding("http", "not-gatemq");
    assert!(note["detail"].as_str().unwrap().contains("shop"), "{note}");
}

#[test]
fn a_server_of_another_protocol() {
    let addr = server(Some(b"220 mail.example ESMTP\r\n"));
    examine(&format!("ws://{addr}/mqtt"), &[]).expect_fault(
        "http",
        "foreign-protocol",
        "another service",
        3,
    );
    examine(&format!("mqtt://{addr}"), &[]).expect_fault("connect", "no-connack", "log", 4);
}
