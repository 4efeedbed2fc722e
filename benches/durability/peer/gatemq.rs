//! GateMQ: the binary that cargo has built for this bench. A data directory is all it takes to be durable.

use std::{fs, io, path::Path, process::Command};

/// Queues have bounds; these are beyond what is stored here.
pub(super) fn configure(folder: &Path, port: u16) -> io::Result<()> {
    let configuration = format!(
        r#"data_dir = "data"
[[listener]]
bind = "127.0.0.1:{port}"
tls = false
[mqtt]
allow_anonymous = true
session_expiry_max = "never"
[queue]
max_messages = 100000000
max_bytes = "1024GiB"
max_total_bytes = "1024GiB"
"#
    );
    fs::write(folder.join("gatemq.toml"), configuration)
}

pub(super) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatemq"));
    // These are configuration, and whoever runs this may have set some.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GATEMQ_") {
            command.env_remove(name);
        }
    }
    command.args(["run", "-c", "gatemq.toml"]);
    command
}
