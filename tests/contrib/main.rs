//! What lies in `contrib/` beside the proxies (`tests/proxies`): units, package, dashboard, alerts. Each is held against the
//! program that it is for: systemd, promtool, the broker's own metrics. `tests/run install` installs them. And the documents.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test names what it expects, and everything else fails it"
)]

#[path = "../support/mod.rs"]
mod support;

mod documents; // two languages, one content
mod metrics; // every name that is used exists
mod package; // every file that is named exists
mod units; // systemd takes them

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A file of the repository.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs a program, which must find nothing wrong.
fn succeeds(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `tests/run install` installs it"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}
