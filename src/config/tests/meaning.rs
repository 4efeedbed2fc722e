//! What each key means.

use std::{path::Path, time::Duration};

use super::{directory, file, load_at};
use crate::{
    config::{Config, Overrides},
    listener::{self, Bind, ClientCertificates, Protocols, ProxyProtocol, tls::CertificateFiles},
    mqtt,
    router::{self, WhenFull},
    telemetry::{self, LogFormat},
};

/// DESIGN §7, verbatim.
const EXAMPLE: &str = r#"
data_dir = "gatemq-data"

[[listener]]
bind = "[::]:443"               # tls defaults to true except on 1883 and 8083
protocols = ["mqtt", "websocket", "http"]
proxy_protocol = "off"          # off | optional | required, from trusted_proxies only
trusted_proxies = []

[[listener]]
bind = "[::]:8883"

[[listener]]
bind = "127.0.0.1:1883"

[[tls.certificate]]             # none: certs/ca.pem, certs/server.pem, certs/server.key are made and kept
chain = "certs/fullchain.pem"
key = "certs/privkey.pem"

[mqtt]
max_packet_size = "1MiB"
session_expiry_max = "7d"
allow_anonymous = false         # true only on loopback listeners when nothing is configured

[queue]
max_messages = 1000
max_bytes = "16MiB"
when_full = "drop-oldest"
"#;

#[test]
fn the_example_means_what_it_says() {
    let directory = directory(EXAMPLE);
    let root = directory.path();
    let loaded = load_at(root, &[], &Overrides::default()).unwrap();
    assert_eq!(loaded.file, Some(root.join("gatemq.toml")));
    let defaults = file("[[listener]]\nbind = '127.0.0.1:0'");
    let expected = Config {
        listeners: vec![
            listener_at("[::]:443", true),
            listener_at("[::]:8883", true),
            listener_at("127.0.0.1:1883", false),
        ],
        tls: listener::tls::Config {
            certificates: vec![CertificateFiles {
                chain: root.join("certs/fullchain.pem"),
                key: root.join("certs/privkey.pem"),
            }],
            own_dir: root.join("certs"),
            client_ca: None,
            crl: Vec::new(),
            own_names: Vec::new(),
        },
        mqtt: mqtt::Config {
            max_packet_size: 1 << 20,
            session_expiry_max: Duration::from_secs(7 * 24 * 3600),
            ..defaults.mqtt.clone()
        },
        allow_anonymous: false,
        router: router::Config {
            queue: router::QueueConfig {
                max_messages: 1000,
                max_bytes: 16 << 20,
                max_age: Duration::from_secs(0xFFFF_FFFF),
                when_full: WhenFull::DropOldest,
                queue_qos0: false,
            },
            ..defaults.router.clone()
        },
        data_dir: root.join("gatemq-data"),
        ..defaults
    };
    assert_eq!(loaded.config, expected);
}

/// A listener with every default.
fn listener_at(addr: &str, tls: bool) -> listener::Config {
    listener::Config {
        bind: Bind::Tcp(addr.parse().unwrap()),
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
    }
}

#[test]
fn the_top_level() {
    let text =
        "data_dir = '/var/lib/gatemq'\nthreads = 3\ndrain_timeout = '20s'\nsys_interval = 'off'";
    let config = file(text);
    assert_eq!(config.data_dir, Path::new("/var/lib/gatemq"));
    assert_eq!(
        (config.threads, config.drain_timeout, config.sys_interval),
        (3, Duration::from_secs(20), None)
    );
    assert_eq!(
        file("sys_interval = '1m'").sys_interval,
        Some(Duration::from_secs(60))
    );
    assert_eq!(file("").sys_interval, Some(Duration::from_secs(10)));
}

#[test]
fn listeners() {
    let config = file(
        r#"
        [[listener]]
        bind = "0.0.0.0:8083"
        tls = true
        protocols = ["websocket"]
        proxy_protocol = "required"
        trusted_proxies = ["10.0.0.0/8", "192.0.2.7"]
        client_certificates = "optional"
        [[listener]]
        bind = "unix:/run/gatemq.sock"
        proxy_protocol = "optional"
        [tls]
        client_ca = "/ca.pem"
        "#,
    );
    let expected = [
        listener::Config {
            bind: Bind::Tcp("0.0.0.0:8083".parse().unwrap()),
            tls: true,
            protocols: Protocols {
                mqtt: false,
                websocket: true,
                http: false,
            },
            proxy_protocol: ProxyProtocol::Required,
            trusted_proxies: vec![
                "10.0.0.0/8".parse().unwrap(),
                "192.0.2.7/32".parse().unwrap(),
            ],
            client_certificates: ClientCertificates::Optional,
            optional: false,
        },
        listener::Config {
            bind: Bind::Unix("/run/gatemq.sock".into()),
            tls: false,
            proxy_protocol: ProxyProtocol::Optional,
            ..listener_at("127.0.0.1:1", false)
        },
    ];
    assert_eq!(config.listeners, expected);
}

#[test]
fn tls_is_the_default_but_on_ports_that_mean_none() {
    for (bind, tls) in [
        (":443", true),
        (":8883", true),
        (":1884", true),
        (":8084", true),
        (":1883", false),
        (":8083", false),
        ("unix:/x", false),
    ] {
        assert_eq!(
            file(&format!("[[listener]]\nbind = '{bind}'")).listeners[0].tls,
            tls,
            "{bind}"
        );
    }
}

#[test]
fn certificates() {
    let config = file(
        r#"
        [tls]
        own_dir = "/etc/gatemq/own"
        own_names = ["Broker.example", "192.0.2.1"]
        client_ca = "/ca.pem"
        crl = "/crl.pem"
        [[tls.certificate]]
        chain = "/a.pem"
        key = "/a.key"
        [[tls.certificate]]
        chain = "/b.pem"
        key = "/b.key"
        "#,
    );
    let files = |name: &str| CertificateFiles {
        chain: format!("/{name}.pem").into(),
        key: format!("/{name}.key").into(),
    };
    let expected = listener::tls::Config {
        certificates: vec![files("a"), files("b")],
        own_dir: "/etc/gatemq/own".into(),
        client_ca: Some("/ca.pem".into()),
        crl: vec!["/crl.pem".into()],
        own_names: vec!["broker.example".to_owned(), "192.0.2.1".to_owned()],
    };
    assert_eq!(config.tls, expected);
}

#[test]
fn the_protocol_engine() {
    let config = file(
        r#"
        [mqtt]
        allow_anonymous = true
        max_packet_size = 65536
        session_expiry_max = "never"
        receive_maximum = 20
        topic_alias_maximum = 0
        max_topic_levels = 8
        connect_timeout = "3s"
        max_sessions = 100
        max_keep_alive = "10m"
        "#,
    );
    let expected = mqtt::Config {
        max_packet_size: 65_536,
        session_expiry_max: Duration::from_secs(u64::from(u32::MAX)),
        receive_maximum: 20,
        topic_alias_maximum: 0,
        max_topic_levels: 8,
        connect_timeout: Duration::from_secs(3),
        max_sessions: 100,
        max_keep_alive: Some(Duration::from_secs(600)),
    };
    assert_eq!(config.mqtt, expected);
    assert!(config.allow_anonymous);
}

#[test]
fn queues_and_retained_messages() {
    let config = file(
        r#"
        [mqtt]
        max_subscriptions_per_session = 50
        [queue]
        max_messages = 7
        max_bytes = "1KiB"
        max_age = "1d"
        when_full = "disconnect"
        queue_qos0 = true
        max_total_bytes = "1GiB"
        [retained]
        max_bytes = "2MB"
        "#,
    );
    let expected = router::Config {
        queue: router::QueueConfig {
            max_messages: 7,
            max_bytes: 1024,
            max_age: Duration::from_secs(24 * 3600),
            when_full: WhenFull::Disconnect,
            queue_qos0: true,
        },
        max_queued_bytes: 1 << 30,
        max_retained_bytes: 2_000_000,
        max_subscriptions_per_session: 50,
    };
    assert_eq!(config.router, expected);
}

#[test]
fn limits_and_logs() {
    let config = file(
        r#"
        [limits]
        max_connections = 1000
        max_connections_per_address = 10
        max_handshakes = 100
        proxy_header_timeout = "1s"
        tls_handshake_timeout = "2s"
        first_byte_timeout = "3s"
        http_header_timeout = "4s"
        max_header_bytes = "16KiB"
        [websocket]
        ping_interval = "1m"
        allowed_origins = ["https://example.com"]
        [log]
        filter = "warn"
        format = "json"
        "#,
    );
    let seconds = Duration::from_secs;
    let expected = listener::Limits {
        max_connections: 1000,
        max_connections_per_address: 10,
        max_handshakes: 100,
        proxy_header_timeout: seconds(1),
        tls_handshake_timeout: seconds(2),
        first_byte_timeout: seconds(3),
        http_header_timeout: seconds(4),
        max_header_bytes: 16 << 10,
        websocket_ping_interval: seconds(60),
        allowed_origins: vec!["https://example.com".to_owned()],
    };
    assert_eq!(config.limits, expected);
    let expected = telemetry::LogConfig {
        filter: "warn".to_owned(),
        format: LogFormat::Json,
    };
    assert_eq!(config.log, expected);
}
