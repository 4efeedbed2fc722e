//! What it costs that an acknowledgement means "on disk", beside mosquitto, which acknowledges from memory, and RabbitMQ's
//! quorum queues, which sync first.
//!
//! `cargo bench --bench durability` shows within a minute that all of it works, with the brokers that are installed;
//! `-- --full` measures for an hour or two and writes the tables of BENCHMARKS.md; `-- --help` tells the rest. Brokers take
//! turns: each run of each is followed by the same run of the next. Each is the real program, in a new folder on the disk
//! beneath `target/`, on the first core; the clients are on the last.
//!
//! Start at `plan`; `scenario/` has a file for each table, `peer/` one for each broker.

mod connection;
mod disk;
mod document;
mod figures;
mod load;
mod machine;
mod metrics;
mod peer;
mod plan;
mod process;
mod scenario;
mod statistics;
#[path = "../idle_connections/process.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod usage;
mod wire;

use std::{io, path::Path, process::ExitCode};

use clap::Parser;
use tokio::{task::LocalSet, time::Instant};

use figures::Figures;
use machine::Cores;
use peer::{Kind, Peer};
use plan::{Arguments, Plan, Scenario};
use scenario::{acknowledged, drain, fan_out, start, written};

/// Of either side beside the clients' connections: files of the store and of the peers.
const OTHER_DESCRIPTORS: usize = 500;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    match LocalSet::new().block_on(&runtime, measure(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("durability: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments) -> Result<(), String> {
    let plan = arguments.plan();
    let kinds = kinds(arguments)?;
    check_descriptors(&plan)?;
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if machine::is_memory(disk) {
        return Err(format!(
            "{} is in memory, where fdatasync means nothing: set CARGO_TARGET_DIR to a folder on a disk",
            disk.display()
        ));
    }
    let cores = Cores::take().map_err(|error| format!("cores: {error}"))?;
    let titles: Vec<String> = kinds.iter().map(|kind| kind.title()).collect();
    let machine = format!(
        "{}- {}\n- {} of each, taking turns; loads are measured for {} s\n",
        machine::describe(disk, cores),
        titles.join(", "),
        plural(plan.runs, "run"),
        plan.measured.as_secs_f64(),
    );
    publish(arguments, "machine", &machine)?;
    for round in &plan.rounds {
        let begin = Instant::now();
        let tables = run(round, &kinds, disk, cores, &plan).await;
        let tables = tables.map_err(|error| error.to_string())?;
        for (scenario, figures) in round.iter().zip(tables) {
            publish(arguments, scenario.name(), &figures.table(&kinds))?;
        }
        let names: Vec<&str> = round.iter().map(|scenario| scenario.name()).collect();
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!("{}: {seconds:.0} s\n", names.join(", "));
    }
    Ok(())
}

/// Those that are wanted and can be started. Figures are worth little without somebody beside.
fn kinds(arguments: &Arguments) -> Result<Vec<Kind>, String> {
    let wanted = if arguments.peers.is_empty() {
        &Kind::ALL[..]
    } else {
        &arguments.peers
    };
    let mut kinds = Vec::new();
    for kind in wanted.iter().copied() {
        match kind.check() {
            Ok(()) => kinds.push(kind),
            Err(error) if arguments.full => return Err(error),
            Err(error) => eprintln!("without {}: {error}", kind.name()),
        }
    }
    Ok(kinds)
}

fn check_descriptors(plan: &Plan) -> Result<(), String> {
    let limit = usage::raise_descriptors().map_err(|error| format!("descriptors: {error}"))?;
    let publishers = plan.loads.iter().map(|(publishers, _)| *publishers).max();
    let wanted = publishers.unwrap_or_default() + OTHER_DESCRIPTORS;
    if wanted > limit {
        return Err(format!(
            "{wanted} descriptors are wanted and {limit} may be had: raise the hard limit (`ulimit -Hn`)"
        ));
    }
    Ok(())
}

/// All runs of a round; the figures of each of its scenarios. What a peer cannot do is said below the table; what GateMQ
/// cannot do ends it.
async fn run(
    round: &[Scenario],
    kinds: &[Kind],
    disk: &Path,
    cores: Cores,
    plan: &Plan,
) -> io::Result<Vec<Figures>> {
    let mut tables: Vec<Figures> = round.iter().map(|_| Figures::default()).collect();
    if let ([Scenario::Start], [figures]) = (round, &mut tables[..]) {
        start::run(kinds, disk, cores, plan, figures).await?;
        return Ok(tables);
    }
    for _ in 0..plan.runs {
        for kind in kinds.iter().copied() {
            let peer = Peer::start(kind, disk, cores.broker).await?;
            for (scenario, figures) in round.iter().zip(&mut tables) {
                match once(*scenario, &peer, plan, figures).await {
                    Ok(()) => {}
                    Err(error) => {
                        let text = format!("{}, {}: {error}", kind.name(), scenario.name());
                        if kind == Kind::GateMq {
                            return Err(io::Error::new(error.kind(), text));
                        }
                        eprintln!("{text}");
                        figures.note(format!("{} did not get to the end: {error}.", kind.name()));
                    }
                }
            }
        }
    }
    Ok(tables)
}

async fn once(
    scenario: Scenario,
    peer: &Peer,
    plan: &Plan,
    figures: &mut Figures,
) -> io::Result<()> {
    match scenario {
        Scenario::Acknowledged => acknowledged::run(peer, plan, figures).await,
        Scenario::Written => written::run(peer, plan, figures).await,
        Scenario::Drain => drain::run(peer, plan, figures).await,
        Scenario::FanOut => fan_out::run(peer, plan, figures).await,
        Scenario::Start => Err(io::Error::other("it needs all brokers at once")),
    }
}

/// Into the document where it is for keeping, and onto the terminal.
fn publish(arguments: &Arguments, name: &str, text: &str) -> Result<(), String> {
    println!("{text}");
    if arguments.full {
        document::update(name, text).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn plural(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        many => format!("{many} {word}s"),
    }
}
