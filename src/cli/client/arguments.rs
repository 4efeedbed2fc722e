//! The flags that all clients share, spelled as mosquitto's clients spell them. `plan` says what they mean together.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use gatemq::{
    message::QoS,
    mqtt::packet::{NEVER_EXPIRES, ProtocolVersion},
};

#[derive(Args, Debug)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArguments {
    /// Where to: mqtt://, mqtts://, ws:// or wss://[USER[:PASSWORD]@]HOST[:PORT], then /PATH of a WebSocket or /TOPIC
    #[arg(value_name = "URL")]
    pub(super) positional_url: Option<String>,
    /// The same as URL
    #[arg(
        short = 'L',
        long,
        value_name = "URL",
        conflicts_with = "positional_url"
    )]
    pub(super) url: Option<String>,
    /// Host, where no URL is given
    #[arg(short = 'h', long, default_value = "localhost")]
    pub(super) host: String,
    /// Port; 443, 8443 and 8883 mean TLS [default: that of the protocol]
    #[arg(short = 'p', long)]
    pub(super) port: Option<u16>,
    /// TLS, also implied by --cafile, --capath, --cert, --insecure, --tls-use-os-certs
    #[arg(long)]
    pub(super) tls: bool,
    /// A WebSocket
    #[arg(long)]
    pub(super) ws: bool,
    /// The path of the WebSocket
    #[arg(long, value_name = "PATH", default_value = "/mqtt")]
    pub(super) ws_path: String,
    /// A WebSocket on a stream of HTTP/2
    #[arg(long)]
    pub(super) http2: bool,
    /// Connect to a Unix socket
    #[arg(long, value_name = "PATH")]
    pub(super) unix: Option<PathBuf>,
    /// Connect from this local address
    #[arg(short = 'A', long = "bind", value_name = "ADDRESS")]
    pub(super) bind: Option<IpAddr>,
    /// Taken for the sake of mosquitto's scripts: small packets never wait here
    #[arg(long, hide = true)]
    pub(super) nodelay: bool,
    /// Seconds for the connection to be there
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(super) connect_timeout: Duration,

    /// User name
    #[arg(short = 'u', long, help_heading = "Who connects")]
    pub(super) username: Option<String>,
    /// Password; others on this machine can see it, unlike --password-file and the variable MQTT_PASSWORD
    #[arg(
        short = 'P',
        long = "pw",
        visible_alias = "password",
        value_name = "PASSWORD",
        allow_hyphen_values = true,
        help_heading = "Who connects"
    )]
    pub(super) password: Option<String>,
    /// Read the password from the first line of a file
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "password",
        help_heading = "Who connects"
    )]
    pub(super) password_file: Option<PathBuf>,
    /// Client identifier [default: gatemq- and eight random letters]
    #[arg(short = 'i', long, value_name = "ID", help_heading = "Who connects")]
    pub(super) id: Option<String>,
    /// Client identifier: this, then the process id
    #[arg(
        short = 'I',
        long,
        value_name = "PREFIX",
        conflicts_with = "id",
        help_heading = "Who connects"
    )]
    pub(super) id_prefix: Option<String>,

    /// Version of MQTT: 5, 311, 31 (also mqttv5, mqttv311) [default: 5, or 311 where the broker knows no 5]
    #[arg(short = 'V', long, value_name = "VERSION", value_parser = version, help_heading = "Session")]
    pub(super) protocol_version: Option<ProtocolVersion>,
    /// Seconds of silence before a ping; 0: none
    #[arg(
        short = 'k',
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        help_heading = "Session"
    )]
    pub(super) keepalive: u16,
    /// Keep the session: not a clean one, and it does not expire
    #[arg(short = 'c', long, help_heading = "Session")]
    pub(super) disable_clean_session: bool,
    /// Seconds the session is kept after the connection; -1: for ever (MQTT 5)
    #[arg(short = 'x', long, value_name = "SECONDS", allow_hyphen_values = true, value_parser = session_expiry, help_heading = "Session")]
    pub(super) session_expiry_interval: Option<u32>,
    /// A property of MQTT 5: COMMAND NAME VALUE, for example publish content-type text/plain, or COMMAND user-property
    /// NAME VALUE
    #[arg(
        short = 'D',
        long = "property",
        value_name = "PROPERTY",
        help_heading = "Session"
    )]
    pub(super) properties: Vec<String>,

    /// Trust the authorities in this file (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(super) cafile: Option<PathBuf>,
    /// Trust the authorities in the files of this directory (PEM)
    #[arg(long, value_name = "DIR", help_heading = "TLS")]
    pub(super) capath: Option<PathBuf>,
    /// Trust the operating system's authorities; the default without --cafile and --capath
    #[arg(long, help_heading = "TLS")]
    pub(super) tls_use_os_certs: bool,
    /// Show this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "TLS")]
    pub(super) cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS")]
    pub(super) key: Option<PathBuf>,
    /// Do not check the name in the certificate; without --cafile and --capath check nothing of it
    #[arg(long, help_heading = "TLS")]
    pub(super) insecure: bool,
    /// Offer this ALPN protocol instead of mqtt, http/1.1 or h2
    #[arg(long, value_name = "PROTOCOL", help_heading = "TLS")]
    pub(super) tls_alpn: Option<String>,

    /// The will's topic
    #[arg(long, value_name = "TOPIC", help_heading = "Will")]
    pub(super) will_topic: Option<String>,
    /// The will's payload
    #[arg(
        long,
        value_name = "TEXT",
        requires = "will_topic",
        allow_hyphen_values = true,
        help_heading = "Will"
    )]
    pub(super) will_payload: Option<String>,
    /// The will's QoS
    #[arg(long, value_name = "QOS", requires = "will_topic", value_parser = qos, default_value = "0", help_heading = "Will")]
    pub(super) will_qos: QoS,
    /// The will is retained
    #[arg(long, requires = "will_topic", help_heading = "Will")]
    pub(super) will_retain: bool,

    /// Say on standard error what happens
    #[arg(short = 'd', long)]
    pub(super) debug: bool,
    /// Say nothing on standard error but what is wrong with the command
    #[arg(long)]
    pub(super) quiet: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    pub(super) help: Option<bool>,
}

impl ConnectionArguments {
    /// What client identifiers begin with.
    pub(crate) fn id_prefix(&self) -> Option<&str> {
        self.id_prefix.as_deref()
    }

    /// A flag that many clients cannot share.
    pub(crate) const fn is_for_one_client(&self) -> Option<&'static str> {
        if self.id.is_some() {
            Some("--id")
        } else if self.disable_clean_session {
            Some("--disable-clean-session")
        } else {
            None
        }
    }
}

/// A QoS as people type it.
pub(crate) fn qos(text: &str) -> Result<QoS, String> {
    let qos = text.parse().ok().and_then(QoS::from_bits);
    qos.ok_or_else(|| "expected is 0, 1 or 2".to_owned())
}

/// A time in seconds, fractions allowed.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::try_from_secs_f64);
    let Some(Ok(duration)) = seconds else {
        return Err("expected is a number of seconds, as 10 or 0.5".to_owned());
    };
    // Later than this no clock of ours can say.
    Ok(duration.min(Duration::from_secs(u32::MAX.into())))
}

fn version(text: &str) -> Result<ProtocolVersion, String> {
    match text.trim_start_matches("mqttv") {
        "5" | "5.0" | "50" => Ok(ProtocolVersion::V5),
        "311" | "3.1.1" | "4" => Ok(ProtocolVersion::V3_1_1),
        "31" | "3.1" | "3" => Ok(ProtocolVersion::V3_1),
        _ => Err("expected is 5, 311 or 31".to_owned()),
    }
}

fn session_expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(NEVER_EXPIRES),
        seconds => seconds
            .parse()
            .map_err(|_| "expected are seconds, or -1 for ever".to_owned()),
    }
}
