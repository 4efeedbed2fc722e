//! Rust: `rumqttc/`, a crate of its own, which `tests/run install` builds.

use tokio::process::Command;

use super::{Client, Installed, Version, What, Without, built};

pub(crate) const CLIENTS: &[Client] = &[Client {
    id: "rumqttc",
    name: "rumqttc",
    project: "https://github.com/bytebeamio/rumqtt",
    language: "Rust",
    installed: Installed::Cargo("rumqttc"),
    command: || Command::new(built().join("rumqttc/debug/interop-rumqttc")),
    without: &[Without {
        what: What::Version(&[Version::V31]),
        why: "it speaks 3.1.1 and 5.0",
    }],
}];
