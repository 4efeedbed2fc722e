//! The flags of `gatemq bench`: those of emqtt_bench where it has them, those of `gatemq pub` for the connection. Where
//! a letter means something else to mosquitto's clients, emqtt_bench's meaning holds here; long names mean the same
//! everywhere.

use std::time::Duration;

use clap::{Args, Subcommand};
use gatemq::{
    bench::{Arrival, Load, Opening, Plan, Scenario},
    message::QoS,
};

use crate::cli::client::{self, ConnectionArguments};

/// At the foot of each `--help`.
const AFTER_HELP: &str = "\
-c, -i, -I, -n, -L, -R and -S mean what they mean to emqtt_bench; -V, -h, -p, -u, -P, -k, -x, -t and -q are the same there
and in `gatemq pub`.

Exit codes: 0 done, 2 usage, 3 unreachable, 4 refused, 5 timeout.";

/// At the foot of `gatemq bench --help`: what scripts rely on.
pub(crate) const FIELDS: &str = "\
Of --json, latencies are objects of count, mean, p50, p90, p99, p99.9 and max in microseconds, and what does not apply is
null: scenario, url, mqtt_version, clients, threads, qos, payload_bytes, window, offered_per_second, seconds, interrupted;
connections: opened, failed, lost, resumed, opened_per_second, handshake_latency_us, failures (reason, count);
messages: sent, acknowledged, refused, expected, delivered, dropped, duplicates, out_of_order, unstamped, stalls,
sent_per_second, delivered_per_second; delivery_latency_us; acknowledgement_latency_us;
rounds: seconds, connected, failed, resumed;
server: pid, cores, cpu_us_per_message, user_us_per_message, system_us_per_message, cpu_us_per_connection, rss_bytes,
anonymous_bytes, rss_bytes_per_connection; generator: cores, is_limit.

Messages are counted over the whole run; rates, latencies and CPU are of the time behind --warmup. A closed loop that
waits for a message for 6 seconds takes it for lost and goes on: a stall. unstamped are messages of others.";

/// Connections that are opened at the same time, where nothing else is said: enough to keep a broker busy.
const CONCURRENCY: usize = 100;

/// Measured for so long.
const DURATION: Duration = Duration::from_secs(10);

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open idle connections and hold them: how fast, how much memory each
    #[command(disable_help_flag = true, after_help = AFTER_HELP)]
    Conn(Box<ConnArguments>),
    /// Publish only
    #[command(disable_help_flag = true, after_help = AFTER_HELP)]
    Pub(Box<PubArguments>),
    /// Subscribe only, and count what comes
    #[command(disable_help_flag = true, after_help = AFTER_HELP)]
    Sub(Box<SubArguments>),
    /// One publisher, many subscribers
    #[command(disable_help_flag = true, after_help = AFTER_HELP)]
    Fanout(Box<PubArguments>),
    /// Many publishers, one subscriber or few
    #[command(disable_help_flag = true, after_help = AFTER_HELP)]
    Fanin(Box<FaninArguments>),
    /// Publishers with a subscriber each
    #[command(disable_help_flag = true, after_help = AFTER_HELP)]
    Pairs(Box<PubArguments>),
    /// Cut all clients off and let them come back at once
    #[command(disable_help_flag = true, after_help = AFTER_HELP)]
    Storm(Box<StormArguments>),
}

#[derive(Args, Debug)]
pub(crate) struct ConnArguments {
    #[command(flatten)]
    clients: ClientArguments,
    #[command(flatten)]
    time: TimeArguments,
}

#[derive(Args, Debug)]
pub(crate) struct StormArguments {
    #[command(flatten)]
    clients: ClientArguments,
    /// How many times
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Load")]
    rounds: u32,
    /// Go on with the TLS session of a connection before, as clients do that keep tickets
    #[arg(long, help_heading = "Load")]
    resume: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SubArguments {
    #[command(flatten)]
    clients: ClientArguments,
    #[command(flatten)]
    time: TimeArguments,
    #[command(flatten)]
    topic: TopicArguments,
}

#[derive(Args, Debug)]
pub(crate) struct PubArguments {
    #[command(flatten)]
    clients: ClientArguments,
    #[command(flatten)]
    time: TimeArguments,
    #[command(flatten)]
    topic: TopicArguments,
    #[command(flatten)]
    load: LoadArguments,
}

#[derive(Args, Debug)]
pub(crate) struct FaninArguments {
    #[command(flatten)]
    publishing: PubArguments,
    /// Subscribers; each gets every message
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Load")]
    subscribers: u32,
    /// The subscribers share one subscription: each message goes to one of them
    #[arg(long, help_heading = "Load")]
    shared: bool,
}

#[derive(Args, Debug)]
#[command(
    mut_arg("id", |arg| arg.short(None).hide(true)),
    mut_arg("id_prefix", |arg| arg.short(None).visible_alias("prefix").help("Client identifiers: this, then the number [default: gatemq-bench-, five random letters and -]")),
    mut_arg("url", |arg| arg.short(None)),
    mut_arg("disable_clean_session", |arg| arg.short(None).hide(true)),
    mut_arg("tls", |arg| arg.short('S').visible_alias("ssl")),
    mut_arg("cafile", |arg| arg.alias("cacertfile")),
    mut_arg("cert", |arg| arg.alias("certfile")),
    mut_arg("key", |arg| arg.alias("keyfile")),
    mut_arg("bind", |arg| arg.alias("ifaddr")),
    mut_arg("session_expiry_interval", |arg| arg.alias("session-expiry")),
)]
pub(crate) struct ClientArguments {
    /// Clients; of fanout the subscribers, of fanin the publishers, of pairs the pairs
    #[arg(short = 'c', long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Clients")]
    count: u32,
    /// Number of the first client, for client identifiers and %i
    #[arg(short = 'n', long = "startnumber", value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=u64::from(u32::MAX)), help_heading = "Clients")]
    start_number: u64,
    /// Connections that are opened a second, at most; 0: -i says it
    #[arg(short = 'R', long = "connrate", value_name = "RATE", value_parser = rate_or_zero, help_heading = "Clients")]
    connection_rate: Option<f64>,
    /// Milliseconds between one connection and the next [default: 0]
    #[arg(
        short = 'i',
        long,
        value_name = "MILLISECONDS",
        help_heading = "Clients"
    )]
    interval: Option<u32>,
    /// Connections that are opened at the same time, at most; 0: all [default: 100, and all in the rounds of storm]
    #[arg(long, value_name = "COUNT", help_heading = "Clients")]
    concurrency: Option<usize>,
    /// Threads for the clients
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Clients")]
    threads: u16,
    /// Process of the broker, on this machine: its CPU and memory are measured, too
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,
    /// Print the figures as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

#[derive(Args, Debug)]
struct TimeArguments {
    /// Seconds that are measured [default: 10, or until the messages of --limit are through]
    #[arg(long, value_name = "SECONDS", value_parser = client::seconds, help_heading = "Load")]
    duration: Option<Duration>,
}

#[derive(Args, Debug)]
struct TopicArguments {
    /// Topic; %i is the client's number, %c its client identifier, %u the user name [default: gatemq-bench/%i]
    #[arg(short = 't', long, value_name = "TOPIC", help_heading = "Load")]
    topic: Option<String>,
    /// 0: at most once; 1: at least once; 2: exactly once
    #[arg(short = 'q', long, value_parser = client::qos, default_value = "0", help_heading = "Load")]
    qos: QoS,
    /// Messages of all clients together, then it is done; 0: as many as the time allows
    #[arg(short = 'L', long, value_name = "COUNT", help_heading = "Load")]
    limit: Option<u64>,
    /// Seconds before anything is measured [default: 1, with --limit 0]
    #[arg(long = "warmup", value_name = "SECONDS", value_parser = client::seconds, help_heading = "Load")]
    warm_up: Option<Duration>,
}

#[derive(Args, Debug)]
struct LoadArguments {
    /// Closed loop: messages of each publisher that are on their way, at most [default: 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Load", conflicts_with_all = ["rate", "message_interval"])]
    window: Option<u32>,
    /// Open loop: messages a second of all publishers together; latency counts from the moment each was due
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Load", conflicts_with = "message_interval")]
    rate: Option<f64>,
    /// Open loop: milliseconds between the messages of each publisher
    #[arg(short = 'I', long = "interval_of_msg", visible_alias = "interval-of-msg", value_name = "MILLISECONDS", value_parser = rate, help_heading = "Load")]
    message_interval: Option<f64>,
    /// Bytes of each payload; the first 24 are publisher, number and time
    #[arg(
        short = 's',
        long,
        value_name = "BYTES",
        default_value_t = 256,
        help_heading = "Load"
    )]
    size: usize,
    /// Messages of each publisher that are not acknowledged, at most [default: --window, or 1000 of an open loop]
    #[arg(short = 'F', long = "inflight", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Load")]
    in_flight: Option<u16>,
    /// The broker keeps the last message
    #[arg(short = 'r', long, help_heading = "Load")]
    retain: bool,
}

/// More than nothing.
fn rate(text: &str) -> Result<f64, String> {
    let rate = rate_or_zero(text)?;
    if rate == 0.0 {
        return Err("expected is a number above 0".to_owned());
    }
    Ok(rate)
}

fn rate_or_zero(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    let rate = rate.filter(|rate| (0.0..=1e9).contains(rate) && (*rate == 0.0 || *rate >= 1e-3));
    rate.ok_or_else(|| "expected is a number up to 1000000000, as 1000 or 0.5".to_owned())
}

impl Command {
    /// What is typed behind `bench`.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Conn(_) => "bench conn",
            Self::Pub(_) => "bench pub",
            Self::Sub(_) => "bench sub",
            Self::Fanout(_) => "bench fanout",
            Self::Fanin(_) => "bench fanin",
            Self::Pairs(_) => "bench pairs",
            Self::Storm(_) => "bench storm",
        }
    }

    pub(super) const fn clients(&self) -> &ClientArguments {
        match self {
            Self::Conn(arguments) => &arguments.clients,
            Self::Sub(arguments) => &arguments.clients,
            Self::Pub(arguments) | Self::Fanout(arguments) | Self::Pairs(arguments) => {
                &arguments.clients
            }
            Self::Fanin(arguments) => &arguments.publishing.clients,
            Self::Storm(arguments) => &arguments.clients,
        }
    }

    const fn scenario(&self) -> Scenario {
        match self {
            Self::Conn(_) => Scenario::Conn,
            Self::Pub(_) => Scenario::Pub,
            Self::Sub(_) => Scenario::Sub,
            Self::Fanout(_) => Scenario::FanOut,
            Self::Pairs(_) => Scenario::Pairs,
            Self::Fanin(arguments) => Scenario::FanIn {
                subscribers: arguments.subscribers as usize,
                shared: arguments.shared,
            },
            Self::Storm(arguments) => Scenario::Storm {
                rounds: arguments.rounds,
            },
        }
    }

    const fn parts(
        &self,
    ) -> (
        Option<&TimeArguments>,
        Option<&TopicArguments>,
        Option<&LoadArguments>,
    ) {
        match self {
            Self::Conn(arguments) => (Some(&arguments.time), None, None),
            Self::Storm(_) => (None, None, None),
            Self::Sub(arguments) => (Some(&arguments.time), Some(&arguments.topic), None),
            Self::Pub(all) | Self::Fanout(all) | Self::Pairs(all) => {
                (Some(&all.time), Some(&all.topic), Some(&all.load))
            }
            Self::Fanin(arguments) => {
                let all = &arguments.publishing;
                (Some(&all.time), Some(&all.topic), Some(&all.load))
            }
        }
    }

    /// What the flags mean together, or what contradicts what.
    pub(super) fn plan(&self, connection: &client::Plan) -> Result<Plan, String> {
        let clients = self.clients();
        if let Some(flag) = clients.connection.is_for_one_client() {
            return Err(format!(
                "{flag} is for one client, and here are many; --id-prefix says what their identifiers begin with"
            ));
        }
        if connection
            .properties
            .message(client::Command::Publish)
            .is_some()
        {
            return Err(
                "-D publish is for `gatemq pub`; messages have no properties here".to_owned(),
            );
        }
        let (time, topic, load) = self.parts();
        let limit = topic
            .and_then(|topic| topic.limit)
            .filter(|limit| *limit > 0);
        let prefix = clients.connection.id_prefix().map_or_else(
            || format!("gatemq-bench-{}-", client::random_letters(5)),
            str::to_owned,
        );
        let given = topic.and_then(|topic| topic.topic.clone());
        let given = given.or_else(|| connection.target.topic.clone());
        let default_warm_up = Duration::from_secs(u64::from(limit.is_none()));
        let plan = Plan {
            scenario: self.scenario(),
            count: clients.count as usize,
            start_number: clients.start_number,
            prefix,
            target: connection.target.clone(),
            dial: connection.dial.clone(),
            connect: connection.connect.clone(),
            opening: self.opening(),
            load: Load {
                arrival: load.map_or(Arrival::Window(1), |load| load.arrival(self)),
                size: load.map_or(256, |load| load.size),
                qos: topic.map_or(QoS::AtMostOnce, |topic| topic.qos),
                retain: load.is_some_and(|load| load.retain),
                in_flight: load.and_then(|load| load.in_flight),
                limit,
            },
            topic: given.unwrap_or_else(|| "gatemq-bench/%i".to_owned()),
            warm_up: topic
                .and_then(|topic| topic.warm_up)
                .unwrap_or(default_warm_up),
            duration: time
                .and_then(|time| time.duration)
                .or_else(|| limit.is_none().then_some(DURATION)),
            threads: usize::from(clients.threads),
            pid: clients.pid,
        };
        plan.check().map(|()| plan)
    }

    fn opening(&self) -> Opening {
        let clients = self.clients();
        let by_interval = clients.interval.filter(|interval| *interval > 0);
        let by_interval = by_interval.map(|interval| 1000.0 / f64::from(interval));
        let resumes = match self {
            Self::Storm(arguments) => arguments.resume,
            Self::Conn(_)
            | Self::Pub(_)
            | Self::Sub(_)
            | Self::Fanout(_)
            | Self::Fanin(_)
            | Self::Pairs(_) => false,
        };
        Opening {
            rate: clients
                .connection_rate
                .filter(|rate| *rate > 0.0)
                .or(by_interval),
            concurrency: Some(clients.concurrency.unwrap_or(CONCURRENCY)).filter(|it| *it > 0),
            storms: clients.concurrency.is_none(),
            resumes,
        }
    }
}

impl LoadArguments {
    fn arrival(&self, command: &Command) -> Arrival {
        let publishers = match command {
            Command::Fanout(_) => 1,
            Command::Conn(_)
            | Command::Pub(_)
            | Command::Sub(_)
            | Command::Fanin(_)
            | Command::Pairs(_)
            | Command::Storm(_) => command.clients().count,
        };
        let by_interval = self
            .message_interval
            .map(|interval| f64::from(publishers) * 1000.0 / interval);
        match self.rate.or(by_interval) {
            Some(rate) => Arrival::Rate(rate),
            None => Arrival::Window(self.window.unwrap_or(1)),
        }
    }
}
