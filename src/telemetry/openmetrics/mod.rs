//! The metrics as OpenMetrics 1.0 text. Names are `gatemq_…` but for `process_…`, which dashboards know. No label
//! names a client: what is exposed grows with listeners, never with connections.
//!
//! A new metric is a row here, in the group it has in [`Metrics`].

mod rows;

use std::{fmt, sync::Arc, time::SystemTime};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::{Registry, Unit},
};

use self::rows::Rows;
use super::{DropReason, Metrics, Process};

/// Writes the metrics of one broker, and those of its process.
#[derive(Debug)]
pub struct OpenMetrics(Registry);

impl OpenMetrics {
    /// What [`encode`](Self::encode) returns, as HTTP names it.
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// An exposition of these metrics, of a process that began at this time.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, started: SystemTime) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector { started }));
        registry
            .sub_registry_with_prefix("gatemq")
            .register_collector(Box::new(BrokerCollector(metrics)));
        Self(registry)
    }

    /// All of them as they are now, `# EOF` included.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        text::encode(&mut out, &self.0).expect("writing to a string cannot fail");
        out
    }
}

#[derive(Debug)]
struct BrokerCollector(Arc<Metrics>);

impl Collector for BrokerCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut rows = Rows(encoder);
        self.front_door(&mut rows)?;
        self.traffic(&mut rows)?;
        self.sessions(&mut rows)?;
        self.router(&mut rows)?;
        self.store(&mut rows)
    }
}

impl BrokerCollector {
    fn front_door(&self, rows: &mut Rows<'_>) -> fmt::Result {
        let metrics = &*self.0;
        rows.info(
            "build",
            "The program",
            &[("version", env!("CARGO_PKG_VERSION"))],
        )?;
        rows.counter(
            "sockets_accepted",
            "Streams accepted, whatever they turned out to be",
            &metrics.sockets_accepted,
        )?;
        let refused = metrics.connect_refused.all();
        rows.counters(
            "connect_refused",
            "Connections refused before or at CONNECT",
            refused
                .iter()
                .map(|(reason, n)| ([("reason", *reason)], *n)),
        )?;
        let handshakes = metrics.tls_handshakes.all();
        rows.counters(
            "tls_handshakes",
            "TLS handshakes",
            handshakes
                .iter()
                .map(|(result, n)| ([("result", *result)], *n)),
        )?;
        let upgrades = metrics.ws_upgrades.all();
        rows.counters(
            "ws_upgrades",
            "WebSocket upgrades",
            upgrades
                .iter()
                .map(|((path, result), n)| ([("path", *path), ("result", *result)], *n)),
        )?;
        rows.counter(
            "http_requests",
            "HTTP requests that were no upgrade",
            &metrics.http_requests,
        )?;
        let expiry = metrics.cert_expiry.all();
        rows.gauges(
            "cert_expiry_timestamp",
            Some(&Unit::Seconds),
            "End of validity of the certificate a listener serves",
            expiry
                .iter()
                .map(|(name, at)| ([("listener", &**name)], *at)),
        )?;
        rows.gauge(
            "config_last_reload_successful",
            "Whether the last reload of certificates or configuration succeeded",
            &i64::from(metrics.is_last_reload_successful()),
        )?;
        rows.counter(
            "reloads",
            "Reloads that changed something or failed",
            &metrics.reloads,
        )
    }

    fn traffic(&self, rows: &mut Rows<'_>) -> fmt::Result {
        let metrics = &*self.0;
        self.connections(rows)?;
        rows.counter(
            "bytes_received",
            "Bytes received from clients, framing of TLS and WebSocket not counted",
            &metrics.bytes_received,
        )?;
        rows.counter(
            "bytes_sent",
            "Bytes sent to clients, framing of TLS and WebSocket not counted",
            &metrics.bytes_sent,
        )?;
        rows.by_packet_type(
            "packets_received",
            "Packets received",
            &metrics.packets_received,
        )?;
        rows.by_packet_type("packets_sent", "Packets sent", &metrics.packets_sent)?;
        rows.counter(
            "publish_bytes_received",
            "Bytes of payload in PUBLISH packets received",
            &metrics.publish_bytes_received,
        )?;
        rows.counter(
            "publish_bytes_sent",
            "Bytes of payload in PUBLISH packets sent",
            &metrics.publish_bytes_sent,
        )?;
        rows.by_qos(
            "messages_received",
            "PUBLISH packets received",
            &metrics.messages_received,
        )?;
        rows.by_qos(
            "messages_sent",
            "PUBLISH packets sent",
            &metrics.messages_sent,
        )?;
        rows.counter(
            "publish_denied",
            "Publishes that a permission denied",
            &metrics.publish_denied,
        )?;
        rows.gauge(
            "in_flight",
            "QoS 1 and 2 deliveries sent and not yet acknowledged",
            &metrics.in_flight.get(),
        )?;
        rows.histogram(
            "publish_latency",
            "From the arrival of a PUBLISH above QoS 0 to its PUBACK or PUBREC",
            &metrics.publish_latency,
        )
    }

    fn connections(&self, rows: &mut Rows<'_>) -> fmt::Result {
        let metrics = &*self.0;
        let connections = metrics.connections.all();
        let labelled = connections.iter().map(|(key, number)| {
            let labels = [
                ("listener", &*key.listener),
                ("transport", key.transport),
                ("version", key.version),
            ];
            (labels, *number)
        });
        rows.gauges("connections", None, "Clients connected", labelled)?;
        rows.gauge(
            "connections_maximum",
            "The most clients that were ever connected at once",
            &metrics.connected_max.get(),
        )?;
        // As a counter its family would be `connections`, which is the gauge's: a family may not exist twice.
        rows.unknown(
            "connections_total",
            "CONNECTs accepted",
            metrics.connections_total.get(),
        )
    }

    fn sessions(&self, rows: &mut Rows<'_>) -> fmt::Result {
        let metrics = &*self.0;
        let states = [
            ("connected", metrics.connected.get()),
            ("parked", metrics.sessions_parked.get()),
        ];
        rows.gauges(
            "sessions",
            None,
            "Sessions by whether their client is connected",
            states
                .into_iter()
                .map(|(state, number)| ([("state", state)], number)),
        )?;
        rows.counter(
            "sessions_expired",
            "Sessions that ended because their expiry interval passed",
            &metrics.sessions_expired,
        )
    }

    fn router(&self, rows: &mut Rows<'_>) -> fmt::Result {
        let metrics = &*self.0;
        rows.gauge(
            "subscriptions",
            "Subscriptions, shared ones included",
            &metrics.subscriptions.get(),
        )?;
        rows.gauge(
            "shared_subscriptions",
            "Shared subscriptions",
            &metrics.shared_subscriptions.get(),
        )?;
        rows.gauge(
            "retained_messages",
            "Retained messages",
            &metrics.retained_messages.get(),
        )?;
        rows.gauge_in(
            &Unit::Bytes,
            "retained",
            "Memory of retained messages",
            &metrics.retained_bytes.get(),
        )?;
        rows.gauge(
            "queued_messages",
            "Messages waiting in queues",
            &metrics.queued_messages.get(),
        )?;
        rows.gauge_in(
            &Unit::Bytes,
            "queued",
            "Memory of messages waiting in queues or for their acknowledgement",
            &metrics.queued_bytes.get(),
        )?;
        rows.gauge(
            "spilled_messages",
            "Messages waiting in queues that lie in storage only",
            &metrics.spilled_messages.get(),
        )?;
        rows.gauge_in(
            &Unit::Bytes,
            "spilled",
            "What they would take of memory",
            &metrics.spilled_bytes.get(),
        )?;
        rows.counters(
            "messages_dropped",
            "Messages not delivered",
            DropReason::ALL.into_iter().map(|reason| {
                let number = metrics.messages_dropped[reason as usize].get();
                ([("reason", reason.as_str())], number)
            }),
        )
    }
}

impl BrokerCollector {
    fn store(&self, rows: &mut Rows<'_>) -> fmt::Result {
        let metrics = &*self.0;
        rows.counter(
            "store_commits",
            "Commits to the store",
            &metrics.store_commits,
        )?;
        rows.counter(
            "store_syncs",
            "Times that the store waited for its disk (fdatasync)",
            &metrics.store_syncs,
        )?;
        rows.histogram(
            "store_commit_latency",
            "From the begin of a commit to its end",
            &metrics.store_commit_latency,
        )?;
        rows.gauge(
            "store_failing",
            "1 while the store cannot be written",
            &metrics.store_failing.get(),
        )?;
        rows.counter(
            "store_failures",
            "Times that the store began to fail",
            &metrics.store_failures,
        )?;
        rows.gauge(
            "store_corrupt_values",
            "Stored values that could not be read",
            &metrics.store_corrupt.get(),
        )?;
        rows.gauge_in(
            &Unit::Bytes,
            "store_disk",
            "What the store takes on its disk",
            &metrics.store_disk_bytes.get(),
        )?;
        rows.gauge_in(
            &Unit::Bytes,
            "store_disk_free",
            "What is free on the disk of the store",
            &metrics.store_disk_free_bytes.get(),
        )
    }
}

#[derive(Debug)]
struct ProcessCollector {
    started: SystemTime,
}

impl Collector for ProcessCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut rows = Rows(encoder);
        let process = Process::read();
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH);
        rows.gauge_in(
            &Unit::Seconds,
            "process_start_time",
            "When the process began, in seconds since 1970",
            &started.unwrap_or_default().as_secs_f64(),
        )?;
        rows.counter_in(
            &Unit::Seconds,
            "process_cpu",
            "Processor time of all threads",
            process.cpu_time.as_secs_f64(),
        )?;
        if let Some(number) = process.open_fds {
            rows.gauge("process_open_fds", "Open file descriptors", &number)?;
        }
        if let Some(bytes) = process.resident_bytes {
            let name = "process_resident_memory";
            rows.gauge_in(&Unit::Bytes, name, "Resident memory", &bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
