use std::{collections::HashSet, net::SocketAddr, time::Duration};

use http_body_util::BodyExt;
use hyper::{
    Version,
    header::{
        ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION,
        CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, UPGRADE, VARY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use serde_json::Value;

mod page;

use super::*;
use crate::listener::Protocols;

const ALL: Protocols = Protocols {
    mqtt: true,
    websocket: true,
    http: true,
};

fn door(addr: &str, tls: bool, protocols: Protocols) -> FrontDoor {
    FrontDoor {
        name: addr.into(),
        addr: addr.parse::<SocketAddr>().ok(),
        tls,
        protocols,
    }
}

fn facts() -> Facts {
    let mqtt = Protocols {
        websocket: false,
        http: false,
        ..ALL
    };
    let ca = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
    Facts {
        listeners: vec![
            door("[::]:443", true, ALL),
            door("[::]:8883", true, mqtt),
            door("127.0.0.1:1883", false, mqtt),
            door("unix:/run/gatemq.sock", false, ALL),
        ],
        certificate_authority: Some(ca.cert.pem().into()),
        max_packet_size: 1_048_576,
        max_keep_alive: None,
        allow_anonymous: true,
    }
}

fn endpoints(facts: Facts) -> Endpoints {
    let readiness = Readiness::default();
    readiness.started();
    let metrics = Arc::new(Metrics::default());
    metrics.connected.set(3);
    metrics.sessions_parked.set(2);
    let started = tokio::time::Instant::now().into_std();
    Endpoints::new(metrics, Arc::new(readiness), Arc::default(), facts, started)
}

/// An answer with its body read.
struct Answer {
    response: Response,
    body: String,
}

impl Answer {
    fn header(&self, name: impl hyper::header::AsHeaderName) -> &str {
        let value = self.response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }
}

fn ask(endpoints: &Endpoints, request: hyper::http::request::Builder) -> Answer {
    ask_by(endpoints, request, true, "[::]:443")
}

fn ask_by(
    endpoints: &Endpoints,
    request: hyper::http::request::Builder,
    is_secure: bool,
    listener: &str,
) -> Answer {
    let head = request.body(()).unwrap().into_parts().0;
    let mut response = endpoints.respond(&head, is_secure, listener);
    // `Full` is ready at once: no runtime is needed to read it.
    let frame = futures_util::FutureExt::now_or_never(response.body_mut().collect());
    let bytes = frame.unwrap().unwrap().to_bytes();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Answer { response, body }
}

fn request(method: &str, path: &str) -> hyper::http::request::Builder {
    get_from("mq.example", path).method(method)
}

fn get_from(host: &str, path: &str) -> hyper::http::request::Builder {
    hyper::Request::builder().uri(path).header(HOST, host)
}

fn get(path: &str) -> Answer {
    ask(&endpoints(facts()), request("GET", path))
}

#[test]
fn every_route_answers_get_and_head_alike_and_nothing_but_reading() {
    let endpoints = endpoints(facts());
    for (route, _) in ROUTES {
        let expected = match *route {
            "/mqtt" | "/mqtt/" | "/ws" | "/ws/" => 426,
            _ if route.ends_with("{id}") => 404,
            _ => 200,
        };
        let path = &*route.replace("{id}", "of-nothing");
        let get = ask(&endpoints, request("GET", path));
        let head = ask(&endpoints, request("HEAD", path));
        assert_eq!(get.status(), expected, "{path}");
        assert_eq!(head.status(), expected, "{path}");
        assert_eq!(
            head.header(CONTENT_TYPE),
            get.header(CONTENT_TYPE),
            "{path}"
        );
        assert!(!get.body.is_empty(), "{path}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            let answer = ask(&endpoints, request(method, path));
            assert_eq!(answer.status(), 405, "{method} {path}");
            assert_eq!(answer.header(ALLOW), "GET, HEAD, OPTIONS");
        }
        let options = ask(&endpoints, request("OPTIONS", path));
        assert_eq!(options.status(), 200, "{path}");
        assert_eq!(options.header(ALLOW), "GET, HEAD, OPTIONS");
        assert_eq!(options.body, "");
    }
}

#[test]
fn paths_are_there_once() {
    let paths: HashSet<&str> = ROUTES.iter().map(|(path, _)| *path).collect();
    assert_eq!(paths.len(), ROUTES.len());
}

#[test]
fn every_answer_has_the_headers_that_protect_a_browser() {
    let endpoints = endpoints(facts());
    let paths = ROUTES.iter().map(|(path, _)| *path).chain(["/nothing"]);
    for path in paths {
        let answer = ask(&endpoints, request("GET", path));
        assert_eq!(answer.header(X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert_eq!(answer.header(REFERRER_POLICY), "no-referrer", "{path}");
        assert_ne!(answer.header(CACHE_CONTROL), "", "{path}");
        let policy = answer.header(CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
}

/// RFC 9110, 9.1: 501 for a method the server does not know, 405 for one the resource does not take.
#[test]
fn unknown_methods_are_not_implemented() {
    let endpoints = endpoints(facts());
    for method in ["BREW", "get", "CONNECT"] {
        let target = if method == "CONNECT" {
            "mq.example:443"
        } else {
            "/"
        };
        assert_eq!(
            ask(&endpoints, request(method, target)).status(),
            501,
            "{method}"
        );
    }
}

/// RFC 9110, 9.3.7.
#[test]
fn options_of_the_server() {
    let answer = ask(&endpoints(facts()), request("OPTIONS", "*"));
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header(ALLOW), "GET, HEAD, OPTIONS");
}

#[test]
fn unknown_paths_are_named_as_text_or_json() {
    let endpoints = endpoints(facts());
    for path in [
        "/nothing",
        "/MQTT",
        "/mqtt/x",
        "//",
        "/status/",
        "/../etc/passwd",
    ] {
        let text = ask(&endpoints, request("GET", path));
        assert_eq!(text.status(), 404, "{path}");
        assert_eq!(text.header(CONTENT_TYPE), "text/plain; charset=utf-8");
        assert!(text.body.contains("MQTT over WebSocket is at /mqtt"));
        let wanted = request("GET", path).header(ACCEPT, "application/json");
        let json = ask(&endpoints, wanted);
        assert_eq!(json.status(), 404);
        assert_eq!(json.header(CONTENT_TYPE), "application/problem+json");
        assert_eq!(json.header(VARY), "accept");
        assert_eq!(json.json()["status"], 404);
        assert_eq!(json.json()["title"], "Not Found");
    }
}

/// RFC 9110, 15.5.22: 426 says in Upgrade what is asked for, and 7.8 wants `upgrade` in Connection with it.
#[test]
fn a_websocket_path_asks_for_the_upgrade() {
    for (path, address) in [
        ("/mqtt", "wss://mq.example/mqtt"),
        ("/ws/", "wss://mq.example/ws "),
    ] {
        let answer = get(path);
        assert_eq!(answer.header(UPGRADE), "websocket");
        assert_eq!(answer.header(CONNECTION), "upgrade");
        assert_eq!(answer.body.lines().count(), 3);
        assert!(answer.body.contains(address), "{}", answer.body);
        assert!(
            answer.body.contains("https://mq.example/."),
            "{}",
            answer.body
        );
    }
}

/// RFC 9113, 8.2.2: Connection and Upgrade make a response of HTTP/2 malformed.
#[test]
fn http_2_is_not_asked_to_upgrade() {
    let endpoints = endpoints(facts());
    let answer = ask(&endpoints, request("GET", "/mqtt").version(Version::HTTP_2));
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.header(UPGRADE), "");
    assert_eq!(answer.header(CONNECTION), "");
}

#[test]
fn readiness_is_answered_with_its_reason() {
    let endpoints = endpoints(facts());
    assert_eq!(ask(&endpoints, request("GET", "/readyz")).body, "ready\n");
    endpoints.readiness.draining();
    for path in ["/readyz", "/healthz"] {
        let answer = ask(&endpoints, request("GET", path));
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.body, "not ready: draining\n");
        assert_eq!(answer.header(CACHE_CONTROL), "no-store");
    }
    let wanted = request("GET", "/readyz").header(ACCEPT, "application/json");
    assert_eq!(
        ask(&endpoints, wanted).json()["detail"],
        "not ready: draining"
    );
    assert_eq!(ask(&endpoints, request("GET", "/livez")).status(), 200);
}

#[test]
fn status_is_for_people_and_programs() {
    let text = get("/status");
    assert!(
        text.body.starts_with("gatemq is running\n"),
        "{}",
        text.body
    );
    assert!(
        text.body.contains("connections        3\n"),
        "{}",
        text.body
    );
    assert_eq!(text.header(VARY), "accept");
    let wanted = request("GET", "/status").header(ACCEPT, "application/json");
    let json = ask(&endpoints(facts()), wanted);
    assert_eq!(json.header(CONTENT_TYPE), "application/json");
    assert_eq!(json.json()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json.json()["connections"], 3);
    assert_eq!(json.json()["sessions"], 5);
    assert_eq!(json.json()["ready"], true);
}

#[test]
fn metrics_are_openmetrics() {
    let answer = get("/metrics");
    assert_eq!(
        answer.header(CONTENT_TYPE),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(answer.body.ends_with("# EOF\n"));
    assert!(
        answer
            .body
            .contains("gatemq_sessions{state=\"parked\"} 2\n")
    );
    // A browser shows them, instead of saving them.
    let asked = request("GET", "/metrics").header(ACCEPT, "text/html,*/*;q=0.8");
    let shown = ask(&endpoints(facts()), asked);
    assert_eq!(shown.header(CONTENT_TYPE), "text/plain; charset=utf-8");
    assert!(shown.body.ends_with("# EOF\n"));
    assert_eq!(shown.header(VARY), "accept");
}

#[test]
fn our_own_ca_is_handed_out_as_pem_and_der() {
    let pem = get("/ca.crt");
    assert_eq!(pem.header(CONTENT_TYPE), "application/x-x509-ca-cert");
    assert_eq!(
        pem.header(CONTENT_DISPOSITION),
        "attachment; filename=\"gatemq-ca.crt\""
    );
    assert!(pem.body.starts_with("-----BEGIN CERTIFICATE-----"));
    let der = get("/ca.crt?format=der");
    assert_eq!(der.status(), 200);
    assert_eq!(
        der.header(CONTENT_DISPOSITION),
        "attachment; filename=\"gatemq-ca.cer\""
    );
    assert!(der.body.starts_with('0'), "an ASN.1 sequence");
    assert_eq!(get("/ca.crt?format=exe").status(), 400);
}

#[test]
fn where_certificates_are_not_ours_there_is_no_ca() {
    let others = Facts {
        certificate_authority: None,
        ..facts()
    };
    let endpoints = endpoints(others);
    let answer = ask(&endpoints, request("GET", "/ca.crt"));
    assert_eq!(answer.status(), 404);
    assert!(answer.body.contains("not of its own making"));
    let page = ask(&endpoints, request("GET", "/plain")).body;
    assert!(!page.contains("/ca.crt"));
    assert!(page.contains("--tls-use-os-certs"));
    let known = ask(&endpoints, request("GET", "/.well-known/mqtt"));
    assert_eq!(known.json()["certificate_authority"], Value::Null);
}

fn strings(value: &Value) -> Vec<&str> {
    let list = value.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn well_known_lists_what_the_client_can_reach() {
    let answer = get("/.well-known/mqtt");
    assert_eq!(answer.header(ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    let json = answer.json();
    assert_eq!(strings(&json["wss"]), ["wss://mq.example/mqtt"]);
    assert_eq!(
        strings(&json["mqtts"]),
        ["mqtts://mq.example:443", "mqtts://mq.example:8883"]
    );
    // 1883 listens on loopback, and the Unix socket has no address.
    assert_eq!(strings(&json["mqtt"]), [""; 0]);
    assert_eq!(strings(&json["ws"]), [""; 0]);
    assert_eq!(json["certificate_authority"], "https://mq.example/ca.crt");
    assert_eq!(json["max_packet_size"], 1_048_576);
    assert_eq!(json["max_keep_alive_seconds"], Value::Null);
}

#[test]
fn well_known_shows_loopback_listeners_to_those_who_came_by_loopback() {
    let local = get_from("localhost:8443", "/.well-known/mqtt");
    let json = ask(&endpoints(facts()), local).json();
    // The port that was asked for comes first: a proxy may have mapped it.
    assert_eq!(
        strings(&json["wss"]),
        ["wss://localhost:8443/mqtt", "wss://localhost/mqtt"]
    );
    assert_eq!(strings(&json["mqtt"]), ["mqtt://localhost:1883"]);
}

#[test]
fn options_lets_other_origins_read_well_known() {
    let answer = ask(&endpoints(facts()), request("OPTIONS", "/.well-known/mqtt"));
    assert_eq!(answer.header(ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    let other = ask(&endpoints(facts()), request("OPTIONS", "/status"));
    assert_eq!(other.header(ACCESS_CONTROL_ALLOW_ORIGIN), "");
}

#[test]
fn without_tls_the_addresses_are_plain() {
    let plain = Facts {
        listeners: vec![door("0.0.0.0:8083", false, ALL)],
        certificate_authority: None,
        ..facts()
    };
    let asked = get_from("10.0.0.7:8083", "/.well-known/mqtt");
    let json = ask_by(&endpoints(plain), asked, false, "0.0.0.0:8083").json();
    assert_eq!(strings(&json["ws"]), ["ws://10.0.0.7:8083/mqtt"]);
    assert_eq!(strings(&json["mqtt"]), ["mqtt://10.0.0.7:8083"]);
    assert_eq!(strings(&json["wss"]), [""; 0]);
}

#[test]
fn uptime_counts_from_the_start() {
    let mut endpoints = endpoints(facts());
    endpoints.started -= Duration::from_secs(61);
    let text = ask(&endpoints, request("GET", "/status")).body;
    assert!(text.contains("uptime             1 min 1 s\n"), "{text}");
}
