//! The flags that all clients share, spelled as mosquitto's clients spell them, and what they mean together.

use std::{fs, net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use gatemq::{
    client::{Carrier, Dial, Target, Trust},
    listener::tls::CertificateFiles,
    message::{QoS, TopicName},
    mqtt::packet::{Connect, NEVER_EXPIRES, ProtocolVersion, Will},
};

use super::properties::{Command, Properties, Property};

/// Ports that nobody serves without TLS.
const TLS_PORTS: [u16; 3] = [443, 8443, 8883];

/// The largest payload of a will: its length is a two-byte field.
const MAX_WILL: usize = 65_535;

/// The longest password file that is read.
const MAX_PASSWORD: u64 = 65_535;

#[derive(Args, Debug)]
pub(crate) struct ConnectionArguments {
    /// Where to: mqtt://, mqtts://, ws:// or wss://[USER[:PASSWORD]@]HOST[:PORT], then /PATH of a WebSocket or /TOPIC
    #[arg(value_name = "URL")]
    positional_url: Option<String>,
    /// The same as URL
    #[arg(
        short = 'L',
        long,
        value_name = "URL",
        conflicts_with = "positional_url"
    )]
    url: Option<String>,
    /// Host, where no URL is given
    #[arg(short = 'h', long, default_value = "localhost")]
    host: String,
    /// Port; 443, 8443 and 8883 mean TLS [default: that of the protocol]
    #[arg(short = 'p', long)]
    port: Option<u16>,
    /// TLS, also implied by --cafile, --capath, --cert, --insecure, --tls-use-os-certs
    #[arg(long)]
    tls: bool,
    /// A WebSocket
    #[arg(long)]
    ws: bool,
    /// The path of the WebSocket
    #[arg(long, value_name = "PATH", default_value = "/mqtt")]
    ws_path: String,
    /// A WebSocket on a stream of HTTP/2
    #[arg(long)]
    http2: bool,
    /// Connect to a Unix socket
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Connect from this local address
    #[arg(short = 'A', long = "bind", value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// Taken for the sake of mosquitto's scripts: small packets never wait here
    #[arg(long, hide = true)]
    nodelay: bool,
    /// Seconds for the connection to be there
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    connect_timeout: Duration,

    /// User name
    #[arg(short = 'u', long, help_heading = "Who connects")]
    username: Option<String>,
    /// Password; others on this machine can see it, unlike --password-file and the variable MQTT_PASSWORD
    #[arg(
        short = 'P',
        long = "pw",
        visible_alias = "password",
        value_name = "PASSWORD",
        allow_hyphen_values = true,
        help_heading = "Who connects"
    )]
    password: Option<String>,
    /// Read the password from the first line of a file
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "password",
        help_heading = "Who connects"
    )]
    password_file: Option<PathBuf>,
    /// Client identifier [default: gatemq- and eight random letters]
    #[arg(short = 'i', long, value_name = "ID", help_heading = "Who connects")]
    id: Option<String>,
    /// Client identifier: this, then the process id
    #[arg(
        short = 'I',
        long,
        value_name = "PREFIX",
        conflicts_with = "id",
        help_heading = "Who connects"
    )]
    id_prefix: Option<String>,

    /// Version of MQTT: 5, 311, 31 (also mqttv5 …) [default: 5, or 311 where the broker knows no 5]
    #[arg(short = 'V', long, value_name = "VERSION", value_parser = version, help_heading = "Session")]
    protocol_version: Option<ProtocolVersion>,
    /// Seconds of silence before a ping; 0: none
    #[arg(
        short = 'k',
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        help_heading = "Session"
    )]
    keepalive: u16,
    /// Keep the session: not a clean one, and it does not expire
    #[arg(short = 'c', long, help_heading = "Session")]
    disable_clean_session: bool,
    /// Seconds the session is kept after the connection; -1: for ever (MQTT 5)
    #[arg(short = 'x', long, value_name = "SECONDS", allow_hyphen_values = true, value_parser = session_expiry, help_heading = "Session")]
    session_expiry_interval: Option<u32>,
    /// A property of MQTT 5: COMMAND NAME VALUE, for example publish content-type text/plain, or COMMAND user-property
    /// NAME VALUE
    #[arg(short = 'D', long = "property", value_name = "PROPERTY", value_parser = Property::parse, help_heading = "Session")]
    properties: Vec<Property>,

    /// Trust the authorities in this file (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    cafile: Option<PathBuf>,
    /// Trust the authorities in the files of this directory (PEM)
    #[arg(long, value_name = "DIR", help_heading = "TLS")]
    capath: Option<PathBuf>,
    /// Trust the operating system's authorities; the default without --cafile and --capath
    #[arg(long, help_heading = "TLS")]
    tls_use_os_certs: bool,
    /// Show this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "TLS")]
    cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS")]
    key: Option<PathBuf>,
    /// Do not check the name in the certificate; without --cafile and --capath check nothing of it
    #[arg(long, help_heading = "TLS")]
    insecure: bool,
    /// Offer this ALPN protocol instead of mqtt, http/1.1 or h2
    #[arg(long, value_name = "PROTOCOL", help_heading = "TLS")]
    tls_alpn: Option<String>,

    /// The will's topic
    #[arg(long, value_name = "TOPIC", help_heading = "Will")]
    will_topic: Option<String>,
    /// The will's payload
    #[arg(
        long,
        value_name = "TEXT",
        requires = "will_topic",
        allow_hyphen_values = true,
        help_heading = "Will"
    )]
    will_payload: Option<String>,
    /// The will's QoS
    #[arg(long, value_name = "QOS", requires = "will_topic", value_parser = qos, default_value = "0", help_heading = "Will")]
    will_qos: QoS,
    /// The will is retained
    #[arg(long, requires = "will_topic", help_heading = "Will")]
    will_retain: bool,

    /// Say on standard error what happens
    #[arg(short = 'd', long)]
    pub(super) debug: bool,
    /// Say nothing on standard error but what is wrong with the command
    #[arg(long)]
    pub(super) quiet: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// What the flags mean together.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) dial: Dial,
    pub(crate) connect: Connect,
    /// The version was not asked for: an older one will do.
    pub(crate) may_fall_back: bool,
    pub(crate) properties: Properties,
    pub(crate) debug: bool,
    pub(crate) quiet: bool,
}

impl ConnectionArguments {
    /// What they mean together, or what contradicts what.
    pub(crate) fn plan(&self) -> Result<Plan, String> {
        let target = self.target()?;
        let properties = Properties::new(&self.properties);
        let version = self.protocol_version.unwrap_or(ProtocolVersion::V5);
        let needs_v5 = !self.properties.is_empty();
        if needs_v5 && version != ProtocolVersion::V5 {
            return Err("-D says something that only MQTT 5 can; leave -V away".to_owned());
        }
        let dial = Dial {
            trust: self.trust(),
            timeout: self.connect_timeout,
            alpn: self.tls_alpn.clone(),
            bind: self.bind,
            unix: self.unix.clone(),
            subprotocol: match version {
                ProtocolVersion::V3_1 => "mqttv3.1",
                ProtocolVersion::V3_1_1 | ProtocolVersion::V5 => "mqtt",
            },
        };
        Ok(Plan {
            connect: self.connect(&target, version, &properties)?,
            target,
            dial,
            may_fall_back: self.protocol_version.is_none() && !needs_v5,
            properties,
            debug: self.debug,
            quiet: self.quiet,
        })
    }

    fn target(&self) -> Result<Target, String> {
        let target = match self.positional_url.as_ref().or(self.url.as_ref()) {
            Some(url) => {
                let mut target = Target::parse(url).map_err(|error| error.to_string())?;
                target.port = self.port.unwrap_or(target.port);
                target
            }
            None => self.target_of_flags()?,
        };
        Ok(if self.http2 {
            if target.carrier == Carrier::Tcp {
                return Err("--http2 carries a WebSocket; use ws:// or wss:// with it".to_owned());
            }
            target.over_http2()
        } else {
            target
        })
    }

    fn target_of_flags(&self) -> Result<Target, String> {
        let carrier = if self.ws || self.http2 {
            Carrier::WebSocket
        } else {
            Carrier::Tcp
        };
        let tls = self.tls
            || self.cafile.is_some()
            || self.capath.is_some()
            || self.cert.is_some()
            || self.insecure
            || self.tls_use_os_certs
            || self.port.is_some_and(|port| TLS_PORTS.contains(&port));
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        if host.contains("://") {
            return Err(format!(
                "-h takes a host; a URL stands alone or behind -L: {host}"
            ));
        }
        let mut target = Target::new(carrier, tls, host).map_err(|error| error.to_string())?;
        target.port = match self.port {
            Some(0) => {
                return Err("-p 0 is no port; expected is a number from 1 to 65535".to_owned());
            }
            Some(port) => port,
            None => target.port,
        };
        if !self.ws_path.starts_with('/')
            || self
                .ws_path
                .contains(|c: char| !c.is_ascii_graphic() || c == '#')
        {
            return Err(format!(
                "--ws-path {:?} is no path; expected is one that begins with /, as in /mqtt",
                self.ws_path
            ));
        }
        target.path.clone_from(&self.ws_path);
        Ok(target)
    }

    fn trust(&self) -> Trust {
        let certificate = self.cert.clone().zip(self.key.clone());
        Trust {
            ca_file: self.cafile.clone(),
            ca_directory: self.capath.clone(),
            os_certificates: self.tls_use_os_certs,
            insecure: self.insecure,
            client_certificate: certificate.map(|(chain, key)| CertificateFiles { chain, key }),
        }
    }

    fn connect(
        &self,
        target: &Target,
        version: ProtocolVersion,
        properties: &Properties,
    ) -> Result<Connect, String> {
        let username = self.username.clone().or_else(|| target.username.clone());
        let password = self.password(target, username.is_some())?;
        if password.is_some() && username.is_none() && version != ProtocolVersion::V5 {
            return Err("a password without a user name needs MQTT 5; add -u".to_owned());
        }
        if self.disable_clean_session && self.id.is_none() && self.id_prefix.is_none() {
            return Err("-c keeps a session by its client identifier; add -i".to_owned());
        }
        let kept = if self.disable_clean_session {
            NEVER_EXPIRES
        } else {
            0
        };
        let mut connect = Connect {
            version,
            client_id: self.client_id().into(),
            clean_start: !self.disable_clean_session,
            keep_alive: self.keepalive,
            username: username.map(Into::into),
            password: password.map(Into::into),
            will: self.will(properties)?.map(Box::new),
            session_expiry_interval: self.session_expiry_interval.unwrap_or(kept),
            receive_maximum: u16::MAX,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            authentication: None,
            user_properties: Vec::new(),
        };
        if version != ProtocolVersion::V5 {
            // What CleanSession says is all there is.
            connect.session_expiry_interval = kept;
        }
        properties.connect(&mut connect);
        Ok(connect)
    }

    fn password(&self, target: &Target, has_user: bool) -> Result<Option<String>, String> {
        if let Some(path) = &self.password_file {
            let failed = |error| format!("--password-file {}: {error}", path.display());
            let metadata = fs::metadata(path).map_err(failed)?;
            if metadata.len() > MAX_PASSWORD {
                return Err(format!(
                    "--password-file {}: too long for a password",
                    path.display()
                ));
            }
            let text = fs::read_to_string(path).map_err(failed)?;
            return Ok(Some(text.lines().next().unwrap_or_default().to_owned()));
        }
        let given = self.password.clone().or_else(|| target.password.clone());
        // Not for whoever connects anonymously: the variable may be set for all commands of a shell.
        let variable = || {
            has_user
                .then(|| std::env::var("MQTT_PASSWORD").ok())
                .flatten()
        };
        Ok(given.or_else(variable))
    }

    fn client_id(&self) -> String {
        match (&self.id, &self.id_prefix) {
            (Some(id), _) => id.clone(),
            (None, Some(prefix)) => format!("{prefix}{}", std::process::id()),
            (None, None) => format!("gatemq-{}", super::random_letters(8)),
        }
    }

    fn will(&self, properties: &Properties) -> Result<Option<Will>, String> {
        let Some(topic) = &self.will_topic else {
            return Ok(None);
        };
        let payload = self.will_payload.clone().unwrap_or_default();
        if payload.len() > MAX_WILL {
            return Err(format!(
                "--will-payload has {} bytes; a will may have {MAX_WILL}",
                payload.len()
            ));
        }
        let wrong = |error| format!("--will-topic {topic:?} {error}");
        Ok(Some(Will {
            topic: TopicName::parse(topic).map_err(wrong)?,
            payload: payload.into(),
            qos: self.will_qos,
            retain: self.will_retain,
            delay_interval: properties.will_delay_interval(),
            message_expiry_interval: properties.message_expiry_interval(Command::Will),
            properties: properties.message(Command::Will).map(Box::new),
        }))
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
