//! mosquitto_pub, mosquitto_sub and mosquitto_rr of Debian's mosquitto-clients.
//! Start at [`Mosquitto`]; what they do against the broker is in `tests.rs`.

mod tests;

use std::path::PathBuf;

use tokio::process::Command;

use crate::{broker::Broker, program::Program};

/// As `-V` names the versions of the protocol.
const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];
/// A retained message that every subscriber asks for: once it has come, the subscriptions before it stand.
const GREETING: &str = "greeting";

/// How the tools reach the broker.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach {
    Plain,
    /// TLS without ALPN, as most clients do it.
    Tls,
    TlsAlpnMqtt,
    /// A protocol that the broker has never heard of; it connects all the same.
    TlsAlpnUnknown,
}

/// The tools, told how to reach one broker and which version to speak.
pub(crate) struct Mosquitto {
    reach: Reach,
    version: &'static str,
    port: u16,
    ca: PathBuf,
    folder: PathBuf,
}

/// What a subscriber has received.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) payload: String,
}

/// A mosquitto_sub whose subscriptions stand.
pub(crate) struct Subscriber(Program);

impl Reach {
    pub(crate) const ALL: [Self; 4] = [
        Self::Plain,
        Self::Tls,
        Self::TlsAlpnMqtt,
        Self::TlsAlpnUnknown,
    ];

    /// A name for it that can be a topic level.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
            Self::TlsAlpnMqtt => "tls-mqtt",
            Self::TlsAlpnUnknown => "tls-unknown",
        }
    }

    const fn alpn(self) -> Option<&'static str> {
        match self {
            Self::Plain | Self::Tls => None,
            Self::TlsAlpnMqtt => Some("mqtt"),
            Self::TlsAlpnUnknown => Some("coap"),
        }
    }
}

/// Runs a test over each way to the broker, in each version.
async fn each(test: impl AsyncFn(Mosquitto)) {
    let broker = Broker::start("").await;
    for reach in Reach::ALL {
        for version in VERSIONS {
            eprintln!("{} {version}", reach.name());
            test(Mosquitto::new(&broker, reach, version).await).await;
        }
    }
}

/// Runs a test of what only MQTT 5 can, over each way to the broker.
async fn each_in_v5(test: impl AsyncFn(Mosquitto)) {
    let broker = Broker::start("").await;
    for reach in Reach::ALL {
        eprintln!("{}", reach.name());
        test(Mosquitto::new(&broker, reach, "mqttv5").await).await;
    }
}

impl Mosquitto {
    pub(crate) async fn new(broker: &Broker, reach: Reach, version: &'static str) -> Self {
        let mosquitto = Self {
            reach,
            version,
            port: match reach {
                Reach::Plain => broker.plain(),
                Reach::Tls | Reach::TlsAlpnMqtt | Reach::TlsAlpnUnknown => broker.secure(),
            },
            ca: broker.ca(),
            folder: broker.folder(),
        };
        mosquitto
            .publish(&["-t", GREETING, "-q", "1", "-r", "-m", "welcome"])
            .await;
        mosquitto
    }

    /// A topic that no other way and version uses.
    fn topic(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.reach.name(), self.version)
    }

    /// A client identifier that no other way and version uses, short enough for MQTT 3.1.
    fn client_id(&self, name: &str) -> String {
        let way = self.reach.name().replace("tls-", "");
        format!("{way}{}{name}", self.version.trim_start_matches("mqtt"))
    }

    /// One of the tools, told where the broker is.
    fn tool(&self, name: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new(name);
        command.args([
            "-V",
            self.version,
            "-h",
            "localhost",
            "-p",
            &self.port.to_string(),
        ]);
        if !matches!(self.reach, Reach::Plain) {
            command.arg("--cafile").arg(&self.ca);
        }
        if let Some(protocol) = self.reach.alpn() {
            command.args(["--tls-alpn", protocol]);
        }
        command.args(arguments);
        Program::start(command)
    }

    /// mosquitto_pub to its end, which must be a good one: of QoS 1 and 2, that the broker has acknowledged.
    pub(crate) async fn publish(&self, arguments: &[&str]) {
        self.tool("mosquitto_pub", arguments).succeeds().await;
    }

    /// mosquitto_sub, once its subscriptions stand.
    pub(crate) async fn subscribe(&self, arguments: &[&str]) -> Subscriber {
        let options = [arguments, &["-F", "%q|%r|%t|%p", "-t", GREETING]].concat();
        let mut subscriber = Subscriber(self.tool("mosquitto_sub", &options));
        let first = subscriber.message().await;
        assert_eq!(first.topic, GREETING, "before it has subscribed: {first:?}");
        subscriber
    }

    /// mosquitto_sub to its end, which must be a good one: the lines it wrote.
    async fn receive(&self, arguments: &[&str]) -> Vec<String> {
        self.tool("mosquitto_sub", arguments).succeeds().await
    }
}

impl Subscriber {
    /// The next message.
    pub(crate) async fn message(&mut self) -> Message {
        let line = self.0.line().await;
        let mut fields = line.splitn(4, '|');
        let mut field = || {
            fields
                .next()
                .expect("four fields, as the format says")
                .to_owned()
        };
        Message {
            qos: field().parse().expect("a number"),
            retain: field() == "1",
            topic: field(),
            payload: field(),
        }
    }

    /// The payload of the next message.
    async fn payload(&mut self) -> String {
        self.message().await.payload
    }

    /// Ends it without DISCONNECT.
    async fn kill(self) {
        self.0.kill().await;
    }
}
