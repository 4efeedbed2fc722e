//! The names a certificate of our own is for.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
};

use rustls::pki_types::DnsName;

use super::super::error::Problem;

/// A name in a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Name {
    /// A host name, in lower case; its first label may be `*`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// The names the operator wants.
#[derive(Clone, Debug)]
pub(super) struct Names(Vec<Name>);

impl Name {
    fn parse(text: &str) -> Result<Self, Problem> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let host = text.strip_prefix("*.").unwrap_or(text);
        DnsName::try_from(host)
            .map(|_| Self::Dns(text.to_ascii_lowercase()))
            .map_err(|_| Problem::BadName(text.to_owned()))
    }
}

impl Names {
    pub(super) fn parse(names: &[String]) -> Result<Self, Problem> {
        let names: Result<Vec<_>, _> = names.iter().map(|name| Name::parse(name)).collect();
        names.map(Self)
    }

    /// Those that a certificate with the `present` names lacks.
    pub(super) fn lacking(&self, present: &[String]) -> Vec<String> {
        let wanted = self.0.iter().map(Name::to_string);
        wanted
            .filter(|name| {
                !present
                    .iter()
                    .any(|present| present.eq_ignore_ascii_case(name))
            })
            .collect()
    }

    /// Wants what a certificate has, too.
    pub(super) fn keep(&mut self, present: &[String]) {
        // What cannot be parsed is not of our making.
        self.0
            .extend(present.iter().filter_map(|name| Name::parse(name).ok()));
    }

    /// These first, then the machine's own, each once.
    ///
    /// The machine's are those it has while the certificate is made. A laptop has other addresses tomorrow; that is no
    /// reason to renew.
    pub(super) fn with_machine(&self) -> Vec<Name> {
        let mut names = self.0.clone();
        names.push(Name::Dns("localhost".to_owned()));
        let host = machine_name();
        // Reachable by multicast DNS under this name.
        let local = format!("{host}.local");
        let is_short = !host.contains('.') && host != "localhost";
        names.extend(Name::parse(&host));
        names.extend(is_short.then(|| Name::parse(&local)).and_then(Result::ok));
        names.extend([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(Name::Ip));
        names.extend(outward_address().map(Name::Ip));
        let mut unique: Vec<Name> = Vec::new();
        for name in names {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        unique
    }
}

/// The machine's host name, in lower case.
pub(super) fn machine_name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().to_ascii_lowercase()
}

/// The address by which this machine reaches the internet, if it does. No packet is sent: connecting a UDP socket
/// only chooses a route.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address for documentation (RFC 5737), which has no route but the default one.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts_wildcards_or_addresses() {
        for name in ["a.example", "*.example.com", "::1", "10.0.0.1", "MyHost"] {
            assert!(Name::parse(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "a b",
            "*",
            "a.*.b",
            "https://a",
            "host:8883",
            "ü.example",
        ] {
            let problem = Name::parse(name).unwrap_err();
            assert_eq!(problem, Problem::BadName(name.to_owned()));
        }
    }

    #[test]
    fn machine_names_are_added_once() {
        let wanted = Names::parse(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let names = wanted.with_machine();
        for name in ["localhost", "127.0.0.1", "::1"] {
            let count = names.iter().filter(|known| known.to_string() == name);
            assert_eq!(count.count(), 1, "{name}");
        }
    }
}
