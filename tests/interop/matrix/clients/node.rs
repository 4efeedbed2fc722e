//! JavaScript in Node: `mqttjs/`.

use tokio::process::Command;

use super::{Client, Installed, scripts};

pub(crate) const CLIENTS: &[Client] = &[
    Client {
        id: "mqttjs5",
        name: "MQTT.js 5",
        project: "https://github.com/mqttjs/MQTT.js",
        language: "JavaScript, in Node",
        installed: Installed::Npm("mqtt"),
        command: || mqttjs("mqtt"),
        without: &[],
    },
    Client {
        id: "mqttjs4",
        name: "MQTT.js 4",
        project: "https://github.com/mqttjs/MQTT.js",
        language: "JavaScript, in Node",
        installed: Installed::Npm("mqtt4"),
        command: || mqttjs("mqtt4"),
        without: &[],
    },
];

fn mqttjs(library: &str) -> Command {
    let mut command = node("mqttjs/main.mjs", &[library]);
    command.args(["--matrix", "--library", library]);
    command
}

/// A script of tests/interop that needs these packages.
pub(super) fn node(script: &str, packages: &[&str]) -> Command {
    for package in packages {
        let installed = scripts().join("node_modules").join(package);
        assert!(
            installed.exists(),
            "{} is not there; `tests/run install` installs it",
            installed.display()
        );
    }
    let mut command = Command::new("node");
    command.arg(scripts().join(script));
    command
}
