//! Which version of a client is installed: read where its package manager keeps it, never written down twice.

use std::{fs, process::Command};

use super::{built, scripts};

/// What says which version is installed.
#[derive(Clone, Copy)]
pub(crate) enum Installed {
    /// A package in Cargo.lock of the folder of its name.
    Cargo(&'static str),
    /// A Debian package.
    Debian(&'static str),
    /// A name in package.json, which may stand for another package.
    Npm(&'static str),
    /// A name in requirements.txt.
    Pip(&'static str),
    /// An artifact in java/pom.xml.
    Maven(&'static str),
    /// A module in go/go.mod.
    Go(&'static str),
    /// The one dependency of node_red/package.json, which has a lock file of its own.
    NodeRed,
    /// What dotnet/build has taken out of the package that carries it.
    MqttNet,
}

impl Installed {
    /// The version as its project numbers it.
    pub(crate) fn version(self) -> String {
        match self {
            Self::Cargo(package) => cargo(package),
            Self::Debian(package) => debian(package),
            Self::Npm(package) => npm("package-lock.json", package),
            Self::Pip(package) => pip(package),
            Self::Maven(artifact) => maven(artifact),
            Self::Go(module) => go(module),
            Self::NodeRed => npm("node_red/package-lock.json", "node-red"),
            Self::MqttNet => mqttnet(),
        }
    }
}

fn cargo(package: &str) -> String {
    let lock = read(&format!("{package}/Cargo.lock"));
    let begin = format!("name = \"{package}\"\nversion = \"");
    let version = lock
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once('"'));
    version
        .unwrap_or_else(|| panic!("Cargo.lock has no {package}"))
        .0
        .to_owned()
}

/// Without epoch and revision: those change with Debian's security updates, and INTEROP.md must not.
fn debian(package: &str) -> String {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", package])
        .output()
        .expect("dpkg-query, which Debian has");
    let version = String::from_utf8_lossy(&output.stdout);
    let version = version.rsplit_once(':').map_or(&*version, |(_, rest)| rest);
    let upstream = version
        .rsplit_once('-')
        .map_or(version, |(upstream, _)| upstream);
    assert!(
        !upstream.is_empty(),
        "{package} is not there; `tests/run install` installs it"
    );
    upstream.to_owned()
}

fn npm(lock_file: &str, package: &str) -> String {
    let lock: serde_json::Value =
        serde_json::from_str(&read(lock_file)).expect("a lock file of npm");
    let version = &lock["packages"][format!("node_modules/{package}")]["version"];
    version
        .as_str()
        .unwrap_or_else(|| panic!("{lock_file} has no {package}"))
        .to_owned()
}

fn pip(package: &str) -> String {
    let requirements = read("requirements.txt");
    let version = requirements
        .lines()
        .find_map(|line| line.strip_prefix(package)?.strip_prefix("=="));
    version
        .unwrap_or_else(|| panic!("requirements.txt does not pin {package}"))
        .to_owned()
}

fn maven(artifact: &str) -> String {
    let project = read("java/pom.xml");
    let named = format!("<artifactId>{artifact}</artifactId>");
    let version = project.split_once(&named).and_then(|(_, after)| {
        let (_, version) = after.split_once("<version>")?;
        Some(version.split_once("</version>")?.0.to_owned())
    });
    version.unwrap_or_else(|| panic!("java/pom.xml does not pin {artifact}"))
}

fn go(module: &str) -> String {
    let modules = read("go/go.mod");
    let version = modules.lines().find_map(|line| {
        let version = line.trim_start().strip_prefix(module)?;
        version.strip_prefix(" v")
    });
    version
        .unwrap_or_else(|| panic!("go/go.mod does not pin {module}"))
        .to_owned()
}

/// Its licence bears its version in its name.
fn mqttnet() -> String {
    let folder = built().join("dotnet");
    let files = fs::read_dir(&folder).ok().into_iter().flatten().flatten();
    let version = files.into_iter().find_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let version = name.strip_prefix("MQTTnet_")?.strip_suffix(".html")?;
        Some(version.to_owned())
    });
    version.unwrap_or_else(|| {
        panic!(
            "{} holds no MQTTnet; `tests/run install` installs it",
            folder.display()
        )
    })
}

/// A file of tests/interop.
fn read(name: &str) -> String {
    let path = scripts().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
