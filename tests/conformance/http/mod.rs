//! HTTP/1.1 (RFC 9110, RFC 9112), by raw bytes. Over plain streams and over TLS.

mod syntax;

use crate::support::{
    Broker,
    raw::{Answer, Raw},
};

/// Runs a test over plain streams and over TLS.
async fn each(test: impl AsyncFn(&Broker, bool)) {
    let broker = Broker::start();
    for is_secure in [false, true] {
        eprintln!("{}", if is_secure { "over TLS" } else { "plain" });
        test(&broker, is_secure).await;
    }
}

async fn open(broker: &Broker, is_secure: bool) -> Raw {
    if is_secure {
        Raw::secure(broker, &[b"http/1.1"]).await
    } else {
        Raw::plain(broker).await
    }
}

/// The request is refused with this status, in words, and the connection ends, in order.
async fn expect_refused(broker: &Broker, is_secure: bool, request: &[u8], status: u16) -> Answer {
    let shown = request[..request.len().min(200)].escape_ascii();
    eprintln!("{shown}");
    let mut raw = open(broker, is_secure).await;
    // A server that refuses early need not read all of it.
    let _ = raw.try_write(request).await;
    let is_head = request.starts_with(b"HEAD");
    let answer = raw.answer(if is_head { "HEAD" } else { "GET" }).await;
    assert_eq!(answer.status, status, "{shown}");
    let is_old = request.windows(8).any(|window| window == b"HTTP/1.0");
    assert!(answer.version == "HTTP/1.1" || is_old, "{shown}");
    assert_eq!(answer.header("connection"), Some("close"), "{shown}");
    assert_eq!(answer.body.is_empty(), is_head, "{shown}");
    check_headers(&answer);
    assert_eq!(raw.read_to_end().await, b"", "{shown}");
    answer
}

/// What every answer has: a date (RFC 9110, 6.6.1), and headers that keep browsers from doing more than they should.
#[track_caller]
fn check_headers(answer: &Answer) {
    let date = answer.header("date").expect("a date");
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert!(answer.header("content-security-policy").is_some());
    assert!(answer.header("cache-control").is_some());
}

/// RFC 9110, 9: what each method is answered.
#[tokio::test]
async fn methods() {
    each(async |broker, is_secure| {
        for (request_line, status) in [
            ("GET /livez", 200),
            ("HEAD /livez", 200),
            ("POST /livez", 405),
            ("PUT /", 405),
            ("PATCH /", 405),
            ("DELETE /mqtt", 405),
            ("TRACE /", 405),
            ("POST /nowhere", 404),
            // 9.1: names mind the case; what is not known is 501.
            ("get /livez", 501),
            ("Get /livez", 501),
            ("PROPFIND /livez", 501),
            ("FOO /livez", 501),
            ("M-SEARCH /livez", 501),
            // 9.3.6: this is no proxy.
            ("CONNECT example.com:443", 501),
        ] {
            let mut raw = open(broker, is_secure).await;
            let answer = raw
                .ask(format!("{request_line} HTTP/1.1\r\nHost: a\r\n\r\n"))
                .await;
            assert_eq!(answer.status, status, "{request_line}");
            // 15.5.6
            let is_named = answer.header("allow") == Some("GET, HEAD, OPTIONS");
            assert_eq!(is_named, status == 405, "{request_line}");
            check_headers(&answer);
        }
    })
    .await;
}

/// RFC 9110, 9.3.2: HEAD is answered as GET, without its body.
#[tokio::test]
async fn head_says_what_get_says() {
    each(async |broker, is_secure| {
        for path in [
            "/",
            "/livez",
            "/readyz",
            "/ca.crt",
            "/style.css",
            "/mqtt",
            "/nowhere",
            "/.well-known/mqtt",
        ] {
            let mut raw = open(broker, is_secure).await;
            let get = raw
                .ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
                .await;
            let head = raw
                .ask(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
                .await;
            assert_eq!(get.status, head.status, "{path}");
            for name in [
                "content-length",
                "content-type",
                "etag",
                "cache-control",
                "vary",
            ] {
                assert_eq!(get.header(name), head.header(name), "{path} {name}");
            }
            // The next answer begins where it should.
            assert_eq!(
                raw.ask("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
                    .await
                    .text(),
                "ok\n"
            );
        }
    })
    .await;
}

/// RFC 9110, 9.3.7: OPTIONS says what is allowed, and that it says nothing more.
#[tokio::test]
async fn options() {
    each(async |broker, is_secure| {
        for target in ["*", "/", "/livez"] {
            let mut raw = open(broker, is_secure).await;
            let answer = raw
                .ask(format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
                .await;
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
            assert_eq!(answer.header("content-length"), Some("0"));
        }
    })
    .await;
}

/// RFC 9112, 6: bodies nobody asked for are read over, and the connection goes on or ends in order.
#[tokio::test]
async fn bodies() {
    each(async |broker, is_secure| {
        for (head, body, status) in [
            ("GET /livez", "Content-Length: 5\r\n\r\nhello", 200),
            ("GET /livez", "Content-Length: 0\r\n\r\n", 200),
            ("POST /nowhere", "Content-Length: 5\r\n\r\nhello", 404),
            (
                "POST /livez",
                "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                405,
            ),
            (
                "POST /livez",
                "Transfer-Encoding: CHUNKED\r\n\r\n5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
                405,
            ),
            (
                "GET /livez",
                "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                200,
            ),
            // 6.3 (5), RFC 9110, 8.6: one value, said twice.
            (
                "GET /livez",
                "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
                200,
            ),
        ] {
            eprintln!("{head} {body:?}");
            let mut raw = open(broker, is_secure).await;
            let answer = raw
                .ask(format!("{head} HTTP/1.1\r\nHost: a\r\n{body}"))
                .await;
            assert_eq!(answer.status, status);
            // The next request, if it is still taken, is no part of the body.
            let _ = raw
                .try_write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
                .await;
            if let Some(next) = raw.try_answer("GET").await {
                assert_eq!((next.status, next.text()), (200, "ok\n"));
            }
        }
        // A body that never comes is not waited for.
        let mut raw = open(broker, is_secure).await;
        let request = "POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
        assert_eq!(raw.ask(request).await.status, 405);
    })
    .await;
}

/// RFC 9112, 9.3: connections persist unless somebody says close.
#[tokio::test]
async fn persistence() {
    each(async |broker, is_secure| {
        for (version, connection, persists) in [
            ("1.1", "", true),
            ("1.1", "Connection: keep-alive\r\n", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: Close\r\n", false),
            ("1.1", "Connection: foo, close\r\n", false),
            ("1.0", "", false),
            ("1.0", "Connection: keep-alive\r\n", true),
            ("1.0", "Connection: close\r\n", false),
        ] {
            let mut raw = open(broker, is_secure).await;
            let request = format!("GET /livez HTTP/{version}\r\nHost: a\r\n{connection}\r\n");
            let answer = raw.ask(&request).await;
            assert_eq!(answer.status, 200);
            if persists {
                assert_ne!(answer.header("connection"), Some("close"));
                assert_eq!(raw.ask(&request).await.status, 200, "{version} {connection:?}");
            } else {
                if version == "1.1" {
                    // 9.6: who ends the connection says so.
                    assert_eq!(answer.header("connection"), Some("close"));
                }
                assert_eq!(raw.read_to_end().await, b"");
            }
        }
        // 9.6: what comes after close is not looked at.
        let mut raw = open(broker, is_secure).await;
        raw.write("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        assert_eq!(raw.answer("GET").await.status, 200);
        assert_eq!(raw.read_to_end().await, b"");
    })
    .await;
}

/// RFC 9112, 9.3.2: requests may be sent without waiting; their answers come in the same order.
#[tokio::test]
async fn pipelining() {
    each(async |broker, is_secure| {
        let mut raw = open(broker, is_secure).await;
        raw.write(
            "GET /livez HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n\
             POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n\
             GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
        assert_eq!(raw.answer("GET").await.text(), "ok\n");
        assert_eq!(raw.answer("HEAD").await.status, 200);
        assert_eq!(raw.answer("POST").await.status, 405);
        assert_eq!(raw.answer("GET").await.status, 404);
        assert_eq!(raw.answer("GET").await.text(), "ready\n");
        // Garbage where the next request should be.
        raw.write("\x01\x02\x03\r\n\r\n").await;
        let answer = raw.answer("GET").await;
        assert_eq!(answer.status, 400);
        assert_eq!(raw.read_to_end().await, b"");
    })
    .await;
}

/// RFC 9110, 10.1.1: an answer that needs no body comes without 100 (Continue).
#[tokio::test]
async fn expect_continue() {
    each(async |broker, is_secure| {
        let mut raw = open(broker, is_secure).await;
        let request =
            "POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        assert_eq!(raw.ask(request).await.status, 405);
    })
    .await;
}

/// RFC 9112, 9.6: a client that has ended its side is answered all the same.
#[tokio::test]
async fn a_client_that_says_no_more_is_answered() {
    each(async |broker, is_secure| {
        let mut raw = open(broker, is_secure).await;
        raw.write("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
        raw.shutdown().await;
        assert_eq!(raw.answer("GET").await.text(), "ok\n");
        assert_eq!(raw.read_to_end().await, b"");
        // 8: a head that is cut is no request.
        let mut raw = open(broker, is_secure).await;
        raw.write("GET /livez HTTP/1.1\r\nHost: a\r\n").await;
        raw.shutdown().await;
        assert!(
            raw.try_answer("GET")
                .await
                .is_none_or(|answer| answer.status == 400)
        );
    })
    .await;
}

/// RFC 9110, 13.1.2, 15.4.5: 304 where the client has it already.
#[tokio::test]
async fn entity_tags() {
    each(async |broker, is_secure| {
        for path in ["/", "/style.css", "/icon.svg"] {
            let mut raw = open(broker, is_secure).await;
            let first = raw
                .ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
                .await;
            let tag = first.header("etag").expect("a tag");
            for (method, condition, status) in [
                ("GET", format!("If-None-Match: {tag}"), 304),
                ("HEAD", format!("If-None-Match: {tag}"), 304),
                ("GET", format!("If-None-Match: W/{tag}"), 304),
                ("GET", format!("If-None-Match: \"x\", {tag}"), 304),
                ("GET", "If-None-Match: *".to_owned(), 304),
                ("GET", "If-None-Match: \"x\"".to_owned(), 200),
                ("OPTIONS", format!("If-None-Match: {tag}"), 200),
                ("GET", format!("If-Match: {tag}"), 200),
                ("GET", "If-Match: *".to_owned(), 200),
                // 13.1.1: compared strongly.
                ("GET", "If-Match: \"x\"".to_owned(), 412),
                ("GET", format!("If-Match: W/{tag}"), 412),
            ] {
                let answer = raw
                    .ask(format!(
                        "{method} {path} HTTP/1.1\r\nHost: a\r\n{condition}\r\n\r\n"
                    ))
                    .await;
                assert_eq!(answer.status, status, "{method} {path} {condition}");
                if status == 304 {
                    for name in ["etag", "cache-control", "vary"] {
                        assert_eq!(answer.header(name), first.header(name), "{name}");
                    }
                    assert!(answer.header("date").is_some());
                }
            }
        }
    })
    .await;
}

/// Plain HTTP on the port with TLS is sent there: to the host that was asked for, and nowhere else.
#[tokio::test]
async fn plain_http_on_the_port_with_tls() {
    let broker = Broker::start();
    for (request_line, host, location) in [
        (
            "GET /mqtt?x=y",
            "Host: example.com:8443",
            Some("https://example.com:8443/mqtt?x=y"),
        ),
        (
            "GET //evil.example/",
            "Host: a",
            Some("https://a//evil.example/"),
        ),
        ("GET http://b/x", "Host: a", Some("https://b/x")),
        ("GET /", "Host: evil.example/path?", None),
        ("GET /", "Host: user@evil.example", None),
        ("GET /", "Host: a\r\nHost: b", None),
        ("GET /", "X: y", None),
        ("OPTIONS *", "Host: a", None),
        ("CONNECT a:443", "Host: a", None),
    ] {
        let mut raw = Raw::plain_at(broker.secure_addr()).await;
        let answer = raw
            .ask(format!("{request_line} HTTP/1.1\r\n{host}\r\n\r\n"))
            .await;
        assert_eq!(answer.header("location"), location, "{request_line} {host}");
        assert_eq!(answer.status, if location.is_some() { 308 } else { 400 });
        assert!(answer.text().contains("TLS"), "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        check_headers(&answer);
        assert_eq!(raw.read_to_end().await, b"");
    }
}
