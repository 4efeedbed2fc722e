//! The scenarios of MQTT.js and Paho, over each transport and in each version.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::{
    broker::{Broker, Transport},
    program::Program,
};

/// A library with a scenario of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Library {
    MqttJs5,
    MqttJs4,
    PahoPython,
}

/// As CONNECT numbers the versions of the protocol.
const VERSIONS: [&str; 3] = ["3", "4", "5"];

impl Library {
    pub(crate) const ALL: [Self; 3] = [Self::MqttJs5, Self::MqttJs4, Self::PahoPython];

    /// The program, and where it finds the broker.
    pub(crate) fn command(self, broker: &Broker, transport: Transport) -> Command {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scripts = folder.join("tests/interop");
        let mut command = match self {
            Self::MqttJs5 => node(&scripts, "mqtt"),
            Self::MqttJs4 => node(&scripts, "mqtt4"),
            Self::PahoPython => {
                let mut command = Command::new(folder.join("target/interop/bin/python"));
                command.arg(scripts.join("paho_python"));
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
        };
        command.arg(broker.url(transport));
        if transport.is_secure() {
            command.arg("--ca").arg(broker.ca());
        }
        command
    }

    /// Its name, short enough for a client identifier of MQTT 3.1.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::MqttJs5 => "js5",
            Self::MqttJs4 => "js4",
            Self::PahoPython => "paho",
        }
    }
}

fn node(scripts: &Path, library: &str) -> Command {
    let installed: PathBuf = scripts.join("node_modules").join(library);
    assert!(
        installed.exists(),
        "{} is not there; `tests/run install` installs it",
        installed.display()
    );
    let mut command = Command::new("node");
    command.arg(scripts.join("mqttjs/main.mjs"));
    command.args(["--library", library]);
    command
}

/// Every step in every version, three clients at a time.
async fn scenario(library: Library, transport: Transport) {
    let broker = Broker::start("").await;
    let [v31, v311, v5] = VERSIONS.map(|version| {
        let mut command = library.command(&broker, transport);
        command.args(["--version", version]);
        Program::start(command).succeeds()
    });
    tokio::join!(v31, v311, v5);
}

/// A path that people write, with TLS or without, leads to the broker.
async fn every_path(library: Library) {
    let broker = Broker::start("").await;
    for transport in [Transport::Ws, Transport::Wss] {
        let mut command = library.command(&broker, transport);
        command.args(["--paths", "/,/mqtt,/mqtt/,/ws,/ws/"]);
        Program::start(command).succeeds().await;
    }
}

/// The tests of one library.
macro_rules! tests_of {
    ($name:ident, $library:expr) => {
        mod $name {
            use super::{Library, Transport, every_path, scenario};

            #[tokio::test]
            async fn scenario_over_tcp() {
                scenario($library, Transport::Tcp).await;
            }

            #[tokio::test]
            async fn scenario_over_tls() {
                scenario($library, Transport::Tls).await;
            }

            #[tokio::test]
            async fn scenario_over_ws() {
                scenario($library, Transport::Ws).await;
            }

            #[tokio::test]
            async fn scenario_over_wss() {
                scenario($library, Transport::Wss).await;
            }

            #[tokio::test]
            async fn every_websocket_path_connects() {
                every_path($library).await;
            }
        }
    };
}

tests_of!(mqttjs5, Library::MqttJs5);
tests_of!(mqttjs4, Library::MqttJs4);
tests_of!(paho_python, Library::PahoPython);
