//! `gatemq bench` with a real broker: what it counts is exact, and what it measures is what happened.

mod mistakes;
mod stalls;

use std::process::Command;

use serde_json::Value;

use crate::{client::Gate, support::finish};

/// `gatemq bench` with these flags, not yet started.
fn command(gate: &Gate, way: &[String], flags: &[&str]) -> Command {
    let mut bench = gate.folder.gatemq(&["bench"]);
    bench.args(flags).args(way).arg("--json");
    bench
}

/// What it has measured.
fn bench(gate: &Gate, way: &[String], flags: &[&str]) -> Value {
    let finished = finish(&mut command(gate, way, flags));
    let report = serde_json::from_str(&finished.out);
    let report: Value = report.unwrap_or_else(|error| panic!("{error}: {flags:?} {finished:?}"));
    assert_eq!(finished.code, Some(0), "{way:?} {flags:?}: {finished:?}");
    report
}

/// Sent, expected and delivered; nothing else has happened.
#[track_caller]
fn check_counts(report: &Value, sent: u64, expected: u64) {
    let messages = &report["messages"];
    assert_eq!(messages["sent"], sent, "{report:#}");
    assert_eq!(messages["expected"], expected, "{report:#}");
    assert_eq!(messages["delivered"], expected, "{report:#}");
    for name in [
        "dropped",
        "duplicates",
        "out_of_order",
        "unstamped",
        "refused",
        "stalls",
    ] {
        assert_eq!(messages[name], 0, "{name}: {report:#}");
    }
    check_connections(report);
    let latency = &report["delivery_latency_us"];
    assert_eq!(latency["count"], expected, "{report:#}");
    let quantiles =
        ["p50", "p90", "p99", "p99.9", "max"].map(|name| latency[name].as_f64().unwrap());
    assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{report:#}");
}

#[track_caller]
fn check_connections(report: &Value) {
    let connections = &report["connections"];
    assert_eq!(connections["failed"], 0, "{report:#}");
    assert_eq!(connections["lost"], 0, "{report:#}");
    assert!(
        connections["failures"].as_array().unwrap().is_empty(),
        "{report:#}"
    );
}

#[test]
fn pairs_count_exactly_by_every_way() {
    let gate = Gate::open();
    for way in gate.ways() {
        let report = bench(&gate, &way, &["pairs", "-c", "3", "-L", "60", "-q", "1"]);
        check_counts(&report, 60, 60);
        assert_eq!(report["messages"]["acknowledged"], 60);
        assert_eq!(report["acknowledgement_latency_us"]["count"], 60);
        assert_eq!(report["clients"], 6);
    }
}

#[test]
fn every_quality_of_service_and_version_is_acknowledged_to_its_end() {
    let gate = Gate::open();
    for version in ["5", "4", "3"] {
        for (qos, acknowledged) in [("0", 0), ("1", 40), ("2", 40)] {
            let flags = ["pairs", "-c", "2", "-L", "40", "-q", qos, "-V", version];
            let report = bench(&gate, &[gate.url()], &flags);
            check_counts(&report, 40, 40);
            assert_eq!(report["messages"]["acknowledged"], acknowledged);
        }
    }
}

#[test]
fn fan_out_reaches_every_subscriber() {
    let gate = Gate::open();
    let pid = gate.broker.pid().to_string();
    let [plain, _, _, secure, ..] = gate.ways();
    for way in [plain, secure] {
        let mut flags = vec![
            "fanout", "-c", "20", "-L", "50", "-s", "64", "--window", "4",
        ];
        flags.extend(["--threads", "2", "--pid", &pid]);
        let report = bench(&gate, &way, &flags);
        check_counts(&report, 50, 1000);
        assert_eq!(report["window"], 4);
        assert!(report["server"]["rss_bytes"].as_u64().unwrap() > 1_000_000);
        assert!(report["server"]["cpu_us_per_message"].as_f64().unwrap() >= 0.0);
    }
}

#[test]
fn fan_in_reaches_all_subscribers_or_one_of_those_that_share() {
    let gate = Gate::open();
    let [plain, _, _, secure, ..] = gate.ways();
    for way in [plain, secure] {
        let flags = [
            "fanin",
            "-c",
            "10",
            "-L",
            "100",
            "-q",
            "1",
            "--subscribers",
            "3",
        ];
        check_counts(&bench(&gate, &way, &flags), 100, 300);
        let report = bench(&gate, &way, &[&flags[..], &["--shared"]].concat());
        check_counts(&report, 100, 100);
    }
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let gate = Gate::open();
    let flags = ["pairs", "-c", "5", "-I", "50", "-L", "100"];
    let report = bench(&gate, &[gate.url()], &flags);
    check_counts(&report, 100, 100);
    // 5 publishers, 20 messages a second each: the last is due after 0.99 s.
    assert_eq!(report["offered_per_second"], 100.0);
    assert!(report["seconds"].as_f64().unwrap() > 0.9, "{report:#}");
}

#[test]
fn publishers_and_subscribers_of_two_processes_meet() {
    let gate = Gate::open();
    let [_, _, _, secure, ..] = gate.ways();
    let topic = ["-t", "bench/%i", "-c", "4", "-L", "80", "-q", "1"];
    let mut receiving = command(
        &gate,
        &secure,
        &[&["sub"], &topic[..], &["--warmup", "0"]].concat(),
    );
    let mut receiving = crate::support::Broker::spawn(&mut receiving);
    let subscribed = crate::support::within(crate::support::PATIENCE, || {
        gate.folder.status()["subscriptions"] == 4
    });
    assert!(subscribed, "{}", gate.folder.status());
    let sent = bench(&gate, &[gate.url()], &[&["pub"], &topic[..]].concat());
    assert_eq!(sent["messages"]["acknowledged"], 80, "{sent:#}");
    assert_eq!(sent["messages"]["expected"], Value::Null);
    assert_eq!(receiving.wait().code(), Some(0));
    let received: Value = serde_json::from_str(&receiving.out.text()).unwrap();
    assert_eq!(received["messages"]["delivered"], 80, "{received:#}");
    assert_eq!(received["messages"]["out_of_order"], 0);
    // The clock is the machine's: one process knows when the other has published.
    assert_eq!(received["delivery_latency_us"]["count"], 80);
}

#[test]
fn idle_connections_are_opened_and_weighed() {
    let gate = Gate::open();
    let pid = gate.broker.pid().to_string();
    for way in gate.ways() {
        let flags = ["conn", "-c", "30", "--duration", "0.1", "--pid", &pid];
        let report = bench(&gate, &way, &flags);
        assert_eq!(report["connections"]["opened"], 30, "{report:#}");
        check_connections(&report);
        assert_eq!(report["connections"]["handshake_latency_us"]["count"], 30);
        assert!(report["server"]["rss_bytes_per_connection"].is_number());
        assert_eq!(report["messages"], Value::Null);
    }
}

#[test]
fn connections_are_opened_at_the_rate_that_is_asked_for() {
    let gate = Gate::open();
    for flag in [["-R", "100"], ["-i", "10"]] {
        let flags = [&["conn", "-c", "50", "--duration", "0"], &flag[..]].concat();
        let report = bench(&gate, &[gate.url()], &flags);
        let rate = report["connections"]["opened_per_second"].as_f64().unwrap();
        assert!(rate < 110.0, "{report:#}");
    }
}

#[test]
fn a_storm_brings_every_client_back() {
    let gate = Gate::open();
    let [plain, secure, _, web, ..] = gate.ways();
    for (way, resumed) in [(plain, 0), (secure, 40), (web, 40)] {
        let flags = ["storm", "-c", "40", "--rounds", "2", "--resume"];
        let report = bench(&gate, &way, &flags);
        check_connections(&report);
        assert_eq!(report["connections"]["opened"], 120, "{report:#}");
        let rounds = report["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 2);
        for round in rounds {
            assert_eq!(round["connected"], 40, "{report:#}");
            assert_eq!(round["failed"], 0, "{report:#}");
            assert_eq!(round["resumed"], resumed, "{report:#}");
        }
    }
}

#[test]
fn people_read_lines_and_scripts_one_object() {
    let gate = Gate::open();
    let mut people = gate
        .folder
        .gatemq(&["bench", "pairs", "-c", "2", "-L", "10", "-q", "1"]);
    let finished = finish(people.arg(gate.url()));
    assert_eq!(
        (finished.code, finished.err.as_str()),
        (Some(0), ""),
        "{finished:?}"
    );
    for words in [
        "pairs at mqtt://localhost",
        "4 opened",
        "10 sent",
        "10 delivered",
        "0 dropped",
        "p99.9",
    ] {
        assert!(
            finished.out.contains(words),
            "no {words:?} in {}",
            finished.out
        );
    }
}
