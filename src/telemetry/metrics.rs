//! The one list of metrics. A new one is a field here, and a line where it is exposed.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// Every metric of one broker. Fields are grouped by who counts them.
#[derive(Debug, Default)]
pub struct Metrics {
    // The front door.
    /// Streams accepted, whatever they turned out to be.
    pub sockets_accepted: Counter,
    /// Connections refused before or at CONNECT, by reason: a short name in snake case.
    pub connect_refused: Labelled<&'static str>,
    /// TLS handshakes by result: `ok`, `failed`, `timeout`.
    pub tls_handshakes: Labelled<&'static str>,
    /// WebSocket upgrades by path and result; paths that are not served count as `other`.
    pub ws_upgrades: Labelled<(&'static str, &'static str)>,
    /// HTTP requests answered that were no upgrade.
    pub http_requests: Counter,
    /// End of validity of the certificate a listener serves, Unix seconds, by listener or certificate name.
    pub cert_expiry: Labelled<Arc<str>>,
    /// 1 where the last reload of certificates or configuration succeeded.
    pub config_last_reload_successful: Gauge,
    /// Reloads that changed something or failed.
    pub reloads: Counter,
    /// Why the last reload failed; `None` where it succeeded or there has been none.
    pub last_reload_error: Mutex<Option<Arc<str>>>,

    // Connections.
    /// Clients connected now.
    pub connections: Labelled<ConnectionKey>,
    /// Clients connected now, in all.
    pub connected: Gauge,
    /// The most that were ever connected at once.
    pub connected_max: Gauge,
    /// CONNECTs accepted.
    pub connections_total: Counter,
    /// Bytes received from clients, TLS and WebSocket framing not counted.
    pub bytes_received: Counter,
    /// Bytes sent to clients, likewise.
    pub bytes_sent: Counter,
    /// Packets received, by packet type (0 counts none).
    pub packets_received: [Counter; 16],
    /// Packets sent, by packet type.
    pub packets_sent: [Counter; 16],
    /// Bytes of payload in PUBLISH packets received.
    pub publish_bytes_received: Counter,
    /// Bytes of payload in PUBLISH packets sent.
    pub publish_bytes_sent: Counter,
    /// PUBLISH packets received, by QoS.
    pub messages_received: [Counter; 3],
    /// PUBLISH packets sent, by QoS.
    pub messages_sent: [Counter; 3],
    /// Publishes that a permission denied.
    pub publish_denied: Counter,
    /// QoS 1 and 2 deliveries sent and not yet acknowledged.
    pub in_flight: Gauge,
    /// From the arrival of a PUBLISH above QoS 0 to its PUBACK or PUBREC leaving.
    pub publish_latency: Histogram,

    // Sessions.
    /// Sessions without a connection.
    pub sessions_parked: Gauge,
    /// Sessions that ended because their expiry interval passed.
    pub sessions_expired: Counter,

    // The router.
    /// Subscriptions, shared ones included.
    pub subscriptions: Gauge,
    /// Shared subscriptions.
    pub shared_subscriptions: Gauge,
    /// Retained messages.
    pub retained_messages: Gauge,
    /// Bytes of retained messages, by footprint.
    pub retained_bytes: Gauge,
    /// Messages waiting in queues.
    pub queued_messages: Gauge,
    /// Of those, the ones that lie in storage only.
    pub spilled_messages: Gauge,
    /// Bytes of them, by footprint.
    pub spilled_bytes: Gauge,
    /// Bytes in memory waiting in queues or, above QoS 0, for their acknowledgement; by footprint.
    pub queued_bytes: Gauge,

    // Storage.
    /// Commits to the store.
    pub store_commits: Counter,
    /// Times that the store waited for its disk.
    pub store_syncs: Counter,
    /// From the begin of a commit to its being on the disk, or with the system where nobody waits for it.
    pub store_commit_latency: Histogram,
    /// 1 while the store cannot be written.
    pub store_failing: Gauge,
    /// Times that the store began to fail.
    pub store_failures: Counter,
    /// Bytes that the store takes on its disk.
    pub store_disk_bytes: Gauge,
    /// Bytes that are free there.
    pub store_disk_free_bytes: Gauge,
    /// Stored values that could not be read.
    pub store_corrupt: Gauge,
    /// Messages not delivered, by reason.
    pub messages_dropped: [Counter; DropReason::ALL.len()],
}

/// What the connections that exist are counted by. No label names a client.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ConnectionKey {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// `tcp`, `tls`, `ws` or `wss`.
    pub transport: &'static str,
    /// `3.1`, `3.1.1` or `5.0`.
    pub version: &'static str,
}

/// Why a message was not delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum DropReason {
    /// Nobody had subscribed.
    NoSubscribers,
    /// A queue was full.
    QueueFull,
    /// It expired before it could be sent.
    Expired,
    /// It waited longer than the configuration lets a message wait.
    TooOld,
    /// The client takes no packet that large.
    TooLarge,
    /// The only subscription was the publisher's own, with No Local.
    NoLocal,
    /// QoS 0 for a session that is not connected.
    QoS0,
    /// All queues together, or the retained store, were full.
    Quota,
}

impl DropReason {
    /// Every reason, in the order of its value.
    pub const ALL: [Self; 8] = [
        Self::NoSubscribers,
        Self::QueueFull,
        Self::Expired,
        Self::TooOld,
        Self::TooLarge,
        Self::NoLocal,
        Self::QoS0,
        Self::Quota,
    ];

    /// As it stands in the label `reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSubscribers => "no_subscribers",
            Self::QueueFull => "queue_full",
            Self::Expired => "expired",
            Self::TooOld => "max_age",
            Self::TooLarge => "too_large",
            Self::NoLocal => "no_local",
            Self::QoS0 => "qos0_msg",
            Self::Quota => "quota",
        }
    }
}

/// The packet types as labels and topics name them, by their number in the fixed header (0 is none).
pub const PACKET_TYPES: [&str; 16] = [
    "reserved",
    "connect",
    "connack",
    "publish",
    "puback",
    "pubrec",
    "pubrel",
    "pubcomp",
    "subscribe",
    "suback",
    "unsubscribe",
    "unsuback",
    "pingreq",
    "pingresp",
    "disconnect",
    "auth",
];

impl Metrics {
    /// A reload of certificates or configuration has changed something, or failed for this reason.
    pub fn reloaded(&self, result: Result<(), &str>) {
        self.reloads.increment();
        self.config_last_reload_successful
            .set(i64::from(result.is_ok()));
        *self.last_reload_error.lock() = result.err().map(Arc::from);
    }

    /// Whether what was last read is what is in use. Before the first reload that is what the broker started with.
    #[must_use]
    pub fn is_last_reload_successful(&self) -> bool {
        self.reloads.get() == 0 || self.config_last_reload_successful.get() == 1
    }

    /// Counts a message that was not delivered.
    pub fn dropped(&self, reason: DropReason) {
        self.messages_dropped[reason as usize].increment();
    }
}

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// This many more.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// What it has come to.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Adds, or with a negative amount subtracts; returns the new value.
    pub fn add(&self, amount: i64) -> i64 {
        self.0.fetch_add(amount, Ordering::Relaxed) + amount
    }

    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Raises the value to this one where it is lower.
    pub fn raise(&self, value: i64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number for each label; for what changes a few times per connection, not per message.
#[derive(Debug)]
pub struct Labelled<Label>(Mutex<HashMap<Label, i64>>);

impl<Label> Default for Labelled<Label> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Label: Clone + Eq + std::hash::Hash> Labelled<Label> {
    /// Adds to the number of a label.
    pub fn add(&self, label: Label, amount: i64) {
        *self.0.lock().entry(label).or_default() += amount;
    }

    /// Sets the number of a label.
    pub fn set(&self, label: Label, value: i64) {
        self.0.lock().insert(label, value);
    }

    /// Forgets labels, where what they name is gone.
    pub fn retain(&self, keep: impl Fn(&Label) -> bool) {
        self.0.lock().retain(|label, _| keep(label));
    }

    /// Every label with its number.
    #[must_use]
    pub fn all(&self) -> Vec<(Label, i64)> {
        self.0
            .lock()
            .iter()
            .map(|(label, value)| (label.clone(), *value))
            .collect()
    }
}

/// Durations in fixed buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; Self::BOUNDS.len()],
    count: Counter,
    sum_nanoseconds: Counter,
}

impl Histogram {
    /// Upper bounds in seconds; a last bucket without a bound follows.
    pub const BOUNDS: [f64; 12] = [
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
    ];

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(at) = Self::BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[at].increment();
        }
        self.count.increment();
        self.sum_nanoseconds
            .add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many durations lie in each bucket, that bucket alone.
    #[must_use]
    pub fn buckets(&self) -> [u64; Self::BOUNDS.len()] {
        std::array::from_fn(|at| self.buckets[at].get())
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// Their sum in seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        Duration::from_nanos(self.sum_nanoseconds.get()).as_secs_f64()
    }
}
