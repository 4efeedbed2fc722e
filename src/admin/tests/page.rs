//! The page, with scripts and without.

use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};

use super::{super::assets, ask, endpoints, facts, get, get_from, request};

#[test]
fn the_plain_page_is_filled_in() {
    for path in ["/plain", "/plain?lang=zh"] {
        let page = get(path);
        assert_eq!(page.header(CONTENT_TYPE), "text/html; charset=utf-8");
        for text in [
            "wss://mq.example/mqtt",
            "mqtts://mq.example:443",
            "mqtts://mq.example:8883",
            "-h mq.example -p 443 --cafile ca.crt",
            "href=\"/ca.crt\"",
            "href=\"/status\"",
            "href=\"/metrics\"",
            "href=\"/.well-known/mqtt\"",
        ] {
            assert!(page.body.contains(text), "{text} is not in {path}");
        }
        for left_over in [
            "{{", "}}", "<!-- if", "<!-- end", "<script", "style=", "onclick",
        ] {
            assert!(!page.body.contains(left_over), "{left_over} is in {path}");
        }
    }
}

#[test]
fn a_hostile_host_does_not_reach_the_page() {
    for host in ["\"><script>alert(1)</script>", "a'b", "x&y"] {
        for path in ["/", "/plain"] {
            let page = ask(&endpoints(facts()), get_from(host, path)).body;
            assert!(!page.contains(host), "{host}");
            assert!(page.contains("wss://localhost/mqtt"));
        }
    }
}

#[test]
fn the_language_is_what_the_reader_prefers() {
    let check = |path: &str, accept: &str, expected: &str| {
        let wanted = request("GET", path).header(ACCEPT_LANGUAGE, accept);
        let answer = ask(&endpoints(facts()), wanted);
        assert_eq!(answer.header(CONTENT_LANGUAGE), expected, "{path} {accept}");
        assert_eq!(answer.header(VARY), "accept-language");
        let declared = format!("<html lang=\"{expected}\">");
        assert!(answer.body.contains(&declared));
    };
    check("/", "", "en");
    check("/plain", "zh", "zh-CN");
    check("/", "de-DE,de;q=0.9", "en");
    check("/", "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN");
    check("/", "en-US,en;q=0.9,zh;q=0.8", "en");
    check("/", "en;q=0.5, ZH-tw;q=0.7", "zh-CN");
    check("/?lang=en", "zh-CN", "en");
    check("/?lang=zh", "en", "zh-CN");
}

/// RFC 9110, 13.1.2 and 15.4.5.
#[test]
fn what_has_not_changed_is_not_sent_again() {
    let endpoints = endpoints(facts());
    for path in ["/", "/plain", "/style.css", "/icon.svg"] {
        let first = ask(&endpoints, request("GET", path));
        let tag = first.header(ETAG);
        assert!(tag.starts_with('"') && tag.len() == 18, "{tag}");
        let again = ask(&endpoints, request("GET", path).header(IF_NONE_MATCH, tag));
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(again.body, "");
        assert_eq!(again.header(ETAG), tag);
        assert_eq!(again.header(CACHE_CONTROL), "no-cache");
        assert_eq!(again.header(VARY), first.header(VARY));
        let other = request("GET", path).header(IF_NONE_MATCH, "\"other\"");
        assert_eq!(ask(&endpoints, other).status(), 200);
    }
    let english = ask(&endpoints, request("GET", "/?lang=en"));
    let chinese = ask(&endpoints, request("GET", "/?lang=zh"));
    assert_ne!(english.header(ETAG), chinese.header(ETAG));
}

/// A file of the page by how its name begins and ends.
fn asset(begin: &str, end: &str) -> String {
    let name = assets::names().find(|name| name.starts_with(begin) && name.ends_with(end));
    let name = name.expect("the page was not built: `tests/run install` installs Node");
    format!("/assets/{name}")
}

#[test]
fn the_page_names_its_files_and_says_where_to_go_without_scripts() {
    for path in ["/", "/index.html"] {
        let page = get(path);
        assert_eq!(page.header(CONTENT_TYPE), "text/html; charset=utf-8");
        for text in [
            asset("main-", ".js"),
            asset("style-", ".css"),
            "href=\"/plain\"".to_owned(),
            "wss://mq.example/mqtt".to_owned(),
        ] {
            assert!(page.body.contains(&text), "{text} is not in {path}");
        }
        for left_over in ["{{", "}}", "style=", "onclick", "<script>"] {
            assert!(!page.body.contains(left_over), "{left_over} is in {path}");
        }
    }
}

/// MQTT.js pings by a worker made of a blob, and a page may connect to any broker; nothing else comes from elsewhere.
#[test]
fn the_policy_lets_the_page_do_its_work_and_no_more() {
    let _ = asset("main-", ".js");
    let page = get("/");
    let policy = page.header(CONTENT_SECURITY_POLICY);
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "worker-src 'self' blob:",
        "connect-src 'self' https: http: wss: ws:",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split("; ").any(|p| p == part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[test]
fn files_are_sent_in_the_best_encoding_that_is_taken() {
    let path = asset("main-", ".js");
    let check = |accept: &str, expected: &str| {
        let wanted = request("GET", &path).header(ACCEPT_ENCODING, accept);
        let answer = ask(&endpoints(facts()), wanted);
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header(CONTENT_ENCODING), expected, "{accept}");
        let content_type = "text/javascript; charset=utf-8";
        assert_eq!(answer.header(CONTENT_TYPE), content_type);
        assert_eq!(answer.header(VARY), "accept-encoding");
        assert_eq!(
            answer.header(CACHE_CONTROL),
            "public, max-age=31536000, immutable"
        );
    };
    check("gzip, deflate, br, zstd", "br");
    check("gzip", "gzip");
    check("br;q=0.5, gzip", "gzip");
    check("br;q=0, gzip;q=0", "");
    check("*", "br");
    check("*;q=0.5, br;q=0", "gzip");
    check("", "");
    check("identity", "");
}

/// RFC 9110, 8.8.3: each encoding is a representation of its own.
#[test]
fn each_encoding_has_its_own_entity_tag() {
    let path = asset("style-", ".css");
    let endpoints = endpoints(facts());
    let tag_of = |encoding: &str| {
        let wanted = request("GET", &path).header(ACCEPT_ENCODING, encoding);
        ask(&endpoints, wanted).header(ETAG).to_owned()
    };
    let (plain, brotli) = (tag_of("identity"), tag_of("br"));
    assert_ne!(plain, brotli);
    let again = request("GET", &path)
        .header(ACCEPT_ENCODING, "br")
        .header(IF_NONE_MATCH, &brotli);
    let again = ask(&endpoints, again);
    assert_eq!(
        (again.status(), again.body.as_str(), again.header(ETAG)),
        (304, "", brotli.as_str())
    );
    assert!(again.header(CACHE_CONTROL).contains("immutable"));
}

#[test]
fn nothing_but_the_files_of_the_page_is_served_with_them() {
    assert!(get("/assets/main-OLD.js").body.contains("reload the page"));
    let encoded = format!("{}.br", asset("main-", ".js"));
    for path in [
        "/assets/",
        "/assets/index.html",
        "/assets/nothing.js",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        encoded.as_str(),
    ] {
        let answer = get(path);
        assert_eq!(answer.status(), 404, "{path}");
    }
}
