use hyper::Request;

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const HEADERS: [(&str, &str); 5] = [
    ("host", "example.com"),
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", KEY),
];

fn get(path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(path).version(Version::HTTP_11);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

/// A right request, but for one header.
fn get_with(name: &str, value: &str) -> Parts {
    let others = HEADERS.into_iter().filter(|(other, _)| *other != name);
    get("/mqtt", &others.chain([(name, value)]).collect::<Vec<_>>())
}

fn get_without(name: &str) -> Parts {
    let others = HEADERS.into_iter().filter(|(other, _)| *other != name);
    get("/mqtt", &others.collect::<Vec<_>>())
}

fn connect(protocol: &'static str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::connect("https://example.com/mqtt").version(Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(()).expect("a request");
    request
        .extensions_mut()
        .insert(Protocol::from_static(protocol));
    request.into_parts().0
}

#[track_caller]
fn accepted(request: &Parts) -> Upgrade {
    assert!(wants_upgrade(request));
    upgrade(request, &[]).expect("an upgrade")
}

#[track_caller]
fn rejected(request: &Parts, status: u16, name: &str) -> Rejection {
    assert!(wants_upgrade(request));
    let rejection = upgrade(request, &[]).expect_err("a rejection");
    assert_eq!((rejection.status.as_u16(), rejection.name), (status, name));
    rejection
}

/// RFC 6455, 1.3: the example.
#[test]
fn the_key_is_answered() {
    let response = accepted(&get("/mqtt", &HEADERS)).response;
    assert_eq!(response.status(), 101);
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ] {
        assert_eq!(response.headers()[name], value);
    }
    assert_eq!(response.headers().len(), 3);
}

#[test]
fn paths() {
    for (path, served) in [
        ("/", Some("/")),
        ("/mqtt", Some("/mqtt")),
        ("/mqtt/", Some("/mqtt")),
        ("/ws", Some("/ws")),
        ("/ws/", Some("/ws")),
        ("//", Some("/")),
        ("/mqtt//", None),
        ("/MQTT", None),
        ("/mqtt/x", None),
        ("///", None),
        ("", None),
    ] {
        assert_eq!(served_path(path), served, "{path}");
    }
    assert_eq!(accepted(&get("/ws/?client=7", &HEADERS)).path, "/ws");
    rejected(&get("/other", &HEADERS), 404, "path");
}

/// RFC 6455, 4.2.1 (3) and (4): tokens of lists, without regard to case.
#[test]
fn connection_and_upgrade() {
    accepted(&get_with("connection", "keep-alive, UPGRADE"));
    accepted(&get_with("upgrade", "h2c , WebSocket"));
    rejected(&get_with("connection", "keep-alive"), 400, "connection");
    rejected(&get_without("connection"), 400, "connection");
    rejected(&get_with("connection", "upgraded"), 400, "connection");
    rejected(&get_with("upgrade", "h2c"), 400, "upgrade");
    rejected(&get_without("upgrade"), 400, "upgrade");
}

#[test]
fn what_asks_for_no_web_socket() {
    assert!(!wants_upgrade(&get("/mqtt", &HEADERS[..1])));
    let mut request = get("/mqtt", &HEADERS);
    request.version = Version::HTTP_10;
    assert!(!wants_upgrade(&request));
    request.version = Version::HTTP_2;
    assert!(!wants_upgrade(&request));
}

#[test]
fn method() {
    let mut request = get("/mqtt", &HEADERS);
    request.method = Method::POST;
    let response = rejected(&request, 405, "method").into_response();
    assert_eq!(response.headers()["allow"], "GET");
}

/// RFC 6455, 4.4, and RFC 9110, 15.5.22.
#[test]
fn version() {
    for version in ["12", "8", "", "13, 8", "013"] {
        let rejection = rejected(&get_with("sec-websocket-version", version), 426, "version");
        let response = rejection.into_response();
        assert_eq!(response.headers()["sec-websocket-version"], "13");
        assert_eq!(response.headers()["upgrade"], "websocket");
    }
    rejected(&get_without("sec-websocket-version"), 426, "version");
}

/// RFC 6455, 4.2.1 (5).
#[test]
fn key() {
    for key in [
        "",
        "AAAA",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZTE=",
        "dGhlIHNhbXBsZSBub25jZTEy",
        "dGhlIHNhbXBsZS*ub25jZQ==",
    ] {
        rejected(&get_with("sec-websocket-key", key), 400, "key");
    }
    rejected(&get_without("sec-websocket-key"), 400, "key");
    let twice = [&HEADERS[..], &[("sec-websocket-key", KEY)]].concat();
    rejected(&get("/mqtt", &twice), 400, "key");
}

#[test]
fn a_body_is_refused() {
    rejected(&get_with("content-length", "5"), 400, "body");
    rejected(&get_with("transfer-encoding", "chunked"), 400, "body");
    accepted(&get_with("content-length", "0"));
}

/// [MQTT-6.0.0-4], RFC 6455, 4.2.2 (5): one of those offered, as offered, or none.
#[test]
fn subprotocols() {
    for (offered, chosen) in [
        ("mqtt", Some("mqtt")),
        ("mqttv3.1", Some("mqttv3.1")),
        ("mqttv3.1, mqtt", Some("mqtt")),
        ("chat,mqttv3.1.1 , mqttv3.1", Some("mqttv3.1.1")),
        ("mqtt-v3", Some("mqtt-v3")),
        ("mqtt-v3.1.1", Some("mqtt-v3.1.1")),
        ("mqtt-v5", Some("mqtt-v5")),
        ("MQTT", Some("MQTT")),
        ("", None),
        (" , ", None),
    ] {
        let upgrade = accepted(&get_with("sec-websocket-protocol", offered));
        let answered = upgrade.response.headers().get("sec-websocket-protocol");
        assert_eq!(
            answered.and_then(|value| value.to_str().ok()),
            chosen,
            "{offered}"
        );
        assert_eq!(upgrade.subprotocol.as_ref(), answered);
    }
    let lines = [
        &HEADERS[..],
        &[
            ("sec-websocket-protocol", "chat"),
            ("sec-websocket-protocol", "x, mqtt"),
        ],
    ]
    .concat();
    assert_eq!(
        accepted(&get("/mqtt", &lines)).subprotocol.expect("one"),
        "mqtt"
    );
    let rejection = rejected(
        &get_with("sec-websocket-protocol", "chat, mqttx"),
        400,
        "subprotocol",
    );
    assert!(
        rejection.text.contains("mqtt, mqttv3.1"),
        "{}",
        rejection.text
    );
}

/// Extensions may be offered and are declined (RFC 6455, 9.1).
#[test]
fn extensions_are_declined() {
    let upgrade = accepted(&get_with("sec-websocket-extensions", "permessage-deflate"));
    assert!(
        !upgrade
            .response
            .headers()
            .contains_key("sec-websocket-extensions")
    );
}

/// RFC 8441, 5.
#[test]
fn extended_connect() {
    let headers = [
        ("sec-websocket-protocol", "mqtt"),
        ("sec-websocket-version", "13"),
    ];
    let upgrade = accepted(&connect("websocket", &headers));
    assert_eq!(upgrade.response.status(), 200);
    assert_eq!(upgrade.response.headers().len(), 1);
    assert_eq!(upgrade.response.headers()["sec-websocket-protocol"], "mqtt");
    accepted(&connect("websocket", &[]));
    rejected(
        &connect("websocket", &[("sec-websocket-version", "8")]),
        400,
        "version",
    );
    rejected(&connect("connect-udp", &[]), 501, "protocol");
}

#[test]
fn a_foreign_origin_is_refused_after_the_upgrade() {
    assert_eq!(
        accepted(&get_with("origin", "https://example.com")).refusal(),
        None
    );
    let upgrade = accepted(&get_with("origin", "https://evil.org"));
    assert_eq!(upgrade.response.status(), 101);
    assert_eq!(
        upgrade.refusal(),
        Some(Closing::Refused(
            "origin https://evil.org is not in allowed_origins".into()
        ))
    );
    let over_http2 = connect("websocket", &[("origin", "https://example.com:443")]);
    assert_eq!(accepted(&over_http2).refused_origin, None);
}

/// Of two hosts neither is the one that was meant.
#[test]
fn two_hosts_are_no_host() {
    let headers = [
        &HEADERS[..],
        &[("host", "evil.org"), ("origin", "https://evil.org")],
    ]
    .concat();
    assert!(accepted(&get("/mqtt", &headers)).refused_origin.is_some());
}
