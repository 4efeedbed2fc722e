//! What an operator and a newcomer ask: HTTP endpoints, the page, and local control over a Unix socket. Owns their
//! names and answers; nothing but `app` and `main` knows it.
//!
//! Start at [`Endpoints`]. An endpoint is a handler and a row in `ROUTES`. All of them are open to everybody, so none
//! says anything about a client, a topic or a file.

mod answer;
mod assets;
pub mod control;
mod data_dir;
mod discovery;
mod facts;
mod page;
mod probe;
mod readiness;
mod snippets;
mod status;

pub use data_dir::{DataDir, DataDirError};
pub use facts::{Facts, FrontDoor};
pub use readiness::Readiness;

use std::{
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    time::{Instant, SystemTime},
};

use arc_swap::ArcSwap;
use hyper::{
    Method, StatusCode,
    header::{ALLOW, HeaderValue},
    http::request::Parts,
};

use self::{
    answer::{allow_all_origins, problem},
    facts::Host,
};
use crate::{
    listener::http::{Request, Response, Routes, harden},
    telemetry::{Metrics, OpenMetrics, Probes},
};

/// Everything that is answered over HTTP without an upgrade.
#[derive(Debug)]
pub struct Endpoints {
    metrics: Arc<Metrics>,
    exposition: OpenMetrics,
    readiness: Arc<Readiness>,
    probes: Arc<Probes>,
    started: Instant,
    /// What the configuration says of the broker; replaced by each reload.
    pub facts: ArcSwap<Facts>,
}

/// A request, and whom it asks.
struct Asked<'a> {
    endpoints: &'a Endpoints,
    head: &'a Parts,
    is_secure: bool,
    listener: &'a str,
}

type Handler = fn(&Asked<'_>) -> Response;

/// Every path that is served, and who answers it; `{id}` is one last segment, whatever it is.
const ROUTES: &[(&str, Handler)] = &[
    ("/", page::index),
    ("/index.html", page::index),
    ("/plain", page::plain),
    ("/style.css", page::style),
    ("/icon.svg", page::icon),
    (assets::ROUTE, assets::serve),
    ("/mqtt", page::upgrade_required),
    ("/mqtt/", page::upgrade_required),
    ("/ws", page::upgrade_required),
    ("/ws/", page::upgrade_required),
    ("/livez", status::livez),
    ("/readyz", status::readyz),
    ("/healthz", status::readyz),
    ("/status", status::status),
    ("/metrics", status::metrics),
    ("/ca.crt", discovery::certificate_authority),
    ("/.well-known/mqtt", discovery::well_known),
    (probe::ROUTE, probe::seen),
    (snippets::ALL_ROUTE, snippets::all),
    (snippets::ONE_ROUTE, snippets::one),
];

/// Paths whose answers pages of other origins may read.
const OPEN_TO_ALL_ORIGINS: [&str; 5] = [
    discovery::PATH,
    "/livez",
    probe::ROUTE,
    snippets::ALL_ROUTE,
    snippets::ONE_ROUTE,
];

/// What every path takes.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

impl Endpoints {
    /// `started` is when the broker began.
    #[must_use]
    pub fn new(
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
        probes: Arc<Probes>,
        facts: Facts,
        started: Instant,
    ) -> Self {
        Self {
            exposition: OpenMetrics::new(metrics.clone(), SystemTime::now()),
            metrics,
            readiness,
            probes,
            started,
            facts: ArcSwap::from_pointee(facts),
        }
    }

    fn respond(&self, head: &Parts, is_secure: bool, listener: &str) -> Response {
        let mut response = dispatch(&Asked {
            endpoints: self,
            head,
            is_secure,
            listener,
        });
        harden(response.headers_mut());
        response
    }
}

impl Routes for Endpoints {
    fn answer(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        let response = self.respond(&request.head, request.is_secure, &request.listener);
        Box::pin(ready(response))
    }
}

impl Asked<'_> {
    fn host(&self) -> Host {
        Host::of(self.head)
    }
}

fn dispatch(asked: &Asked<'_>) -> Response {
    let method = &asked.head.method;
    let path = asked.head.uri.path();
    if !is_implemented(method) {
        let detail = format!("The method {method} is not implemented here.");
        return problem(asked.head, StatusCode::NOT_IMPLEMENTED, &detail);
    }
    // RFC 9110, 9.3.7: `*` asks the server, not a resource.
    if path == "*" && method == Method::OPTIONS {
        return options(path);
    }
    let Some((_, handler)) = ROUTES.iter().find(|(route, _)| is_at(route, path)) else {
        let detail =
            "Nothing is served at this path. MQTT over WebSocket is at /mqtt, the page at /.";
        return problem(asked.head, StatusCode::NOT_FOUND, detail);
    };
    if method == Method::GET || method == Method::HEAD {
        handler(asked)
    } else if method == Method::OPTIONS {
        options(path)
    } else {
        let detail = format!("The method {method} is not allowed at {path}.");
        let mut response = problem(asked.head, StatusCode::METHOD_NOT_ALLOWED, &detail);
        response.headers_mut().insert(ALLOW, ALLOWED);
        response
    }
}

/// Whether a method has a meaning here (RFC 9110, 9.1): others are 501, not 405.
fn is_implemented(method: &Method) -> bool {
    [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::TRACE,
    ]
    .contains(method)
}

fn options(path: &str) -> Response {
    // With a length of 0 (RFC 7231, 4.3.7), which 204 may not have.
    let mut response = Response::default();
    response.headers_mut().insert(ALLOW, ALLOWED);
    if OPEN_TO_ALL_ORIGINS.iter().any(|route| is_at(route, path)) {
        allow_all_origins(response.headers_mut());
    }
    response
}

/// Whether a path is the one of a route.
fn is_at(route: &str, path: &str) -> bool {
    match route.strip_suffix("{id}") {
        Some(folder) => path
            .strip_prefix(folder)
            .is_some_and(|id| !id.is_empty() && !id.contains('/')),
        None => path == route,
    }
}

#[cfg(test)]
mod tests;
