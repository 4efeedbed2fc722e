//! mosquitto with `persistence true`: all in memory, a snapshot (synced) every half hour, at its end and at SIGUSR1. An
//! acknowledgement means that it is in memory.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{Peer, RETRY_INTERVAL, START_PATIENCE, find};

/// In its folder.
const SNAPSHOT: &str = "mosquitto.db";

pub(super) fn program() -> Option<PathBuf> {
    find("mosquitto")
}

/// From `mosquitto version 2.0.11`.
pub(super) fn version() -> Option<String> {
    let output = Command::new(program()?).arg("-h").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().nth(2).map(str::to_owned)
}

/// A user must be named, or root's mosquitto becomes one that may not write here.
pub(super) fn configure(folder: &Path, port: u16) -> io::Result<()> {
    let shown = folder.display();
    let configuration = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n\
         persistence true\npersistence_location {shown}/\n\
         max_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n\
         log_dest stderr\nlog_type error\nlog_type warning\n"
    );
    fs::write(folder.join("mosquitto.conf"), configuration)
}

pub(super) fn command() -> Command {
    let mut command = Command::new(program().unwrap_or_else(|| "mosquitto".into()));
    command.args(["-c", "mosquitto.conf"]);
    command
}

/// Lets it write its snapshot now, which it writes beside the last one and then puts in its place.
pub(super) async fn save(peer: &Peer) -> io::Result<()> {
    let snapshot = peer.folder().join(SNAPSHOT);
    let written = || -> Option<SystemTime> { fs::metadata(&snapshot).ok()?.modified().ok() };
    let before = written();
    peer.signal(Signal::USR1)?;
    let begin = Instant::now();
    while written() == before || folder_has(peer.folder(), "mosquitto.db.new") {
        if begin.elapsed() > START_PATIENCE {
            return Err(io::Error::other("no snapshot after SIGUSR1"));
        }
        sleep(RETRY_INTERVAL).await;
    }
    Ok(())
}

fn folder_has(folder: &Path, file: &str) -> bool {
    folder.join(file).exists()
}
