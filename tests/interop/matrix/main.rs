//! Every client library that can be had here × transport × version of the protocol, against one real broker, and
//! INTEROP.md, which says how it went. `tests/run install` installs them, `tests/run interop` runs this.
//!
//! A client is a row in `clients/` and a program that takes `URL [--ca FILE] --version 3|4|5 --name NAME`, does the steps of
//! [`Step`] in order and prints the name of each that has passed. Start at [`clients::Client`].

#[path = "../broker.rs"]
mod broker;
mod cell;
mod clients;
#[path = "../program.rs"]
mod program;
mod table;

use std::{
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use libtest_mimic::{Arguments, Trial};

use crate::{broker::Broker, table::Table};

/// At once. They wait for each other's answers most of the time; more than this and two cores are late with them.
const TRIALS_AT_ONCE: usize = 3;
/// Pages of this origin may connect: it is where `browser/` has Chromium find its page. And every client meets Pings, which
/// not every one survives.
const CONFIGURATION: &str =
    "[websocket]\nallowed_origins = [\"http://pages.example\"]\nping_interval = \"1s\"\n";
/// Set to write INTEROP.md instead of comparing it.
const UPDATE: &str = "UPDATE_INTEROP";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TRIALS_AT_ONCE);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let cells = cell::all();
    if arguments.list {
        let trials = cells
            .iter()
            .map(|cell| Trial::test(cell.title(), || Ok(())));
        return libtest_mimic::run(&arguments, trials.collect()).exit_code();
    }
    let broker = Arc::new(runtime.block_on(Broker::start(CONFIGURATION)));
    let passed = Arc::new(Mutex::new(Table::default()));
    let trials = cells.into_iter().map(|cell| {
        let (broker, passed) = (Arc::clone(&broker), Arc::clone(&passed));
        let handle = runtime.handle().clone();
        Trial::test(cell.title(), move || {
            let _shown = LogWhenFailing {
                broker: &broker,
                name: cell.name(),
            };
            handle.block_on(cell.run(&broker));
            passed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(&cell);
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if conclusion.has_failed() || !is_whole(&arguments) {
        return conclusion.exit_code();
    }
    let table = passed.lock().unwrap_or_else(PoisonError::into_inner);
    settle(&table.render())
}

/// Whether every cell has run: only then is there something to say about all of them.
fn is_whole(arguments: &Arguments) -> bool {
    arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.ignored
}

/// Compares what came out with INTEROP.md, or writes it there.
fn settle(rendered: &str) -> ExitCode {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("INTEROP.md");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, rendered).expect("a file that can be written");
        println!("{} is written", file.display());
        return ExitCode::SUCCESS;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if committed == rendered {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "INTEROP.md is not what came out of this run; `{UPDATE}=1 tests/run interop` writes it:"
    );
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(&committed), lines(rendered));
    old.iter()
        .filter(|line| !new.contains(line))
        .for_each(|line| eprintln!("- {line}"));
    new.iter()
        .filter(|line| !old.contains(line))
        .for_each(|line| eprintln!("+ {line}"));
    ExitCode::FAILURE
}

/// Shows what the broker has logged about the client of a cell, where the cell fails.
struct LogWhenFailing<'a> {
    broker: &'a Broker,
    name: String,
}

impl Drop for LogWhenFailing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.broker.log();
            let about = log.lines().filter(|line| line.contains(&self.name));
            about.for_each(|line| eprintln!("{line}"));
        }
    }
}
