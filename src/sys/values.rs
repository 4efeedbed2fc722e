//! Every `$SYS` topic with its value: a row for each. Pure: figures in, texts out.

use std::{borrow::Cow, time::Duration};

use super::averages::{Averages, LOADS, PERIODS};
use crate::telemetry::{Counter, DropReason, Metrics, PACKET_TYPES, Process};

/// Topics below `$SYS/broker/`, with what is published there.
pub(super) type Values = Vec<(Cow<'static, str>, String)>;

/// Packet types (by their number) that a client sends, and that the broker sends.
const FROM_CLIENTS: [usize; 11] = [1, 3, 4, 5, 6, 7, 8, 10, 12, 14, 15];
const TO_CLIENTS: [usize; 11] = [2, 3, 4, 5, 6, 7, 9, 11, 13, 14, 15];

/// What changes while the broker runs.
pub(super) fn values(
    metrics: &Metrics,
    process: &Process,
    averages: &Averages,
    uptime: Duration,
) -> Values {
    let mut values = Values::with_capacity(128);
    let mut row = |topic: &'static str, value: String| values.push((topic.into(), value));
    row("uptime", format!("{} seconds", uptime.as_secs()));
    row("config/last_reload", last_reload(metrics));
    clients(metrics, &mut row);
    messages(metrics, &mut row);
    stores(metrics, process, &mut row);
    packets(metrics, &mut values);
    loads(averages, &mut values);
    values
}

/// What stays the same: the program and when it was built.
pub(super) fn fixed(built: Option<String>) -> Values {
    let version = concat!("gatemq version ", env!("CARGO_PKG_VERSION"));
    let mut values: Values = vec![("version".into(), version.to_owned())];
    values.extend(built.map(|built| ("timestamp".into(), built)));
    values
}

/// What the load averages are made of, in the order of [`LOADS`].
pub(super) fn counts(metrics: &Metrics) -> [u64; LOADS.len()] {
    [
        metrics.packets_received[1].get(),
        metrics.bytes_received.get(),
        metrics.bytes_sent.get(),
        sum(&metrics.packets_received),
        sum(&metrics.packets_sent),
        dropped(metrics),
        sum(&metrics.messages_received),
        sum(&metrics.messages_sent),
        metrics.sockets_accepted.get(),
    ]
}

fn clients(metrics: &Metrics, row: &mut impl FnMut(&'static str, String)) {
    let (connected, parked) = (metrics.connected.get(), metrics.sessions_parked.get());
    row("clients/connected", connected.to_string());
    row("clients/active", connected.to_string());
    row("clients/disconnected", parked.to_string());
    row("clients/inactive", parked.to_string());
    row("clients/total", (connected + parked).to_string());
    row(
        "clients/maximum",
        metrics.connected_max.get().max(connected).to_string(),
    );
    row(
        "clients/expired",
        metrics.sessions_expired.get().to_string(),
    );
    row(
        "connections/socket/count",
        metrics.sockets_accepted.get().to_string(),
    );
}

fn messages(metrics: &Metrics, row: &mut impl FnMut(&'static str, String)) {
    let received = sum(&metrics.messages_received);
    let sent = sum(&metrics.messages_sent);
    let dropped = dropped(metrics);
    row("bytes/received", metrics.bytes_received.get().to_string());
    row("bytes/sent", metrics.bytes_sent.get().to_string());
    // "Messages" are packets of any type here, as in mosquitto; publishes have topics of their own.
    row(
        "messages/received",
        sum(&metrics.packets_received).to_string(),
    );
    row("messages/sent", sum(&metrics.packets_sent).to_string());
    row("messages/inflight", metrics.in_flight.get().to_string());
    row("publish/messages/received", received.to_string());
    row("publish/messages/sent", sent.to_string());
    row("publish/messages/dropped", dropped.to_string());
    row("mqtt/publish/dropped", dropped.to_string());
    row(
        "publish/bytes/received",
        metrics.publish_bytes_received.get().to_string(),
    );
    row(
        "publish/bytes/sent",
        metrics.publish_bytes_sent.get().to_string(),
    );
}

fn stores(metrics: &Metrics, process: &Process, row: &mut impl FnMut(&'static str, String)) {
    // What lies in storage only counts as what is in memory does; what is in flight stands in the bytes already.
    let queued = metrics.queued_messages.get();
    let queued_bytes = metrics.queued_bytes.get() + metrics.spilled_bytes.get();
    let retained = metrics.retained_messages.get();
    // As mosquitto has it: retained messages and those that are owed to sessions. One that waits in two queues counts
    // twice here, as often as it is owed.
    let stored = retained + queued + metrics.in_flight.get();
    row("messages/stored", stored.to_string());
    row("store/messages/count", stored.to_string());
    row(
        "store/messages/bytes",
        (metrics.retained_bytes.get() + queued_bytes).to_string(),
    );
    row("packet/out/count", queued.to_string());
    row("packet/out/bytes", queued_bytes.to_string());
    row("retained messages/count", retained.to_string());
    row(
        "subscriptions/count",
        metrics.subscriptions.get().to_string(),
    );
    row(
        "shared_subscriptions/count",
        metrics.shared_subscriptions.get().to_string(),
    );
    // The resident set of the process: what the machine has less for others. mosquitto sums up its own allocations.
    let heap = process.resident_bytes.unwrap_or_default();
    let most = process.resident_bytes_max.unwrap_or_default().max(heap);
    row("heap/current", heap.to_string());
    row("heap/current size", heap.to_string());
    row("heap/maximum", most.to_string());
    row("heap/maximum size", most.to_string());
}

fn packets(metrics: &Metrics, values: &mut Values) {
    for (types, numbers, direction) in [
        (FROM_CLIENTS, &metrics.packets_received, "received"),
        (TO_CLIENTS, &metrics.packets_sent, "sent"),
    ] {
        for number in types {
            let topic = format!("mqtt/{}/{direction}", PACKET_TYPES[number]);
            values.push((topic.into(), numbers[number].get().to_string()));
        }
    }
}

fn loads(averages: &Averages, values: &mut Values) {
    for (name, loads) in LOADS.into_iter().zip(averages.loads()) {
        for ((period, _), load) in PERIODS.into_iter().zip(loads) {
            values.push((format!("load/{name}/{period}").into(), format!("{load:.2}")));
        }
    }
}

fn last_reload(metrics: &Metrics) -> String {
    if metrics.is_last_reload_successful() {
        return "ok".to_owned();
    }
    let error = metrics.last_reload_error.lock().clone();
    error.map_or_else(|| "failed".to_owned(), |error| error.as_ref().to_owned())
}

/// Publishes lost to a limit: a full queue, or all queues together. Nobody having subscribed is no loss.
fn dropped(metrics: &Metrics) -> u64 {
    [DropReason::QueueFull, DropReason::Quota]
        .map(|reason| metrics.messages_dropped[reason as usize].get())
        .iter()
        .sum()
}

fn sum(counters: &[Counter]) -> u64 {
    counters.iter().map(Counter::get).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::message::TopicName;

    fn published(metrics: &Metrics) -> BTreeMap<String, String> {
        let process = Process {
            resident_bytes: Some(1000),
            resident_bytes_max: Some(3000),
            ..Process::default()
        };
        let averages = Averages::new(tokio::time::Instant::now().into_std());
        let changing = values(metrics, &process, &averages, Duration::from_millis(61_900));
        let fixed = fixed(Some("2026-01-31 12:00:00+0000".into()));
        let all: Vec<_> = changing.into_iter().chain(fixed).collect();
        let number = all.len();
        let by_topic: BTreeMap<String, String> =
            all.into_iter().map(|(t, v)| (t.into_owned(), v)).collect();
        assert_eq!(by_topic.len(), number, "a topic is there twice");
        by_topic
    }

    /// The names of mosquitto 2.1 and the older ones, written as braces and slashes.
    const NAMES: &[&str] = &[
        "bytes/{received,sent}",
        "clients/{connected,disconnected,expired,maximum,total,active,inactive}",
        "connections/socket/count",
        "heap/{current,maximum,current size,maximum size}",
        "load/{connections,bytes/received,bytes/sent,messages/received,messages/sent,publish/dropped,publish/received,publish/sent,sockets}/{1min,5min,15min}",
        "messages/{received,sent,stored,inflight}",
        "store/messages/{count,bytes}",
        "mqtt/{connect,publish,puback,pubrec,pubrel,pubcomp,subscribe,unsubscribe,pingreq,disconnect,auth}/received",
        "mqtt/{connack,publish,puback,pubrec,pubrel,pubcomp,suback,unsuback,pingresp,disconnect,auth}/sent",
        "mqtt/publish/dropped",
        "packet/out/{count,bytes}",
        "publish/messages/{dropped,received,sent}",
        "publish/bytes/{received,sent}",
        "retained messages/count",
        "shared_subscriptions/count",
        "subscriptions/count",
        "uptime",
        "version",
        "timestamp",
        // Ours.
        "config/last_reload",
    ];

    fn expand(pattern: &str) -> Vec<String> {
        let Some((before, rest)) = pattern.split_once('{') else {
            return vec![pattern.to_owned()];
        };
        let (choices, after) = rest.split_once('}').expect("a closing brace");
        choices
            .split(',')
            .flat_map(|choice| expand(&format!("{before}{choice}{after}")))
            .collect()
    }

    #[test]
    fn every_known_name_is_published_and_no_other() {
        let expected: BTreeSet<String> = NAMES.iter().flat_map(|names| expand(names)).collect();
        let names: BTreeSet<String> = published(&Metrics::default()).into_keys().collect();
        assert_eq!(names, expected);
        for name in names {
            TopicName::parse(&format!("$SYS/broker/{name}")).expect("a topic name");
        }
    }

    #[test]
    fn values_are_plain_decimal_numbers() {
        for (topic, value) in published(&Metrics::default()) {
            let is_text = ["uptime", "version", "timestamp", "config/last_reload"];
            let number = value.parse::<f64>().is_ok();
            assert_ne!(
                number,
                is_text.contains(&topic.as_str()),
                "{topic}: {value}"
            );
        }
    }

    #[test]
    fn values_are_those_of_the_metrics() {
        let metrics = Metrics::default();
        metrics.connected.set(3);
        metrics.connected_max.set(5);
        metrics.sessions_parked.set(4);
        metrics.packets_received[1].add(6);
        metrics.packets_received[3].add(7);
        metrics.messages_received[2].add(7);
        metrics.retained_messages.set(10);
        metrics.queued_messages.set(20);
        metrics.queued_bytes.set(300);
        metrics.spilled_bytes.set(4000);
        metrics.retained_bytes.set(50_000);
        metrics.in_flight.set(2);
        metrics.dropped(DropReason::QueueFull);
        metrics.dropped(DropReason::NoSubscribers);
        metrics.dropped(DropReason::Quota);
        let published = published(&metrics);
        for (topic, value) in [
            ("uptime", "61 seconds"),
            ("clients/total", "7"),
            ("clients/active", "3"),
            ("clients/inactive", "4"),
            ("clients/maximum", "5"),
            ("messages/received", "13"),
            ("publish/messages/received", "7"),
            ("mqtt/connect/received", "6"),
            ("messages/stored", "32"),
            ("store/messages/count", "32"),
            ("store/messages/bytes", "54300"),
            ("packet/out/count", "20"),
            ("packet/out/bytes", "4300"),
            ("retained messages/count", "10"),
            ("messages/inflight", "2"),
            ("publish/messages/dropped", "2"),
            ("heap/current size", "1000"),
            ("heap/maximum", "3000"),
            ("load/sockets/1min", "0.00"),
            ("config/last_reload", "ok"),
        ] {
            assert_eq!(published[topic], value, "{topic}");
        }
    }

    #[test]
    fn a_failed_reload_is_a_value_until_one_succeeds() {
        let metrics = Metrics::default();
        metrics.reloaded(Err("certs/privkey.pem: no private key"));
        assert_eq!(
            published(&metrics)["config/last_reload"],
            "certs/privkey.pem: no private key"
        );
        metrics.reloaded(Ok(()));
        assert_eq!(published(&metrics)["config/last_reload"], "ok");
    }

    #[test]
    fn counts_stand_in_the_order_of_their_names() {
        let metrics = Metrics::default();
        metrics.packets_received[1].add(1);
        metrics.bytes_received.add(2);
        metrics.bytes_sent.add(3);
        metrics.packets_sent[4].add(4);
        metrics.messages_received[0].add(6);
        metrics.messages_sent[1].add(7);
        metrics.sockets_accepted.add(8);
        metrics.dropped(DropReason::Quota);
        assert_eq!(counts(&metrics), [1, 2, 3, 1, 4, 1, 6, 7, 8]);
    }
}
