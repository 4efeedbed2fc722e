//! Persistent sessions of MQTT.js and Paho survive a `kill -9` of the broker.

use std::path::Path;

use tokio::process::Command;

use crate::{
    broker::{Broker, Transport},
    program::Program,
};

/// The program says when half is acknowledged, and goes on by itself when the broker is back.
async fn survives(mut command: Command, transport: Transport) {
    let mut broker = Broker::start("[queue]\nmax_messages = 100000\n").await;
    command.arg(broker.url(transport));
    if transport.is_secure() {
        command.arg("--ca").arg(broker.ca());
    }
    let mut program = Program::start(command);
    program.until("half").await;
    broker.kill();
    broker.restart().await;
    program.until("complete").await;
    program.succeeds().await;
}

fn scripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop"))
}

#[tokio::test]
async fn mqttjs_survives_a_kill_of_the_broker() {
    for transport in [Transport::Tcp, Transport::Wss] {
        let library = scripts().join("node_modules/mqtt");
        assert!(
            library.exists(),
            "{} is not there; `tests/run install` installs it",
            library.display()
        );
        let mut command = Command::new("node");
        command.arg(scripts().join("crash/crash.mjs"));
        survives(command, transport).await;
    }
}

#[tokio::test]
async fn paho_survives_a_kill_of_the_broker() {
    for transport in [Transport::Tcp, Transport::Wss] {
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/target/interop/bin/python");
        let mut command = Command::new(python);
        command.arg(scripts().join("crash/crash.py"));
        survives(command, transport).await;
    }
}
