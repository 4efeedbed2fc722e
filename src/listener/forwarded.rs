//! The client's address and scheme behind HTTP proxies: `X-Forwarded-For`, `X-Forwarded-Proto` and `Forwarded`
//! (RFC 7239), believed as far as trusted proxies have written them. Start at [`source_addr`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::{HeaderMap, header};
use ipnet::IpNet;

use crate::mqtt::transport::Source;

/// Who is at the other end of a socket, for the question whether it is trusted. What comes by a Unix socket comes from
/// this machine: it is trusted where 127.0.0.1 is.
#[must_use]
pub const fn peer_addr(source: &Source) -> SocketAddr {
    match source {
        Source::Ip(addr) => *addr,
        Source::Local => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    }
}

/// Whether an address belongs to a trusted proxy. An IPv4 address in the form of IPv6 is the IPv4 address.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted_proxies.iter().any(|net| net.contains(&address))
}

/// Where a request comes from: the last address, seen from here, that is none of a trusted proxy. Port 0 where the
/// proxy names none.
///
/// Each proxy adds the peer it sees at the right; what stands further left than the first foreign address may be
/// invented. Where `X-Forwarded-For` and `Forwarded` do not agree, one of them comes from the client itself, and
/// nobody knows which: then the peer it is.
#[must_use]
pub fn source_addr(
    headers: &HeaderMap,
    peer_addr: SocketAddr,
    trusted_proxies: &[IpNet],
) -> SocketAddr {
    if !is_trusted(peer_addr.ip(), trusted_proxies) {
        return peer_addr;
    }
    let walk = |hops: Vec<Option<SocketAddr>>| {
        let mut source = peer_addr;
        for hop in hops.into_iter().rev() {
            // `unknown`, an obfuscated name, garbage: no further back than the proxy that wrote it.
            let Some(hop) = hop else { break };
            source = hop;
            if !is_trusted(hop.ip(), trusted_proxies) {
                break;
            }
        }
        source
    };
    let forwarded_for = headers
        .contains_key("x-forwarded-for")
        .then(|| walk(forwarded_for(headers)));
    let forwarded = headers
        .contains_key(header::FORWARDED)
        .then(|| walk(forwarded_nodes(headers)));
    match (forwarded_for, forwarded) {
        (Some(one), Some(other)) if one.ip() != other.ip() => peer_addr,
        (Some(source), _) | (None, Some(source)) => source,
        (None, None) => peer_addr,
    }
}

/// Whether the client came over TLS to the proxies before us. True only where a trusted one says so, and none of them
/// says otherwise.
#[must_use]
pub fn is_secure(headers: &HeaderMap, peer_addr: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    if !is_trusted(peer_addr, trusted_proxies) {
        return false;
    }
    let mut schemes: Vec<String> = lines(headers, "x-forwarded-proto")
        .flat_map(|line| line.split(','))
        .map(|scheme| scheme.trim().to_owned())
        .collect();
    for element in elements(headers) {
        schemes.extend(parameter(&element, "proto"));
    }
    let is_secure = |scheme: &String| {
        ["https", "wss"]
            .iter()
            .any(|name| scheme.eq_ignore_ascii_case(name))
    };
    !schemes.is_empty() && schemes.iter().all(is_secure)
}

fn forwarded_for(headers: &HeaderMap) -> Vec<Option<SocketAddr>> {
    lines(headers, "x-forwarded-for")
        .flat_map(|line| line.split(','))
        .map(|hop| node(hop.trim()))
        .collect()
}

/// An element without the parameter, or with a name instead of an address, is a hop that nobody knows.
fn forwarded_nodes(headers: &HeaderMap) -> Vec<Option<SocketAddr>> {
    elements(headers)
        .iter()
        .map(|element| parameter(element, "for").and_then(|value| node(&value)))
        .collect()
}

/// The lines of a header in their order; one that is no text counts as one that names nobody.
fn lines<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .map(|line| line.to_str().unwrap_or_default())
}

/// The elements of all `Forwarded` lines: `for=192.0.2.1;proto=https`.
fn elements(headers: &HeaderMap) -> Vec<String> {
    lines(headers, "forwarded")
        .flat_map(|line| split_unquoted(line, ','))
        .map(str::to_owned)
        .collect()
}

/// The value of a parameter of an element, without its quotes.
fn parameter(element: &str, name: &str) -> Option<String> {
    split_unquoted(element, ';').into_iter().find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        if !key.trim().eq_ignore_ascii_case(name) {
            return None;
        }
        let value = value.trim();
        match value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
        {
            None => Some(value.to_owned()),
            Some(quoted) => Some(unescape(quoted)),
        }
    })
}

/// Splits where the separator does not stand in a quoted string (RFC 9110, 5.6.4).
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(|letter: char| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match letter {
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => return letter == separator && !is_quoted,
        }
        false
    })
    .collect()
}

fn unescape(quoted: &str) -> String {
    let mut letters = quoted.chars();
    let mut text = String::with_capacity(quoted.len());
    while let Some(letter) = letters.next() {
        text.extend(if letter == '\\' {
            letters.next()
        } else {
            Some(letter)
        });
    }
    text
}

/// An address with or without port, IPv6 with or without brackets: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`,
/// `[2001:db8::1]`, `[2001:db8::1]:80`.
fn node(text: &str) -> Option<SocketAddr> {
    let unbracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    if let Some(address) = unbracketed {
        return Some(SocketAddr::new(IpAddr::V6(address.parse().ok()?), 0));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 0));
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn trusted() -> Vec<IpNet> {
        ["10.0.0.0/8", "2001:db8:1::/48"]
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect()
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_str(value).expect("a header value");
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    #[track_caller]
    fn check(peer: &str, lines: &[(&'static str, &str)], expected: &str) {
        let peer = SocketAddr::new(peer.parse().expect("an address"), 99);
        let source = source_addr(&headers(lines), peer, &trusted());
        let expected = expected
            .parse::<SocketAddr>()
            .unwrap_or_else(|_| SocketAddr::new(expected.parse().expect("an address"), 0));
        assert_eq!(source, expected, "{lines:?}");
    }

    #[test]
    fn forwarded_for_is_walked_from_the_right() {
        let name = "x-forwarded-for";
        check(PROXY, &[], "10.0.0.1:99");
        check(PROXY, &[(name, "192.0.2.1")], "192.0.2.1");
        check(
            PROXY,
            &[(name, "6.6.6.6, 192.0.2.1 ,10.9.9.9")],
            "192.0.2.1",
        );
        check(
            PROXY,
            &[(name, "6.6.6.6"), (name, "192.0.2.1")],
            "192.0.2.1",
        );
        check(PROXY, &[(name, "10.0.0.3, 10.0.0.2")], "10.0.0.3");
        check(PROXY, &[(name, "192.0.2.1:8080")], "192.0.2.1:8080");
        check(PROXY, &[(name, "2001:db8::7")], "2001:db8::7");
        check(PROXY, &[(name, "[2001:db8::7]:80")], "[2001:db8::7]:80");
        check(PROXY, &[(name, "192.0.2.1, [2001:db8:1::2]")], "192.0.2.1");
        check("::ffff:10.0.0.1", &[(name, "192.0.2.1")], "192.0.2.1");
    }

    #[test]
    fn a_name_or_garbage_ends_the_walk_at_the_proxy_that_wrote_it() {
        let name = "x-forwarded-for";
        check(PROXY, &[(name, "192.0.2.1, unknown")], "10.0.0.1:99");
        check(PROXY, &[(name, "192.0.2.1, unknown, 10.0.0.2")], "10.0.0.2");
        check(PROXY, &[(name, "")], "10.0.0.1:99");
        check(PROXY, &[(name, "192.0.2.1,")], "10.0.0.1:99");
        check(PROXY, &[(name, "[192.0.2.1]")], "10.0.0.1:99");
    }

    #[test]
    fn nobody_else_is_believed() {
        let lines = [
            ("x-forwarded-for", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1"),
        ];
        check("203.0.113.5", &lines, "203.0.113.5:99");
        let lines = headers(&[("x-forwarded-proto", "https")]);
        assert!(!is_secure(&lines, [203, 0, 113, 5].into(), &trusted()));
    }

    /// RFC 7239, 4: names without regard to case, quoted strings, lists over several lines.
    #[test]
    fn forwarded() {
        let name = "forwarded";
        check(PROXY, &[(name, "for=192.0.2.1")], "192.0.2.1");
        check(
            PROXY,
            &[(name, "for=6.6.6.6, For=192.0.2.1;proto=https;by=10.0.0.1")],
            "192.0.2.1",
        );
        check(
            PROXY,
            &[(name, "for=\"[2001:db8::7]:4711\"")],
            "[2001:db8::7]:4711",
        );
        check(
            PROXY,
            &[(name, "by=\"a,for=6.6.6.6\" ; for=\"192.0.\\2.1\"")],
            "192.0.2.1",
        );
        check(
            PROXY,
            &[(name, "for=192.0.2.1"), (name, "for=10.2.2.2")],
            "192.0.2.1",
        );
        check(
            PROXY,
            &[(name, "for=192.0.2.1, for=_hidden")],
            "10.0.0.1:99",
        );
        check(
            PROXY,
            &[(name, "for=192.0.2.1, proto=https")],
            "10.0.0.1:99",
        );
    }

    #[test]
    fn two_headers_that_disagree_are_not_believed() {
        let lines = |forwarded| [("x-forwarded-for", "192.0.2.1:7"), ("forwarded", forwarded)];
        check(PROXY, &lines("for=192.0.2.1"), "192.0.2.1:7");
        check(PROXY, &lines("for=6.6.6.6"), "10.0.0.1:99");
    }

    #[test]
    fn scheme() {
        for (lines, expected) in [
            (&[][..], false),
            (&[("x-forwarded-proto", "https")], true),
            (&[("x-forwarded-proto", "HTTPS, wss")], true),
            (&[("x-forwarded-proto", "http")], false),
            (&[("x-forwarded-proto", "https, http")], false),
            (&[("forwarded", "for=192.0.2.1;proto=https")], true),
            (
                &[
                    ("forwarded", "for=192.0.2.1;proto=https"),
                    ("x-forwarded-proto", "http"),
                ],
                false,
            ),
        ] {
            let peer = PROXY.parse().expect("an address");
            assert_eq!(
                is_secure(&headers(lines), peer, &trusted()),
                expected,
                "{lines:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in "[\\x20-\\x7e]{0,80}", names in "(for|proto)=\"?[0-9.:,;\\\\\"]{0,40}") {
            for value in [&text, &names] {
                let lines = headers(&[("x-forwarded-for", value), ("forwarded", value)]);
                let peer = SocketAddr::new(PROXY.parse().expect("an address"), 1);
                let source = source_addr(&lines, peer, &trusted());
                prop_assert!(source == peer || !text.is_empty() || !names.is_empty());
                let _ = is_secure(&lines, peer.ip(), &trusted());
            }
        }
    }
}
