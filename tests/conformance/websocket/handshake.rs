//! RFC 6455, 4.2 and 10: the upgrade.

use super::*;

/// 4.2.2 (5): 101, Upgrade, Connection, Accept, the sub-protocol; no extension.
#[tokio::test]
async fn an_upgrade_is_answered_with_what_the_standard_names() {
    each(async |broker, is_secure| {
        let mut raw = open(broker, is_secure).await;
        let answer = raw.ask(upgrade_request(&[])).await;
        assert_eq!((&answer.version[..], answer.status), ("HTTP/1.1", 101));
        let upgrade = answer.header("upgrade").expect("Upgrade");
        assert!(upgrade.eq_ignore_ascii_case("websocket"));
        let connection = answer.header("connection").expect("Connection");
        assert!(connection.eq_ignore_ascii_case("upgrade"));
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
        assert_eq!(answer.header("sec-websocket-protocol"), Some("mqtt"));
        assert_eq!(answer.header("sec-websocket-extensions"), None);
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(answer.header("transfer-encoding"), None);
    })
    .await;
}

/// 4.2.1: what a handshake may look like besides.
#[tokio::test]
async fn handshakes_that_are_accepted() {
    each(async |broker, is_secure| {
        for changes in [
            // (3), (4): without regard to case, and in a list.
            &[("Upgrade", Some("WebSocket"))][..],
            &[("Upgrade", Some("foo/2, websocket"))],
            &[("Connection", Some("keep-alive, Upgrade"))],
            &[("Connection", Some("UPGRADE"))],
            &[
                ("Connection", Some("keep-alive")),
                ("Connection", Some("upgrade")),
            ],
            // (8): no sub-protocol, (9): extensions that are not known, 9.1.
            &[("Sec-WebSocket-Protocol", None)],
            &[(
                "Sec-WebSocket-Extensions",
                Some("permessage-deflate; client_max_window_bits"),
            )],
            &[("Sec-WebSocket-Extensions", Some("foo, bar; baz=2"))],
            // (10): cookies and whatever else.
            &[("Cookie", Some("a=b")), ("X-Unknown", Some("x"))],
            &[("Content-Length", Some("0"))],
            // The value's white space is none of it (RFC 9110, 5.5).
            &[("Sec-WebSocket-Version", Some("  13  "))],
            &[("Sec-WebSocket-Key", Some(" dGhlIHNhbXBsZSBub25jZQ==\t"))],
        ] {
            let mut raw = open(broker, is_secure).await;
            let answer = raw.ask(upgrade_request(changes)).await;
            assert_eq!(answer.status, 101, "{changes:?}");
            assert_eq!(answer.header("sec-websocket-extensions"), None);
        }
    })
    .await;
}

/// 4.2.1, 4.2.2, 4.4: what a handshake may not look like, and what it is answered.
#[tokio::test]
async fn handshakes_that_are_refused() {
    each(async |broker, is_secure| {
        for (changes, status) in [
            (&[("Host", None)][..], 400),
            (&[("Host", Some("a")), ("Host", Some("b"))], 400),
            (&[("Host", Some("not a host"))], 400),
            (&[("Upgrade", None)], 400),
            (&[("Upgrade", Some("h2c"))], 400),
            (&[("Upgrade", Some("websockets"))], 400),
            (&[("Connection", None)], 400),
            (&[("Connection", Some("keep-alive"))], 400),
            (&[("Sec-WebSocket-Key", None)], 400),
            (&[("Sec-WebSocket-Key", Some(""))], 400),
            (&[("Sec-WebSocket-Key", Some("c2hvcnQ="))], 400),
            (
                &[("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ==dGhl"))],
                400,
            ),
            (
                &[
                    ("Sec-WebSocket-Key", Some(KEY)),
                    ("Sec-WebSocket-Key", Some(KEY)),
                ],
                400,
            ),
            (&[("Sec-WebSocket-Version", None)], 426),
            (&[("Sec-WebSocket-Version", Some("8"))], 426),
            (&[("Sec-WebSocket-Version", Some("0"))], 426),
            (&[("Sec-WebSocket-Version", Some("14"))], 426),
            (&[("Sec-WebSocket-Version", Some("013"))], 426),
            (
                &[
                    ("Sec-WebSocket-Version", Some("13")),
                    ("Sec-WebSocket-Version", Some("8")),
                ],
                426,
            ),
            (&[("Sec-WebSocket-Protocol", Some("chat, superchat"))], 400),
            (&[("Content-Length", Some("5"))], 400),
            (&[("Transfer-Encoding", Some("chunked"))], 400),
        ] {
            let mut raw = open(broker, is_secure).await;
            let answer = raw.ask(upgrade_request(changes)).await;
            assert_eq!(answer.status, status, "{changes:?}");
            assert_eq!(answer.header("sec-websocket-accept"), None);
            assert!(!answer.text().is_empty(), "{changes:?}");
            if status == 426 {
                // 4.4: the versions that are understood; RFC 9110, 15.5.22: the protocol to upgrade to.
                assert_eq!(answer.header("sec-websocket-version"), Some("13"));
                assert_eq!(answer.header("upgrade"), Some("websocket"));
            }
        }
    })
    .await;
}

/// 4.2.1 (1): GET, and HTTP/1.1 or higher.
#[tokio::test]
async fn method_and_version_of_the_request() {
    each(async |broker, is_secure| {
        for (request_line, status) in [
            ("POST /mqtt HTTP/1.1", 405),
            ("HEAD /mqtt HTTP/1.1", 405),
            ("OPTIONS /mqtt HTTP/1.1", 405),
            ("GET /mqtt HTTP/1.0", 426),
            ("GET /mqtt HTTP/1.2", 101),
            ("GET /elsewhere HTTP/1.1", 404),
            ("GET /MQTT HTTP/1.1", 404),
            ("GET /mqtt/ HTTP/1.1", 101),
            ("GET /ws HTTP/1.1", 101),
            ("GET / HTTP/1.1", 101),
            ("GET /mqtt?token=x&y=%20 HTTP/1.1", 101),
            ("GET http://localhost/mqtt HTTP/1.1", 101),
        ] {
            let mut raw = open(broker, is_secure).await;
            let request = upgrade_request(&[]).replace("GET /mqtt HTTP/1.1", request_line);
            let answer = raw.ask(request).await;
            assert_eq!(answer.status, status, "{request_line}");
        }
    })
    .await;
}

/// 4.2.2 (5), 4.1: one of the client's list, as it spells it, or none.
#[tokio::test]
async fn a_subprotocol_is_one_of_those_offered() {
    each(async |broker, is_secure| {
        for (offered, chosen) in [
            (&[][..], None),
            (&["mqtt"], Some("mqtt")),
            (&["mqttv3.1"], Some("mqttv3.1")),
            (&["chat, mqtt"], Some("mqtt")),
            (&["mqttv3.1,mqtt"], Some("mqtt")),
            (&["chat", "mqtt"], Some("mqtt")),
            (&["MQTT"], Some("MQTT")),
        ] {
            let mut changes = vec![("Sec-WebSocket-Protocol", None)];
            changes.extend(
                offered
                    .iter()
                    .map(|offer| ("Sec-WebSocket-Protocol", Some(*offer))),
            );
            let mut raw = open(broker, is_secure).await;
            let answer = raw.ask(upgrade_request(&changes)).await;
            assert_eq!(answer.status, 101, "{offered:?}");
            assert_eq!(
                answer.header("sec-websocket-protocol"),
                chosen,
                "{offered:?}"
            );
        }
    })
    .await;
}

/// 10.2: a page of another origin is refused after the upgrade, where it can see why; pages of the same are not.
#[tokio::test]
async fn a_foreign_origin_is_told_so_by_a_close_frame() {
    each(async |broker, is_secure| {
        let mut raw = open(broker, is_secure).await;
        let answer = raw
            .ask(upgrade_request(&[("Origin", Some("https://evil.example"))]))
            .await;
        assert_eq!(answer.status, 101);
        let closing = async {
            let reason = raw.expect_close(1008).await;
            assert!(reason.contains("https://evil.example"), "{reason}");
        };
        closing.await;
        let same = [
            ("Host", Some("example.com")),
            ("Origin", Some("https://example.com")),
        ];
        let mut raw = open(broker, is_secure).await;
        assert_eq!(raw.ask(upgrade_request(&same)).await.status, 101);
        raw.write(frame(BINARY, CONNECT)).await;
        expect_data(&mut raw, CONNACK).await;
    })
    .await;
}

/// 4.1: frames may come together with the request, in one segment.
#[tokio::test]
async fn frames_behind_the_request_are_not_lost() {
    each(async |broker, is_secure| {
        let mut raw = open(broker, is_secure).await;
        let bytes = [upgrade_request(&[]).as_bytes(), &frame(BINARY, CONNECT)].concat();
        assert_eq!(raw.ask(bytes).await.status, 101);
        expect_data(&mut raw, CONNACK).await;
        expect_open(&mut raw).await;
    })
    .await;
}
