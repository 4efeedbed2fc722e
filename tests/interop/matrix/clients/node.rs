//! JavaScript in Node: `mqttjs/`, `node_red/`.

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
    Client {
        id: "node-red",
        name: "Node-RED's MQTT nodes",
        project: "https://github.com/node-red/node-red",
        language: "flows, in Node",
        installed: Installed::NodeRed,
        command: || node("node_red", "main.mjs", &["node-red"]),
        without: &[],
    },
];

fn mqttjs(library: &str) -> Command {
    let mut command = node(".", "mqttjs/main.mjs", &[library]);
    command.args(["--matrix", "--library", library]);
    command
}

/// A script in a folder of tests/interop, where these packages are installed.
pub(super) fn node(folder: &str, script: &str, packages: &[&str]) -> Command {
    let folder = scripts().join(folder);
    for package in packages {
        let installed = folder.join("node_modules").join(package);
        assert!(
            installed.exists(),
            "{} is not there; `tests/run install` installs it",
            installed.display()
        );
    }
    let mut command = Command::new("node");
    command.arg(folder.join(script));
    command
}
