//! Clients of different projects, over different transports, reach each other through one broker.

use std::collections::BTreeSet;

use crate::{
    broker::{Broker, Transport},
    mosquitto::{Mosquitto, Reach},
    program::Program,
    scripts::Library,
};

/// A browser's client over `wss` and a device over TLS, both on one port, and `mosquitto_sub` on the plain one.
#[tokio::test]
async fn the_first_minute() {
    let of_each = [
        (Library::MqttJs5, Transport::Wss),
        (Library::PahoPython, Transport::Tls),
    ];
    meet(&[Reach::Plain], &of_each).await;
}

/// Each library over each transport, and mosquitto with each ALPN.
#[tokio::test]
async fn everybody_reaches_everybody() {
    let mut all = Vec::new();
    for library in Library::ALL {
        all.extend(Transport::ALL.map(|transport| (library, transport)));
    }
    meet(&Reach::ALL, &all).await;
}

/// All subscribe, then each publishes once, then all have received what each has published.
async fn meet(reaches: &[Reach], clients: &[(Library, Transport)]) {
    let broker = Broker::start("").await;
    let names: Vec<String> = reaches
        .iter()
        .map(|reach| reach.name().to_owned())
        .collect();
    let client_names: Vec<String> = clients
        .iter()
        .map(|(library, transport)| format!("{}-{transport:?}", library.name()))
        .collect();
    let everybody = [names.clone(), client_names.clone()].concat();

    // Each of these publishes a greeting, so they all come before the first subscriber.
    let mut mosquittos = Vec::new();
    for reach in reaches {
        mosquittos.push(Mosquitto::new(&broker, *reach, "mqttv5").await);
    }
    let mut subscribers = Vec::new();
    for mosquitto in &mosquittos {
        subscribers.push(mosquitto.subscribe(&["-q", "1", "-t", "meet/#"]).await);
    }
    let mut programs = Vec::new();
    for ((library, transport), name) in clients.iter().zip(&client_names) {
        let mut command = library.command(&broker, *transport);
        command.args([
            "--version",
            "5",
            "--meet",
            name,
            "--with",
            &everybody.join(","),
        ]);
        programs.push(Program::start(command));
    }
    for program in &mut programs {
        program.until("ready").await;
    }

    for program in &mut programs {
        program.say("go").await;
    }
    for (mosquitto, name) in mosquittos.iter().zip(&names) {
        let topic = format!("meet/{name}");
        mosquitto
            .publish(&["-q", "1", "-t", &topic, "-m", "from mosquitto_pub"])
            .await;
    }
    for program in programs {
        program.succeeds().await;
    }
    for subscriber in &mut subscribers {
        let mut received = BTreeSet::new();
        while received.len() < everybody.len() {
            let message = subscriber.message().await;
            let name = message.topic.trim_start_matches("meet/").to_owned();
            assert!(everybody.contains(&name), "nobody is called {name}");
            assert!(received.insert(name), "{} came twice", message.topic);
        }
    }
}
