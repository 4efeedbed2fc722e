//! Defaults, file, environment and flags: which goes before which, and what holds where nothing is said.

use std::{cell::Cell, path::Path, time::Duration};

use super::{binds, directory, errors, file, load, load_at};
use crate::{
    config::{Config, Overrides, changes_needing_restart, defaults, load_in, local},
    listener::Bind,
};

#[test]
fn flags_go_before_environment_before_file_before_defaults() {
    let text = "threads = 2\n[[listener]]\nbind = '127.0.0.1:8443'\n[mqtt]\nmax_sessions = 5\n[log]\nfilter = 'warn'";
    let environment = [
        ("GATEMQ_THREADS", "3"),
        ("GATEMQ_LISTENER__0__BIND", "127.0.0.1:9443"),
    ];
    let overrides = Overrides {
        port: Some(10_443),
        ephemeral: true,
        verbose: 1,
    };
    let config = load(text, &environment, &overrides);
    assert_eq!(config.mqtt.max_sessions, 5);
    assert_eq!(config.threads, 3);
    assert_eq!(binds(&config), ["127.0.0.1:10443"]);
    assert!(config.ephemeral);
    assert_eq!(config.log.filter, "warn,gatemq=debug");
    let config = load(text, &environment, &Overrides::default());
    assert_eq!(binds(&config), ["127.0.0.1:9443"]);
    assert_eq!(file(text).threads, 2);
}

#[test]
fn the_environment_adds_to_what_the_file_says() {
    let text = "[[listener]]\nbind = '127.0.0.1:1883'";
    let environment = [
        ("GATEMQ_LISTENER__1__BIND", "[::]:443"),
        ("GATEMQ_LISTENER__1__PROTOCOLS", "mqtt, websocket"),
        ("GATEMQ_LISTENER__0__TLS", "true"),
        ("GATEMQ_TLS__CERTIFICATE__0__CHAIN", "/c.pem"),
        ("GATEMQ_TLS__CERTIFICATE__0__KEY", "/k.pem"),
        ("GATEMQ_MQTT__ALLOW_ANONYMOUS", "true"),
        ("GATEMQ_MQTT__MAX_PACKET_SIZE", "64KiB"),
        ("GATEMQ_WEBSOCKET__ALLOWED_ORIGINS", ""),
        ("PATH", "/bin"),
    ];
    let config = load(text, &environment, &Overrides::default());
    assert_eq!(binds(&config), ["127.0.0.1:1883", "[::]:443"]);
    assert!(config.listeners[0].tls);
    assert!(config.listeners[1].protocols.websocket && !config.listeners[1].protocols.http);
    assert_eq!(config.tls.certificates[0].key, Path::new("/k.pem"));
    assert!(config.allow_anonymous);
    assert_eq!(config.mqtt.max_packet_size, 65_536);
}

#[test]
fn without_a_file_every_port_listens_on_this_machine_only() {
    let directory = tempfile::tempdir().unwrap();
    let loaded = load_at(directory.path(), &[], &Overrides::default()).unwrap();
    assert_eq!((loaded.file, loaded.warnings), (None, Vec::new()));
    let config = loaded.config;
    let ports = [
        (8443, true),
        (8883, true),
        (1883, false),
        (8083, false),
        (8084, true),
    ];
    let expected: Vec<_> = (ports.iter())
        .flat_map(|(port, tls)| {
            [
                (format!("127.0.0.1:{port}"), *tls),
                (format!("[::1]:{port}"), *tls),
            ]
        })
        .collect();
    let listeners: Vec<_> = (config.listeners.iter())
        .map(|listener| (listener.bind.to_string(), listener.tls))
        .collect();
    assert_eq!(listeners, expected);
    let required = config
        .listeners
        .iter()
        .filter(|listener| !listener.optional)
        .count();
    assert!(required == 1 && !config.listeners[0].optional);
    assert!(config.allow_anonymous);
    assert_eq!(config.data_dir, directory.path().join("gatemq-data"));
    assert_eq!(config.tls.own_dir, directory.path().join("certs"));
}

#[test]
fn without_a_file_the_flag_replaces_the_front_door() {
    let config = Config::without_file(Some(8883));
    assert_eq!(
        binds(&config)[..4],
        [
            "127.0.0.1:8883",
            "[::1]:8883",
            "127.0.0.1:1883",
            "[::1]:1883"
        ]
    );
    assert_eq!(config.data_dir, Path::new("gatemq-data"));
    // 443 or 8443, whichever this machine lets us have.
    let config = Config::without_file(None);
    let Bind::Tcp(addr) = &config.listeners[0].bind else {
        panic!("an address")
    };
    assert!(defaults::FRONT_DOOR_PORTS.contains(&addr.port()));
}

#[test]
fn a_file_without_listeners_warns_and_stays_on_this_machine() {
    let directory = directory("[mqtt]\nmax_sessions = 5");
    let loaded = load_at(directory.path(), &[], &Overrides::default()).unwrap();
    assert!(loaded.config.allow_anonymous);
    assert_eq!(loaded.config.listeners.len(), 10);
    let path = directory.path().join("gatemq.toml");
    let expected = format!(
        "{} has no [[listener]]: only this machine can connect",
        path.display()
    );
    assert_eq!(loaded.warnings, [expected]);
    assert!(!file("[mqtt]\nallow_anonymous = false").allow_anonymous);
}

#[test]
fn anonymous_clients_are_let_in_where_it_is_said_and_warned_of_beyond_this_machine() {
    let warnings = |text: &str| {
        let directory = directory(text);
        let loaded = load_at(directory.path(), &[], &Overrides::default()).unwrap();
        (loaded.config.allow_anonymous, loaded.warnings)
    };
    let nobody = "mqtt.allow_anonymous is false and there are no users to check: every client will be refused; `allow_anonymous = true` under [mqtt] lets all in";
    let everybody = "mqtt.allow_anonymous is true: whoever reaches 0.0.0.0:443 may publish and subscribe to everything";
    let listener = "[[listener]]\nbind = '0.0.0.0:443'\n[mqtt]\n";
    assert_eq!(warnings(listener), (false, vec![nobody.to_owned()]));
    let allowed = format!("{listener}allow_anonymous = true");
    assert_eq!(warnings(&allowed), (true, vec![everybody.to_owned()]));
    assert_eq!(
        warnings(&allowed.replace("0.0.0.0", "127.0.0.1")),
        (true, Vec::new())
    );
}

#[test]
fn the_flag_moves_the_front_door_and_nothing_else() {
    let with = |text: &str| {
        let overrides = Overrides {
            port: Some(7),
            ..Overrides::default()
        };
        binds(&load(text, &[], &overrides))
    };
    let plain = "[[listener]]\nbind = '127.0.0.1:1883'\n";
    let tls = "[[listener]]\nbind = '127.0.0.1:443'\n[[listener]]\nbind = '[::1]:443'\n";
    assert_eq!(
        with(&format!("{plain}{tls}")),
        ["127.0.0.1:1883", "127.0.0.1:7", "[::1]:7"]
    );
    assert_eq!(with(plain), ["127.0.0.1:7"]);
    let overrides = Overrides {
        port: Some(1883),
        ..Overrides::default()
    };
    assert_eq!(
        errors(format!("{plain}{tls}"), &[], &overrides),
        "-p: 127.0.0.1:1883 has a listener already"
    );
    assert_eq!(
        errors("[[listener]]\nbind = 'unix:/x'", &[], &overrides),
        "-p: no listener has a port to replace"
    );
}

#[test]
fn loading_again_keeps_the_front_door_that_the_running_broker_has() {
    let mut config = Config::without_file(Some(443));
    let nothing = std::iter::empty;
    let port = |config: &Config| match &config.listeners[0].bind {
        Bind::Tcp(addr) => addr.port(),
        Bind::Unix(_) => 0,
    };
    for port_now in defaults::FRONT_DOOR_PORTS {
        config.listeners = local::listeners(port_now);
        let again = config
            .load_again(None, nothing(), &Overrides::default())
            .unwrap();
        assert_eq!(port(&again.config), port_now);
    }
}

#[test]
fn connections_are_bounded_by_descriptors_and_by_nothing_else() {
    let limits = file("").limits;
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(descriptors) =
        descriptors.filter(|descriptors| (400..1_000_000).contains(descriptors))
    {
        assert_eq!(limits.max_connections as u64, descriptors - 200);
        let text = format!("[limits]\nmax_connections = {descriptors}");
        let directory = directory(&text);
        let loaded = load_at(directory.path(), &[], &Overrides::default()).unwrap();
        assert!(
            loaded.warnings[0].starts_with("limits.max_connections is"),
            "{:?}",
            loaded.warnings
        );
    }
    assert_eq!(limits.max_connections_per_address, limits.max_connections);
    assert_eq!(
        file("[limits]\nmax_connections = 7")
            .limits
            .max_connections_per_address,
        7
    );
}

#[test]
fn what_a_reload_cannot_change_is_named() {
    let old = Config::without_file(Some(0));
    assert_eq!(changes_needing_restart(&old, &old), [""; 0]);
    let new = Config {
        data_dir: "elsewhere".into(),
        threads: old.threads + 1,
        ephemeral: true,
        ..old.clone()
    };
    assert_eq!(
        changes_needing_restart(&old, &new),
        ["data_dir", "threads", "--ephemeral"]
    );
    let new = Config {
        allow_anonymous: false,
        listeners: Vec::new(),
        drain_timeout: Duration::ZERO,
        ..old.clone()
    };
    assert_eq!(changes_needing_restart(&old, &new), [""; 0]);
}

#[test]
fn the_front_door_is_tried_only_where_nobody_configured_one() {
    let tried = Cell::new(0);
    let front_door = || {
        tried.set(tried.get() + 1);
        8443
    };
    let run = |text: &str, port| {
        let directory = directory(text);
        let overrides = Overrides {
            port,
            ..Overrides::default()
        };
        load_in(
            directory.path(),
            None,
            std::iter::empty(),
            &overrides,
            &front_door,
        )
        .unwrap();
        tried.take()
    };
    assert_eq!(run("[[listener]]\nbind = '127.0.0.1:1'", None), 0);
    assert_eq!(run("", Some(1)), 0);
    assert_eq!(run("", None), 1);
}
