//! What is measured, and how much of it: a minute to see that all of it works, or hours for figures.

use std::time::Duration;

use clap::Parser;

use crate::peer::Kind;

/// Durable brokers side by side: what an acknowledgement costs that means "on disk".
#[derive(Debug, Parser)]
#[command(name = "durability")]
pub(crate) struct Arguments {
    /// Measure for figures, with every broker, and write them into BENCHMARKS.md
    #[arg(long)]
    pub(crate) full: bool,
    /// Runs of which the median is taken [default: 1, with --full 3]
    #[arg(long)]
    runs: Option<usize>,
    /// How long each load is measured [default: 0.5, with --full 10]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Loads to acknowledge, publishers and the messages that each has under way, as in 100x1 [default: 1x1,1x16,100x1,
    /// with --full 1000x1 too]
    #[arg(long, value_delimiter = ',', value_parser = load)]
    loads: Vec<(usize, u16)>,
    /// Messages that are stored before a kill -9, ascending [default: 2000, with --full 1000000,10000000]
    #[arg(long, value_delimiter = ',')]
    stored: Vec<u64>,
    /// Only these scenarios
    #[arg(long, value_enum, value_delimiter = ',')]
    scenarios: Vec<Scenario>,
    /// Only these brokers
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) peers: Vec<Kind>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// Given by `tests/run`: what is done without --full anyway
    #[arg(long, hide = true)]
    test: bool,
}

/// One table of BENCHMARKS.md each.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Publish to PUBACK, for a session whose client is away
    Acknowledged,
    /// Bytes written for each message
    Written,
    /// A session that returns to its queue
    Drain,
    /// One message for many sessions whose clients are away
    FanOut,
    /// kill -9 with much in store
    Start,
}

/// How much.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) runs: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// Scenarios of one round share a broker; each round has new ones.
    pub(crate) rounds: Vec<Vec<Scenario>>,
    /// Samples of the disk's own fdatasync.
    pub(crate) syncs: usize,
    /// Publishers, and messages that each has under way.
    pub(crate) loads: Vec<(usize, u16)>,
    /// Publishers and the messages of all of them whose bytes are counted: a lone one and many.
    pub(crate) written: [(usize, u64); 2],
    /// What is written in the background within this time afterwards belongs to them.
    pub(crate) settle: Duration,
    /// Messages that wait for the session that returns.
    pub(crate) drained: u64,
    /// Sessions that one message is for.
    pub(crate) sessions: usize,
    /// Messages for all of them, one after the other.
    pub(crate) fan_outs: u64,
    pub(crate) stored: Vec<u64>,
    /// Beyond that only GateMQ is filled: the others keep it in memory, or take hours.
    pub(crate) most_stored_by_others: u64,
}

impl Scenario {
    pub(crate) const ALL: [Self; 5] = [
        Self::Acknowledged,
        Self::Written,
        Self::Drain,
        Self::FanOut,
        Self::Start,
    ];

    /// Its name in the marks of the document.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Written => "written",
            Self::Drain => "drain",
            Self::FanOut => "fan-out",
            Self::Start => "start",
        }
    }
}

impl Arguments {
    pub(crate) fn plan(&self) -> Plan {
        let mut plan = if self.full {
            Plan::full()
        } else {
            Plan::short()
        };
        if let Some(runs) = self.runs {
            plan.runs = runs.max(1);
        }
        if let Some(seconds) = self.seconds {
            plan.measured = Duration::try_from_secs_f64(seconds).unwrap_or(plan.measured);
        }
        if !self.loads.is_empty() {
            plan.loads.clone_from(&self.loads);
        }
        if !self.stored.is_empty() {
            plan.stored.clone_from(&self.stored);
        }
        if !self.scenarios.is_empty() {
            for round in &mut plan.rounds {
                round.retain(|scenario| self.scenarios.contains(scenario));
            }
            plan.rounds.retain(|round| !round.is_empty());
        }
        plan
    }
}

impl Plan {
    fn full() -> Self {
        Self {
            runs: 3,
            warm_up: Duration::from_secs(2),
            measured: Duration::from_secs(10),
            rounds: Scenario::ALL.map(|scenario| vec![scenario]).to_vec(),
            syncs: 1000,
            loads: vec![(1, 1), (1, 16), (100, 1), (1000, 1)],
            written: [(1, 2000), (100, 200_000)],
            settle: Duration::from_secs(2),
            drained: 100_000,
            sessions: 1000,
            fan_outs: 100,
            stored: vec![1_000_000, 10_000_000],
            most_stored_by_others: 1_000_000,
        }
    }

    fn short() -> Self {
        let [first @ .., last] = Scenario::ALL;
        Self {
            // RabbitMQ takes seconds to start: once for all that does not kill it.
            rounds: vec![first.to_vec(), vec![last]],
            runs: 1,
            warm_up: Duration::from_millis(100),
            measured: Duration::from_millis(500),
            syncs: 50,
            loads: vec![(1, 1), (1, 16), (100, 1)],
            written: [(1, 50), (20, 1000)],
            settle: Duration::from_millis(100),
            drained: 2000,
            sessions: 20,
            fan_outs: 3,
            stored: vec![2000],
            ..Self::full()
        }
    }
}

/// From `100x1`.
fn load(text: &str) -> Result<(usize, u16), String> {
    let parsed = text.split_once('x').and_then(|(publishers, window)| {
        let (publishers, window) = (publishers.parse().ok()?, window.parse().ok()?);
        (publishers > 0 && window > 0).then_some((publishers, window))
    });
    parsed.ok_or_else(|| format!("{text}: not PUBLISHERSxMESSAGES, as in 100x1"))
}
