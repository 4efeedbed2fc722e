//! .NET under mono: `dotnet/`, which `tests/run install` compiles.

use tokio::process::Command;

use super::{Client, Installed, built};

pub(crate) const CLIENTS: &[Client] = &[Client {
    id: "mqttnet",
    name: "MQTTnet",
    project: "https://github.com/dotnet/MQTTnet",
    language: "C#, under mono",
    installed: Installed::MqttNet,
    command: || {
        let program = built().join("dotnet/interop.exe");
        assert!(
            program.exists(),
            "{} is not there; `tests/run install` installs it",
            program.display()
        );
        let mut command = Command::new("mono");
        command.arg(program);
        command
    },
    without: &[],
}];
