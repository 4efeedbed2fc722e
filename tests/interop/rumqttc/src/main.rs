//! rumqttc in the interop matrix, whose steps are described at `Step` in `matrix/clients/mod.rs`.
//!
//! `interop-rumqttc URL [--ca FILE] --version 4|5 --name NAME`; exits with 1, and says why, where the broker does not do as
//! it should.

mod v4;
mod v5;

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio, exit},
    time::Duration,
};

use rumqttc::{TlsConfiguration, Transport};
use tokio::time::timeout;

/// For one step; the broker is on this machine, which may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection of either version.
pub(crate) trait Client: Sized {
    /// Returns once it is accepted, and whether a session was present.
    async fn open(
        target: &Target,
        client_id: &str,
        kept: bool,
        will: Option<(&str, &str)>,
    ) -> (Self, bool);
    /// Returns once it is granted at this QoS.
    async fn subscribe(&mut self, filter: &str, qos: u8);
    /// Returns once the broker has acknowledged it, or once it is written at QoS 0.
    async fn publish(&mut self, topic: &str, payload: &str, qos: u8, retain: bool);
    async fn receive(&mut self) -> Message;
    /// Ends with DISCONNECT.
    async fn close(self);
}

/// What a subscriber has received.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Message {
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// Where the broker is, and the run's name.
pub(crate) struct Target {
    url: String,
    ca: Option<Vec<u8>>,
    version: String,
    name: String,
}

impl Target {
    /// What rumqttc takes as host and port: with WebSocket the host is the whole URL.
    pub(crate) fn address(&self) -> (String, u16) {
        let (scheme, rest) = self
            .url
            .split_once("://")
            .unwrap_or_else(|| fail("expected a URL"));
        let (host, port) = rest
            .split_once(':')
            .unwrap_or_else(|| fail("expected a port in the URL"));
        let port = port.split('/').next().unwrap_or_default();
        let port = port
            .parse()
            .unwrap_or_else(|_| fail("expected a port in the URL"));
        let host = if scheme.starts_with("ws") {
            &self.url
        } else {
            host
        };
        (host.to_owned(), port)
    }

    pub(crate) fn transport(&self) -> Transport {
        let tls = |ca: &Vec<u8>| TlsConfiguration::Simple {
            ca: ca.clone(),
            alpn: None,
            client_auth: None,
        };
        match (self.url.starts_with("ws"), &self.ca) {
            (false, None) => Transport::Tcp,
            (false, Some(ca)) => Transport::Tls(tls(ca)),
            (true, None) => Transport::Ws,
            (true, Some(ca)) => Transport::Wss(tls(ca)),
        }
    }

    fn topic(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    async fn open<C: Client>(&self, name: &str) -> C {
        C::open(self, &format!("{}-{name}", self.name), false, None)
            .await
            .0
    }
}

/// Says why on standard error, and exits with 1.
pub(crate) fn fail(why: impl std::fmt::Display) -> ! {
    eprintln!("{why}");
    exit(1)
}

fn expect<T: PartialEq + std::fmt::Debug>(expected: T, got: T) {
    if expected != got {
        fail(format_args!("expected {expected:?}, got {got:?}"));
    }
}

fn message(payload: &str, qos: u8, retain: bool) -> Message {
    Message {
        payload: payload.to_owned(),
        qos,
        retain,
    }
}

async fn there_and_back<C: Client>(target: &Target, qos: u8) {
    let topic = target.topic(&format!("qos{qos}"));
    let payload = format!("at {qos}");
    let mut client: C = target.open("qos").await;
    client.subscribe(&topic, qos).await;
    client.publish(&topic, &payload, qos, false).await;
    expect(message(&payload, qos, false), client.receive().await);
    client.close().await;
}

async fn retained<C: Client>(target: &Target) {
    let topic = target.topic("retained");
    let mut publisher: C = target.open("keeps").await;
    publisher.publish(&topic, "kept", 1, true).await;
    let mut subscriber: C = target.open("asks").await;
    subscriber.subscribe(&topic, 1).await;
    expect(message("kept", 1, true), subscriber.receive().await);
    publisher.publish(&topic, "", 1, true).await;
    subscriber.close().await;
    publisher.close().await;
}

async fn will<C: Client>(target: &Target) {
    let mut watcher: C = target.open("watcher").await;
    watcher.subscribe(&target.topic("will"), 1).await;
    // This program again, to be killed.
    let program = env::current_exe().unwrap_or_else(|error| fail(error));
    let mut dying = Command::new(program)
        .args(env::args_os().skip(1))
        .arg("--dying")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| fail(error));
    let mut line = String::new();
    let stdout = dying.stdout.take().unwrap_or_else(|| fail("no pipe"));
    let _ = BufReader::new(stdout).read_line(&mut line);
    expect("ready\n", &line);
    let _ = dying.kill();
    let _ = dying.wait();
    expect(message("cut off", 1, false), watcher.receive().await);
    watcher.close().await;
}

async fn die_later<C: Client>(target: &Target) {
    let (topic, client_id) = (target.topic("will"), format!("{}-dying", target.name));
    let _client = C::open(target, &client_id, false, Some((&topic, "cut off"))).await;
    println!("ready");
    tokio::time::sleep(10 * PATIENCE).await;
}

async fn session<C: Client>(target: &Target) {
    let (topic, client_id) = (target.topic("session"), format!("{}-kept", target.name));
    let (mut before, present) = C::open(target, &client_id, true, None).await;
    expect(false, present);
    before.subscribe(&topic, 2).await;
    before.close().await;
    let mut publisher: C = target.open("meanwhile").await;
    publisher.publish(&topic, "at 1", 1, false).await;
    publisher.publish(&topic, "at 2", 2, false).await;
    publisher.close().await;
    let (mut after, present) = C::open(target, &client_id, true, None).await;
    expect(true, present);
    expect(message("at 1", 1, false), after.receive().await);
    expect(message("at 2", 2, false), after.receive().await);
    after.close().await;
}

async fn step(name: &str, step: impl Future<Output = ()>) {
    if timeout(PATIENCE, step).await.is_err() {
        fail(format_args!("{name} still waits after {PATIENCE:?}"));
    }
    println!("{name}");
}

async fn run<C: Client>(target: &Target, is_dying: bool) {
    if is_dying {
        die_later::<C>(target).await;
    }
    step("connect", async {
        target.open::<C>("connect").await.close().await
    })
    .await;
    step("qos0", there_and_back::<C>(target, 0)).await;
    step("qos1", there_and_back::<C>(target, 1)).await;
    step("qos2", there_and_back::<C>(target, 2)).await;
    step("retained", retained::<C>(target)).await;
    step("will", will::<C>(target)).await;
    step("session", session::<C>(target)).await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| fail("expected a URL"));
    let mut target = Target {
        url,
        ca: None,
        version: String::new(),
        name: String::new(),
    };
    let mut is_dying = false;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| fail("expected a value"));
        match &*argument {
            "--ca" => target.ca = Some(std::fs::read(value()).unwrap_or_else(|error| fail(error))),
            "--version" => target.version = value(),
            "--name" => target.name = value(),
            "--dying" => is_dying = true,
            other => fail(format_args!("what is {other}?")),
        }
    }
    match &*target.version {
        "4" => run::<v4::Client4>(&target, is_dying).await,
        "5" => run::<v5::Client5>(&target, is_dying).await,
        other => fail(format_args!("no version {other} here")),
    }
}
