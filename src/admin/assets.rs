//! The page with scripts, as `build.rs` built it from `web/`: its files under `/assets/`, compressed already. Empty
//! where it was built without Node; the plain page stands in for it then.
//!
//! Start at [`serve`]. The names carry a hash of the content, so a browser may keep each file for good.

use hyper::{
    StatusCode,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderValue,
    },
    http::request::Parts,
};

use super::{
    Asked,
    answer::{body, preferences, problem, vary, with_etag},
};
use crate::listener::http::Response;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where the files are.
pub(super) const ROUTE: &str = "/assets/{id}";

/// The page may load what it brought along, and reach any broker. MQTT.js sends its pings by a worker made of a blob:
/// without `worker-src` it connects and never pings. Images of messages are blobs, too.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob: data:; connect-src 'self' https: http: wss: ws:; worker-src 'self' blob:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The encodings a file may be there in, best first, and how its name ends then.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// The page itself, to be filled in; `None` where it was not built.
pub(super) fn page() -> Option<&'static str> {
    std::str::from_utf8(file("index.html")?).ok()
}

/// A file of the page, in the best encoding the client takes.
pub(super) fn serve(asked: &Asked<'_>) -> Response {
    let path = asked.head.uri.path();
    let name = path.rsplit('/').next().unwrap_or_default();
    let (Some(plain), Some(content_type)) = (file(name), content_type(name)) else {
        return missing(asked.head);
    };
    let (encoding, content) = encoded(asked.head, name).unwrap_or(("", plain));
    let response = body(StatusCode::OK, content_type, content);
    let mut response = with_etag(asked.head, content, response);
    let headers = response.headers_mut();
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(CACHE_CONTROL, forever);
    // A worker is held to the policy its script came with.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    if !encoding.is_empty() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    vary(&mut response, ACCEPT_ENCODING);
    response
}

/// What a page that outlived an update of the broker gets: its files have other names now.
fn missing(head: &Parts) -> Response {
    let detail = "No such file belongs to the page. If the broker was updated, reload the page.";
    problem(head, StatusCode::NOT_FOUND, detail)
}

fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

/// The best encoding that is both wanted and there; `*` stands for those not named (RFC 9110, 12.5.3).
fn encoded(head: &Parts, name: &str) -> Option<(&'static str, &'static [u8])> {
    let wanted = preferences(&head.headers, &ACCEPT_ENCODING);
    let quality = |encoding: &str| {
        let named = |name: &str| wanted.iter().find(|(value, _)| value == name);
        named(encoding).or(named("*")).map_or(0, |(_, q)| *q)
    };
    let there = ENCODINGS.into_iter().filter_map(|(encoding, ending)| {
        let quality = quality(encoding);
        let content = file(&format!("{name}{ending}"))?;
        (quality > 0).then_some((quality, encoding, content))
    });
    // The first of equals: `max_by_key` would take the last.
    let best = there.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, encoding, content)| (encoding, content))
}

fn file(name: &str) -> Option<&'static [u8]> {
    let found = FILES.binary_search_by_key(&name, |(name, _)| name);
    found.ok().map(|index| FILES[index].1)
}

#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}
