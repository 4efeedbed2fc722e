//! The page, as people use it: Playwright drives Debian's Chromium through it, against the real broker over real TLS.
//! `tests/run install` installs what it needs, `tests/run browser` runs it; pictures of each state are left in
//! target/page-screenshots.
//!
//! A test is a script of `scenarios/`, which says in its head what it is about; `harness.mjs` has what all of them use.

#[path = "../interop/broker.rs"]
mod broker;
#[path = "../interop/program.rs"]
mod program;

use std::path::{Path, PathBuf};

use tokio::{process::Command, sync::Semaphore};

use crate::{
    broker::{Broker, Transport},
    program::Program,
};

/// At once: each is a Chromium and a broker, and CI has two cores.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// What the broker of most has in `[mqtt]`.
const ANYBODY: &str = "allow_anonymous = true";
const NOBODY: &str = "allow_anonymous = false";
const TWO_SESSIONS: &str = "allow_anonymous = true\nmax_sessions = 2";
const LARGE_PACKETS: &str = "allow_anonymous = true\nmax_packet_size = '16MiB'";

#[tokio::test]
async fn accessibility() {
    run("accessibility", ANYBODY, "").await;
}

#[tokio::test]
async fn addresses() {
    run("addresses", ANYBODY, "").await;
}

#[tokio::test]
async fn diagnosis() {
    run_beside_another("diagnosis").await;
}

#[tokio::test]
async fn first_load() {
    run("first_load", ANYBODY, "").await;
}

#[tokio::test]
async fn flood() {
    run("flood", ANYBODY, "").await;
}

#[tokio::test]
async fn foreign_origin() {
    run_beside_another("foreign_origin").await;
}

#[tokio::test]
async fn keyboard() {
    run("keyboard", ANYBODY, "").await;
}

#[tokio::test]
async fn languages() {
    run("languages", ANYBODY, "").await;
}

#[tokio::test]
async fn looks() {
    run("looks", ANYBODY, "").await;
}

#[tokio::test]
async fn messages() {
    run("messages", ANYBODY, "").await;
}

#[tokio::test]
async fn network() {
    run("network", ANYBODY, "").await;
}

#[tokio::test]
async fn payloads() {
    run("payloads", LARGE_PACKETS, "").await;
}

#[tokio::test]
async fn profiles() {
    run("profiles", ANYBODY, "").await;
}

#[tokio::test]
async fn publish() {
    run("publish", ANYBODY, "").await;
}

#[tokio::test]
async fn refused() {
    run("refused", NOBODY, "").await;
}

#[tokio::test]
async fn refused_for_now() {
    run("refused_for_now", TWO_SESSIONS, "").await;
}

#[tokio::test]
async fn snippets() {
    run("snippets", ANYBODY, "").await;
}

#[tokio::test]
async fn takeover() {
    run("takeover", ANYBODY, "").await;
}

/// Runs a script against a broker so configured.
async fn run(scenario: &str, mqtt: &str, toml: &str) {
    let _turn = AT_ONCE.acquire().await.expect("never closed");
    let mut broker = Broker::configured(mqtt, toml).await;
    let script = script(scenario, &broker);
    follow(script, &mut broker).await;
}

/// Runs a script that knows a second broker, of another CA and with no word of the first.
async fn run_beside_another(scenario: &str) {
    let _turn = AT_ONCE.acquire().await.expect("never closed");
    let (mut broker, other) = (Broker::start("").await, Broker::start("").await);
    let mut script = script(scenario, &broker);
    script.args(["--other", &format!("https://localhost:{}", other.secure())]);
    script.arg("--other-ca").arg(other.ca());
    follow(script, &mut broker).await;
}

/// To its end. It may ask for the broker to be killed and started again, by a line for each.
async fn follow(script: Command, broker: &mut Broker) {
    let mut program = Program::start(script);
    loop {
        match program.line().await.as_str() {
            "kill" => broker.kill(),
            "start" => broker.restart().await,
            "passed" => break,
            _ => continue,
        }
        program.say("done").await;
    }
    program.succeeds().await;
}

fn script(scenario: &str, broker: &Broker) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
    assert!(
        folder.join("node_modules/playwright-core").is_dir(),
        "the packages of tests/page/package.json are not there; `tests/run install` installs them"
    );
    let mut command = Command::new("node");
    command.arg(folder.join("main.mjs")).arg(scenario);
    command.arg(format!("https://localhost:{}", broker.secure()));
    command.arg("--ca").arg(broker.ca());
    command.args(["--plain", &broker.url(Transport::Tcp)]);
    command.arg("--pictures").arg(pictures());
    command
}

/// Where the pictures go: beside the binary's profile folder.
fn pictures() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_gatemq"));
    let target = binary.ancestors().nth(2).expect("target/debug/gatemq");
    target.join("page-screenshots")
}
