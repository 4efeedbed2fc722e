//! The broker behind the proxies: the real binary with the listeners that nginx-example.conf tells people to write.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{proxy::replaced, support::until};

/// Killed when dropped; its log is shown where a test failed.
pub(crate) struct Broker {
    child: Child,
    log: std::path::PathBuf,
}

/// The ports it listens on, as they stand in the example: TLS ends in the broker, TLS ends in the proxy.
pub(crate) const PORTS: [&str; 2] = ["9443", "9083"];

impl Broker {
    /// Starts it in this folder, where `gatemq.pem` and `gatemq.key` lie.
    pub(crate) fn spawn(folder: &Path, ports: [u16; 2], more: &str) -> Self {
        let ports: Vec<_> = PORTS
            .iter()
            .zip(ports.map(|port| port.to_string()))
            .collect();
        let ports: Vec<_> = ports
            .iter()
            .map(|(from, to)| (**from, to.as_str()))
            .collect();
        let listeners = replaced(&listeners(), &ports);
        let configuration = format!(
            "{listeners}\n\
             [[tls.certificate]]\nchain = \"gatemq.pem\"\nkey = \"gatemq.key\"\n\
             [mqtt]\nallow_anonymous = true\n\
             [log]\nformat = \"json\"\n{more}"
        );
        let file = folder.join("gatemq.toml");
        fs::write(&file, configuration).expect("a configuration file");
        let path = folder.join("gatemq.log");
        let log = File::create(&path).expect("a log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatemq"));
        // These are configuration, and whoever runs the tests may have set some.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GATEMQ_")) {
            command.env_remove(name);
        }
        let child = command
            .args(["run", "-c"])
            .arg(&file)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the binary that cargo has built");
        Self { child, log: path }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The source address that the log gives for a client, without its port.
    pub(crate) async fn source_of(&self, client_id: &str) -> String {
        let mut source = None;
        until("the client is in the log", || {
            let log = self.log();
            let mut entries = log
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            source = entries.find_map(|entry: Value| {
                let is_it = entry["msg"] == "client connected" && entry["client_id"] == client_id;
                is_it.then(|| entry["source"].as_str().expect("a source").to_owned())
            });
            source.is_some()
        })
        .await;
        let source = source.expect("found");
        source
            .rsplit_once(':')
            .map_or(source.clone(), |(host, _)| host.to_owned())
    }
}

/// The part of nginx-example.conf that is meant for gatemq.toml.
fn listeners() -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("nginx-example.conf");
    let example = fs::read_to_string(example).expect("the example");
    let (_, after) = example
        .split_once("# gatemq.toml for both:\n#\n")
        .expect("listeners");
    let (block, _) = after
        .split_once("#\n# Who is not")
        .expect("the end of the listeners");
    let lines = block
        .lines()
        .map(|line| line.strip_prefix("#   ").unwrap_or(""));
    lines.map(|line| format!("{line}\n")).collect()
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the broker\n{}---", self.log());
        }
    }
}
