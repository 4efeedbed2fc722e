use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::*;
use crate::telemetry::{ConnectionKey, Counter, Gauge};

fn exposition(metrics: Metrics) -> String {
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    OpenMetrics::new(Arc::new(metrics), started).encode()
}

fn key(listener: &str) -> ConnectionKey {
    ConnectionKey {
        listener: listener.into(),
        transport: "wss",
        version: "5.0",
    }
}

/// Samples by name and labels. Panics where the text is no OpenMetrics.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
    assert!(!body.contains("# EOF"), "EOF is the end");
    let mut families = BTreeSet::new();
    let mut family = (String::new(), String::new());
    let mut samples = BTreeMap::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (keyword, name, value) = (words.next(), words.next(), words.next());
            let (name, value) = (name.expect("a name"), value.expect("a text"));
            match keyword {
                Some("HELP") => {
                    assert!(families.insert(name.to_owned()), "{name} is there twice");
                    family = (name.to_owned(), String::new());
                }
                Some("TYPE") => {
                    assert_eq!(name, family.0);
                    family.1 = value.to_owned();
                }
                Some("UNIT") => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                other => panic!("{other:?} is no keyword"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        check_name(name, &family);
        check_labels(labels);
        let value: f64 = value.parse().expect("a number");
        assert!(samples.insert(series.to_owned(), value).is_none(), "{line}");
    }
    samples
}

fn check_name(name: &str, (family, kind): &(String, String)) {
    let suffix = name.strip_prefix(family.as_str()).expect("of its family");
    let allowed: &[&str] = match kind.as_str() {
        "counter" => &["_total"],
        "gauge" | "unknown" => &[""],
        "info" => &["_info"],
        "histogram" => &["_bucket", "_count", "_sum"],
        other => panic!("{other} is no type"),
    };
    assert!(allowed.contains(&suffix), "{name} is no sample of a {kind}");
    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
}

fn check_labels(labels: &str) {
    let mut rest = labels.strip_suffix('}').expect("a closing brace");
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect("name=\"");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        let mut escaped = false;
        let end = value.bytes().position(|byte| match byte {
            _ if escaped => {
                assert!(matches!(byte, b'n' | b'\\' | b'"'));
                escaped = false;
                false
            }
            b'\\' => {
                escaped = true;
                false
            }
            b => b == b'"',
        });
        rest = &value[end.expect("a closing quote") + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

#[test]
fn nothing_counted_is_valid() {
    let samples = parse(&exposition(Metrics::default()));
    assert_eq!(samples["gatemq_bytes_received_total"], 0.0);
    assert_eq!(samples["gatemq_config_last_reload_successful"], 1.0);
    assert_eq!(samples["process_start_time_seconds"], 1_700_000_000.0);
    let version = concat!(
        "gatemq_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"}"
    );
    assert_eq!(samples[version], 1.0);
}

#[test]
fn labels_are_escaped() {
    let metrics = Metrics::default();
    metrics.connections.set(key("unix:/tmp/\"a\\b\"\n"), 3);
    let text = exposition(metrics);
    let escaped = r#"listener="unix:/tmp/\"a\\b\"\n",transport="wss",version="5.0""#;
    assert_eq!(
        parse(&text)[&format!("gatemq_connections{{{escaped}}}")],
        3.0
    );
}

#[test]
fn the_histogram_is_cumulative_and_closed() {
    let metrics = Metrics::default();
    for microseconds in [10, 80, 80, 9_000_000] {
        let duration = Duration::from_micros(microseconds);
        metrics.publish_latency.observe(duration);
    }
    let samples = parse(&exposition(metrics));
    let bucket =
        |bound| samples[&format!("gatemq_publish_latency_seconds_bucket{{le=\"{bound}\"}}")];
    assert_eq!(bucket("0.00005"), 1.0);
    assert_eq!(bucket("0.0001"), 3.0);
    assert_eq!(bucket("5.0"), 3.0);
    assert_eq!(bucket("+Inf"), 4.0);
    assert_eq!(samples["gatemq_publish_latency_seconds_count"], 4.0);
    assert!((samples["gatemq_publish_latency_seconds_sum"] - 9.000_17).abs() < 1e-9);
}

#[test]
fn a_failed_reload_shows_until_one_succeeds() {
    let metrics = Arc::new(Metrics::default());
    let exposed = OpenMetrics::new(metrics.clone(), SystemTime::UNIX_EPOCH);
    let name = "gatemq_config_last_reload_successful";
    metrics.reloaded(Err("key does not fit chain"));
    assert_eq!(parse(&exposed.encode())[name], 0.0);
    metrics.reloaded(Ok(()));
    let samples = parse(&exposed.encode());
    assert_eq!(samples[name], 1.0);
    assert_eq!(samples["gatemq_reloads_total"], 2.0);
}

/// Gives every number of the metrics a value of its own and returns these values.
#[expect(
    clippy::too_many_lines,
    reason = "a pattern without `..`: a new metric does not compile until it stands here"
)]
fn fill(metrics: &Metrics) -> Vec<u64> {
    let Metrics {
        sockets_accepted,
        connect_refused,
        tls_handshakes,
        ws_upgrades,
        http_requests,
        cert_expiry,
        config_last_reload_successful: _, // 0 or 1: has a test of its own
        reloads,
        last_reload_error: _, // a text: $SYS and /status have it
        connections,
        connected,
        connected_max,
        connections_total,
        bytes_received,
        bytes_sent,
        packets_received,
        packets_sent,
        publish_bytes_received,
        publish_bytes_sent,
        messages_received,
        messages_sent,
        publish_denied,
        in_flight,
        publish_latency,
        sessions_parked,
        sessions_expired,
        subscriptions,
        shared_subscriptions,
        retained_messages,
        retained_bytes,
        queued_messages,
        queued_bytes,
        spilled_messages,
        spilled_bytes,
        messages_dropped,
        store_commits,
        store_syncs,
        store_commit_latency,
        store_failing,
        store_failures,
        store_corrupt,
        store_disk_bytes,
        store_disk_free_bytes,
    } = metrics;
    let mut counters: Vec<&Counter> = vec![
        sockets_accepted,
        http_requests,
        reloads,
        connections_total,
        bytes_received,
        bytes_sent,
        publish_bytes_received,
        publish_bytes_sent,
        publish_denied,
        sessions_expired,
        store_commits,
        store_syncs,
        store_failures,
    ];
    counters.extend(&packets_received[1..]);
    counters.extend(&packets_sent[1..]);
    counters.extend(messages_received);
    counters.extend(messages_sent);
    counters.extend(messages_dropped);
    let gauges: [&Gauge; 16] = [
        connected,
        connected_max,
        in_flight,
        sessions_parked,
        subscriptions,
        shared_subscriptions,
        retained_messages,
        retained_bytes,
        queued_messages,
        queued_bytes,
        spilled_messages,
        spilled_bytes,
        store_failing,
        store_corrupt,
        store_disk_bytes,
        store_disk_free_bytes,
    ];
    let mut values = 7_001..;
    let mut next = || values.next().unwrap_or_default();
    let mut given = Vec::new();
    for counter in counters {
        given.push(next());
        counter.add(given[given.len() - 1]);
    }
    for gauge in gauges {
        given.push(next());
        gauge.set(given[given.len() - 1].cast_signed());
    }
    let labelled: [u64; 5] = std::array::from_fn(|_| next());
    let [refused, handshakes, upgrades, expiry, clients] = labelled.map(u64::cast_signed);
    connect_refused.set("banned", refused);
    tls_handshakes.set("ok", handshakes);
    ws_upgrades.set(("/mqtt", "ok"), upgrades);
    cert_expiry.set("[::]:443".into(), expiry);
    connections.set(key("[::]:443"), clients);
    given.extend(labelled);
    publish_latency.observe(Duration::from_secs(next()));
    given.push(publish_latency.sum() as u64);
    store_commit_latency.observe(Duration::from_secs(next()));
    given.push(store_commit_latency.sum() as u64);
    given
}

#[test]
fn every_metric_is_exposed() {
    let metrics = Metrics::default();
    let given = fill(&metrics);
    let exposed: Vec<f64> = parse(&exposition(metrics)).into_values().collect();
    for value in given {
        assert!(exposed.contains(&(value as f64)), "{value} is not exposed");
    }
}

#[test]
fn names_are_those_that_dashboards_know() {
    let metrics = Metrics::default();
    fill(&metrics);
    let samples = parse(&exposition(metrics));
    for series in [
        r#"gatemq_connections{listener="[::]:443",transport="wss",version="5.0"}"#,
        "gatemq_connections_total",
        r#"gatemq_connect_refused_total{reason="banned"}"#,
        r#"gatemq_sessions{state="connected"}"#,
        r#"gatemq_sessions{state="parked"}"#,
        "gatemq_subscriptions",
        "gatemq_shared_subscriptions",
        "gatemq_retained_messages",
        "gatemq_retained_bytes",
        "gatemq_queued_messages",
        "gatemq_queued_bytes",
        r#"gatemq_messages_received_total{qos="1"}"#,
        r#"gatemq_messages_sent_total{qos="2"}"#,
        r#"gatemq_messages_dropped_total{reason="qos0_msg"}"#,
        r#"gatemq_packets_received_total{type="connect"}"#,
        r#"gatemq_packets_sent_total{type="connack"}"#,
        "gatemq_bytes_received_total",
        "gatemq_bytes_sent_total",
        r#"gatemq_ws_upgrades_total{path="/mqtt",result="ok"}"#,
        r#"gatemq_tls_handshakes_total{result="ok"}"#,
        r#"gatemq_cert_expiry_timestamp_seconds{listener="[::]:443"}"#,
        "gatemq_publish_latency_seconds_sum",
        "gatemq_config_last_reload_successful",
        "process_cpu_seconds_total",
        "process_start_time_seconds",
    ] {
        assert!(samples.contains_key(series), "{series} is missing");
    }
    #[cfg(target_os = "linux")]
    for series in ["process_open_fds", "process_resident_memory_bytes"] {
        assert!(samples.contains_key(series), "{series} is missing");
    }
}
