//! What a new user sees first: where the broker listens, and what to try.

use std::path::{Path, PathBuf};

use gatemq::{
    app::App,
    listener::{Bind, Config},
};

/// Prints where clients reach the broker, and three commands to try, each of which works as it stands.
pub(super) fn print(app: &App, file: Option<&Path>) {
    let listeners = app.front_door().listeners();
    let doors = Doors::of(listeners.iter().map(|(bind, config)| (bind, &**config)));
    let config = app.config();
    let own_ca = config
        .tls
        .certificates
        .is_empty()
        .then(|| config.tls.own_dir.join("ca.pem"));
    print!("{}", screen(&doors, own_ca, file));
}

/// One way in of each kind.
#[derive(Debug, Default)]
struct Doors {
    page: Option<String>,
    wss: Option<String>,
    mqtts: Option<(String, u16)>,
    mqtt: Option<(String, u16)>,
}

impl Doors {
    /// The first listener that serves each.
    fn of<'a>(listeners: impl Iterator<Item = (&'a Bind, &'a Config)>) -> Self {
        let mut doors = Self::default();
        for (bind, config) in listeners {
            let Bind::Tcp(addr) = bind else { continue };
            let port = addr.port();
            let ip = addr.ip();
            // The certificate of our own making is for names, and people read names.
            let host = if ip.is_loopback() || ip.is_unspecified() {
                "localhost".to_owned()
            } else if ip.is_ipv6() {
                format!("[{ip}]")
            } else {
                ip.to_string()
            };
            let https = if port == 443 {
                String::new()
            } else {
                format!(":{port}")
            };
            if config.tls && config.protocols.http {
                doors
                    .page
                    .get_or_insert_with(|| format!("https://{host}{https}/"));
            }
            if config.tls && config.protocols.websocket {
                doors
                    .wss
                    .get_or_insert_with(|| format!("wss://{host}{https}/mqtt"));
            }
            if config.protocols.mqtt {
                let door = if config.tls {
                    &mut doors.mqtts
                } else {
                    &mut doors.mqtt
                };
                door.get_or_insert((host, port));
            }
        }
        doors
    }
}

fn screen(doors: &Doors, own_ca: Option<PathBuf>, file: Option<&Path>) -> String {
    let configured = file.map_or_else(
        || "no configuration file: this machine only, anonymous clients welcome".to_owned(),
        |file| format!("configured by {}", file.display()),
    );
    let mut text = format!(
        "\nGateMQ {} is running ({configured}).\n\n",
        env!("CARGO_PKG_VERSION")
    );
    let url = |scheme: &str, door: &Option<(String, u16)>| {
        door.as_ref()
            .map(|(host, port)| format!("{scheme}://{host}:{port}"))
    };
    let ca = own_ca.map(|path| path.display().to_string());
    for (label, value) in [
        ("Page", doors.page.clone()),
        ("Browsers", doors.wss.clone()),
        ("Devices, TLS", url("mqtts", &doors.mqtts)),
        ("Devices, plain", url("mqtt", &doors.mqtt)),
        ("CA to trust", ca.clone()),
    ] {
        if let Some(value) = value {
            text.push_str(&format!("  {label:<15} {value}\n"));
        }
    }
    let commands = commands(doors, ca.as_deref());
    if !commands.is_empty() {
        text.push_str("\nTry these, each in a terminal of its own:\n\n");
        for command in commands {
            text.push_str(&format!("  {command}\n"));
        }
    }
    text.push_str("\nCtrl-C stops it.\n\n");
    text
}

/// A subscriber, a publisher, and a look at the broker.
fn commands(doors: &Doors, ca: Option<&str>) -> Vec<String> {
    let ca_of = |option: &str| ca.map_or_else(String::new, |ca| format!(" {option} {ca}"));
    let client = |door: &(String, u16), ca: &str| format!("-h {} -p {}{ca}", door.0, door.1);
    let plain = doors.mqtt.as_ref().map(|door| client(door, ""));
    let secure = doors.mqtts.as_ref().map(|door| {
        // With certificates from elsewhere the system's own roots do.
        let trust = if ca.is_some() {
            ca_of("--cafile")
        } else {
            " --capath /etc/ssl/certs".to_owned()
        };
        client(door, &trust)
    });
    let subscriber = plain.as_ref().or(secure.as_ref());
    let publisher = secure.as_ref().or(plain.as_ref());
    let mut commands = Vec::new();
    commands.extend(subscriber.map(|client| format!("mosquitto_sub {client} -t 'demo/#' -v")));
    commands.extend(
        publisher.map(|client| format!("mosquitto_pub {client} -t demo/hello -m 'hello, world'")),
    );
    commands.extend(
        doors
            .page
            .as_ref()
            .map(|page| format!("curl{} {page}status", ca_of("--cacert"))),
    );
    commands
}

#[cfg(test)]
mod tests {
    use gatemq::listener::{ClientCertificates, Protocols, ProxyProtocol};

    use super::*;

    fn listener(addr: &str, tls: bool) -> (Bind, Config) {
        let bind = Bind::Tcp(addr.parse().expect("an address"));
        let config = Config {
            bind: bind.clone(),
            tls,
            protocols: Protocols {
                mqtt: true,
                websocket: true,
                http: true,
            },
            proxy_protocol: ProxyProtocol::Off,
            trusted_proxies: Vec::new(),
            client_certificates: ClientCertificates::Off,
            optional: false,
        };
        (bind, config)
    }

    fn doors(listeners: &[(Bind, Config)]) -> Doors {
        Doors::of(listeners.iter().map(|(bind, config)| (bind, config)))
    }

    #[test]
    fn every_way_in_is_shown_with_commands_that_use_it() {
        let doors = doors(&[
            listener("127.0.0.1:8443", true),
            listener("127.0.0.1:1883", false),
        ]);
        let text = screen(&doors, Some("certs/ca.pem".into()), None);
        for expected in [
            "https://localhost:8443/\n",
            "wss://localhost:8443/mqtt",
            "mqtts://localhost:8443",
            "mqtt://localhost:1883",
            "mosquitto_sub -h localhost -p 1883 -t",
            "mosquitto_pub -h localhost -p 8443 --cafile certs/ca.pem -t",
            "curl --cacert certs/ca.pem https://localhost:8443/status",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }

    #[test]
    fn port_443_needs_no_number_and_foreign_certificates_no_ca() {
        let doors = doors(&[listener("[::]:443", true)]);
        let text = screen(&doors, None, Some(Path::new("gatemq.toml")));
        assert!(text.contains("https://localhost/\n"), "{text}");
        assert!(text.contains("configured by gatemq.toml"), "{text}");
        assert!(!text.contains("CA to trust"), "{text}");
    }
}
