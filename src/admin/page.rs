//! The page at `/`, the plain one at `/plain`, and what a path for WebSocket answers to those who do not upgrade.
//!
//! The plain page is `web/fallback/index.html` or its Chinese sister; no script runs in it, and it stands in at `/` for
//! the page with scripts where that was not built (`assets`). Each is filled in here: `{{name}}` is replaced, and what
//! stands between `<!-- if name -->` and `<!-- end -->` is left out unless `name` holds.

use hyper::{
    StatusCode, Version,
    header::{
        ACCEPT_LANGUAGE, CONNECTION, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, HeaderValue,
        UPGRADE,
    },
};

use super::{
    Asked,
    answer::{body, preferences, problem, vary, with_etag},
    assets,
    facts::{Address, Scheme, addresses},
};
use crate::listener::http::Response;

const ENGLISH: &str = include_str!("../../web/fallback/index.html");
const CHINESE: &str = include_str!("../../web/fallback/index.zh.html");
const STYLE: &[u8] = include_bytes!("../../web/fallback/style.css");
const ICON: &[u8] = include_bytes!("../../web/icon.svg");

/// Its own style and icon, and nothing else from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// What this is and how to connect: the page with scripts, where it was built.
pub(super) fn index(asked: &Asked<'_>) -> Response {
    match assets::page() {
        Some(template) => filled(asked, template, language(asked), assets::POLICY),
        None => plain(asked),
    }
}

/// The same without scripts.
pub(super) fn plain(asked: &Asked<'_>) -> Response {
    let language = language(asked);
    let template = if language == "en" { ENGLISH } else { CHINESE };
    filled(asked, template, language, POLICY)
}

fn filled(
    asked: &Asked<'_>,
    template: &str,
    language: &'static str,
    policy: &'static str,
) -> Response {
    let page = fill(asked, template, language);
    let response = body(StatusCode::OK, "text/html; charset=utf-8", page.clone());
    let mut response = with_etag(asked.head, page.as_bytes(), response);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    vary(&mut response, ACCEPT_LANGUAGE);
    response
}

/// How the plain page looks.
pub(super) fn style(asked: &Asked<'_>) -> Response {
    let response = body(StatusCode::OK, "text/css; charset=utf-8", STYLE);
    with_etag(asked.head, STYLE, response)
}

/// What stands in the tab.
pub(super) fn icon(asked: &Asked<'_>) -> Response {
    let response = body(StatusCode::OK, "image/svg+xml", ICON);
    with_etag(asked.head, ICON, response)
}

/// A WebSocket path without an upgrade: says what is missing, in HTTP and in words (RFC 9110, 15.5.22).
pub(super) fn upgrade_required(asked: &Asked<'_>) -> Response {
    let host = asked.host().with_port();
    let path = asked.head.uri.path().trim_end_matches('/');
    let (websocket, http) = if asked.is_secure {
        ("wss", "https")
    } else {
        ("ws", "http")
    };
    let detail = format!(
        "This is an MQTT over WebSocket endpoint: it takes WebSocket upgrades, not plain requests.\n\
         Connect an MQTT client with {websocket}://{host}{path} (sub-protocol mqtt).\n\
         The page that says more is at {http}://{host}/."
    );
    // HTTP/2 has no Upgrade (RFC 9113, 8.6), and 426 is nothing without it.
    if asked.head.version == Version::HTTP_2 {
        return problem(asked.head, StatusCode::BAD_REQUEST, &detail);
    }
    let mut response = problem(asked.head, StatusCode::UPGRADE_REQUIRED, &detail);
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

fn language(asked: &Asked<'_>) -> &'static str {
    if wants_chinese(asked) { "zh-CN" } else { "en" }
}

/// `?lang=zh` and `?lang=en` go before what the browser prefers.
fn wants_chinese(asked: &Asked<'_>) -> bool {
    let mut parts = asked.head.uri.query().unwrap_or_default().split('&');
    if let Some(chosen) = parts.find_map(|part| part.strip_prefix("lang=")) {
        return chosen.starts_with("zh");
    }
    let preferences = preferences(&asked.head.headers, &ACCEPT_LANGUAGE);
    let quality = |language: &str| {
        let of_language = preferences.iter().filter(|(tag, _)| {
            let primary = tag.split('-').next().unwrap_or_default();
            primary == language
        });
        of_language.map(|(_, quality)| *quality).max().unwrap_or(0)
    };
    quality("zh") > quality("en")
}

fn fill(asked: &Asked<'_>, template: &str, language: &str) -> String {
    let facts = asked.endpoints.facts.load();
    let addresses = addresses(asked);
    let has_own_ca = facts.certificate_authority.is_some();
    let websocket = addresses
        .iter()
        .find(|address| address.scheme.is_websocket());
    let raw = [Scheme::Mqtts, Scheme::Mqtt]
        .into_iter()
        .find_map(|scheme| addresses.iter().find(|address| address.scheme == scheme));
    let mut page = template.to_owned();
    for (name, holds) in [
        ("own-ca", has_own_ca),
        ("websocket", websocket.is_some()),
        (
            "websocket-own-ca",
            websocket.is_some_and(|w| w.scheme.is_secure()) && has_own_ca,
        ),
        (
            "websocket-public-ca",
            websocket.is_some_and(|w| w.scheme.is_secure()) && !has_own_ca,
        ),
        ("raw", raw.is_some()),
        ("anonymous", facts.allow_anonymous),
        ("login", !facts.allow_anonymous),
    ] {
        page = keep_if(&page, name, holds);
    }
    let host = asked.host();
    let port = |address: Option<&Address>| address.map(|a| a.port.to_string()).unwrap_or_default();
    for (name, value) in [
        ("{{language}}", language.to_owned()),
        ("{{host}}", host.name.to_string()),
        (
            "{{bare-host}}",
            host.name.trim_matches(['[', ']']).to_owned(),
        ),
        ("{{addresses}}", rows(&addresses)),
        (
            "{{websocket}}",
            websocket.map(Address::url).unwrap_or_default(),
        ),
        ("{{websocket-port}}", port(websocket)),
        (
            "{{mosquitto}}",
            raw.map(|raw| mosquitto(raw, has_own_ca))
                .unwrap_or_default(),
        ),
        ("{{version}}", env!("CARGO_PKG_VERSION").to_owned()),
    ] {
        page = page.replace(name, &value);
    }
    page
}

/// The options that mosquitto's clients need for this address.
fn mosquitto(address: &Address, has_own_ca: bool) -> String {
    let host = address.host.trim_matches(['[', ']']);
    let trust = match (address.scheme.is_secure(), has_own_ca) {
        (false, _) => "",
        (true, true) => " --cafile ca.crt",
        (true, false) => " --tls-use-os-certs",
    };
    format!("-h {host} -p {}{trust}", address.port)
}

/// A row of the table for each address. All of it is letters, digits and what a host may have: nothing to escape.
fn rows(addresses: &[Address]) -> String {
    let row = |address: &Address| {
        let how = match address.scheme {
            Scheme::Wss => "WebSocket + TLS",
            Scheme::Ws => "WebSocket",
            Scheme::Mqtts => "MQTT + TLS",
            Scheme::Mqtt => "MQTT",
        };
        format!(
            "<tr><td><code>{}</code></td><td>{how}</td></tr>\n",
            address.url()
        )
    };
    let in_order = Scheme::ALL
        .into_iter()
        .flat_map(|scheme| addresses.iter().filter(move |a| a.scheme == scheme));
    in_order.map(row).collect()
}

/// Takes the marks of a section away, and the section where it does not hold.
fn keep_if(page: &str, name: &str, holds: bool) -> String {
    let begin = format!("<!-- if {name} -->");
    let end = "<!-- end -->";
    let mut out = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(&begin) {
        out += before;
        let (section, after) = after.split_once(end).unwrap_or((after, ""));
        if holds {
            out += section;
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_stay_where_they_hold() {
        let page =
            "a<!-- if x -->b<!-- end -->c<!-- if y -->d<!-- end -->e<!-- if x -->f<!-- end -->";
        let of_x = keep_if(page, "x", true);
        assert_eq!(keep_if(&of_x, "y", false), "abcef");
        let of_x = keep_if(page, "x", false);
        assert_eq!(keep_if(&of_x, "y", true), "acde");
    }
}
