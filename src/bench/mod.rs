//! A load generator: thousands of clients on a few threads, what they measure, and what the server uses meanwhile.
//! Knows the client and the codec, nothing of a broker, so that it measures any.
//!
//! Start at [`run`]: the `conductor` lets `thread`s of `client`s go through the phases of a [`Plan`], and makes a [`Report`].

mod active;
mod client;
mod conductor;
mod flow;
mod inbound;
mod order;
mod outbox;
mod pace;
mod plan;
mod process;
mod publisher;
mod recorder;
mod report;
mod shared;
mod stamp;
mod thread;

pub use plan::{Arrival, Load, Opening, Plan, Scenario};
pub use recorder::Counts;
pub use report::{Connections, Failure, Generator, Latency, Messages, Report, Round, Server};
pub use stamp::STAMP;

use std::{error::Error, fmt, io, time::Duration};

/// Why there is no report.
#[derive(Debug)]
pub enum BenchError {
    /// The plan makes no sense.
    Plan(String),
    /// The server's figures cannot be read.
    Server(u32, io::Error),
    /// The system does not give what a thread needs.
    Thread(io::Error),
}

/// How far it is: told once a second.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What goes on: `connecting`, `warming up`, `measuring`, `draining`, `holding`, `round`.
    pub stage: &'static str,
    /// Since the beginning.
    pub elapsed: Duration,
    /// All clients.
    pub clients: usize,
    /// What was counted so far.
    pub counts: Counts,
    /// What was counted in the last second.
    pub sent: u64,
    /// Of these.
    pub delivered: u64,
}

/// Does what is planned. `tell` is called once a second; `stop` ends it early, with a report of what there is.
///
/// # Errors
/// What is wrong with the plan, or with this machine.
pub async fn run(
    plan: Plan,
    tell: &mut dyn FnMut(&Progress),
    stop: impl Future<Output = ()>,
) -> Result<Report, BenchError> {
    plan.check().map_err(BenchError::Plan)?;
    let members = plan.members().map_err(BenchError::Plan)?;
    conductor::conduct(plan, members, tell, Box::pin(stop)).await
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(what) => f.write_str(what),
            Self::Server(pid, error) => write!(
                f,
                "--pid {pid}: {error}; expected is the process identifier of a broker on this machine"
            ),
            Self::Thread(error) => write!(
                f,
                "a thread cannot run: {error}; use fewer --threads, or raise the limits"
            ),
        }
    }
}

impl Error for BenchError {}
