//! The endpoints as probes, people and Prometheus reach them: over real HTTP, with TLS and without.

use gatemq::{message::QoS, mqtt::packet::ProtocolVersion};

use crate::support::{Broker, Client, Stream, connect, http1, http2::Http2, stream_tls};

async fn open(broker: &Broker) -> [Stream; 2] {
    let secure = Stream::tls(broker.secure_addr(), &broker.ca_path(), &[b"http/1.1"]).await;
    [
        Stream::tcp(broker.plain_addr()).await.expect("connected"),
        secure.expect("a handshake"),
    ]
}

#[tokio::test]
async fn probes() {
    let broker = Broker::start();
    for mut stream in open(&broker).await {
        for (path, text) in [
            ("/livez", "ok\n"),
            ("/readyz", "ready\n"),
            ("/healthz", "ready\n"),
        ] {
            let answer = http1::get(&mut stream, path).await;
            assert_eq!((answer.status, &*answer.text()), (200, text), "{path}");
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        }
    }
}

#[tokio::test]
async fn status_counts_who_is_there() {
    let broker = Broker::start();
    let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
    client.subscribe("a", QoS::AtMostOnce).await;
    for mut stream in open(&broker).await {
        let text = http1::get(&mut stream, "/status").await.text();
        assert!(text.starts_with("gatemq is running\n"), "{text}");
        let request = "GET /status HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n";
        let json = http1::ask(&mut stream, request).await.json();
        assert_eq!(json["connections"], 1);
        assert_eq!(json["subscriptions"], 1);
        assert_eq!(json["ready"], true);
    }
}

/// Every line is a comment or a sample, and the samples count what this test did.
#[tokio::test]
async fn metrics_are_openmetrics_and_count_this_test() {
    let broker = Broker::start();
    let mut client = broker.connect(connect(ProtocolVersion::V5, "c")).await;
    client.subscribe("a", QoS::AtLeastOnce).await;
    for _ in 0..3 {
        client.publish("a", "12345", QoS::AtLeastOnce).await;
        client.expect_message("a", "12345").await;
    }
    client.expect_nothing().await;
    let [mut stream, _] = open(&broker).await;
    let answer = http1::get(&mut stream, "/metrics").await;
    let content_type = answer.header("content-type");
    assert!(
        content_type.starts_with("application/openmetrics-text"),
        "{content_type}"
    );
    let text = answer.text();
    assert!(text.ends_with("\n# EOF\n"));
    let mut samples = Vec::new();
    for line in text.lines() {
        if line.starts_with("# ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(
            name.starts_with("gatemq_") || name.starts_with("process_"),
            "{line}"
        );
        samples.push((name, value.parse::<f64>().expect(line)));
    }
    let sum = |name: &str, label: &str| -> f64 {
        let named = samples
            .iter()
            .filter(|(sample, _)| sample.split('{').next() == Some(name) && sample.contains(label));
        named.map(|(_, value)| value).sum()
    };
    for (name, label, expected) in [
        ("gatemq_connections", "", 1.0),
        ("gatemq_connections", "transport=\"tcp\"", 1.0),
        ("gatemq_subscriptions", "", 1.0),
        ("gatemq_messages_received_total", "qos=\"1\"", 3.0),
        ("gatemq_messages_sent_total", "qos=\"1\"", 3.0),
    ] {
        assert_eq!(sum(name, label), expected, "{name} {label}:\n{text}");
    }
}

#[tokio::test]
async fn the_ca_is_the_one_on_disk() {
    let broker = Broker::start();
    let on_disk = std::fs::read(broker.ca_path()).expect("a CA");
    for mut stream in open(&broker).await {
        let answer = http1::get(&mut stream, "/ca.crt").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, on_disk);
    }
}

/// What it lists can be connected to as it stands.
#[tokio::test]
async fn well_known_leads_to_the_broker() {
    let broker = Broker::start();
    for (at, mut stream) in open(&broker).await.into_iter().enumerate() {
        let addr = [broker.plain_addr(), broker.secure_addr()][at];
        let request = format!(
            "GET /.well-known/mqtt HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
            addr.port()
        );
        let answer = http1::ask(&mut stream, &request).await;
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let json = answer.json();
        let mut tried = 0;
        for scheme in ["mqtt", "mqtts", "ws", "wss"] {
            for url in json[scheme].as_array().expect("a list") {
                let url = url.as_str().expect("a URL");
                let rest = url.strip_prefix(&format!("{scheme}://localhost:"));
                let rest = rest.unwrap_or_else(|| panic!("{url}"));
                let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
                let addr = ([127, 0, 0, 1], port.parse().expect("a port")).into();
                let stream = match scheme {
                    "mqtt" => Stream::tcp(addr).await,
                    "mqtts" => Stream::tls(addr, &broker.ca_path(), &[b"mqtt"]).await,
                    "ws" => Stream::ws(addr).await,
                    _ => Stream::wss(addr, &broker.ca_path()).await,
                };
                assert_eq!(path, if scheme.starts_with("ws") { "mqtt" } else { "" });
                let mut client = Client::new(stream.expect(url), ProtocolVersion::V5);
                client
                    .expect_accepted(connect(ProtocolVersion::V5, ""))
                    .await;
                tried += 1;
            }
        }
        assert_eq!(tried, 4, "{json}");
    }
}

#[tokio::test]
async fn the_page() {
    let broker = Broker::start();
    for mut stream in open(&broker).await {
        let answer = http1::get(&mut stream, "/").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert!(answer.text().contains("GateMQ"));
        let tag = answer.header("etag").to_owned();
        let again = format!("GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\n\r\n");
        let answer = http1::ask(&mut stream, &again).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0));
        assert_eq!(answer.header("etag"), tag);
        // The connection is in step after it.
        assert_eq!(http1::get(&mut stream, "/style.css").await.status, 200);
    }
}

/// HEAD is GET without the body: the same status, the same length.
#[tokio::test]
async fn head_is_get_without_its_body() {
    let broker = Broker::start();
    let [mut stream, _] = open(&broker).await;
    for path in ["/", "/livez", "/ca.crt", "/nothing"] {
        let get = http1::get(&mut stream, path).await;
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let head = http1::ask(&mut stream, &request).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(
            head.header("content-length"),
            get.header("content-length"),
            "{path}"
        );
        assert_eq!(head.body, b"");
    }
    // Nothing was left on the way.
    assert_eq!(http1::get(&mut stream, "/livez").await.text(), "ok\n");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_allowed() {
    let broker = Broker::start();
    let [mut stream, _] = open(&broker).await;
    assert_eq!(http1::get(&mut stream, "/nothing").await.status, 404);
    for method in ["PUT", "DELETE", "PATCH"] {
        let request = format!("{method} /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = http1::ask(&mut stream, &request).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
    }
    let request = "POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde";
    assert_eq!(http1::ask(&mut stream, request).await.status, 405);
    let answer = http1::get(&mut stream, "/mqtt").await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("upgrade"), "websocket");
    let [mut stream, _] = open(&broker).await;
    let answer = http1::ask(&mut stream, "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(answer.status, 501);
}

/// What RFC 9112 calls wrong is answered with 400 and the end of the connection; nothing behind it is believed.
#[tokio::test]
async fn wrong_requests() {
    let broker = Broker::start();
    let smuggled = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for wrong in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
        let answer = http1::ask(&mut stream, &format!("{wrong}{smuggled}")).await;
        assert!(
            (400..500).contains(&answer.status),
            "{wrong}: {}",
            answer.status
        );
        let next = http1::answer(&mut stream, true).await;
        assert!(next.is_none(), "{wrong}: {next:?}");
    }
}

/// Both lengths at once (RFC 9112, 6.3): the body is read by one of them, and the connection ends or stays in step.
#[tokio::test]
async fn two_lengths_smuggle_nothing() {
    let broker = Broker::start();
    let both = "POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n\
                0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    let answer = http1::ask(&mut stream, both).await;
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    let next = http1::answer(&mut stream, true).await;
    assert!(next.is_none(), "{next:?}");
}

/// RFC 9112, 2.3: who speaks HTTP/1.0 gets an answer and the end.
#[tokio::test]
async fn http_1_0() {
    let broker = Broker::start();
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    let answer = http1::ask(&mut stream, "GET /livez HTTP/1.0\r\n\r\n").await;
    assert_eq!((answer.status, &*answer.text()), (200, "ok\n"));
    assert!(http1::answer(&mut stream, true).await.is_none());
}

#[tokio::test]
async fn http2_has_the_same_answers() {
    let broker = Broker::start();
    let secure = stream_tls(broker.secure_addr(), &broker.ca_path(), &[b"h2"]).await;
    let mut http2 = Http2::over(secure.expect("a handshake")).await;
    for (path, status) in [
        ("/", 200),
        ("/livez", 200),
        ("/metrics", 200),
        ("/nothing", 404),
    ] {
        let answer = http2.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert!(!answer.body().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn snippets_are_listed_and_filled_with_the_address_that_was_asked() {
    let broker = Broker::start();
    for (is_secure, mut stream) in [false, true].into_iter().zip(open(&broker).await) {
        let list = http1::get(&mut stream, "/api/v1/snippets").await.json();
        let languages = list["languages"].as_array().expect("a list").clone();
        assert!(languages.iter().any(|row| row["id"] == "paho-python"));
        for row in languages {
            let path = format!("/api/v1/snippets/{}", row["id"].as_str().expect("an id"));
            let answer = http1::get(&mut stream, &path).await;
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            let text = answer.json()["text"].as_str().expect("a text").to_owned();
            assert!(text.contains("localhost"), "{text}");
            // A browser takes no file, and without TLS there is nothing to trust.
            let names_ca = text.contains("ca.crt");
            assert_eq!(names_ca, is_secure && row["id"] != "paho-js", "{text}");
        }
        let asked = "/api/v1/snippets/mqttjs?url=wss%3A%2F%2Fexample.org%2Fws&user=a%22b&topic=a/b";
        let text = http1::get(&mut stream, asked).await.json()["text"].to_string();
        for part in ["wss://example.org/ws", "a/b", "MQTT_PASSWORD"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        // Our authority has not certified another host.
        assert!(!text.contains("ca.crt"), "{text}");
    }
}

#[tokio::test]
async fn what_a_snippet_cannot_be_filled_with_is_named() {
    let broker = Broker::start();
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    for (rest, status, named) in [
        ("cobol", 404, "cobol"),
        ("mqttjs?url=gopher://a", 400, "gopher"),
        ("mqttjs?topic=a/%23", 400, "topic"),
        ("mqttjs?user=a%0Ab", 400, "control character"),
    ] {
        let answer = http1::get(&mut stream, &format!("/api/v1/snippets/{rest}")).await;
        assert_eq!(answer.status, status, "{rest}");
        assert!(answer.text().contains(named), "{rest}: {}", answer.text());
    }
}
