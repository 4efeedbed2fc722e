//! What a connection costs that does nothing: 19,000 of them over `wss`, then over plain TCP, to the real binary.
//!
//! `cargo bench --bench idle_connections`; with `-- --test` 200 of each, and `GATEMQ_BENCH_CONNECTIONS=5000` says how
//! many. Reported are the broker's own memory (anonymous pages: neither its code nor the kernel's socket buffers) and
//! its CPU time for each, and that all of them answer a PINGREQ in the end. Each is a full handshake of TLS 1.3 with
//! X25519 and AES-128-GCM, so that the work is the same whatever the two sides would prefer.

#[path = "../../tests/interop/broker.rs"]
mod broker;
mod client;
mod process;

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use broker::{Broker, Transport};
use client::{Client, Connector};
use process::Usage;

/// A process may have 20,000 descriptors where this was written; the rest is for everything else.
const CONNECTIONS: usize = 19_000;
const TEST_CONNECTIONS: usize = 200;
/// Descriptors of either side beside its connections.
const OTHER_DESCRIPTORS: usize = 200;
/// Handshakes at a time: enough to keep a broker busy, not so many that it refuses.
const CONCURRENCY: usize = 64;
/// For one handshake or one answer.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let connections = match connections() {
        Ok(connections) => connections,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    for transport in [Transport::Wss, Transport::Tcp] {
        if let Err(error) = runtime.block_on(measure(transport, connections)) {
            eprintln!("{transport:?}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// How many; the descriptors for them are there afterwards, for this process and the broker that it starts.
fn connections() -> Result<usize, String> {
    let mut arguments = std::env::args();
    // `cargo test --benches` gives no `--bench`.
    let is_bench = arguments.any(|argument| argument == "--bench");
    let is_test = !is_bench || std::env::args().any(|argument| argument == "--test");
    let connections = match std::env::var("GATEMQ_BENCH_CONNECTIONS") {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("GATEMQ_BENCH_CONNECTIONS: not a number: {text}"))?,
        Err(_) if is_test => TEST_CONNECTIONS,
        Err(_) => CONNECTIONS,
    };
    let descriptors =
        process::raise_descriptors().map_err(|error| format!("descriptors: {error}"))?;
    if connections + OTHER_DESCRIPTORS > descriptors {
        return Err(format!(
            "{connections} connections need {OTHER_DESCRIPTORS} descriptors more; {descriptors} is the limit"
        ));
    }
    Ok(connections)
}

async fn measure(transport: Transport, connections: usize) -> Result<(), String> {
    let limits = format!(
        "[limits]\nmax_connections = {0}\nmax_connections_per_address = {0}\nmax_handshakes = {0}\n",
        connections + OTHER_DESCRIPTORS
    );
    let broker = Broker::start(&limits).await;
    let connector = Connector::new(&broker, transport)?;
    // The first connection pays for what the broker sets up once.
    let first = connector
        .connect(0)
        .await
        .map_err(|error| format!("the first: {error}"))?;

    let before = Usage::of(broker.pid())?;
    let begin = Instant::now();
    let mut clients = open(&connector, connections).await?;
    let took = begin.elapsed();
    let after = Usage::of(broker.pid())?;

    let begin = Instant::now();
    for client in &mut clients {
        client
            .send_ping()
            .await
            .map_err(|error| format!("PINGREQ: {error}"))?;
    }
    for client in &mut clients {
        within(client.expect_pong())
            .await
            .map_err(|error| format!("PINGRESP: {error}"))?;
    }
    let answered = begin.elapsed();

    let count = connections as f64;
    println!(
        "{transport:?}: {connections} idle connections: {:.0} bytes of memory and {:.0} µs of CPU each, opened in \
         {:.1} s, {:.0} in a second; all answered PINGREQ in {:.2} s",
        after.anonymous_bytes.saturating_sub(before.anonymous_bytes) as f64 / count,
        (after.cpu.saturating_sub(before.cpu)).as_secs_f64() * 1e6 / count,
        took.as_secs_f64(),
        count / took.as_secs_f64(),
        answered.as_secs_f64(),
    );
    drop(first);
    Ok(())
}

/// Opens so many, a bounded number at a time. One that fails fails the bench.
async fn open(connector: &Connector, connections: usize) -> Result<Vec<Client>, String> {
    let mut clients = Vec::with_capacity(connections);
    let mut opening = JoinSet::new();
    let mut next = 1;
    while clients.len() < connections {
        while opening.len() < CONCURRENCY && next <= connections {
            let (connector, number) = (connector.clone(), next);
            opening.spawn(async move { within(connector.connect(number)).await });
            next += 1;
        }
        let opened = opening
            .join_next()
            .await
            .expect("fewer are open than are wanted");
        let client = opened.expect("a task that does not panic");
        clients
            .push(client.map_err(|error| format!("after {} connections: {error}", clients.len()))?);
        progress(clients.len(), connections);
    }
    Ok(clients)
}

async fn within<T>(future: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    tokio::time::timeout(PATIENCE, future).await?
}

/// A line on the terminal that replaces itself, and is gone at the end.
fn progress(done: usize, of: usize) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() && (done.is_multiple_of(100) || done == of) {
        let text = if done == of {
            String::new()
        } else {
            format!("{done} of {of}")
        };
        let _ = write!(stderr, "\r\x1b[K{text}");
        let _ = stderr.flush();
    }
}
