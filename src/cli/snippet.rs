//! `gatemq snippet`: a program for the library somebody uses, filled in with what is at hand.

use std::path::{Path, PathBuf};

use clap::Args;
use gatemq::{
    client::Target,
    config::{Config, Overrides},
    listener::{self, Bind},
    message::TopicName,
    snippets::{ALL, Filling, Language},
};

use super::{ConfigurationArguments, Exit, load, reject, say, say_aside};

/// What is asked for.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The library or program; without it, all there are
    language: Option<String>,
    /// Where it connects, as wss://HOST/mqtt; without it, where the broker of this configuration listens
    url: Option<String>,
    #[command(flatten)]
    configuration: ConfigurationArguments,
    /// User name; the password is read from MQTT_PASSWORD when the program runs
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    /// The authority that has certified the broker; without it, our own where the configuration has no certificate
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// What it publishes to and subscribes to
    #[arg(short, long, value_name = "TOPIC", default_value = "demo/hello")]
    topic: String,
}

/// Prints it.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let Some(id) = &arguments.language else {
        for language in ALL {
            say(format_args!("{:<12} {}", language.id, language.title));
        }
        return Exit::Done;
    };
    match program(arguments, id) {
        Ok(text) => {
            say(text.trim_end());
            Exit::Done
        }
        Err(exit) => exit,
    }
}

fn program(arguments: &Arguments, id: &str) -> Result<String, Exit> {
    let language = Language::by_id(id).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|language| language.id).collect();
        usage(format_args!(
            "there is no snippet {id:?}; there are: {}",
            known.join(", ")
        ))
    })?;
    let topic = TopicName::parse(&arguments.topic)
        .map_err(|error| usage(format_args!("--topic: {error}")))?;
    let loaded = load(
        arguments.configuration.file.as_deref(),
        &Overrides::default(),
    )
    .map_err(|errors| reject(&errors))?;
    let target = match &arguments.url {
        Some(url) => Target::parse(url).map_err(|error| usage(format_args!("{error}")))?,
        None => own_target(&loaded.config).ok_or_else(|| {
            usage(format_args!(
                "no listener of the configuration takes WebSocket or MQTT over TCP; name a URL, as wss://HOST/mqtt"
            ))
        })?,
    };
    let ca = match &arguments.cafile {
        Some(file) => Some(absolute(file)),
        None if arguments.url.is_none() => own_ca(&loaded.config),
        None => None,
    };
    let user = arguments.username.as_deref().or(target.username.as_deref());
    let filling = Filling {
        target: &target,
        ca: ca.as_deref(),
        fetch_ca: None,
        user,
        topic: &topic,
    };
    let text = language.render(&filling);
    text.map_err(|error| usage(format_args!("{error}")))
}

/// The front door: the first listener with TLS that takes WebSocket, or else the first that takes any client. Where it
/// is at 443 in the configuration without a file, whether that may be bound shows only at a start: then it is the next.
fn own_target(config: &Config) -> Option<Target> {
    let wss = |listener: &&listener::Config| listener.tls && listener.protocols.websocket;
    let mut listeners = config.listeners.iter();
    let listener = listeners
        .find(wss)
        .or_else(|| {
            config
                .listeners
                .iter()
                .find(|listener| listener.protocols.websocket)
        })
        .or_else(|| {
            config
                .listeners
                .iter()
                .find(|listener| listener.protocols.mqtt)
        })?;
    let Bind::Tcp(addr) = &listener.bind else {
        return None;
    };
    let scheme = match (listener.protocols.websocket, listener.tls) {
        (true, true) => "wss",
        (true, false) => "ws",
        (false, true) => "mqtts",
        (false, false) => "mqtt",
    };
    let host = match addr.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        std::net::IpAddr::V4(ip) => ip.to_string(),
    };
    Target::parse(&format!("{scheme}://{host}:{}", addr.port())).ok()
}

fn own_ca(config: &Config) -> Option<String> {
    let of_our_making = config.tls.certificates.is_empty();
    of_our_making.then(|| absolute(&config.tls.own_dir.join("ca.pem")))
}

/// Programs are started somewhere else.
fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.display().to_string()
}

fn usage(message: std::fmt::Arguments<'_>) -> Exit {
    say_aside(format_args!("gatemq: {message}"));
    Exit::Usage
}
