//! What a new user sees first: where the broker listens, and what to try.

use std::path::Path;

use gatemq::{
    app::App,
    listener::{Bind, ClientCertificates, Config, ProxyProtocol},
};

use super::say;

/// Prints where clients reach the broker, and three commands to try, each of which works as it stands.
pub(super) fn print(app: &App, file: Option<&Path>) {
    let listeners = app.front_door().listeners();
    let config = app.config();
    let own_ca = config.tls.certificates.is_empty().then(|| {
        let path = config.tls.own_dir.join("ca.pem");
        // People open another terminal, somewhere else.
        std::path::absolute(&path).unwrap_or(path)
    });
    let certified = own_ca.is_none().then(|| server_name(app)).flatten();
    let doors = |serves: fn(&Config) -> bool| {
        let serving = listeners.iter().filter(|(_, config)| serves(config));
        Doors::of(
            serving.map(|(bind, config)| (bind, &**config)),
            certified.as_deref(),
        )
    };
    let screen = Screen {
        doors: doors(|_| true),
        // What cannot be used as it stands is not among what to try.
        open: doors(|config| {
            config.client_certificates != ClientCertificates::Required
                && config.proxy_protocol != ProxyProtocol::Required
        }),
        ca: own_ca.map(|path| quoted(&path.display().to_string())),
        program: program(),
        is_local: listeners.iter().all(|(bind, _)| match bind {
            Bind::Tcp(addr) => addr.ip().is_loopback(),
            Bind::Unix(_) => true,
        }),
        allow_anonymous: config.allow_anonymous,
        configured: file.map(|file| file.display().to_string()),
        stored: (!config.ephemeral).then(|| {
            let path = &config.data_dir;
            std::path::absolute(path)
                .unwrap_or_else(|_| path.clone())
                .display()
                .to_string()
        }),
    };
    say(screen.text());
}

/// A name that the first configured certificate is for: clients insist on it.
fn server_name(app: &App) -> Option<String> {
    let certificates = app.certificates().summary().certificates;
    let names = certificates.into_iter().next()?.names;
    names.into_iter().find(|name| !name.contains('*'))
}

/// What is shown.
#[derive(Debug, Default)]
struct Screen {
    doors: Doors,
    /// Those for which a client needs nothing but the address.
    open: Doors,
    /// This program, as a shell reads its path.
    program: String,
    /// The authority of our own making, as a shell reads its path.
    ca: Option<String>,
    /// Nobody can connect from elsewhere.
    is_local: bool,
    allow_anonymous: bool,
    /// The configuration file.
    configured: Option<String>,
    /// Where sessions and messages are kept; `None` is nowhere.
    stored: Option<String>,
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
    /// The first listener that serves each. `certified` is what the certificate calls this machine, where it is not of
    /// our own making.
    fn of<'a>(
        listeners: impl Iterator<Item = (&'a Bind, &'a Config)>,
        certified: Option<&str>,
    ) -> Self {
        let mut doors = Self::default();
        for (bind, config) in listeners {
            let Bind::Tcp(addr) = bind else { continue };
            let (ip, port) = (addr.ip(), addr.port());
            let host = match certified {
                Some(name) if config.tls => name.to_owned(),
                // People read names, and the certificate of our own making has this one.
                Some(_) | None if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
                Some(_) | None => ip.to_string(),
            };
            let authority = match port {
                443 => in_url(&host),
                _ => format!("{}:{port}", in_url(&host)),
            };
            if config.tls && config.protocols.http {
                let page = || format!("https://{authority}/");
                doors.page.get_or_insert_with(page);
            }
            if config.tls && config.protocols.websocket {
                let wss = || format!("wss://{authority}/mqtt");
                doors.wss.get_or_insert_with(wss);
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

impl Screen {
    fn text(&self) -> String {
        let mut text = format!(
            "\nGateMQ {} is running ({}).\n\n",
            env!("CARGO_PKG_VERSION"),
            self.circumstances()
        );
        for (label, value) in [
            ("Page", self.doors.page.clone()),
            ("Browsers", self.doors.wss.clone()),
            ("Devices, TLS", url("mqtts", &self.doors.mqtts)),
            ("Devices, plain", url("mqtt", &self.doors.mqtt)),
            ("CA to trust", self.ca.clone()),
            ("Kept in", self.stored.clone()),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("  {label:<15} {value}\n"));
            }
        }
        let commands = self.commands();
        if !commands.is_empty() {
            text.push_str("\nTry these, each in a terminal of its own:\n\n");
            for command in commands {
                text.push_str(&format!("  {command}\n"));
            }
        }
        text.push_str("\nCtrl-C stops it.\n");
        text
    }

    /// Where the configuration is from, and who is let in.
    fn circumstances(&self) -> String {
        let configured = self.configured.as_ref().map_or_else(
            || "no configuration file".to_owned(),
            |file| format!("configured by {file}"),
        );
        let mut circumstances = vec![configured];
        if self.is_local {
            circumstances.push("this machine only".to_owned());
        }
        circumstances.push(if self.allow_anonymous {
            "anonymous clients welcome".to_owned()
        } else {
            "no clients let in, since allow_anonymous is false".to_owned()
        });
        if self.stored.is_none() {
            circumstances
                .push("--ephemeral: a restart forgets all sessions and messages".to_owned());
        }
        circumstances.join("; ")
    }

    /// A subscriber, a publisher, and a look at the broker.
    fn commands(&self) -> Vec<String> {
        let mut commands = Vec::new();
        if self.allow_anonymous {
            // With certificates from elsewhere the system's own roots do.
            let trust = self.ca.as_ref().map(|ca| format!(" --cafile {ca}"));
            let trusting = |url: String| format!("{url}{}", trust.as_deref().unwrap_or_default());
            let plain = url("mqtt", &self.open.mqtt);
            let secure = self
                .open
                .wss
                .clone()
                .or_else(|| url("mqtts", &self.open.mqtts));
            let secure = secure.map(trusting);
            let subscriber = plain.as_ref().or(secure.as_ref());
            let publisher = secure.as_ref().or(plain.as_ref());
            let program = &self.program;
            commands
                .extend(subscriber.map(|broker| format!("{program} sub {broker} -t 'demo/#' -v")));
            commands.extend(
                publisher.map(|broker| {
                    format!("{program} pub {broker} -t demo/hello -m 'hello, world'")
                }),
            );
        }
        let trust = self
            .ca
            .as_ref()
            .map_or_else(String::new, |ca| format!(" --cacert {ca}"));
        let page = self.open.page.as_ref();
        commands.extend(page.map(|page| format!("curl{trust} {page}status")));
        commands
    }
}

/// The door of a device, as a URL.
fn url(scheme: &str, door: &Option<(String, u16)>) -> Option<String> {
    let (host, port) = door.as_ref()?;
    Some(format!("{scheme}://{}:{port}", in_url(host)))
}

/// How this program is started from anywhere: by its name where that was enough, otherwise by its path.
fn program() -> String {
    let typed = std::env::args_os()
        .next()
        .unwrap_or_else(|| "gatemq".into());
    let typed = Path::new(&typed);
    if typed.components().count() == 1 && typed.is_relative() {
        return typed.display().to_string();
    }
    let path = std::path::absolute(typed).unwrap_or_else(|_| typed.to_owned());
    quoted(&path.display().to_string())
}

/// A host as URLs have it: an IPv6 address in brackets.
fn in_url(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// A path as a shell reads it: in quotes where it needs them.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if path.chars().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use gatemq::listener::Protocols;

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

    fn doors(listeners: &[(Bind, Config)], certified: Option<&str>) -> Doors {
        Doors::of(
            listeners.iter().map(|(bind, config)| (bind, config)),
            certified,
        )
    }

    fn screen(listeners: &[(Bind, Config)], certified: Option<&str>) -> Screen {
        Screen {
            doors: doors(listeners, certified),
            open: doors(listeners, certified),
            program: "gatemq".to_owned(),
            allow_anonymous: true,
            ..Screen::default()
        }
    }

    #[test]
    fn every_way_in_is_shown_with_commands_that_use_it() {
        let listeners = [
            listener("127.0.0.1:8443", true),
            listener("127.0.0.1:1883", false),
        ];
        let text = Screen {
            ca: Some(quoted("/my broker/certs/ca.pem")),
            ..screen(&listeners, None)
        }
        .text();
        for expected in [
            "https://localhost:8443/\n",
            "wss://localhost:8443/mqtt",
            "mqtts://localhost:8443",
            "mqtt://localhost:1883",
            "gatemq sub mqtt://localhost:1883 -t",
            "gatemq pub wss://localhost:8443/mqtt --cafile '/my broker/certs/ca.pem' -t",
            "curl --cacert '/my broker/certs/ca.pem' https://localhost:8443/status",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }

    #[test]
    fn it_says_where_messages_are_kept_or_that_they_are_not() {
        let listeners = [listener("127.0.0.1:8443", true)];
        let durable = Screen {
            stored: Some("/var/lib/gatemq".to_owned()),
            ..screen(&listeners, None)
        };
        assert!(durable.text().contains("Kept in         /var/lib/gatemq\n"));
        assert!(!durable.text().contains("ephemeral"));
        let text = screen(&listeners, None).text();
        assert!(text.contains("--ephemeral: a restart forgets"), "{text}");
    }

    #[test]
    fn port_443_needs_no_number_and_configured_certificates_their_own_name() {
        let text = Screen {
            configured: Some("gatemq.toml".to_owned()),
            ..screen(&[listener("[::]:443", true)], Some("mqtt.example"))
        }
        .text();
        for expected in [
            "https://mqtt.example/\n",
            "configured by gatemq.toml",
            "gatemq sub wss://mqtt.example/mqtt -t",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(!text.contains("CA to trust"), "{text}");
    }

    #[test]
    fn an_ipv6_address_is_in_brackets() {
        let text = screen(&[listener("[fd00::1]:1883", false)], None).text();
        assert!(text.contains("mqtt://[fd00::1]:1883\n"), "{text}");
        assert!(
            text.contains("gatemq sub mqtt://[fd00::1]:1883 -t"),
            "{text}"
        );
    }

    #[test]
    fn what_would_be_refused_is_not_among_what_to_try() {
        let listeners = [listener("127.0.0.1:8443", true)];
        let closed = Screen {
            allow_anonymous: false,
            ..screen(&listeners, None)
        };
        assert!(!closed.text().contains("gatemq sub"));
        assert!(closed.text().contains("(no configuration file; no clients"));
        assert!(closed.text().contains("curl"));
        let behind_a_proxy = Screen {
            open: Doors::default(),
            ..screen(&listeners, None)
        };
        assert!(!behind_a_proxy.text().contains("Try"));
        assert!(behind_a_proxy.text().contains("wss://"));
    }
}
