//! INTEROP.md: what passed, what is not there and why.

use std::{collections::BTreeSet, fmt::Write};

use crate::{
    broker::Transport,
    cell::Cell,
    clients::{self, Client, Step, Version, What},
};

const HEAD: &str = "\
# Interoperability

Client libraries of other projects, as their registries have them, against this broker. Each connects, takes a message at
QoS 0, 1 and 2 there and back, receives a retained message and a will, and comes back to a kept session: over every
transport and in every version of MQTT that it has. A cell lists the versions in which all of it passed.

`tests/run interop` makes this table; it fails where a client does, and where the table is not this one any more.

| Client | Version | Language | TCP | TLS | WebSocket | WebSocket over TLS |
|---|---|---|---|---|---|---|
";

/// The cells that have passed.
#[derive(Default)]
pub(crate) struct Table {
    passed: BTreeSet<(&'static str, Transport, Version)>,
}

impl Table {
    pub(crate) fn add(&mut self, cell: &Cell) {
        self.passed
            .insert((cell.client.id, cell.transport, cell.version));
    }

    /// The whole file.
    pub(crate) fn render(&self) -> String {
        let mut text = HEAD.to_owned();
        for client in clients::all() {
            let Client {
                name,
                project,
                language,
                ..
            } = client;
            let version = client.installed.version();
            let _ = write!(text, "| [{name}]({project}) | {version} | {language} |");
            for transport in Transport::ALL {
                let _ = write!(text, " {} |", self.versions(client, transport));
            }
            text.push('\n');
        }
        text.push_str("\n## What is not there, and why\n\n");
        for client in clients::all() {
            for without in client.without {
                let (name, what, why) = (client.name, what(&without.what), without.why);
                let _ = writeln!(text, "- {name}, {what}: {why}.");
            }
        }
        for (name, why) in clients::UNAVAILABLE {
            let _ = writeln!(text, "- {name}: {why}.");
        }
        text
    }

    fn versions(&self, client: &Client, transport: Transport) -> String {
        let passed = Version::ALL
            .into_iter()
            .filter(|version| self.passed.contains(&(client.id, transport, *version)));
        let names: Vec<_> = passed.map(Version::name).collect();
        if names.is_empty() {
            "–".to_owned()
        } else {
            names.join(", ")
        }
    }
}

fn what(what: &What) -> String {
    match what {
        What::Transport(transports) => {
            let names: Vec<_> = transports
                .iter()
                .map(|transport| transport_name(*transport))
                .collect();
            names.join(" and ")
        }
        What::Version(versions) => {
            let names: Vec<_> = versions.iter().map(|version| version.name()).collect();
            format!("MQTT {}", names.join(" and "))
        }
        What::Step(step) => step_name(*step).to_owned(),
    }
}

const fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
        Transport::Ws => "WebSocket",
        Transport::Wss => "WebSocket over TLS",
    }
}

const fn step_name(step: Step) -> &'static str {
    match step {
        Step::Connect => "connecting",
        Step::Qos0 => "QoS 0",
        Step::Qos1 => "QoS 1",
        Step::Qos2 => "QoS 2",
        Step::Retained => "retained messages",
        Step::Will => "a will",
        Step::Session => "a kept session",
    }
}
