//! Python, from PyPI: `paho_python/` and `python/`.

use tokio::process::Command;

use super::{Client, Installed, Step, Version, What, Without, built, scripts};
use crate::broker::Transport;

pub(crate) const CLIENTS: &[Client] = &[
    Client {
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
    },
    Client {
        id: "aiomqtt",
        name: "aiomqtt",
        project: "https://github.com/empicano/aiomqtt",
        language: "Python",
        installed: Installed::Pip("aiomqtt"),
        command: || library("with_aiomqtt"),
        without: &[],
    },
    Client {
        id: "gmqtt",
        name: "gmqtt",
        project: "https://github.com/wialon/gmqtt",
        language: "Python",
        installed: Installed::Pip("gmqtt"),
        command: || library("with_gmqtt"),
        without: &[
            Without {
                what: What::Transport(&[Transport::Ws, Transport::Wss]),
                why: "it has no WebSocket",
            },
            Without {
                what: What::Version(&[Version::V31]),
                why: "it speaks 3.1.1 and 5.0",
            },
        ],
    },
    Client {
        id: "twisted-mqtt",
        name: "twisted-mqtt",
        project: "https://github.com/astrorafael/twisted-mqtt",
        language: "Python",
        installed: Installed::Pip("twisted-mqtt"),
        command: || library("with_twisted"),
        without: &[
            Without {
                what: What::Transport(&[Transport::Ws, Transport::Wss]),
                why: "it has no WebSocket",
            },
            Without {
                what: What::Version(&[Version::V5]),
                why: "it speaks 3.1 and 3.1.1",
            },
            Without {
                what: What::Step(Step::Qos2),
                why: "its PUBCOMP has the flags of PUBREL, for which a broker must close the connection",
            },
        ],
    },
];

fn library(module: &str) -> Command {
    let mut command = python("python");
    command.arg(module);
    command
}

/// A script or a folder of tests/interop, with the packages of requirements.txt.
fn python(script: &str) -> Command {
    let mut command = Command::new(built().join("bin/python"));
    command.arg(scripts().join(script));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
