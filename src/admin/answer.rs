//! How answers are put together: bodies, problems, content negotiation, entity tags.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{
        ACCEPT, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
        CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, VARY,
    },
    http::request::Parts,
};
use serde::Serialize;

use crate::listener::http::Response;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// An answer with a body.
pub(super) fn body(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// An answer for programs.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let text = serde_json::to_vec_pretty(value).expect("strings, numbers and lists of them");
    body(status, JSON, text)
}

/// What is wrong: RFC 9457 where JSON is wanted, else the same as text.
pub(super) fn problem(head: &Parts, status: StatusCode, detail: &str) -> Response {
    let mut response = if wants_json(&head.headers) {
        problem_json(status, detail)
    } else {
        body(status, TEXT, format!("{detail}\n"))
    };
    vary(&mut response, ACCEPT);
    response
}

/// What is wrong, where only programs ask.
pub(super) fn problem_json(status: StatusCode, detail: &str) -> Response {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'static str,
        title: &'a str,
        status: u16,
        detail: &'a str,
    }
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
    };
    let mut response = json(status, &problem);
    let content_type = HeaderValue::from_static(PROBLEM);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Pages of all origins may read the answer.
pub(super) fn allow_all_origins(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let methods = HeaderValue::from_static("GET, HEAD");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
}

/// Notes that the answer depends on a header of the request.
pub(super) fn vary(response: &mut Response, on: HeaderName) {
    response.headers_mut().append(VARY, on.into());
}

/// Whether JSON is named in `Accept` and wanted no less than text: a browser names only text, curl nothing.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let mut best_json = 0;
    let mut best_text = 0;
    for (range, quality) in preferences(headers, &ACCEPT) {
        match range.as_str() {
            "application/json" | PROBLEM | "application/*" => best_json = best_json.max(quality),
            "text/plain" | "text/html" | "text/*" => best_text = best_text.max(quality),
            _ => {}
        }
    }
    best_json > 0 && best_json >= best_text
}

/// The members of a list with qualities (RFC 9110, 12.4.2), in lower case, with thousandths.
pub(super) fn preferences(headers: &HeaderMap, name: &HeaderName) -> Vec<(String, u16)> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|member| {
            let mut parts = member.split(';').map(str::trim);
            let value = parts.next().filter(|value| !value.is_empty())?;
            let quality = parts
                .find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")))
                .map_or(Some(1.0), |quality| quality.parse::<f32>().ok())?;
            let thousandths = (quality.clamp(0.0, 1.0) * 1000.0) as u16;
            Some((value.to_ascii_lowercase(), thousandths))
        })
        .collect()
}

/// Gives the answer an entity tag made of its body; 304 where the client has that body already (RFC 9110, 13.1.2), 412
/// where it wants another (13.1.1).
pub(super) fn with_etag(head: &Parts, content: &[u8], mut response: Response) -> Response {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let failed = if lacks_tag(&head.headers, &tag) {
        Some(StatusCode::PRECONDITION_FAILED)
    } else {
        has_tag(&head.headers, &tag).then_some(StatusCode::NOT_MODIFIED)
    };
    if let Some(status) = failed {
        *response.status_mut() = status;
        *response.body_mut() = Bytes::new().into();
        response.headers_mut().remove(CONTENT_TYPE);
    }
    let tag = HeaderValue::try_from(tag).expect("hexadecimal digits in quotes");
    response.headers_mut().insert(ETAG, tag);
    // Kept, but asked for again each time: a new version of the broker shows at once.
    let revalidate = HeaderValue::from_static("no-cache");
    response.headers_mut().insert(CACHE_CONTROL, revalidate);
    response
}

/// The comparison is the weak one: `W/"x"` is `"x"`.
fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    tags(headers, IF_NONE_MATCH)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// Whether `If-Match` names others only. The comparison is the strong one: `W/"x"` is nothing.
fn lacks_tag(headers: &HeaderMap, tag: &str) -> bool {
    headers.contains_key(IF_MATCH)
        && !tags(headers, IF_MATCH).any(|known| known == "*" || known == tag)
}

fn tags(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn json_is_for_those_who_name_it() {
        let check = |accept: &str, expected: bool| {
            assert_eq!(wants_json(&headers(ACCEPT, accept)), expected, "{accept}");
        };
        check("*/*", false);
        check("", false);
        check(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            false,
        );
        check("application/json", true);
        check("application/problem+json", true);
        check("Application/JSON; charset=utf-8", true);
        check("application/json, text/plain, */*", true);
        check("application/*", true);
        check("application/json;q=0.5, text/plain", false);
        check("application/json; q=0", false);
        check("text/plain;q=0.4, application/json;q=0.5", true);
        check("application/json;q=none", false);
        assert!(!wants_json(&HeaderMap::new()));
    }

    #[test]
    fn entity_tags_are_compared_weakly() {
        let check = |header: &str, expected: bool| {
            let headers = headers(IF_NONE_MATCH, header);
            assert_eq!(has_tag(&headers, "\"ab\""), expected, "{header}");
        };
        check("\"ab\"", true);
        check("W/\"ab\"", true);
        check("\"x\", W/\"ab\"", true);
        check("*", true);
        check("\"abc\"", false);
        check("ab", false);
    }
}
