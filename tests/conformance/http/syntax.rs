//! RFC 9112, 2 to 6: heads, and what they say of bodies.

use super::*;

/// RFC 9112, 3 to 6: heads that are malformed are answered 400, and the connection ends.
#[tokio::test]
async fn malformed_heads_are_refused() {
    each(async |broker, is_secure| {
        for request in [
            // 3: the request line.
            &b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"[..],
            b"HEAD  / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /\r\nHost: a\r\n\r\n",
            b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP\r\nHost: a\r\n\r\n",
            b"GET / http/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/11\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1x\r\nHost: a\r\n\r\n",
            b"GET / HTTP /1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTPS/1.1\r\nHost: a\r\n\r\n",
            b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            // 2.2: a bare CR is no end of a line.
            b"GET / HTTP/1.1\rHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
            // 2.2: white space between the request line and the first header.
            b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            b"GET / HTTP/1.1\r\n\tX: b\r\nHost: a\r\n\r\n",
            // 5.1: white space before the colon.
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n",
            // 5.2: obs-fold.
            b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n",
            // 5, RFC 9110, 5.1: names are tokens.
            b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX\x80: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
            // RFC 9110, 5.5: values have no control characters.
            b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x01\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x7f\r\n\r\n",
        ] {
            expect_refused(broker, is_secure, request, 400).await;
        }
    })
    .await;
}

/// RFC 9112, 3.2, RFC 9110, 7.2: exactly one valid Host, in HTTP/1.1.
#[tokio::test]
async fn host() {
    each(async |broker, is_secure| {
        for hosts in [
            &[][..],
            &["a", "b"],
            &["a", "a"],
            &["a b"],
            &["a, b"],
            &["user@a"],
            &["http://a"],
            &["a/b"],
            &["a?b"],
            &["a#b"],
            &["a:x"],
            &["a:80x"],
            &["a:8:9"],
            &["a:-1"],
            &["[::1"],
            &["::1]"],
            &["[::1]x"],
            &["<script>"],
            &["\u{e4}"],
            &[":80"],
        ] {
            let lines: String = hosts
                .iter()
                .map(|host| format!("Host: {host}\r\n"))
                .collect();
            let request = format!("GET / HTTP/1.1\r\n{lines}\r\n");
            expect_refused(broker, is_secure, request.as_bytes(), 400).await;
        }
        for host in [
            "a",
            "A.Example.",
            "a:80",
            "a:",
            "127.0.0.1",
            "127.0.0.1:1883",
            "[::1]",
            "[::1]:443",
            "",
            "a_b",
            "xn--e4",
        ] {
            let mut raw = open(broker, is_secure).await;
            let answer = raw
                .ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
                .await;
            assert_eq!(answer.status, 200, "{host}");
        }
        // HTTP/1.0 has none, and may; a wrong one is wrong there as well.
        let mut raw = open(broker, is_secure).await;
        assert_eq!(raw.ask("GET / HTTP/1.0\r\n\r\n").await.status, 200);
        expect_refused(
            broker,
            is_secure,
            b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n",
            400,
        )
        .await;
    })
    .await;
}

/// RFC 9112, 3.2: the four forms of a target.
#[tokio::test]
async fn request_targets() {
    each(async |broker, is_secure| {
        let other = if is_secure { "http" } else { "https" };
        for (request_line, status) in [
            ("GET /livez", 200),
            ("GET /livez?x=y", 200),
            ("GET /livez?", 200),
            // 3.2.2: a server must accept the absolute form; Host is overlooked then.
            ("GET http://example.com/livez", 200),
            ("GET http://example.com:8080/livez?x", 200),
            ("GET HTTP://example.com/livez", 200),
            ("GET http://example.com", 200),
            ("OPTIONS *", 200),
            ("OPTIONS /livez", 200),
            ("GET //livez", 404),
            ("GET /livez/", 404),
            ("GET /livez/../metrics", 404),
            ("GET /../../etc/passwd", 404),
            ("GET /%2e%2e/etc/passwd", 404),
            ("GET /%00", 404),
            ("GET /%", 404),
            ("GET /livez%20", 404),
            // A target that is none of the forms for its method.
            ("GET *", 400),
            ("GET example.com", 400),
            ("GET example.com:80", 400),
            ("GET livez", 400),
            ("GET http://user@example.com/livez", 400),
            ("GET http://", 400),
            ("GET http:///livez", 400),
            // RFC 9110, 7.4: not what this connection is for.
            ("GET ftp://example.com/livez", 421),
        ] {
            let mut raw = open(broker, is_secure).await;
            let answer = raw
                .ask(format!("{request_line} HTTP/1.1\r\nHost: a\r\n\r\n"))
                .await;
            assert_eq!(answer.status, status, "{request_line}");
            check_headers(&answer);
        }
        let mut raw = open(broker, is_secure).await;
        let answer = raw
            .ask(format!("GET {other}://a/livez HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        // RFC 9110, 7.4: an `https` resource must not be had without TLS.
        assert_eq!(answer.status, if is_secure { 200 } else { 421 });
    })
    .await;
}

/// RFC 9112, 2.3, RFC 9110, 2.5 and 6.2: a higher minor version is taken as 1.1, another major version is 505.
#[tokio::test]
async fn versions() {
    each(async |broker, is_secure| {
        for minor in [1, 2, 9] {
            let mut raw = open(broker, is_secure).await;
            let answer = raw
                .ask(format!("GET /livez HTTP/1.{minor}\r\nHost: a\r\n\r\n"))
                .await;
            assert_eq!((&answer.version[..], answer.status), ("HTTP/1.1", 200));
            assert_eq!(
                raw.ask("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
                    .await
                    .status,
                200
            );
        }
        for version in ["HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
            let request = format!("GET /livez {version}\r\nHost: a\r\n\r\n");
            expect_refused(broker, is_secure, request.as_bytes(), 505).await;
        }
    })
    .await;
}

/// RFC 9112, 6.1 to 6.3, 11.2: what two readers could understand differently is refused.
#[tokio::test]
async fn request_smuggling_is_refused() {
    each(async |broker, is_secure| {
        for (version, lines) in [
            ("1.1", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
            ("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG"),
            ("1.1", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("1.1", "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
            ("1.1", "Content-Length: 5, 6\r\n\r\nhello!"),
            ("1.1", "Content-Length: +5\r\n\r\nhello"),
            ("1.1", "Content-Length: -5\r\n\r\nhello"),
            ("1.1", "Content-Length: 0x5\r\n\r\nhello"),
            ("1.1", "Content-Length: 5 5\r\n\r\nhello"),
            ("1.1", "Content-Length: five\r\n\r\nhello"),
            ("1.1", "Content-Length: \r\n\r\nhello"),
            ("1.1", "Content-Length: 99999999999999999999\r\n\r\nhello"),
            ("1.1", "Transfer-Encoding: identity\r\n\r\n"),
            ("1.1", "Transfer-Encoding: gzip\r\n\r\n"),
            ("1.1", "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
            ("1.1", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
            ("1.1", "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
            ("1.1", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
            ("1.1", "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"),
            ("1.1", "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("1.0", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ] {
            let request = format!("POST /livez HTTP/{version}\r\nHost: a\r\n{lines}");
            expect_refused(broker, is_secure, request.as_bytes(), 400).await;
        }
        // 6.1: codings that are not known are 501; they may as well be 400, and end the connection.
        let request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: foo, chunked\r\n\r\n0\r\n\r\n";
        let mut raw = open(broker, is_secure).await;
        let answer = raw.ask(request).await;
        assert!(matches!(answer.status, 400 | 501), "{answer:?}");
        // Likewise in later requests of a connection: there the connection ends at the least (6.1).
        let mut raw = open(broker, is_secure).await;
        assert_eq!(raw.ask("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200);
        raw.write("POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = raw.answer("POST").await;
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(raw.read_to_end().await, b"");
    })
    .await;
}

/// RFC 9110, 15.5.15, RFC 6585, 5, RFC 9112, 3: lines and heads that are too long, answered though more is under way.
#[tokio::test]
async fn heads_that_are_too_long() {
    each(async |broker, is_secure| {
        let long = "a".repeat(1 << 20);
        let many: String = (0..300).map(|n| format!("x-{n}: {n}\r\n")).collect();
        let megabyte: String = (0..10_000)
            .map(|n| format!("x-{n}: {}\r\n", "y".repeat(90)))
            .collect();
        let just_above = "a".repeat(70_000);
        for (request, status) in [
            (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
            (
                format!("GET /{just_above} HTTP/1.1\r\nHost: a\r\n\r\n"),
                414,
            ),
            (
                format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
                431,
            ),
            (
                format!("GET / HTTP/1.1\r\nHost: a\r\nX: {just_above}\r\n\r\n"),
                431,
            ),
            (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
            (format!("GET / HTTP/1.1\r\nHost: a\r\n{megabyte}\r\n"), 431),
        ] {
            expect_refused(broker, is_secure, request.as_bytes(), status).await;
        }
        // RFC 9112, 3: at least 8000 bytes of a request line are taken; and cookies may be large.
        let mut raw = open(broker, is_secure).await;
        let answer = raw
            .ask(format!(
                "GET /?{} HTTP/1.1\r\nHost: a\r\n\r\n",
                &long[..8000]
            ))
            .await;
        assert_eq!(answer.status, 200);
        let answer = raw
            .ask(format!(
                "GET / HTTP/1.1\r\nHost: a\r\nCookie: a={}\r\n\r\n",
                &long[..60_000]
            ))
            .await;
        assert_eq!(answer.status, 200);
    })
    .await;
}

/// RFC 9112, 2.2: empty lines before a request line, and line feeds for ends of lines.
#[tokio::test]
async fn what_a_robust_server_takes() {
    each(async |broker, is_secure| {
        for request in [
            "\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /livez HTTP/1.1\nHost: a\n\n",
            "GET /livez HTTP/1.1\r\nHost:a\r\n\r\n",
            "GET /livez HTTP/1.1\r\nHOST: a  \t\r\n\r\n",
            "GET /livez HTTP/1.1\r\nHost: a\r\nX:\r\nY: \r\n\r\n",
            "GET /livez HTTP/1.1\r\nHost: a\r\nX: \u{e4}\u{f6}\u{fc}\r\n\r\n",
            // 9.3, RFC 9110, 7.8, 10.1.1: protocols and expectations that are not known.
            "GET /livez HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            "GET /livez HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
        ] {
            let mut raw = open(broker, is_secure).await;
            let answer = raw.ask(request).await;
            assert_eq!(answer.status, 200, "{request:?}");
            assert_eq!(answer.text(), "ok\n");
        }
        // A byte at a time.
        let mut raw = open(broker, is_secure).await;
        for byte in b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" {
            raw.write([*byte]).await;
        }
        assert_eq!(raw.answer("GET").await.status, 200);
    })
    .await;
}
