//! Where to listen, whom to believe, and what names are: addresses, networks, origins, server names.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use ipnet::IpNet;

use super::{
    document::Scalar,
    section::{FromScalar, Wrong},
    words::text,
};
use crate::listener::Bind;

/// Where a listener listens: `"[::]:443"`, `"127.0.0.1:1883"`, `":1883"` and `1883` (every address), `"unix:PATH"`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SocketName(pub Bind);

/// An address, or a network as in `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Network(pub IpNet);

/// The origin of a page, as browsers send it: scheme, host, and the port where it is not the scheme's own (RFC 6454, 6.2).
/// Also `*` for all and `null` for pages without one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Origin(pub String);

/// A host name, also with `*` as its first label, or an address: what a certificate may be made for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ServerName(pub String);

impl FromScalar for SocketName {
    const EXPECTED: &'static str = "an address like \"[::]:443\"";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        if let Scalar::Integer(number) = scalar {
            return every_address(&number.to_string());
        }
        let written = text(scalar, Self::EXPECTED)?.trim();
        if let Some(path) = written.strip_prefix("unix:") {
            return unix(path);
        }
        if let Ok(addr) = written.parse::<SocketAddr>() {
            return Ok(Self(Bind::Tcp(addr)));
        }
        match written.rsplit_once(':') {
            Some(("", port)) => every_address(port),
            None if !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit()) => {
                every_address(written)
            }
            Some(_) | None => Err(no_address(written)),
        }
    }
}

/// A port without an address is every address, of IPv4 too.
fn every_address(written: &str) -> Result<SocketName, Wrong> {
    let port = port(written)?;
    Ok(SocketName(Bind::Tcp((Ipv6Addr::UNSPECIFIED, port).into())))
}

fn port(written: &str) -> Result<u16, Wrong> {
    written
        .parse()
        .map_err(|_| Wrong::new(format!("{written} is not a port: 0 to 65535")))
}

fn unix(path: &str) -> Result<SocketName, Wrong> {
    // `unix:///run/x` as in a URL.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains('\0') {
        return Err(Wrong::new("unix: is followed by a path")
            .hint("write it like \"unix:/run/gatemq.sock\""));
    }
    Ok(SocketName(Bind::Unix(PathBuf::from(path))))
}

/// Says what is wrong with something that is no address and port.
fn no_address(written: &str) -> Wrong {
    let unclear = || Wrong::new(format!("\"{written}\" is not an address and port"));
    if let Ok(addr) = written.trim_matches(['[', ']']).parse::<IpAddr>() {
        let wrong = Wrong::new(format!("\"{written}\" has no port"));
        let guess = match written
            .rsplit_once(':')
            .map(|(host, port)| (host.parse(), port.parse::<u16>()))
        {
            // `::1:8883`, which is an address as it stands.
            Some((Ok(IpAddr::V6(host)), Ok(port))) if !written.starts_with('[') => {
                SocketAddr::from((host, port))
            }
            Some(_) | None => SocketAddr::from((addr, 8883)),
        };
        return wrong.meant(&format!("\"{guess}\""));
    }
    if written.starts_with('/') || written.starts_with("./") {
        return unclear().meant(&format!("\"unix:{written}\""));
    }
    if let Some((_, rest)) = written.split_once("://") {
        return unclear().hint(&format!(
            "write address and port without the scheme: \"{rest}\""
        ));
    }
    let Some((host, port)) = written.rsplit_once(':') else {
        return unclear()
            .hint("write it like \"[::]:443\", \"127.0.0.1:1883\" or \"unix:/run/gatemq.sock\"");
    };
    if let Err(wrong) = self::port(port) {
        return wrong;
    }
    if let Ok(addr) = host.parse::<Ipv6Addr>() {
        return unclear().meant(&format!("\"[{addr}]:{port}\""));
    }
    match host {
        "*" => unclear().meant(&format!("\"[::]:{port}\"")),
        "localhost" => Wrong::new("localhost is a name, and may be two addresses")
            .meant(&format!("\"127.0.0.1:{port}\" or \"[::1]:{port}\"")),
        _ if host.bytes().any(|byte| byte.is_ascii_alphabetic()) => {
            Wrong::new(format!("{host} is a name, not an address of this machine"))
                .hint(&format!("\"[::]:{port}\" listens on every address"))
        }
        _ => unclear(),
    }
}

impl FromScalar for Network {
    const EXPECTED: &'static str = "an address or a network like \"10.0.0.0/8\"";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar, Self::EXPECTED)?.trim();
        if let Ok(addr) = written.parse::<IpAddr>() {
            return Ok(Self(addr.into()));
        }
        match written.parse::<IpNet>() {
            Ok(network) => Ok(Self(network.trunc())),
            Err(_) => Err(
                Wrong::new(format!("\"{written}\" is not an address or a network"))
                    .hint("write it like \"192.0.2.7\", \"10.0.0.0/8\" or \"fd00::/8\""),
            ),
        }
    }
}

impl FromScalar for Origin {
    const EXPECTED: &'static str = "an origin like \"https://example.com\"";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar, Self::EXPECTED)?.trim();
        if matches!(written, "*" | "null") {
            return Ok(Self(written.to_owned()));
        }
        let lower = written.to_lowercase();
        let unclear = || Wrong::new(format!("\"{written}\" is not an origin"));
        let Some((scheme, host)) = lower.split_once("://") else {
            return Err(unclear().meant(&format!("\"https://{lower}\"")));
        };
        let visible =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let authority = host.split('/').next().unwrap_or_default();
        if !visible(scheme) || !visible(authority) || authority.contains(['@', '*']) {
            return Err(unclear().hint("write scheme, host and port, like \"https://example.com\" or \"http://localhost:3000\"; \"*\" alone is all"));
        }
        if host.contains('/') {
            let meant = format!("\"{scheme}://{authority}\"");
            return Err(Wrong::new("an origin has no path").meant(&meant));
        }
        // Browsers leave the scheme's own port out.
        let own_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => "\0",
        };
        let host = host.strip_suffix(own_port).unwrap_or(host);
        Ok(Self(format!("{scheme}://{host}")))
    }
}

impl FromScalar for ServerName {
    const EXPECTED: &'static str = "a host name or an address";

    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar, Self::EXPECTED)?.trim();
        let label = |label: &str| {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len())
                && label.bytes().all(letters)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let labels = written.strip_prefix("*.").unwrap_or(written);
        let name = written.len() <= 253 && labels.split('.').all(label);
        if name || written.parse::<IpAddr>().is_ok() {
            return Ok(Self(written.to_ascii_lowercase()));
        }
        Err(Wrong::new(format!(
            "\"{written}\" is neither a host name nor an address"
        )))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<T: FromScalar>(text: &str) -> Result<T, String> {
        T::from_scalar(&Scalar::Text(text.to_owned())).map_err(|wrong| {
            let suggestion = wrong.suggestion.map(|suggestion| format!("; {suggestion}"));
            wrong.message + &suggestion.unwrap_or_default()
        })
    }

    #[test]
    fn where_to_listen() {
        for (written, expected) in [
            ("[::]:443", "[::]:443"),
            ("0.0.0.0:8883", "0.0.0.0:8883"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            (":1883", "[::]:1883"),
            ("1883", "[::]:1883"),
            ("unix:/run/gatemq.sock", "unix:/run/gatemq.sock"),
            ("unix:///run/gatemq.sock", "unix:/run/gatemq.sock"),
            ("unix:gatemq.sock", "unix:gatemq.sock"),
        ] {
            assert_eq!(read::<SocketName>(written).unwrap().0.to_string(), expected);
        }
        let number = SocketName::from_scalar(&Scalar::Integer(1883)).unwrap();
        assert_eq!(number.0.to_string(), "[::]:1883");
    }

    #[test]
    fn what_is_no_place_to_listen_is_told_with_what_was_meant() {
        for (written, expected) in [
            (
                "localhost:1883",
                "localhost is a name, and may be two addresses; did you mean \"127.0.0.1:1883\" or \"[::1]:1883\"?",
            ),
            (
                "example.com:443",
                "example.com is a name, not an address of this machine; \"[::]:443\" listens on every address",
            ),
            (
                "*:443",
                "\"*:443\" is not an address and port; did you mean \"[::]:443\"?",
            ),
            (
                "127.0.0.1",
                "\"127.0.0.1\" has no port; did you mean \"127.0.0.1:8883\"?",
            ),
            (
                "[::1]",
                "\"[::1]\" has no port; did you mean \"[::1]:8883\"?",
            ),
            (
                "::1:1883",
                "\"::1:1883\" has no port; did you mean \"[::1]:1883\"?",
            ),
            (
                ":::443",
                "\":::443\" is not an address and port; did you mean \"[::]:443\"?",
            ),
            ("127.0.0.1:70000", "70000 is not a port: 0 to 65535"),
            ("70000", "70000 is not a port: 0 to 65535"),
            (":x", "x is not a port: 0 to 65535"),
            ("300.0.0.1:1", "\"300.0.0.1:1\" is not an address and port"),
            (
                "/run/x",
                "\"/run/x\" is not an address and port; did you mean \"unix:/run/x\"?",
            ),
            (
                "mqtt://0.0.0.0:1",
                "\"mqtt://0.0.0.0:1\" is not an address and port; write address and port without the scheme: \"0.0.0.0:1\"",
            ),
            (
                "unix:",
                "unix: is followed by a path; write it like \"unix:/run/gatemq.sock\"",
            ),
            (
                "",
                "\"\" is not an address and port; write it like \"[::]:443\", \"127.0.0.1:1883\" or \"unix:/run/gatemq.sock\"",
            ),
        ] {
            assert_eq!(read::<SocketName>(written), Err(expected.to_owned()));
        }
    }

    #[test]
    fn networks() {
        for (written, expected) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(read::<Network>(written).unwrap().0.to_string(), expected);
        }
        for written in ["", "10.0.0.0/33", "10.0/8", "proxy.example"] {
            assert!(read::<Network>(written).is_err(), "{written}");
        }
    }

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        for (written, expected) in [
            ("https://Example.com", "https://example.com"),
            ("https://example.com:443", "https://example.com"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:80", "http://[::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("*", "*"),
            ("null", "null"),
        ] {
            assert_eq!(read::<Origin>(written).unwrap().0, expected);
        }
        for (written, expected) in [
            (
                "example.com",
                "\"example.com\" is not an origin; did you mean \"https://example.com\"?",
            ),
            (
                "https://example.com/",
                "an origin has no path; did you mean \"https://example.com\"?",
            ),
        ] {
            assert_eq!(read::<Origin>(written), Err(expected.to_owned()));
        }
        for written in [
            "https://",
            "https://*.example.com",
            "https://a b",
            "https://user@host",
            "://x",
        ] {
            assert!(read::<Origin>(written).is_err(), "{written}");
        }
    }

    #[test]
    fn server_names() {
        for written in [
            "localhost",
            "example.com",
            "*.example.com",
            "a_b.example",
            "192.0.2.7",
            "::1",
        ] {
            assert_eq!(read(written), Ok(ServerName(written.to_owned())));
        }
        for written in [
            "",
            "a..b",
            "-a.example",
            "a b",
            "*.",
            "a.*.example",
            "https://example.com",
            "x".repeat(64).as_str(),
        ] {
            assert!(read::<ServerName>(written).is_err(), "{written}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (read::<SocketName>(&text), read::<Network>(&text), read::<Origin>(&text), read::<ServerName>(&text));
        }
    }
}
