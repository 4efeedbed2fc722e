//! How the broker is: for probes, for people, for Prometheus.

use std::time::Duration;

use hyper::{StatusCode, header::ACCEPT};
use serde::Serialize;

use super::{
    Asked,
    answer::{TEXT, allow_all_origins, body, json, preferences, problem, vary, wants_json},
};
use crate::{listener::http::Response, telemetry::OpenMetrics};

/// The process runs and answers.
pub(super) fn livez(_asked: &Asked<'_>) -> Response {
    let mut response = body(StatusCode::OK, TEXT, "ok\n");
    // A page elsewhere that gets through to nothing else learns that the host is reached.
    allow_all_origins(response.headers_mut());
    response
}

/// Clients may be sent here; if not, the reason.
pub(super) fn readyz(asked: &Asked<'_>) -> Response {
    match asked.endpoints.readiness.check() {
        Ok(()) => body(StatusCode::OK, TEXT, "ready\n"),
        Err(reason) => problem(
            asked.head,
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("not ready: {reason}"),
        ),
    }
}

/// The figures an operator looks at first. The first line is what probes written for EMQX expect.
pub(super) fn status(asked: &Asked<'_>) -> Response {
    #[derive(Serialize)]
    struct Status {
        status: &'static str,
        version: &'static str,
        uptime_seconds: u64,
        ready: bool,
        connections: i64,
        sessions: i64,
        subscriptions: i64,
        retained_messages: i64,
    }
    let metrics = &asked.endpoints.metrics;
    let now = tokio::time::Instant::now().into_std();
    let uptime = now.saturating_duration_since(asked.endpoints.started);
    let ready = asked.endpoints.readiness.check();
    let connections = metrics.connected.get();
    let status = Status {
        status: "running",
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: uptime.as_secs(),
        ready: ready.is_ok(),
        connections,
        sessions: connections + metrics.sessions_parked.get(),
        subscriptions: metrics.subscriptions.get(),
        retained_messages: metrics.retained_messages.get(),
    };
    let mut response = if wants_json(&asked.head.headers) {
        json(StatusCode::OK, &status)
    } else {
        let text = format!(
            "gatemq is running\n\nversion            {}\nuptime             {}\nready              {}\n\
             connections        {}\nsessions           {}\nsubscriptions      {}\nretained messages  {}\n",
            status.version,
            in_words(uptime),
            ready.map_or_else(|reason| format!("no: {reason}"), |()| "yes".to_owned()),
            status.connections,
            status.sessions,
            status.subscriptions,
            status.retained_messages,
        );
        body(StatusCode::OK, TEXT, text)
    };
    vary(&mut response, ACCEPT);
    response
}

/// Everything that is counted.
pub(super) fn metrics(asked: &Asked<'_>) -> Response {
    let text = asked.endpoints.exposition.encode();
    // A browser would save what it has no name for; who collects metrics does not ask for pages.
    let is_browser = preferences(&asked.head.headers, &ACCEPT)
        .iter()
        .any(|(range, _)| range == "text/html");
    let content_type = if is_browser {
        TEXT
    } else {
        OpenMetrics::CONTENT_TYPE
    };
    let mut response = body(StatusCode::OK, content_type, text);
    vary(&mut response, ACCEPT);
    response
}

/// `3 d 4 h 5 min 6 s`, from the first unit that is not zero on.
pub(super) fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = units.iter().position(|(number, _)| *number > 0);
    let shown = &units[first.unwrap_or(units.len() - 1)..];
    let words: Vec<String> = shown
        .iter()
        .map(|(number, unit)| format!("{number} {unit}"))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_begin_with_their_largest_unit() {
        let check = |seconds, expected| {
            assert_eq!(in_words(Duration::from_secs(seconds)), expected);
        };
        check(0, "0 s");
        check(59, "59 s");
        check(60, "1 min 0 s");
        check(3_600, "1 h 0 min 0 s");
        check(273_906, "3 d 4 h 5 min 6 s");
    }
}
