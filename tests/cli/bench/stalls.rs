//! What a broker that stands still does to the figures.

use std::{thread, time::Duration};

use rustix::process::Signal;
use serde_json::Value;

use super::command;
use crate::{
    client::Gate,
    support::{Broker, PATIENCE, within},
};

/// How long the broker stands still.
const STALL: Duration = Duration::from_millis(300);

/// Latency counts from when a message was due, so that those that could not leave during a stall show it, too: about a
/// seventh of all, where a closed loop would show one for each publisher.
#[test]
fn an_open_loop_shows_a_stall_in_all_messages_that_were_due() {
    let gate = Gate::open();
    let flags = [
        "pairs", "-c", "2", "--rate", "200", "-F", "1", "-q", "1", "-L", "400",
    ];
    let mut running = Broker::spawn(&mut command(&gate, &[gate.url()], &flags));
    let routes = || gate.folder.status()["subscriptions"] == 2;
    assert!(within(PATIENCE, routes), "{}", gate.folder.status());
    // In the midst of two seconds of publishing.
    thread::sleep(Duration::from_millis(500));
    gate.broker.signal(Signal::STOP);
    thread::sleep(STALL);
    gate.broker.signal(Signal::CONT);
    assert_eq!(running.wait().code(), Some(0), "{}", running.err.text());
    let report: Value = serde_json::from_str(&running.out.text()).unwrap();
    for name in ["delivery_latency_us", "acknowledgement_latency_us"] {
        let latency = &report[name];
        assert_eq!(latency["count"], 400, "{report:#}");
        let at = |name: &str| latency[name].as_f64().unwrap();
        assert!(at("max") >= 250_000.0, "{report:#}");
        assert!(at("p99.9") >= 250_000.0, "{report:#}");
        // 60 of 400 were due during the stall, those of its second half more than 150 ms before its end.
        assert!(at("p90") >= 20_000.0, "{report:#}");
    }
    assert_eq!(report["messages"]["dropped"], 0);
}

/// Clients that a broker's end takes away are counted with the reason.
#[test]
fn a_broker_that_goes_away_is_told_with_the_clients_it_took() {
    let gate = Gate::open();
    let flags = ["conn", "-c", "5", "--duration", "60"];
    let mut running = Broker::spawn(&mut command(&gate, &[gate.url()], &flags));
    let connected = || gate.folder.status()["connections"] == 5;
    assert!(within(PATIENCE, connected), "{}", gate.folder.status());
    gate.broker.signal(Signal::KILL);
    assert_eq!(running.wait().code(), Some(3), "{}", running.err.text());
    let report: Value = serde_json::from_str(&running.out.text()).unwrap();
    assert_eq!(report["connections"]["lost"], 5, "{report:#}");
    assert!(
        running.err.text().contains("5 were lost"),
        "{}",
        running.err.text()
    );
}
