//! Debian's packages: `mosquitto/`, and `c/`, which `tests/run install` compiles.

use tokio::process::Command;

use super::{Client, Installed, What, Without, built, scripts};
use crate::broker::Transport;

pub(crate) const CLIENTS: &[Client] = &[
    Client {
        id: "mosquitto",
        name: "mosquitto_pub, mosquitto_sub",
        project: "https://github.com/eclipse-mosquitto/mosquitto",
        language: "command line",
        installed: Installed::Debian("mosquitto-clients"),
        command: || {
            let mut command = Command::new(built().join("bin/python"));
            command.arg(scripts().join("mosquitto/matrix.py"));
            command
        },
        without: &[Without {
            what: What::Transport(&[Transport::Ws, Transport::Wss]),
            why: "they have `--ws` from 2.1 on, which Debian 12 does not have",
        }],
    },
    Client {
        id: "libmosquitto",
        name: "libmosquitto",
        project: "https://github.com/eclipse-mosquitto/mosquitto",
        language: "C",
        installed: Installed::Debian("libmosquitto-dev"),
        command: || Command::new(built().join("bin/libmosquitto")),
        without: &[Without {
            what: What::Transport(&[Transport::Ws, Transport::Wss]),
            why: "it has WebSocket from 2.1 on, which Debian 12 does not have",
        }],
    },
    Client {
        id: "paho-c",
        name: "Eclipse Paho C",
        project: "https://github.com/eclipse-paho/paho.mqtt.c",
        language: "C",
        installed: Installed::Debian("libpaho-mqtt-dev"),
        command: || Command::new(built().join("bin/paho-c")),
        without: &[],
    },
    Client {
        id: "paho-cpp",
        name: "Eclipse Paho C++",
        project: "https://github.com/eclipse-paho/paho.mqtt.cpp",
        language: "C++",
        installed: Installed::Debian("libpaho-mqttpp-dev"),
        command: || Command::new(built().join("bin/paho-cpp")),
        without: &[],
    },
];
