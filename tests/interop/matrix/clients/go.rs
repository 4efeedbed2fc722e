//! Go, from its module proxy: `go/`, which `tests/run install` compiles.

use tokio::process::Command;

use super::{Client, Installed, Version, What, Without, built};

pub(crate) const CLIENTS: &[Client] = &[
    Client {
        id: "paho-go",
        name: "Eclipse Paho Go",
        project: "https://github.com/eclipse-paho/paho.mqtt.golang",
        language: "Go",
        installed: Installed::Go("github.com/eclipse/paho.mqtt.golang"),
        command: || Command::new(built().join("go/paho_v3")),
        without: &[Without {
            what: What::Version(&[Version::V5]),
            why: "that is the next row's library",
        }],
    },
    Client {
        id: "paho-go-v5",
        name: "Eclipse Paho Go, MQTT 5",
        project: "https://github.com/eclipse-paho/paho.golang",
        language: "Go",
        installed: Installed::Go("github.com/eclipse/paho.golang"),
        command: || Command::new(built().join("go/paho_v5")),
        without: &[Without {
            what: What::Version(&[Version::V31, Version::V311]),
            why: "that is the previous row's library",
        }],
    },
];
