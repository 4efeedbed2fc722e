//! RabbitMQ's MQTT plugin with a quorum queue for each kept session: a Raft log that is synced before a message is
//! confirmed. One node; everything that Erlang would put elsewhere (cookie, name server, log) is in its folder or on a
//! port of its own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{find, free_port};

/// Where Debian puts the script behind the one that changes the user.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Messages that are sent to a subscriber and not acknowledged; the default of ten is for slow ones.
const PREFETCH: u16 = 1000;
/// What epmd and the node tell each other, in the folder.
const EPMD_PORT: &str = "epmd-port";

pub(super) fn program() -> Option<&'static str> {
    (Path::new(PROGRAM).is_file() && find("epmd").is_some()).then_some(PROGRAM)
}

/// From the folder of the release, `rabbitmq_server-3.10.8`.
pub(super) fn version() -> Option<String> {
    let names = fs::read_dir("/usr/lib/rabbitmq/lib").ok()?;
    names.flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some(name.strip_prefix("rabbitmq_server-")?.to_owned())
    })
}

/// Writes its configuration and starts its name server.
pub(super) fn configure(folder: &Path, port: u16) -> io::Result<Child> {
    let configuration = format!(
        "listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\nmqtt.allow_anonymous = true\n\
         mqtt.durable_queue_type = quorum\nmqtt.prefetch = {PREFETCH}\nmqtt.tcp_listen_options.nodelay = true\n\
         log.console = true\nlog.console.level = warning\nlog.file = false\ndisk_free_limit.absolute = 1GB\n"
    );
    fs::write(folder.join("rabbitmq.conf"), configuration)?;
    fs::write(folder.join("enabled_plugins"), "[rabbitmq_mqtt].\n")?;
    let epmd_port = free_port()?.to_string();
    fs::write(folder.join(EPMD_PORT), &epmd_port)?;
    Command::new(find("epmd").unwrap_or_else(|| PathBuf::from("epmd")))
        .args(["-address", "127.0.0.1", "-port", &epmd_port])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

pub(super) fn command(folder: &Path) -> io::Result<Command> {
    let mut command = Command::new(PROGRAM);
    let within = |name: &str| folder.join(name);
    command
        .env("HOME", folder)
        // Otherwise the script stays in between, and a signal to it would not reach the node.
        .env("RUNNING_UNDER_SYSTEMD", "1")
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_NODENAME", "durability@localhost")
        .env("RABBITMQ_CONFIG_FILE", within("rabbitmq.conf"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", within("advanced.config"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", within("enabled_plugins"))
        .env("RABBITMQ_MNESIA_BASE", within("mnesia"))
        .env("RABBITMQ_LOG_BASE", within("logs"))
        .env("RABBITMQ_DIST_PORT", free_port()?.to_string())
        .env("ERL_EPMD_PORT", fs::read_to_string(within(EPMD_PORT))?)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1}",
        );
    Ok(command)
}
