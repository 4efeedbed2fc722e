//! `?probe=ID`: each way a WebSocket may end, as it is told afterwards to whoever has opened it.

use std::sync::Arc;

use gatemq::{
    auth::{self, Action, Authority, Denied, Mechanism, Principal},
    message::QoS,
    mqtt::packet::{Connect, ProtocolVersion, ReasonCode},
};
use serde_json::Value;

use crate::support::{
    Broker, Client, Stream, connect, http1, http2::Http2, raw::KEY, stream_tls, upgrade, within,
};

const ID: &str = "3f0c6f2e-9d5c-4b1e-8a53-0f8f2f6f6d11";

/// An upgrade request whose lines a test may leave out.
fn request(target: &str, without: &str) -> String {
    let lines = [
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        &format!("Sec-WebSocket-Key: {KEY}"),
        "Sec-WebSocket-Protocol: mqtt",
    ];
    let lines = lines.into_iter().filter(|line| !without.contains(line));
    let lines: Vec<&str> = lines.collect();
    format!("GET {target} HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"))
}

async fn ask(broker: &Broker, id: &str) -> http1::Answer {
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    http1::get(&mut stream, &format!("/api/v1/probe/{id}")).await
}

/// What was seen: stage, whether it went well, code.
async fn seen(broker: &Broker, id: &str) -> Vec<String> {
    let answer = ask(broker, id).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("cache-control"), "no-store");
    let json = answer.json();
    assert_eq!(json["id"], id);
    let line = |note: &Value| {
        let detail = note["detail"].as_str().expect("a sentence");
        assert!(detail.ends_with(['.', '…']), "{note}");
        assert!(note["after_ms"].is_u64(), "{note}");
        let mark = if note["ok"] == true { "" } else { "not " };
        let text = |name: &str| note[name].as_str().expect("a string").to_owned();
        format!("{mark}{} {}", text("stage"), text("code"))
    };
    json["seen"]
        .as_array()
        .expect("a list")
        .iter()
        .map(line)
        .collect()
}

/// The end of a connection is noted by its own task, a moment after the client has gone.
async fn expect_seen(broker: &Broker, expected: &[&str]) {
    within(async {
        loop {
            let seen = seen(broker, ID).await;
            if seen == expected {
                return;
            }
            assert!(seen.len() <= expected.len(), "{seen:?}");
            for (seen, expected) in seen.iter().zip(expected) {
                assert_eq!(seen, expected);
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn open(broker: &Broker) -> Client {
    let addr = broker.plain_addr();
    let stream = match Stream::tcp(addr).await.expect("connected") {
        Stream::Tcp(stream) => Box::new(stream),
        _ => unreachable!("it is TCP"),
    };
    let request = upgrade(&format!("ws://{addr}/mqtt?probe={ID}"), "mqtt");
    let stream = Stream::upgrade(stream, request).await.expect("upgraded");
    Client::new(stream, ProtocolVersion::V5)
}

fn named(client_id: &str) -> Connect {
    connect(ProtocolVersion::V5, client_id)
}

#[tokio::test]
async fn nothing_was_seen() {
    let broker = Broker::start();
    let answer = ask(&broker, ID).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    for wrong in ["short", "not_an_id_at_all", &"x".repeat(65)] {
        let answer = ask(&broker, wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert_eq!(answer.json()["status"], 400);
    }
    // Without a name, or with one that is none, nothing is remembered.
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    http1::get(&mut stream, "/mqtt?probe=short").await;
    http1::get(&mut stream, &format!("/livez?probe={ID}")).await;
    assert_eq!(ask(&broker, ID).await.status, 404);
}

/// A page of another origin may ask whether the host is reached at all.
#[tokio::test]
async fn livez_is_open_to_all_origins() {
    let broker = Broker::start();
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    let answer = http1::get(&mut stream, "/livez").await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn a_proxy_that_strips_the_upgrade() {
    for (path, without) in [
        ("/mqtt", "Upgrade: websocket"),
        ("/ws", "Connection: Upgrade"),
        (
            "/",
            "Upgrade: websocket, Connection: Upgrade, Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
    ] {
        let broker = Broker::start();
        let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
        let request = request(&format!("{path}?probe={ID}"), without);
        let answer = http1::ask(&mut stream, &request).await;
        assert_ne!(answer.status, 101, "{path}");
        assert_eq!(
            seen(&broker, ID).await,
            ["not request upgrade-missing"],
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_upgrade_that_is_refused() {
    let target = format!("/mqtt?probe={ID}");
    for (request, code) in [
        (request(&format!("/other?probe={ID}"), ""), "path"),
        (request(&target, "Sec-WebSocket-Version: 13"), "version"),
        (
            request(&target, &format!("Sec-WebSocket-Key: {KEY}")),
            "key",
        ),
        (
            request(&target, "").replace("Protocol: mqtt", "Protocol: soap"),
            "subprotocol",
        ),
        (request(&target, "").replace("GET", "POST"), "method"),
    ] {
        let broker = Broker::start();
        let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
        http1::ask(&mut stream, &request).await;
        let refused = format!("not upgrade {code}");
        assert_eq!(seen(&broker, ID).await, ["request arrived", &refused]);
    }
}

#[tokio::test]
async fn a_page_of_another_origin() {
    let broker = Broker::start();
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    let origin = "Host: localhost\r\nOrigin: https://elsewhere.example";
    let request = request(&format!("/mqtt?probe={ID}"), "").replace("Host: localhost", origin);
    assert_eq!(http1::ask(&mut stream, &request).await.status, 101);
    expect_seen(&broker, &["request arrived", "not upgrade origin"]).await;
}

#[tokio::test]
async fn a_listener_without_websocket() {
    let broker = Broker::start_with(
        "[[listener]]\nbind = \"127.0.0.1:0\"\ntls = false\nprotocols = [\"mqtt\", \"http\"]\n",
    );
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    http1::ask(&mut stream, &request(&format!("/mqtt?probe={ID}"), "")).await;
    let expected = ["request arrived", "not upgrade not-served"];
    assert_eq!(seen(&broker, ID).await, expected);
}

#[tokio::test]
async fn a_client_that_comes_and_goes() {
    let broker = Broker::start();
    let mut client = open(&broker).await;
    client.expect_accepted(named("a")).await;
    let open = ["request arrived", "upgrade accepted", "connect accepted"];
    expect_seen(&broker, &open).await;
    client.disconnect().await;
    expect_seen(
        &broker,
        &[&open[..], &["closed client-disconnect"]].concat(),
    )
    .await;
}

#[tokio::test]
async fn a_client_that_goes_without_a_word() {
    let broker = Broker::start();
    let mut client = open(&broker).await;
    client.expect_accepted(named("a")).await;
    client.stream.abort().await;
    let expected = [
        "request arrived",
        "upgrade accepted",
        "connect accepted",
        "not closed closed",
    ];
    expect_seen(&broker, &expected).await;
}

#[tokio::test]
async fn a_client_that_is_taken_over() {
    let broker = Broker::start();
    let mut client = open(&broker).await;
    client.expect_accepted(named("a")).await;
    let _other = broker.connect(named("a")).await;
    client.expect_disconnect(ReasonCode::SessionTakenOver).await;
    let expected = [
        "request arrived",
        "upgrade accepted",
        "connect accepted",
        "not closed taken-over",
    ];
    expect_seen(&broker, &expected).await;
}

#[tokio::test]
async fn a_client_that_falls_silent() {
    let broker = Broker::start();
    let mut client = open(&broker).await;
    let mut silent = named("a");
    silent.keep_alive = 1;
    client.expect_accepted(silent).await;
    client.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
    let expected = [
        "request arrived",
        "upgrade accepted",
        "connect accepted",
        "not closed keep-alive",
    ];
    expect_seen(&broker, &expected).await;
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol() {
    let broker = Broker::start();
    let mut client = open(&broker).await;
    client.expect_accepted(named("a")).await;
    client.send_bytes(b"\xf1\x00").await;
    client.expect_end().await;
    let expected = [
        "request arrived",
        "upgrade accepted",
        "connect accepted",
        "not closed malformed",
    ];
    expect_seen(&broker, &expected).await;
}

#[tokio::test]
async fn a_client_that_says_nothing() {
    let broker = Broker::start_with("[mqtt]\nconnect_timeout = \"1s\"\n");
    let mut client = open(&broker).await;
    client.expect_end().await;
    let expected = [
        "request arrived",
        "upgrade accepted",
        "not closed connect-timeout",
    ];
    expect_seen(&broker, &expected).await;
}

#[tokio::test]
async fn nobody_may_in() {
    let broker = Broker::start_with("[mqtt]\nallow_anonymous = false\n");
    let mut client = open(&broker).await;
    let answer = client.connect(named("a")).await;
    assert_eq!(answer.reason_code, ReasonCode::NotAuthorized);
    let expected = [
        "request arrived",
        "upgrade accepted",
        "not connect not-authorized",
        "not closed not-authorized",
    ];
    expect_seen(&broker, &expected).await;
}

/// Nobody's password is right.
struct Locked;

impl Authority for Locked {
    fn authenticate<'a>(
        &'a self,
        _request: auth::Request<'a>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Principal, Denied>> + Send + 'a>> {
        Box::pin(async { Err(Denied::BadCredentials) })
    }

    fn may(&self, _: &Principal, _: Action, _: &str) -> Result<(), Denied> {
        Ok(())
    }

    fn mechanism(&self, _: &str) -> Option<Box<dyn Mechanism>> {
        None
    }
}

/// The Reason String is what is told, and nothing of the user name or the client identifier.
#[tokio::test]
async fn a_wrong_password() {
    let broker = Broker::build("", |parts| parts.authority(Arc::new(Locked)));
    let mut client = open(&broker).await;
    let mut wrong = named("my-name-is-a-secret");
    wrong.username = Some("so-is-my-user".into());
    client.connect(wrong).await;
    let expected = [
        "request arrived",
        "upgrade accepted",
        "not connect bad-user-name-or-password",
        "not closed not-authorized",
    ];
    expect_seen(&broker, &expected).await;
    let text = ask(&broker, ID).await.text();
    assert!(text.contains("Bad user name or password."), "{text}");
    assert!(
        !text.contains("my-name") && !text.contains("my-user"),
        "{text}"
    );
}

#[tokio::test]
async fn over_http_2() {
    let broker = Broker::start();
    let secure = stream_tls(broker.secure_addr(), &broker.ca_path(), &[b"h2"]).await;
    let mut http2 = Http2::over(secure.expect("a handshake")).await;
    let stream = http2.websocket(&format!("/mqtt?probe={ID}")).await;
    let stream = stream.expect("a WebSocket");
    let mut client = Client::new(stream, ProtocolVersion::V5);
    client.expect_accepted(named("a")).await;
    client.publish("a", "b", QoS::AtLeastOnce).await;
    client.disconnect().await;
    let expected = [
        "request arrived",
        "upgrade accepted",
        "connect accepted",
        "closed client-disconnect",
    ];
    expect_seen(&broker, &expected).await;
    let plain = http2.get("/mqtt?probe=aaaaaaaa").await;
    assert_eq!(plain.status(), 400);
    let plain = seen(&broker, "aaaaaaaa").await;
    assert_eq!(plain, ["not request upgrade-missing"]);
}
