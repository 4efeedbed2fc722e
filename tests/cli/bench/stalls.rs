//! What is not as it should be shows in the figures: a broker that stands still, or goes, and messages that others get or
//! publish.

use std::{thread, time::Duration};

use rustix::process::Signal;
use serde_json::Value;

use super::{bench, command};
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

/// Somebody else is in the group of a shared subscription and gets a part of the messages: they are missing, and said to
/// be.
#[test]
fn messages_that_do_not_arrive_are_counted() {
    let gate = Gate::open();
    let thief = gate.subscribe(&["-t", "$share/gatemq-bench/taken"]);
    let flags = [
        "fanin", "-c", "2", "-t", "taken", "--shared", "--rate", "200", "-L", "40",
    ];
    let report = bench(&gate, &[gate.url()], &flags);
    let messages = &report["messages"];
    let dropped = messages["dropped"].as_u64().unwrap();
    assert!(dropped > 0, "{report:#}");
    assert_eq!(
        messages["delivered"].as_u64().unwrap() + dropped,
        40,
        "{report:#}"
    );
    drop(thief);
}

/// A closed loop goes on where a message does not come, and says how often.
#[test]
fn a_closed_loop_gives_up_what_is_lost() {
    let gate = Gate::open();
    let thief = gate.subscribe(&["-t", "$share/gatemq-bench/taken"]);
    let flags = ["fanin", "-c", "1", "-t", "taken", "--shared", "-L", "3"];
    let report = bench(&gate, &[gate.url()], &flags);
    assert_eq!(report["messages"]["sent"], 3, "{report:#}");
    assert!(
        report["messages"]["dropped"].as_u64().unwrap() > 0,
        "{report:#}"
    );
    assert!(
        report["messages"]["stalls"].as_u64().unwrap() > 0,
        "{report:#}"
    );
    drop(thief);
}

#[test]
fn messages_of_others_are_told_apart() {
    let gate = Gate::open();
    let flags = [
        "fanout", "-c", "3", "-t", "ours", "--rate", "50", "-L", "100",
    ];
    let mut running = Broker::spawn(&mut command(&gate, &[gate.url()], &flags));
    let subscribed = || gate.folder.status()["subscriptions"] == 3;
    assert!(within(PATIENCE, subscribed), "{}", gate.folder.status());
    gate.publish(&["-t", "ours", "-m", "a word of somebody else"]);
    assert_eq!(running.wait().code(), Some(0), "{}", running.err.text());
    let report: Value = serde_json::from_str(&running.out.text()).unwrap();
    let messages = &report["messages"];
    let counted = ["sent", "expected", "delivered", "unstamped", "dropped"];
    assert_eq!(
        counted.map(|name| messages[name].as_u64().unwrap()),
        [100, 300, 303, 3, 0]
    );
    assert_eq!(report["delivery_latency_us"]["count"], 300);
}

#[test]
fn ctrl_c_ends_it_with_what_there_is() {
    let gate = Gate::open();
    let flags = [
        "pairs",
        "-c",
        "2",
        "--rate",
        "100",
        "--duration",
        "600",
        "--warmup",
        "0",
    ];
    let mut running = Broker::spawn(&mut command(&gate, &[gate.url()], &flags));
    let subscribed = || gate.folder.status()["subscriptions"] == 2;
    assert!(within(PATIENCE, subscribed), "{}", gate.folder.status());
    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), Some(0), "{}", running.err.text());
    let report: Value = serde_json::from_str(&running.out.text()).unwrap();
    assert_eq!(report["interrupted"], true, "{report:#}");
    assert_eq!(report["connections"]["lost"], 0, "{report:#}");
}

/// Subscribers of MQTT 3.1.1 get what is retained, and it was stamped by an earlier run.
#[test]
fn what_an_earlier_run_has_left_does_not_make_up_for_losses() {
    let gate = Gate::open();
    let flags = [
        "fanout", "-c", "2", "-t", "kept", "-L", "5", "-r", "-V", "4",
    ];
    for unstamped in [0, 2] {
        let report = bench(&gate, &[gate.url()], &flags);
        let messages = &report["messages"];
        assert_eq!(messages["unstamped"], unstamped, "{report:#}");
        assert_eq!(messages["delivered"], 10 + unstamped, "{report:#}");
        assert_eq!(messages["dropped"], 0, "{report:#}");
        assert_eq!(report["delivery_latency_us"]["count"], 10, "{report:#}");
    }
}
