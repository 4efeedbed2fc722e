//! What was measured, as one object with field names that stay. `lines` has it for people.

mod lines;

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    plan::{Arrival, Plan, Scenario},
    process::Usage,
    recorder::{Counts, Recorder},
};
use crate::{client::Kind, message::QoS};

/// Of a core: who uses more of each of its threads is likely to be the limit.
const BUSY: f64 = 0.9;

/// What was measured. Latencies are in microseconds; what does not apply is `null`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `conn`, `storm`, `pub`, `sub`, `fanout`, `fanin` or `pairs`.
    pub scenario: &'static str,
    /// The broker.
    pub url: String,
    /// `3.1`, `3.1.1` or `5.0`.
    pub mqtt_version: &'static str,
    /// All clients.
    pub clients: usize,
    /// Threads they were spread over.
    pub threads: usize,
    /// QoS of publishing and subscribing.
    pub qos: u8,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// Of a closed loop.
    pub window: Option<u32>,
    /// Of an open loop, messages a second.
    pub offered_per_second: Option<f64>,
    /// How long was measured.
    pub seconds: f64,
    /// It was ended before its time.
    pub interrupted: bool,
    /// How connections came about.
    pub connections: Connections,
    /// Messages of the whole run, and their rates while it was measured.
    pub messages: Option<Messages>,
    /// From publishing to delivery.
    pub delivery_latency_us: Option<Latency>,
    /// From publishing to PUBACK or PUBCOMP.
    pub acknowledgement_latency_us: Option<Latency>,
    /// The rounds of a storm.
    pub rounds: Vec<Round>,
    /// The process of `--pid`.
    pub server: Option<Server>,
    /// This process.
    pub generator: Generator,
}

/// How connections came about.
#[derive(Debug, Serialize)]
pub struct Connections {
    /// Those that CONNACK has accepted, of all rounds.
    pub opened: u64,
    /// Those that did not come about.
    pub failed: u64,
    /// Those that ended unasked.
    pub lost: u64,
    /// Those whose TLS session went on.
    pub resumed: u64,
    /// While they were opened first.
    pub opened_per_second: f64,
    /// From the first packet of TCP to CONNACK.
    pub handshake_latency_us: Option<Latency>,
    /// Why connections failed or were lost.
    pub failures: Vec<Failure>,
}

/// A reason, and how often it was one.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// In words.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// What kind of end it was.
    #[serde(skip)]
    pub kind: Kind,
}

/// What became of messages.
#[derive(Debug, Serialize)]
pub struct Messages {
    /// Published.
    pub sent: u64,
    /// Acknowledged to the end; always 0 at QoS 0.
    pub acknowledged: u64,
    /// Refused by the broker.
    pub refused: u64,
    /// Deliveries that are due for `sent`; `null` where others publish or receive.
    pub expected: Option<u64>,
    /// Deliveries that came, each once.
    pub delivered: u64,
    /// Those that did not come.
    pub dropped: Option<u64>,
    /// Those that came again.
    pub duplicates: u64,
    /// Those behind a later one of the same publisher.
    pub out_of_order: u64,
    /// Those of `delivered` that others have published.
    pub unstamped: u64,
    /// Times a closed loop has given up waiting.
    pub stalls: u64,
    /// While it was measured.
    pub sent_per_second: f64,
    /// While it was measured.
    pub delivered_per_second: f64,
}

/// A distribution, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// The mean.
    pub mean: f64,
    /// Half took no longer.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

/// All clients were cut off and came back.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Round {
    /// Until the last was back.
    pub seconds: f64,
    /// Those that came back.
    pub connected: u64,
    /// Those that did not.
    pub failed: u64,
    /// Those whose TLS session went on.
    pub resumed: u64,
}

/// What the server has used.
#[derive(Debug, Serialize)]
pub struct Server {
    /// Its process.
    pub pid: u32,
    /// Cores it kept busy while it was measured.
    pub cores: f64,
    /// User and system CPU for each delivered message; with publishers only, for each published one.
    pub cpu_us_per_message: Option<f64>,
    /// The user part of it.
    pub user_us_per_message: Option<f64>,
    /// The system part of it.
    pub system_us_per_message: Option<f64>,
    /// User and system CPU for each connection that was opened.
    pub cpu_us_per_connection: Option<f64>,
    /// Memory at the end.
    pub rss_bytes: u64,
    /// The part of it that is no file's.
    pub anonymous_bytes: u64,
    /// What memory grew by while connections were opened, for each.
    pub rss_bytes_per_connection: Option<f64>,
}

/// What this process has used.
#[derive(Debug, Serialize)]
pub struct Generator {
    /// Cores it kept busy while it was measured.
    pub cores: f64,
    /// Its threads were busy nearly all the time: the server might have done more.
    pub is_limit: bool,
}

/// What was seen on the way.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) opening: Duration,
    pub(super) opened: Counts,
    pub(super) period: Duration,
    pub(super) rounds: Vec<Round>,
    pub(super) at_start: Counts,
    pub(super) at_end: Counts,
    pub(super) counts: Counts,
    pub(super) is_stopped: bool,
    /// Server and generator: at the beginning, with connections, when measuring began and ended.
    pub(super) before: (Option<Usage>, Usage),
    pub(super) idle: (Option<Usage>, Usage),
    pub(super) started: (Option<Usage>, Usage),
    pub(super) finished: (Option<Usage>, Usage),
}

impl Report {
    pub(super) fn new(plan: &Plan, measured: &Measured, recorder: &Recorder) -> Self {
        let has_load = !matches!(plan.scenario, Scenario::Conn | Scenario::Storm { .. });
        let (window, offered_per_second) = match plan.load.arrival {
            Arrival::Window(window) => (Some(window), None),
            Arrival::Rate(rate) => (None, Some(rate)),
        };
        let publishes = plan.publishers() > 0;
        Self {
            scenario: plan.scenario.name(),
            url: plan.target.to_string(),
            mqtt_version: plan.connect.version.as_str(),
            clients: plan.clients(),
            threads: plan.threads,
            qos: plan.load.qos as u8,
            payload_bytes: plan.load.size,
            window: window.filter(|_| publishes),
            offered_per_second: offered_per_second.filter(|_| publishes),
            seconds: measured.period.as_secs_f64(),
            interrupted: measured.is_stopped,
            connections: Connections::new(measured, recorder),
            messages: has_load.then(|| Messages::new(plan, measured)),
            delivery_latency_us: Latency::of(&recorder.delivery),
            acknowledgement_latency_us: Latency::of(&recorder.acknowledgement)
                .filter(|_| plan.load.qos != QoS::AtMostOnce),
            rounds: measured.rounds.clone(),
            server: Server::new(plan, measured),
            generator: Generator::new(plan, measured),
        }
    }
}

impl Connections {
    fn new(measured: &Measured, recorder: &Recorder) -> Self {
        let failures = recorder.reasons.iter();
        let failures = failures.map(|(reason, (kind, count))| Failure {
            reason: reason.clone(),
            count: *count,
            kind: *kind,
        });
        Self {
            opened: measured.counts.connected,
            failed: measured.counts.failed,
            lost: measured.counts.lost,
            resumed: measured.counts.resumed,
            opened_per_second: ratio(measured.opened.connected, measured.opening.as_secs_f64()),
            handshake_latency_us: Latency::of(&recorder.handshake),
            failures: failures.collect(),
        }
    }
}

impl Messages {
    fn new(plan: &Plan, measured: &Measured) -> Self {
        let counts = &measured.counts;
        let expected = (plan.receivers() > 0).then(|| counts.sent * plan.receivers());
        let seconds = measured.period.as_secs_f64();
        let (from, to) = (&measured.at_start, &measured.at_end);
        let own = counts.delivered - counts.unstamped;
        Self {
            sent: counts.sent,
            acknowledged: counts.acknowledged,
            refused: counts.refused,
            expected,
            delivered: counts.delivered,
            dropped: expected.map(|expected| expected.saturating_sub(own)),
            duplicates: counts.duplicates,
            out_of_order: counts.out_of_order,
            unstamped: counts.unstamped,
            stalls: counts.stalls,
            sent_per_second: ratio(to.sent - from.sent, seconds),
            delivered_per_second: ratio(to.delivered - from.delivered, seconds),
        }
    }
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            mean: histogram.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: micros(histogram.max()),
        })
    }
}

impl Server {
    fn new(plan: &Plan, measured: &Measured) -> Option<Self> {
        let pid = plan.pid?;
        let before = measured.before.0?;
        let idle = measured.idle.0?;
        let (started, finished) = (measured.started.0?, measured.finished.0?);
        let (user, system) = finished.cpu_since(&started);
        let messages = if plan.subscribers() > 0 {
            measured.at_end.delivered - measured.at_start.delivered
        } else {
            measured.at_end.sent - measured.at_start.sent
        };
        let per = |seconds: f64, count: u64| (count > 0).then(|| seconds * 1e6 / count as f64);
        let opened = measured.opened.connected;
        let (opening_user, opening_system) = idle.cpu_since(&before);
        // In a storm all that happens are connections.
        let came_back = measured.rounds.iter().map(|round| round.connected).sum();
        let per_connection = match plan.scenario {
            Scenario::Storm { .. } => per(user + system, came_back),
            Scenario::Conn
            | Scenario::Pub
            | Scenario::Sub
            | Scenario::FanOut
            | Scenario::FanIn { .. }
            | Scenario::Pairs => per(opening_user + opening_system, opened),
        };
        let grown = idle.resident.saturating_sub(before.resident);
        Some(Self {
            pid,
            cores: ratio_of(user + system, measured.period.as_secs_f64()),
            cpu_us_per_message: per(user + system, messages),
            user_us_per_message: per(user, messages),
            system_us_per_message: per(system, messages),
            cpu_us_per_connection: per_connection,
            rss_bytes: finished.resident,
            anonymous_bytes: finished.anonymous,
            rss_bytes_per_connection: (opened > 0).then(|| grown as f64 / opened as f64),
        })
    }
}

impl Generator {
    fn new(plan: &Plan, measured: &Measured) -> Self {
        let (user, system) = measured.finished.1.cpu_since(&measured.started.1);
        let cores = ratio_of(user + system, measured.period.as_secs_f64()).max(0.0);
        Self {
            cores,
            is_limit: cores >= BUSY * plan.threads as f64,
        }
    }
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

fn ratio(count: u64, seconds: f64) -> f64 {
    ratio_of(count as f64, seconds)
}

/// JSON has no infinity.
fn ratio_of(amount: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}
