//! What is watched: logs by `tracing`, the one list of metrics with its exposition, and how far a connection came that
//! asked to be remembered. Knows nothing of what it counts. Start at [`Metrics`]; [`OpenMetrics`] writes them out,
//! [`init`] sets the logs up, [`Probes`] remembers.

mod logging;
mod metrics;
mod openmetrics;
mod probes;
mod process;

pub use logging::{InvalidFilter, LogHandle, check_filter, init};
pub use metrics::{
    ConnectionKey, Counter, DropReason, Gauge, Histogram, Labelled, Metrics, PACKET_TYPES,
};
pub use openmetrics::OpenMetrics;
pub use probes::{Note, Probe, ProbeId, Probes, Stage};
pub use process::Process;

/// How logs are written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogConfig {
    /// What is written, in the syntax of `tracing_subscriber::EnvFilter`: `info`, `gatemq=debug`.
    pub filter: String,
    /// In which form.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object for each line.
    Json,
}
