//! What the flags of a client mean together. Start at [`ConnectionArguments::plan`].

use gatemq::{
    client::{Carrier, Dial, Target, Trust},
    listener::tls::CertificateFiles,
    message::TopicName,
    mqtt::packet::{Connect, NEVER_EXPIRES, ProtocolVersion, Will},
};

use super::{
    arguments::ConnectionArguments,
    properties::{Command, Properties},
};

/// Ports that nobody serves without TLS.
const TLS_PORTS: [u16; 3] = [443, 8443, 8883];

/// The largest payload of a will: its length is a two-byte field.
const MAX_WILL: usize = 65_535;

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
        let properties = Properties::parse(&self.properties)?;
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
            prepared: None,
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
        let given = self.password.clone().or_else(|| target.password.clone());
        super::password(self.password_file.as_deref(), given, has_user)
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
