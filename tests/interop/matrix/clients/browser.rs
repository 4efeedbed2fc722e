//! JavaScript in Chromium, from a page of another origin and from the broker's own: `browser/`. What that page itself does
//! is for the tests of the page.

use tokio::process::Command;

use super::{Client, Installed, Version, What, Without, node::node};
use crate::broker::Transport;

const NO_SOCKETS: Without = Without {
    what: What::Transport(&[Transport::Tcp, Transport::Tls]),
    why: "a page has only WebSocket",
};

pub(crate) const CLIENTS: &[Client] = &[
    Client {
        id: "chromium-ours",
        name: "MQTT.js 5 in Chromium, our page",
        project: "https://github.com/mqttjs/MQTT.js",
        language: "JavaScript, in the broker's page under its policy",
        installed: Installed::Npm("mqtt"),
        command: || chromium("ours", "mqtt"),
        without: &[NO_SOCKETS],
    },
    Client {
        id: "chromium-mqttjs5",
        name: "MQTT.js 5 in Chromium",
        project: "https://github.com/mqttjs/MQTT.js",
        language: "JavaScript, in a page of another origin",
        installed: Installed::Npm("mqtt"),
        command: || chromium("mqttjs", "mqtt"),
        without: &[NO_SOCKETS],
    },
    Client {
        id: "chromium-paho",
        name: "Eclipse Paho JavaScript in Chromium",
        project: "https://github.com/eclipse-paho/paho.mqtt.javascript",
        language: "JavaScript, in a page of another origin",
        installed: Installed::Npm("paho-mqtt"),
        command: || chromium("paho", "paho-mqtt"),
        without: &[
            NO_SOCKETS,
            Without {
                what: What::Version(&[Version::V5]),
                why: "it speaks 3.1 and 3.1.1",
            },
        ],
    },
];

fn chromium(library: &str, package: &str) -> Command {
    let mut command = node(".", "browser/main.mjs", &["playwright-core", package]);
    command.arg(library);
    command
}
