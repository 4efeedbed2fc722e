//! What HTTP asks of every server before it looks at what is asked for: the form of the target, one valid Host, a head
//! within its limit. Start at [`check`].

use hyper::{
    HeaderMap, Method, StatusCode, Uri, Version,
    header::HOST,
    http::{
        request::Parts,
        uri::{Authority, Scheme},
    },
};

use super::answer::Refusal;

/// Whether a request may be answered. `is_secure` is whether it came over TLS, here or at a trusted proxy.
pub(super) fn check(head: &Parts, is_secure: bool, max_header_bytes: usize) -> Result<(), Refusal> {
    let header_bytes: usize = head
        .headers
        .iter()
        // The colon, the space and the end of the line.
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if header_bytes > max_header_bytes {
        return Err(Refusal::too_large(max_header_bytes));
    }
    if head.uri.path() == "*" && head.method != Method::OPTIONS {
        let text = "only OPTIONS is for the server as a whole";
        return Err(Refusal::bad_request(text));
    }
    if head.version != Version::HTTP_2 {
        check_target(&head.method, &head.uri, is_secure)?;
    }
    check_host(head)
}

/// RFC 9112, 3.2. What HTTP/2 says by its pseudo-headers is checked where they are read.
fn check_target(method: &Method, target: &Uri, is_secure: bool) -> Result<(), Refusal> {
    // Its target is an authority; that it is answered at all is for the routes to say.
    if method == Method::CONNECT {
        return Ok(());
    }
    match (target.scheme(), target.path()) {
        (None, "*") => Ok(()),
        (None, path) if path.starts_with('/') && target.authority().is_none() => Ok(()),
        (None, _) => Err(Refusal::bad_request(
            "the target of a request is a path that begins with a slash, or a whole address",
        )),
        // RFC 9110, 7.4: what is asked for must be what this connection is for.
        (Some(scheme), _) if !is_served(scheme, is_secure) => Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!("{scheme}:// is not served on this connection"),
        )),
        (Some(_), _) => Ok(()),
    }
}

fn is_served(scheme: &Scheme, is_secure: bool) -> bool {
    match scheme.as_str() {
        "http" | "ws" => true,
        "https" | "wss" => is_secure,
        _ => false,
    }
}

/// RFC 9112, 3.2: exactly one valid Host in HTTP/1.1. RFC 9113, 8.3.1: not another than `:authority` in HTTP/2.
fn check_host(head: &Parts) -> Result<(), Refusal> {
    let authority = head.uri.authority();
    if authority.is_some_and(|authority| !is_authority(authority)) {
        return Err(Refusal::bad_request(
            "the host of the target is no host with an optional port",
        ));
    }
    let host = match (host(&head.headers)?, authority) {
        (Some(host), _) => host,
        (None, _) if head.version == Version::HTTP_11 => {
            return Err(Refusal::bad_request(
                "a request of HTTP/1.1 needs a Host header",
            ));
        }
        (None, _) => return Ok(()),
    };
    let names_another = |authority: &Authority| !authority.as_str().eq_ignore_ascii_case(host);
    if head.version == Version::HTTP_2 && authority.is_some_and(names_another) {
        return Err(Refusal::bad_request("host and :authority differ"));
    }
    Ok(())
}

/// The Host header, if there is one; it may be empty, where the target has no authority (RFC 9110, 7.2).
fn host(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Refusal::bad_request(
                "a request has one Host header, not several",
            ));
        }
        (Some(host), None) => host.to_str().unwrap_or("/"),
    };
    if host.is_empty() || host.parse().is_ok_and(|authority| is_authority(&authority)) {
        Ok(Some(host))
    } else {
        Err(Refusal::bad_request(
            "the Host header is no host with an optional port",
        ))
    }
}

/// A host and an optional port, no user (RFC 9110, 4.2.4). A port may be empty (RFC 3986, 3.2.3).
fn is_authority(authority: &Authority) -> bool {
    let (host, whole) = (authority.host(), authority.as_str());
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b":.%".contains(&byte);
            !address.is_empty() && address.bytes().all(is_letter)
        }),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    let port = whole.strip_prefix(host);
    let is_port = |port: &str| {
        let digits = port.strip_prefix(':');
        port.is_empty() || digits.is_some_and(|digits| digits.bytes().all(|d| d.is_ascii_digit()))
    };
    is_host && port.is_some_and(is_port)
}

/// Where plain HTTP is sent that belongs on TLS: the address that was asked for, by `https`; none where that cannot be
/// said.
pub(super) fn secure_location(head: &Parts) -> Result<String, Refusal> {
    check(head, true, usize::MAX)?;
    let path = head.uri.path_and_query().map(|path| path.as_str());
    let path = path.filter(|path| path.starts_with('/'));
    let host = match head.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => host(&head.headers)?.filter(|host| !host.is_empty()),
    };
    let (Some(host), Some(path)) = (host, path) else {
        return Err(Refusal::bad_request("the request names no address"));
    };
    Ok(format!("https://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let check = |text: &str, expected: bool| {
            let headers = HeaderMap::from_iter([(HOST, text.parse().expect("a value"))]);
            assert_eq!(host(&headers).is_ok(), expected, "{text}");
        };
        for host in [
            "",
            "a",
            "a:",
            "a:80",
            "[::1]",
            "[::1]:80",
            "[fe80::1%25eth0]",
            "127.0.0.1:1",
            "a_b.c",
        ] {
            check(host, true);
        }
        for host in [
            "a b", "a,b", "u@a", "a:b", "a:8x", "::1", "[::1", "[]", "[::1]x", "a/", "a?", ":80",
            "<a>", "\"a\"",
        ] {
            check(host, false);
        }
    }
}
