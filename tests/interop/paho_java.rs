//! The program that users of Paho Java begin with, as `java/…/PahoFirst.java` has it: a kept session with name and
//! password, a retained will on a topic of its own, a retained message, nine `$SYS` topics in one SUBSCRIBE.

use std::{collections::BTreeSet, path::Path};

use tokio::process::Command;

use crate::{
    broker::{Broker, Transport},
    mosquitto::{Mosquitto, Reach},
    program::Program,
};

const CLIENT_ID: &str = "paho-first";

/// Of the nine filters, those that lead to a topic: without a bridge there is nothing under `connection/`.
const VALUES: [&str; 8] = [
    "bytes/received",
    "bytes/sent",
    "clients/connected",
    "clients/total",
    "heap/current size",
    "messages/received",
    "messages/sent",
    "uptime",
];

/// Its callback sees delivery and arrival, and the nine filters get the QoS they ask for.
#[tokio::test]
async fn the_callback_sees_delivery_and_arrival() {
    let broker = Broker::start("").await;
    let mut program = start(&broker);
    let mut seen = Seen::default();
    while !seen.is_whole() {
        seen.add(&program.line().await);
    }
    program.say("").await;
    program.until("disconnected").await;
    program.succeeds().await;
}

/// It is told when the broker is gone, and comes back by itself once there is one at the same place.
#[tokio::test]
async fn a_killed_broker_is_noticed_and_a_new_one_found() {
    let mut broker = Broker::start("").await;
    let mut program = start(&broker);
    let mut seen = Seen::default();
    while !seen.is_whole() {
        seen.add(&program.line().await);
    }
    broker.kill();
    program.until("lost").await;
    broker.restart().await;
    program.until("reconnected").await;
    program.say("").await;
    program.until("disconnected").await;
    program.succeeds().await;
}

/// Its will is published where it ends without DISCONNECT, and is retained.
#[tokio::test]
async fn a_killed_program_leaves_its_will() {
    let broker = Broker::start("").await;
    let mosquitto = Mosquitto::new(&broker, Reach::Plain, "mqttv311").await;
    let mut program = start(&broker);
    program.until("delivered").await;
    program.kill().await;
    let topic = format!("{CLIENT_ID}/will");
    // The first may come before the broker has noticed; whoever comes after the will gets it as retained.
    for subscriber in 0..2 {
        let mut receiver = mosquitto.subscribe(&["-q", "2", "-t", &topic]).await;
        let will = receiver.message().await;
        assert_eq!((will.payload.as_str(), will.qos), ("gone", 2));
        assert!(will.retain || subscriber == 0, "the will is not retained");
    }
}

fn start(broker: &Broker) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop/java");
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
    command.arg("interop.PahoFirst");
    command.arg(broker.url(Transport::Tcp).replace("mqtt://", "tcp://"));
    command.arg(CLIENT_ID);
    Program::start(command)
}

/// What the program has said.
#[derive(Default)]
struct Seen {
    lines: BTreeSet<String>,
    topics: BTreeSet<String>,
}

impl Seen {
    fn add(&mut self, line: &str) {
        match line.strip_prefix("arrived $SYS/broker/") {
            Some(arrived) => {
                let (topic, value) = arrived.split_once(" = ").expect("a topic and a value");
                assert!(!value.is_empty(), "{topic} has no value");
                self.topics.insert(topic.to_owned());
            }
            None => {
                if let Some(granted) = line.strip_prefix("granted ") {
                    assert_eq!(granted, "[1, 0, 2, 1, 0, 2, 1, 0, 2]");
                }
                self.lines.insert(line.to_owned());
            }
        }
    }

    fn is_whole(&self) -> bool {
        let own = format!("arrived {CLIENT_ID}/hello = hello");
        let lines = [
            "connected",
            "published true",
            "delivered",
            "granted [1, 0, 2, 1, 0, 2, 1, 0, 2]",
            &own,
        ];
        lines.iter().all(|line| self.lines.contains(*line))
            && VALUES.iter().all(|topic| self.topics.contains(*topic))
    }
}
