//! Which pages may open a WebSocket (RFC 6455, 10.2). A browser names the page's origin; nobody else needs to.

use hyper::{HeaderMap, header, http::uri::Authority};

/// The longest origin that is looked at: a host name has 253 bytes.
const MAX_ORIGIN: usize = 512;

/// Letters of an origin that are repeated in a refusal, so that the words behind it fit a close frame.
const MAX_SHOWN: usize = 80;

/// The origin that may not open a WebSocket here, as it is to be shown; `None` where nothing stands against it.
///
/// Allowed are requests without an origin, those from a page of the host that they go to, whatever its port, and what
/// `allowed_origins` lists: `https://example.com:8443`, `null`, or `*`.
pub(super) fn refused(
    headers: &HeaderMap,
    host: Option<&str>,
    allowed_origins: &[String],
) -> Option<String> {
    if allowed_origins.iter().any(|allowed| allowed == "*") {
        return None;
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next()?;
    let text = origin
        .to_str()
        .ok()
        .filter(|text| text.len() <= MAX_ORIGIN && origins.next().is_none());
    // Two origins, one that is no text or one without end are not "none".
    let is_allowed = text.is_some_and(|text| {
        is_same_host(text, host) || allowed_origins.iter().any(|allowed| is_same(text, allowed))
    });
    (!is_allowed).then(|| show(origin.as_bytes()))
}

/// Whether two origins are the same (RFC 6454, 5), as far as they can be read; a final slash of a list is overlooked.
fn is_same(origin: &str, allowed: &str) -> bool {
    let allowed = allowed.strip_suffix('/').unwrap_or(allowed);
    match (Origin::parse(origin), Origin::parse(allowed)) {
        (Some(origin), Some(allowed)) => origin == allowed,
        _ => origin == allowed,
    }
}

/// Ports are not compared: a page under development comes from another port of the same host, a proxy changes them, and
/// some libraries leave them out.
fn is_same_host(origin: &str, host: Option<&str>) -> bool {
    let Some((host, origin)) = host.zip(Origin::parse(origin)) else {
        return false;
    };
    matches!(origin.scheme.as_str(), "http" | "https")
        && Origin::with_scheme(&origin.scheme, host).is_some_and(|host| host.host == origin.host)
}

#[derive(Debug, Eq, PartialEq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Self::with_scheme(&scheme.to_ascii_lowercase(), authority)
    }

    fn with_scheme(scheme: &str, authority: &str) -> Option<Self> {
        if authority.contains('@') {
            return None;
        }
        let authority: Authority = authority.parse().ok()?;
        let default_port = match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        // `host:` and a port above 65535 are no origins; `port` sees neither.
        if authority.port_u16().is_none() && authority.as_str().len() > authority.host().len() {
            return None;
        }
        Some(Self {
            scheme: scheme.to_owned(),
            host: authority.host().to_ascii_lowercase(),
            port: authority.port_u16().or(default_port),
        })
    }
}

/// An origin for a log line and a close reason: printable, and cut.
fn show(origin: &[u8]) -> String {
    let escaped = origin.escape_ascii().to_string();
    if escaped.len() <= MAX_SHOWN {
        return escaped;
    }
    format!("{}…", &escaped[..MAX_SHOWN])
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(origin: &str, host: &str, allowed: &[&str], expected: bool) {
        let headers = HeaderMap::from_iter([(
            header::ORIGIN,
            HeaderValue::from_bytes(origin.as_bytes()).expect("a header value"),
        )]);
        let allowed: Vec<String> = allowed.iter().map(|&allowed| allowed.to_owned()).collect();
        let refused = refused(&headers, Some(host), &allowed);
        assert_eq!(refused.is_none(), expected, "{origin} at {host}");
    }

    #[test]
    fn no_origin_is_allowed() {
        assert_eq!(refused(&HeaderMap::new(), Some("example.com"), &[]), None);
    }

    #[test]
    fn pages_of_the_same_host() {
        check("https://example.com", "example.com", &[], true);
        check("https://Example.com", "eXample.com", &[], true);
        check("https://example.com", "example.com:443", &[], true);
        check("https://example.com:443", "example.com", &[], true);
        check("http://example.com", "example.com:80", &[], true);
        check("https://example.com:8443", "example.com:8443", &[], true);
        check("https://[::1]:8443", "[::1]:8443", &[], true);
        check("https://example.com", "example.com:8443", &[], true);
        check("https://example.com:8443", "example.com", &[], true);
        check("http://example.com", "example.com:443", &[], true);
        check("https://example.com.evil.org", "example.com", &[], false);
        check("https://evil.org", "example.com", &[], false);
        check("https://example.com@evil.org", "example.com", &[], false);
        check("https://example.com/", "example.com", &[], false);
        check("app://example.com", "example.com", &[], false);
        check("example.com", "example.com", &[], false);
        check("null", "null", &[], false);
        check("", "", &[], false);
    }

    #[test]
    fn pages_of_the_list() {
        let list = [
            "https://a.org",
            "http://b.org:8080/",
            "capacitor://localhost",
        ];
        check("https://a.org", "example.com", &list, true);
        check("https://a.org:443", "example.com", &list, true);
        check("HTTPS://A.org", "example.com", &list, true);
        check("http://b.org:8080", "example.com", &list, true);
        check("capacitor://localhost", "example.com", &list, true);
        check("http://a.org", "example.com", &list, false);
        check("https://a.org:8443", "example.com", &list, false);
        check("http://b.org", "example.com", &list, false);
        check("null", "example.com", &list, false);
        check("null", "example.com", &["null"], true);
        check("null", "example.com", &["*"], true);
        check("https://any.org", "example.com", &["*"], true);
    }

    /// What cannot be read is not the same as absent.
    #[test]
    fn odd_origins_do_not_open_the_door() {
        let long = format!("https://{}.org", "a".repeat(MAX_ORIGIN));
        check(&long, "example.com", &[&long], false);
        check("https://ex\u{e4}mple.com", "example.com", &[], false);
        check("https://example.com:", "example.com", &[], false);
        check("https://example.com:99999", "example.com", &[], false);
        let twice = HeaderMap::from_iter([
            (
                header::ORIGIN,
                HeaderValue::from_static("https://example.com"),
            ),
            (
                header::ORIGIN,
                HeaderValue::from_static("https://example.com"),
            ),
        ]);
        assert!(refused(&twice, Some("example.com"), &[]).is_some());
        let one = HeaderMap::from_iter([(
            header::ORIGIN,
            HeaderValue::from_static("https://example.com"),
        )]);
        assert!(refused(&one, None, &[]).is_some());
    }

    #[test]
    fn a_refused_origin_is_shown_printable_and_short() {
        assert_eq!(show(b"https://x\xff"), "https://x\\xff");
        let shown = show(&[b'a'; 500]);
        assert_eq!(shown.chars().count(), MAX_SHOWN + 1);
        assert!(shown.len() + " is not in allowed_origins".len() + "origin ".len() <= 123);
    }
}
