//! A proxy in front, and what it does to a WebSocket.

use std::net::SocketAddr;

use super::{ALL_STAGES, PLAIN, Running, examine, nginx::Nginx};
use crate::support::free_port;

/// The headers that a WebSocket needs.
const HEADERS: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
                       proxy_set_header Connection \"upgrade\";";

fn proxy(to: SocketAddr, lines: &str) -> Nginx {
    Nginx::start(|port| {
        let location = Nginx::location(to, lines);
        format!("server {{ listen 127.0.0.1:{port}; {location} }}")
    })
}

#[test]
fn a_proxy_that_is_set_up_right() {
    let broker = Running::with(PLAIN);
    let nginx = proxy(broker.folder.addr(false), HEADERS);
    let examined = examine(&nginx.url(), &[]);
    assert_eq!(examined.exit, Some(0), "{:#}", examined.json);
    assert_eq!(examined.finding("http", "gatemq")["level"], "good");
}

/// Without `proxy_http_version 1.1` and its headers, as nginx comes.
#[test]
fn a_proxy_that_strips_the_upgrade() {
    let broker = Running::with(PLAIN);
    let nginx = proxy(broker.folder.addr(false), "");
    examine(&nginx.url(), &[])
        .expect_fault("upgrade", "upgrade-stripped", "proxy_http_version 1.1", 4)
        .expect_good(&["http"])
        .expect_skipped(&["connect"]);
}

/// Nothing but the WebSocket's own path is passed on: nobody can be asked what the broker saw, but its words say it.
#[test]
fn a_proxy_for_one_path_that_strips_the_upgrade() {
    let broker = Running::with(PLAIN);
    let plain = broker.folder.addr(false);
    let nginx = Nginx::start(|port| {
        let location = format!("location /mqtt {{ proxy_pass http://{plain}; }}");
        format!("server {{ listen 127.0.0.1:{port}; {location} location / {{ return 404; }} }}")
    });
    examine(&nginx.url(), &[])
        .expect_fault("upgrade", "upgrade-stripped", "proxy_http_version 1.1", 4)
        .expect_skipped(&["connect"]);
}

#[test]
fn a_proxy_that_drops_the_subprotocol() {
    let broker = Running::with(PLAIN);
    let lines = format!("{HEADERS} proxy_hide_header Sec-WebSocket-Protocol;");
    let nginx = proxy(broker.folder.addr(false), &lines);
    examine(&nginx.url(), &[])
        .expect_fault("upgrade", "subprotocol-dropped", "proxy_hide_header", 4)
        .expect_good(&["connect", "round-trip"]);
}

#[test]
fn a_proxy_without_a_broker_behind_it() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let nginx = proxy(nowhere, HEADERS);
    let examined = examine(&nginx.url(), &[]);
    examined
        .expect_fault("http", "bad-gateway", "proxy_pass", 3)
        .expect_skipped(&["upgrade", "connect"]);
    let detail = examined.finding("http", "bad-gateway")["detail"].to_string();
    assert!(detail.contains("502 (Server: nginx"), "{detail}");
}

/// The page is reached, and the WebSocket's own location leads elsewhere.
#[test]
fn a_proxy_with_a_wrong_location() {
    let broker = Running::with(PLAIN);
    let nowhere = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let plain = broker.folder.addr(false);
    let nginx = Nginx::start(|port| {
        let location = Nginx::location(plain, HEADERS);
        format!(
            "server {{ listen 127.0.0.1:{port}; location /mqtt {{ proxy_pass http://{nowhere}; }} {location} }}"
        )
    });
    examine(&nginx.url(), &[])
        .expect_fault("upgrade", "bad-gateway", "proxy_pass", 3)
        .expect_good(&["connect"]);
}

#[test]
fn a_proxy_that_asks_for_tls() {
    let nginx = Nginx::start(|port| {
        format!(
            "server {{ listen 127.0.0.1:{port}; return 301 https://broker.example$request_uri; }}"
        )
    });
    examine(&nginx.url(), &[]).expect_fault("http", "redirected", "wss://broker.example/mqtt", 4);
}

/// A second after its limit it is over; the doctor is patient for long, since the machine may be busy.
#[test]
fn a_proxy_that_cuts_what_is_silent() {
    let broker = Running::with(PLAIN);
    let lines = format!("{HEADERS} proxy_read_timeout 2s; proxy_send_timeout 2s;");
    let nginx = proxy(broker.folder.addr(false), &lines);
    let examined = examine(&nginx.url(), &["--idle", "120"]);
    examined
        .expect_fault("idle", "idle-cut", "proxy_read_timeout 1h", 5)
        .expect_good(&ALL_STAGES[4..]);
}

/// The broker's own PINGs keep it from being silent.
#[test]
fn a_broker_that_speaks_more_often_than_a_proxy_cuts() {
    let broker = Running::with(&format!("{PLAIN}[websocket]\nping_interval = \"1s\"\n"));
    let lines = format!("{HEADERS} proxy_read_timeout 30s;");
    let nginx = proxy(broker.folder.addr(false), &lines);
    let examined = examine(&nginx.url(), &["--idle", "4"]);
    assert_eq!(examined.exit, Some(0), "{:#}", examined.json);
    let detail = examined.finding("idle", "idle-kept")["detail"].to_string();
    assert!(detail.contains("PINGs of the broker's"), "{detail}");
}
