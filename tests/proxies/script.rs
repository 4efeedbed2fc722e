//! MQTT.js in Node, through a proxy.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use tokio::process::Command;

use crate::{setup::Setup, support::certificates::Ca};

/// What MQTT.js does in `tests/interop`, over this URL.
pub(crate) async fn scenario(setup: &Setup, url: &str) {
    let mut command = node("tests/interop/mqttjs/main.mjs", setup);
    run(command.args(["--version", "5", url])).await;
}

/// Nothing for that many seconds, with this keep alive.
pub(crate) async fn idle(setup: &Setup, url: &str, seconds: u64, keep_alive: u64) {
    let mut command = node("tests/proxies/idle.mjs", setup);
    let (seconds, keep_alive) = (seconds.to_string(), keep_alive.to_string());
    run(command.args(["--seconds", &seconds, "--keepalive", &keep_alive, url])).await;
}

/// The page by HTTP/2, as browsers ask for it.
pub(crate) async fn page_by_http2(setup: &Setup, port: u16) {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--http2",
        "--write-out",
        "\n%{http_version}",
    ]);
    command.args(["--resolve", &format!("localhost:{port}:127.0.0.1")]);
    command.arg("--cacert").arg(ca_file(setup));
    let written = run(command.arg(format!("https://localhost:{port}/"))).await;
    let written = String::from_utf8_lossy(&written.stdout).into_owned();
    assert!(
        written.contains("GateMQ") && written.ends_with("\n2"),
        "{written}"
    );
}

fn node(script: &str, setup: &Setup) -> Command {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = repository.join("tests/interop/node_modules/mqtt");
    assert!(
        library.exists(),
        "{} is not there; `tests/run install` installs it",
        library.display()
    );
    let mut command = Command::new("node");
    command
        .arg(repository.join(script))
        .arg("--ca")
        .arg(ca_file(setup));
    command
}

async fn run(command: &mut Command) -> Output {
    // The scripts have deadlines of their own.
    let finished = command
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `tests/run install` installs it"));
    assert!(finished.status.success(), "{command:?}: {finished:?}");
    finished
}

fn ca_file(setup: &Setup) -> PathBuf {
    let path = setup.folder().join("ca.pem");
    let ca: &Ca = &setup.ca;
    if !path.exists() {
        std::fs::write(&path, ca.pem()).expect("written");
    }
    path
}
