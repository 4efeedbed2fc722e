//! Java, from Maven Central: `java/`, which `tests/run install` compiles.

use tokio::process::Command;

use super::{Client, Installed, Version, What, Without, built};
use crate::broker::Transport;

pub(crate) const CLIENTS: &[Client] = &[
    Client {
        id: "paho-java",
        name: "Eclipse Paho Java",
        project: "https://github.com/eclipse-paho/paho.mqtt.java",
        language: "Java",
        installed: Installed::Maven("org.eclipse.paho.client.mqttv3"),
        command: || java("interop.PahoV3"),
        without: &[Without {
            what: What::Version(&[Version::V5]),
            why: "that is the next row's library",
        }],
    },
    Client {
        id: "paho-java-v5",
        name: "Eclipse Paho Java, MQTT 5",
        project: "https://github.com/eclipse-paho/paho.mqtt.java",
        language: "Java",
        installed: Installed::Maven("org.eclipse.paho.mqttv5.client"),
        command: || java("interop.PahoV5"),
        without: &[Without {
            what: What::Version(&[Version::V31, Version::V311]),
            why: "that is the previous row's library",
        }],
    },
    Client {
        id: "hivemq",
        name: "HiveMQ MQTT Client",
        project: "https://github.com/hivemq/hivemq-mqtt-client",
        language: "Java",
        installed: Installed::Maven("hivemq-mqtt-client"),
        command: || java("interop.HiveMq"),
        without: &[Without {
            what: What::Version(&[Version::V31]),
            why: "it begins with 3.1.1",
        }],
    },
    Client {
        id: "fusesource",
        name: "Fusesource mqtt-client",
        project: "https://github.com/fusesource/mqtt-client",
        language: "Java",
        installed: Installed::Maven("mqtt-client"),
        command: || java("interop.Fusesource"),
        without: &[
            Without {
                what: What::Transport(&[Transport::Ws, Transport::Wss]),
                why: "it has no WebSocket",
            },
            Without {
                what: What::Version(&[Version::V5]),
                why: "it ends with 3.1.1",
            },
        ],
    },
];

/// A main class of `java/`. The classes are few and run for seconds: the first compiler tier is enough for them.
fn java(class: &str) -> Command {
    let folder = built().join("java");
    let classes = folder.join("classes");
    assert!(
        classes.exists(),
        "{} is not there; `tests/run install` installs it",
        classes.display()
    );
    let mut command = Command::new("java");
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]);
    command.arg(format!(
        "{}:{}/libraries/*",
        classes.display(),
        folder.display()
    ));
    command.arg(class);
    command
}
