//! Answers of the front door itself, and the headers that keep browsers from doing more with any answer than they
//! should.

use std::fmt::Display;

use http_body_util::Full;
use hyper::{
    HeaderMap, StatusCode, Version,
    header::{
        CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, Entry, HeaderValue,
        REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    },
};

use super::Response;

/// A request that is not even looked at further.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// What is wrong, for whoever reads the answer or the log.
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, text }
    }

    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("the headers of a request may have {limit} bytes"),
        )
    }

    /// An answer after which the connection ends: what follows on it cannot be trusted. HTTP/2 has its own ways to
    /// end, and no such header (RFC 9113, 8.2.2).
    pub(super) fn into_response(self, version: Version) -> Response {
        let mut response = text(self.status, format!("{}\n", self.text));
        if version != Version::HTTP_2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }
}

/// An answer in words.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response {
    let mut response = Response::new(Full::from(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    harden(headers);
    response
}

/// Not now.
pub(super) fn unavailable(reason: impl Display, version: Version) -> Response {
    let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason.to_string());
    let mut response = refusal.into_response(version);
    let seconds = HeaderValue::from_static("10");
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// The headers that every answer has, as far as it has not its own.
pub fn harden(headers: &mut HeaderMap) {
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (CACHE_CONTROL, "no-store"),
    ] {
        if let Entry::Vacant(entry) = headers.entry(name) {
            entry.insert(HeaderValue::from_static(value));
        }
    }
}
