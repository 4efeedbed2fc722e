//! Whether a request becomes a WebSocket: over HTTP/1.1 (RFC 6455, 4.2) and over HTTP/2 (RFC 8441). Decides without
//! I/O; the answer is for the HTTP service to send. Start at [`upgrade`].

mod origin;
mod ping;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Response, StatusCode, Version,
    ext::Protocol,
    header::{self, HeaderName, HeaderValue},
    http::request::Parts,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::mqtt::transport::Closing;

/// The paths that speak WebSocket, each with or without a slash at its end.
pub const PATHS: [&str; 3] = ["/", "/mqtt", "/ws"];

/// Sub-protocols that mean MQTT: the registered name, the one of MQTT 3.1, and spellings that clients use. Which
/// version is spoken, CONNECT says.
const SUBPROTOCOLS: [&str; 6] = [
    "mqtt",
    "mqttv3.1",
    "mqttv3.1.1",
    "mqtt-v3",
    "mqtt-v3.1.1",
    "mqtt-v5",
];

/// A request that becomes a WebSocket.
#[derive(Debug)]
pub struct Upgrade {
    /// The one of [`PATHS`] that was asked for.
    pub path: &'static str,
    /// The sub-protocol that was chosen, as the client spells it; none where it offered none.
    pub subprotocol: Option<HeaderValue>,
    /// The head of the answer: 101, over HTTP/2 200.
    pub response: Response<()>,
    /// The origin of the page, where it may not connect. See [`refusal`](Self::refusal).
    pub refused_origin: Option<String>,
    /// The client survives a Ping.
    pub takes_ping: bool,
}

/// A request that asks for a WebSocket and gets none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejection {
    /// The status of the answer.
    pub status: StatusCode,
    /// A short name for metrics and logs.
    pub name: &'static str,
    /// What is wrong, and what would be right.
    pub text: Cow<'static, str>,
    headers: &'static [(HeaderName, &'static str)],
}

impl Upgrade {
    /// How the WebSocket is to be closed as soon as it is open, if its origin is refused. Not before: a page can see a
    /// close code and a reason, but nothing of an upgrade that fails.
    #[must_use]
    pub fn refusal(&self) -> Option<Closing> {
        let origin = self.refused_origin.as_ref()?;
        let text = format!("origin {origin} is not in allowed_origins");
        Some(Closing::Refused(text.into()))
    }
}

impl Rejection {
    const fn new(status: StatusCode, name: &'static str, text: &'static str) -> Self {
        Self {
            status,
            name,
            text: Cow::Borrowed(text),
            headers: &[],
        }
    }

    const fn bad_request(name: &'static str, text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, name, text)
    }

    /// The whole answer, its text in the body.
    #[must_use]
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(format!("{}\n", self.text)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        for (name, value) in self.headers {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// The one of [`PATHS`] that a request's path means.
#[must_use]
pub fn served_path(path: &str) -> Option<&'static str> {
    let path = match path.strip_suffix('/') {
        Some("") | None => path,
        Some(path) => path,
    };
    PATHS.into_iter().find(|served| *served == path)
}

/// Whether a request asks for a WebSocket, rightly or wrongly: then [`upgrade`] has the answer.
#[must_use]
pub fn wants_upgrade(request: &Parts) -> bool {
    match request.version {
        // In HTTP/1.0 `Upgrade` is to be ignored (RFC 9110, 7.8).
        // The key is there though a proxy has taken the rest away.
        Version::HTTP_11 => {
            has_token(&request.headers, header::UPGRADE, "websocket")
                || request.headers.contains_key(header::SEC_WEBSOCKET_KEY)
        }
        Version::HTTP_2 => {
            request.method == Method::CONNECT && request.extensions.get::<Protocol>().is_some()
        }
        _ => false,
    }
}

/// Decides about a request for which [`wants_upgrade`] holds.
///
/// # Errors
/// It is not answered by a WebSocket but by this.
pub fn upgrade(request: &Parts, allowed_origins: &[String]) -> Result<Upgrade, Rejection> {
    let path = served_path(request.uri.path()).ok_or(Rejection::new(
        StatusCode::NOT_FOUND,
        "path",
        "no WebSocket here: the paths are /mqtt, /ws and /",
    ))?;
    let mut response = if request.version == Version::HTTP_2 {
        check_connect(request)?;
        Response::new(())
    } else {
        switching_protocols(check_get(request)?)
    };
    let subprotocol = choose_subprotocol(&request.headers)?;
    if let Some(subprotocol) = &subprotocol {
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol.clone());
    }
    Ok(Upgrade {
        path,
        subprotocol,
        response,
        refused_origin: origin::refused(&request.headers, host(request), allowed_origins),
        takes_ping: ping::is_taken(&request.headers),
    })
}

/// RFC 6455, 4.2.1. The key of the request.
fn check_get(request: &Parts) -> Result<&HeaderValue, Rejection> {
    let headers = &request.headers;
    if request.method != Method::GET {
        return Err(Rejection {
            headers: &[(header::ALLOW, "GET")],
            ..Rejection::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "a WebSocket is opened by GET",
            )
        });
    }
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Err(Rejection::bad_request(
            "upgrade",
            "the header \"Upgrade: websocket\" is missing; a proxy on the way may have taken it away",
        ));
    }
    if request.version != Version::HTTP_11 || !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(Rejection::bad_request(
            "connection",
            "the header \"Connection: Upgrade\" is missing; a proxy on the way may have taken it away",
        ));
    }
    if has_body(headers) {
        return Err(Rejection::bad_request(
            "body",
            "an upgrade request has no body",
        ));
    }
    check_version(headers, false)?;
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key.as_bytes()) => Ok(key),
        _ => Err(Rejection::bad_request(
            "key",
            "Sec-WebSocket-Key must be there once, 16 bytes in base64",
        )),
    }
}

/// RFC 8441, 4 and 5: no key, and nothing of `Connection` and `Upgrade`, which HTTP/2 does not have.
fn check_connect(request: &Parts) -> Result<(), Rejection> {
    let protocol = request.extensions.get::<Protocol>();
    if request.method != Method::CONNECT || protocol.map(Protocol::as_str) != Some("websocket") {
        return Err(Rejection::new(
            StatusCode::NOT_IMPLEMENTED,
            "protocol",
            "the only :protocol of an extended CONNECT here is websocket",
        ));
    }
    check_version(&request.headers, true)
}

/// RFC 6455, 4.2.2 (4) and 4.4. Some clients over HTTP/2 name no version; and HTTP/2 has no `Upgrade` that a 426 could
/// ask for (RFC 9113, 8.6).
fn check_version(headers: &HeaderMap, is_http2: bool) -> Result<(), Rejection> {
    let mut versions = headers.get_all(header::SEC_WEBSOCKET_VERSION).iter();
    let (status, answer): (_, &[_]) = match (versions.next(), versions.next()) {
        (Some(version), None) if version.as_bytes().trim_ascii() == b"13" => return Ok(()),
        (None, None) if is_http2 => return Ok(()),
        _ if is_http2 => (
            StatusCode::BAD_REQUEST,
            &[(header::SEC_WEBSOCKET_VERSION, "13")],
        ),
        _ => (
            StatusCode::UPGRADE_REQUIRED,
            &[
                (header::SEC_WEBSOCKET_VERSION, "13"),
                (header::UPGRADE, "websocket"),
                (header::CONNECTION, "Upgrade"),
            ],
        ),
    };
    Err(Rejection {
        headers: answer,
        ..Rejection::new(status, "version", "the version of WebSocket here is 13")
    })
}

/// RFC 6455, 4.2.2 (5).
fn switching_protocols(key: &HeaderValue) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept =
        HeaderValue::try_from(derive_accept_key(key.as_bytes())).expect("base64 is a header value");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// `mqtt` wherever it is offered [MQTT-6.0.0-4], otherwise the first in the client's list that means MQTT.
fn choose_subprotocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, Rejection> {
    let mut chosen: Option<(usize, &str)> = None;
    let mut is_offered = false;
    for line in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        for offer in line.as_bytes().split(|byte| *byte == b',') {
            let offer = offer.trim_ascii();
            is_offered |= !offer.is_empty();
            let known = SUBPROTOCOLS
                .iter()
                .position(|known| offer.eq_ignore_ascii_case(known.as_bytes()));
            let Some((known, offer)) = known.zip(std::str::from_utf8(offer).ok()) else {
                continue;
            };
            if chosen.is_none() || (known == 0 && chosen.is_some_and(|(before, _)| before != 0)) {
                chosen = Some((known, offer));
            }
        }
    }
    match chosen {
        // Answered as it was offered: a client compares letter by letter.
        Some((_, offer)) => Ok(HeaderValue::from_str(offer).ok()),
        None if !is_offered => Ok(None),
        None => Err(Rejection {
            text: format!(
                "none of the sub-protocols offered is MQTT; known are {}",
                SUBPROTOCOLS.join(", ")
            )
            .into(),
            ..Rejection::bad_request("subprotocol", "")
        }),
    }
}

/// Whether a token stands in a header that is a list, over all its lines (RFC 9110, 5.6.1).
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Its bytes would be read as frames: a way to smuggle them past a proxy that reads a body.
fn has_body(headers: &HeaderMap) -> bool {
    let is_empty = |length: &HeaderValue| length.as_bytes() == b"0";
    headers.contains_key(header::TRANSFER_ENCODING)
        || !headers.get_all(header::CONTENT_LENGTH).iter().all(is_empty)
}

/// 16 bytes in base64 are 22 letters and two signs of padding (RFC 4648, 4).
fn is_key(key: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key[..22].iter().all(is_letter) && key.ends_with(b"==")
}

/// The host that was asked for; a full URI says it before `Host` does (RFC 9112, 3.2.2).
fn host(request: &Parts) -> Option<&str> {
    if let Some(authority) = request.uri.authority() {
        return Some(authority.as_str());
    }
    let mut hosts = request.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}
