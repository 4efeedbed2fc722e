//! Python, from PyPI.

use tokio::process::Command;

use super::{Client, Installed, built, scripts};

pub(crate) const CLIENTS: &[Client] = &[Client {
    id: "paho-python",
    name: "Eclipse Paho Python",
    project: "https://github.com/eclipse-paho/paho.mqtt.python",
    language: "Python",
    installed: Installed::Pip("paho-mqtt"),
    command: || {
        let mut command = python("paho_python");
        command.arg("--matrix");
        command
    },
    without: &[],
}];

/// A script or a folder of tests/interop, with the packages of requirements.txt.
fn python(script: &str) -> Command {
    let mut command = Command::new(built().join("bin/python"));
    command.arg(scripts().join(script));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
