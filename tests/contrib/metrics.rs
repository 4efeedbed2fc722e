//! Dashboard and alerts ask for metrics that the broker has.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use crate::{
    file, read, succeeds,
    support::{Broker, Stream, http1},
};

const DASHBOARD: &str = "contrib/grafana-dashboard.json";
const ALERTS: &str = "contrib/prometheus-alerts.yml";

/// The names of all samples that there may be: some families have none until something has happened.
async fn exposed() -> BTreeSet<String> {
    let broker = Broker::start();
    let mut stream = Stream::tcp(broker.plain_addr()).await.expect("connected");
    let answer = http1::get(&mut stream, "/metrics").await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.flat_map(samples).collect()
}

/// The samples of a family, by its name and type.
fn samples(family: &str) -> Vec<String> {
    let (name, kind) = family.split_once(' ').expect("a name and a type");
    let ends: &[&str] = match kind {
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_count", "_sum"],
        "info" => &["_info"],
        "gauge" | "unknown" => &[""],
        other => panic!("{name} is of a type that is not expected: {other}"),
    };
    ends.iter().map(|end| format!("{name}{end}")).collect()
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter| !is_part(letter));
    words
        .filter(|word| word.starts_with("gatemq_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn names_are_found_in_an_expression() {
    let expression = "rate(gatemq_a_total{job=\"x\"}[5m]) > process_b - time()";
    let expected = ["gatemq_a_total", "process_b"].map(str::to_owned);
    assert_eq!(named(expression), expected.into());
}

async fn check_names(what: &str, used: &BTreeSet<String>) {
    assert!(!used.is_empty(), "{what} names no metric");
    let exposed = exposed().await;
    let unknown: Vec<_> = used.difference(&exposed).collect();
    assert!(unknown.is_empty(), "{what} asks for {unknown:?}");
}

#[tokio::test]
async fn the_dashboard_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut used = BTreeSet::new();
    for panel in panels {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            let names = named(target["expr"].as_str().expect("an expression"));
            assert!(!names.is_empty(), "{target}");
            used.extend(names);
        }
    }
    for variable in dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
    {
        used.extend(named(&variable["query"].to_string()));
    }
    check_names(DASHBOARD, &used).await;
}

#[test]
fn no_two_panels_lie_on_each_other() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let mut places = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a place"));
        assert!(x + w <= 24, "{panel}");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(places.insert(place), "{panel}");
        }
    }
}

#[tokio::test]
async fn alerts_ask_for_what_there_is() {
    let text = read(ALERTS);
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    check_names(ALERTS, &named(&code.collect::<Vec<_>>().join("\n"))).await;
}

#[test]
fn prometheus_takes_alerts_and_configuration() {
    succeeds(promtool().args(["check", "rules"]).arg(file(ALERTS)));
    let configuration = file("contrib/prometheus.yml");
    // It looks for the CA, too, which is where the package puts it.
    succeeds(
        promtool()
            .args(["check", "config", "--syntax-only"])
            .arg(configuration),
    );
}

#[test]
fn every_alert_rings_when_it_should_and_not_before() {
    let tests = "contrib/prometheus-alerts-test.yml";
    succeeds(promtool().args(["test", "rules"]).arg(file(tests)));
    for line in read(ALERTS).lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            let expected = format!("{{alertname=\"{alert}\"}}");
            assert!(read(tests).contains(&expected), "no test for {alert}");
        }
    }
}

/// The one that `tests/run` unpacks, so that no Prometheus is started; else one that is installed.
fn promtool() -> Command {
    let unpacked = file("target/tools/prometheus/usr/bin/promtool");
    if unpacked.exists() {
        Command::new(unpacked)
    } else {
        Command::new("promtool")
    }
}
