//! RFC 9113, 8 and 10: requests.

use super::*;

/// 8: requests that are malformed are an error of their stream; other streams go on.
#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn malformed_requests() {
    let request = |headers: &[(&str, &str)]| frame(HEADERS, WHOLE, 1, &block(headers));
    let without = |name: &str| {
        let headers: Vec<_> = GET
            .into_iter()
            .filter(|(other, _)| *other != name)
            .collect();
        request(&headers)
    };
    let with = |more: &[(&str, &str)]| frame(HEADERS, WHOLE, 1, &get(more));
    let malformed = StreamError(PROTOCOL_ERROR);
    check(&[
        ("8.2.1 upper case", with(&[("X-Upper", "y")]), malformed),
        (
            "8.2.1 a line feed in a value",
            with(&[("x", "a\nb")]),
            malformed,
        ),
        ("8.2.1 a zero in a value", with(&[("x", "a\0b")]), malformed),
        ("8.2.1 a space in a name", with(&[("x y", "z")]), malformed),
        (
            "8.2.2 Connection",
            with(&[("connection", "keep-alive")]),
            malformed,
        ),
        (
            "8.2.2 Transfer-Encoding",
            with(&[("transfer-encoding", "chunked")]),
            malformed,
        ),
        (
            "8.2.2 Upgrade",
            with(&[("upgrade", "websocket")]),
            malformed,
        ),
        ("8.2.2 Keep-Alive", with(&[("keep-alive", "1")]), malformed),
        (
            "8.2.2 Proxy-Connection",
            with(&[("proxy-connection", "close")]),
            malformed,
        ),
        ("8.2.2 TE but trailers", with(&[("te", "gzip")]), malformed),
        (
            "8.2.2 TE trailers",
            with(&[("te", "trailers")]),
            Status(200),
        ),
        (
            "8.3 unknown pseudo-header",
            with(&[(":test", "x")]),
            malformed,
        ),
        (
            "8.3 a pseudo-header of answers",
            with(&[(":status", "200")]),
            malformed,
        ),
        (
            "8.3 pseudo-header behind others",
            request(&[&[("x", "y")], &GET[..]].concat()),
            malformed,
        ),
        (
            "8.3.1 :method twice",
            with(&[(":method", "GET")]),
            malformed,
        ),
        ("8.3.1 :path twice", with(&[(":path", "/")]), malformed),
        (
            "8.3.1 :scheme twice",
            with(&[(":scheme", "http")]),
            malformed,
        ),
        (
            "8.3.1 :authority twice",
            with(&[(":authority", "localhost")]),
            malformed,
        ),
        ("8.3.1 no :method", without(":method"), malformed),
        ("8.3.1 no :scheme", without(":scheme"), malformed),
        ("8.3.1 no :path", without(":path"), malformed),
        (
            "8.3.1 :path empty",
            request(&[GET[0], GET[1], (":path", ""), GET[3]]),
            malformed,
        ),
        (
            "8.3.1 :path that is none",
            request(&[GET[0], GET[1], (":path", "livez"), GET[3]]),
            malformed,
        ),
        (
            "8.3.1 :path * of GET",
            request(&[GET[0], GET[1], (":path", "*"), GET[3]]),
            malformed,
        ),
        (
            "8.3.1 OPTIONS *",
            request(&[(":method", "OPTIONS"), GET[1], (":path", "*"), GET[3]]),
            Status(200),
        ),
        (
            "8.3.1 a user in :authority",
            request(&[GET[0], GET[1], GET[2], (":authority", "u@localhost")]),
            malformed,
        ),
        (
            "8.3.1 Host and :authority differ",
            with(&[("host", "other")]),
            malformed,
        ),
        (
            "8.3.1 Host and :authority agree",
            with(&[("host", "localhost")]),
            Status(200),
        ),
        (
            "8.3.1 Host instead of :authority",
            request(&[GET[0], GET[1], GET[2], ("host", "localhost")]),
            Status(200),
        ),
        (
            "8.3.1 two Hosts",
            with(&[("host", "localhost"), ("host", "localhost")]),
            malformed,
        ),
        (
            "8.1.1 Content-Length without DATA",
            with(&[("content-length", "1")]),
            malformed,
        ),
        (
            "8.1.1 DATA above Content-Length",
            [
                frame(HEADERS, END_HEADERS, 1, &get(&[("content-length", "1")])),
                frame(DATA, END_STREAM, 1, b"ab"),
            ]
            .concat(),
            malformed,
        ),
        (
            "8.5 CONNECT",
            request(&[(":method", "CONNECT"), (":authority", "localhost:1")]),
            Status(501),
        ),
        (
            "RFC 9110, 9 unknown method",
            request(&[(":method", "FOO"), GET[1], GET[2], GET[3]]),
            Status(501),
        ),
        (
            "RFC 9110, 9 POST",
            request(&[(":method", "POST"), GET[1], GET[2], GET[3]]),
            Status(405),
        ),
        (
            "RFC 9110, 15.5.5",
            request(&[GET[0], GET[1], (":path", "/nowhere"), GET[3]]),
            Status(404),
        ),
        (
            "8.6 no Upgrade, so no 426",
            request(&[GET[0], GET[1], (":path", "/mqtt"), GET[3]]),
            Status(400),
        ),
        (
            "HEAD",
            request(&[(":method", "HEAD"), GET[1], GET[2], GET[3]]),
            Status(200),
        ),
    ])
    .await;
}

/// 10.5: what costs more than it should ends, and nobody else is disturbed.
#[tokio::test]
async fn floods_are_bounded() {
    each(async |broker, is_secure| {
        let mut witness = Http2::open(broker, is_secure).await;
        // Headers without end.
        let mut http2 = Http2::open(broker, is_secure).await;
        http2.write(&frame(HEADERS, END_STREAM, 1, &get(&[]))).await;
        let value = "y".repeat(120);
        let piece = block(&[("x", value.as_str()); 120]);
        for _ in 0..100 {
            http2.write(&frame(CONTINUATION, 0, 1, &piece)).await;
        }
        let mut is_ended = false;
        while let Some(frame) = http2.try_frame().await {
            is_ended |= frame.kind == GOAWAY;
        }
        assert!(is_ended, "CONTINUATION without end");
        // Requests that are taken back at once.
        let mut http2 = Http2::open(broker, is_secure).await;
        let mut bytes = Vec::new();
        for n in 0..5000 {
            bytes.extend(frame(HEADERS, WHOLE, 2 * n + 1, &get(&[])));
            bytes.extend(frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]));
        }
        http2.write(&bytes).await;
        http2
            .expect(ConnectionError(ENHANCE_YOUR_CALM), "rapid reset")
            .await;
        // 8.1, RFC 6585, 5: a header list above the limit is answered 431.
        let mut http2 = Http2::open(broker, is_secure).await;
        http2.write(&frame(HEADERS, END_STREAM, 1, &get(&[]))).await;
        for n in 0..5 {
            let flags = if n == 4 { END_HEADERS } else { 0 };
            http2.write(&frame(CONTINUATION, flags, 1, &piece)).await;
        }
        http2.expect(Status(431), "a long header list").await;
        witness.expect_works().await;
    })
    .await;
}
