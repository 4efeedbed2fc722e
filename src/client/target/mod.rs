//! Where to connect, from a URL as people type or paste it. Start at [`Target::parse`].

mod error;

pub use error::TargetError;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use rustls::pki_types::ServerName;

/// The path of a WebSocket where the URL has none: where brokers listen that listen on one only.
const DEFAULT_PATH: &str = "/mqtt";

/// Schemes as brokers and other clients spell them, and what each means: what carries MQTT, with TLS or without.
const SCHEMES: [(&str, Carrier, bool); 11] = [
    ("mqtt", Carrier::Tcp, false),
    ("mqtts", Carrier::Tcp, true),
    ("ws", Carrier::WebSocket, false),
    ("wss", Carrier::WebSocket, true),
    ("http", Carrier::WebSocket, false),
    ("https", Carrier::WebSocket, true),
    // As the Paho clients and others spell them.
    ("tcp", Carrier::Tcp, false),
    ("ssl", Carrier::Tcp, true),
    ("tls", Carrier::Tcp, true),
    ("mqtt+ssl", Carrier::Tcp, true),
    ("tcps", Carrier::Tcp, true),
];

/// What carries the bytes of MQTT.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Carrier {
    /// A TCP stream, inside TLS or not.
    Tcp,
    /// A WebSocket upgraded from HTTP/1.1 (RFC 6455).
    WebSocket,
    /// A WebSocket on a stream of HTTP/2 (RFC 8441). No scheme says it: see [`Target::over_http2`].
    Http2,
}

/// A broker's address and the way to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// What carries MQTT there.
    pub carrier: Carrier,
    /// Inside TLS.
    pub tls: bool,
    /// A host name, or an address without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
    /// Path and query of the WebSocket, beginning with `/`; not used by [`Carrier::Tcp`].
    pub path: String,
    /// What follows the host of `mqtt://host/a/b`, as mosquitto's `-L` has it: a topic name or filter, not yet checked.
    pub topic: Option<String>,
    /// The user of `user:password@`, decoded.
    pub username: Option<String>,
    /// The password of `user:password@`, decoded. Never displayed.
    pub password: Option<String>,
}

impl Target {
    /// Reads a URL: `mqtt`, `mqtts`, `ws`, `wss` and the other spellings of these; user, port and path may be left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let url = url.trim();
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(TargetError::NoScheme(url.to_owned()));
        };
        let lower = scheme.to_ascii_lowercase();
        let Some((_, carrier, tls)) = SCHEMES.iter().find(|(name, ..)| *name == lower) else {
            return Err(TargetError::Scheme(scheme.to_owned()));
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, after) = rest.split_at(end);
        let (user_info, address) = match authority.rsplit_once('@') {
            Some((user_info, address)) => (Some(user_info), address),
            None => (None, authority),
        };
        let user_info_meant = after.contains('@');
        let (host, port) = host_and_port(address, user_info_meant)?;
        let mut target = Self {
            port: port.unwrap_or(Self::default_port(*carrier, *tls)),
            ..Self::new(*carrier, *tls, host)?
        };
        if let Some(user_info) = user_info {
            let (username, password) = match user_info.split_once(':') {
                Some((username, password)) => (username, Some(percent_decode(password)?)),
                None => (user_info, None),
            };
            target.username = Some(percent_decode(username)?);
            target.password = password;
        }
        match carrier {
            Carrier::Tcp => target.topic = topic(after)?,
            // A page's address is what people copy out of a browser, and its `/` is the page.
            Carrier::WebSocket | Carrier::Http2 if lower.starts_with("http") && after == "/" => {}
            Carrier::WebSocket | Carrier::Http2 => target.path = path(after)?,
        }
        Ok(target)
    }

    /// A host by name or address, at the default port and, for a WebSocket, the default path.
    ///
    /// # Errors
    /// It is empty, or no host name.
    pub fn new(carrier: Carrier, tls: bool, host: &str) -> Result<Self, TargetError> {
        if host.is_empty() {
            return Err(TargetError::NoHost);
        }
        let is_address = host.parse::<IpAddr>().is_ok();
        let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !is_address && host.contains(':') {
            return Err(TargetError::Brackets(host.to_owned()));
        }
        if !is_address && (!host.chars().all(belongs) || ServerName::try_from(host).is_err()) {
            return Err(TargetError::Host(host.to_owned()));
        }
        Ok(Self {
            carrier,
            tls,
            host: host.to_owned(),
            port: Self::default_port(carrier, tls),
            path: DEFAULT_PATH.to_owned(),
            topic: None,
            username: None,
            password: None,
        })
    }

    /// The same WebSocket on a stream of HTTP/2; TCP stays what it is.
    #[must_use]
    pub fn over_http2(mut self) -> Self {
        if self.carrier == Carrier::WebSocket {
            self.carrier = Carrier::Http2;
        }
        self
    }

    /// The port that is assigned to it: 1883, 8883, 80, 443.
    #[must_use]
    pub const fn default_port(carrier: Carrier, tls: bool) -> u16 {
        match (carrier, tls) {
            (Carrier::Tcp, false) => 1883,
            (Carrier::Tcp, true) => 8883,
            (Carrier::WebSocket | Carrier::Http2, false) => 80,
            (Carrier::WebSocket | Carrier::Http2, true) => 443,
        }
    }

    /// `mqtt`, `mqtts`, `ws` or `wss`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        match (self.carrier, self.tls) {
            (Carrier::Tcp, false) => "mqtt",
            (Carrier::Tcp, true) => "mqtts",
            (Carrier::WebSocket | Carrier::Http2, false) => "ws",
            (Carrier::WebSocket | Carrier::Http2, true) => "wss",
        }
    }

    /// Host and port as `Host` headers and people have them: `[::1]:8443`, and no port where it is the default.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == Self::default_port(self.carrier, self.tls) {
            self.host_in_url()
        } else {
            format!("{}:{}", self.host_in_url(), self.port)
        }
    }

    /// The host is this machine by its very name.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        let by_name = name == "localhost" || name.ends_with(".localhost");
        by_name || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// The name that the server's certificate must be for.
    #[must_use]
    pub fn server_name(&self) -> ServerName<'static> {
        let name = ServerName::try_from(self.host.clone());
        // Whoever has set `host` to something else gets a name that no certificate has.
        name.unwrap_or_else(|_| ServerName::IpAddress(IpAddr::V6(Ipv6Addr::UNSPECIFIED).into()))
    }

    fn host_in_url(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

/// Splits `host:port`, with an IPv6 address in brackets.
fn host_and_port(address: &str, user_info_meant: bool) -> Result<(&str, Option<u16>), TargetError> {
    let brackets = || TargetError::Brackets(address.to_owned());
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(brackets)?;
        host.parse::<Ipv6Addr>().map_err(|_| brackets())?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(brackets()),
        }
    } else if address.matches(':').count() > 1 {
        return Err(brackets());
    } else {
        match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    let Some(port) = port else {
        return Ok((host, None));
    };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if is_number && port > 0 => Ok((host, Some(port))),
        Ok(_) | Err(_) => Err(TargetError::Port {
            found: port.to_owned(),
            user_info_meant,
        }),
    }
}

/// What stands behind the host of `mqtt://`. A `#` in it is a wildcard: there are no fragments here.
fn topic(after: &str) -> Result<Option<String>, TargetError> {
    let topic = percent_decode(after.strip_prefix('/').unwrap_or(after))?;
    Ok(Some(topic).filter(|topic| !topic.is_empty()))
}

/// Path and query of a WebSocket.
fn path(after: &str) -> Result<String, TargetError> {
    if let Some((_, fragment)) = after.split_once('#') {
        return Err(TargetError::Fragment(fragment.to_owned()));
    }
    if after.contains(|c: char| !c.is_ascii_graphic()) {
        return Err(TargetError::Path(after.to_owned()));
    }
    Ok(match after {
        "" => DEFAULT_PATH.to_owned(),
        query if query.starts_with('?') => format!("{DEFAULT_PATH}{query}"),
        path => path.to_owned(),
    })
}

fn percent_decode(text: &str) -> Result<String, TargetError> {
    let wrong = || TargetError::Percent(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = after.split_at_checked(2).ok_or_else(wrong)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(wrong);
        let value = digit(digits[0])? * 16 + digit(digits[1])?;
        bytes.push(u8::try_from(value).map_err(|_| wrong())?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// As it can be typed again; without user name and password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority())?;
        match self.carrier {
            Carrier::Tcp => Ok(()),
            Carrier::WebSocket | Carrier::Http2 => f.write_str(&self.path),
        }
    }
}

#[cfg(test)]
mod tests;
