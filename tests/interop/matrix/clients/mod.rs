//! The clients: a file for each place they come from, a row for each client. A new one is a row and its program.

mod browser;
mod debian;
mod dotnet;
mod go;
mod installed;
mod jvm;
mod node;
mod python;
mod rust;

use std::path::PathBuf;

use tokio::process::Command;

pub(crate) use installed::Installed;

use crate::broker::Transport;

/// A client library, and what it can do.
pub(crate) struct Client {
    /// Short and lower case: the first part of its tests' names.
    pub(crate) id: &'static str,
    /// As its project calls it.
    pub(crate) name: &'static str,
    /// Where its project is.
    pub(crate) project: &'static str,
    pub(crate) language: &'static str,
    /// What says which version of it is installed.
    pub(crate) installed: Installed,
    /// Its program, which gets the arguments of the head of `main.rs` appended.
    pub(crate) command: fn() -> Command,
    /// What it cannot do; everything else is tested.
    pub(crate) without: &'static [Without],
}

/// Something that a client cannot do, and why.
pub(crate) struct Without {
    pub(crate) what: What,
    /// A clause that stands behind a colon, without a full stop.
    pub(crate) why: &'static str,
}

/// What a client may not be able to do.
pub(crate) enum What {
    Transport(&'static [Transport]),
    Version(&'static [Version]),
    Step(Step),
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Version {
    V31,
    V311,
    V5,
}

/// What a program does, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Connects and disconnects.
    Connect,
    /// Subscribes at QoS 0, publishes at it, and receives the payload at it.
    Qos0,
    Qos1,
    Qos2,
    /// Publishes a retained message, which a new subscriber receives with RETAIN set, and clears it.
    Retained,
    /// Is cut off without DISCONNECT; another client receives its will at QoS 1.
    Will,
    /// Leaves a session, to which QoS 1 and 2 are published meanwhile, and comes back to it: it is present, both arrive.
    Session,
}

/// Every client, in the order of INTEROP.md.
pub(crate) fn all() -> impl Iterator<Item = &'static Client> {
    [
        debian::CLIENTS,
        python::CLIENTS,
        jvm::CLIENTS,
        go::CLIENTS,
        rust::CLIENTS,
        dotnet::CLIENTS,
        node::CLIENTS,
        browser::CLIENTS,
    ]
    .into_iter()
    .flatten()
}

/// Clients that nobody can have from here, and why.
pub(crate) const UNAVAILABLE: &[(&str, &str)] = &[(
    "M2MQTT",
    "NuGet alone has it, which these tests do not reach; there is no package of it at Debian, npm, PyPI or Maven Central",
)];

impl Client {
    /// Whether it speaks this version over this transport.
    pub(crate) fn has(&self, transport: Transport, version: Version) -> bool {
        !self.without.iter().any(|without| match without.what {
            What::Transport(transports) => transports.contains(&transport),
            What::Version(versions) => versions.contains(&version),
            What::Step(_) => false,
        })
    }

    /// Whether its program does this step.
    pub(crate) fn does(&self, step: Step) -> bool {
        let is_step =
            |without: &Without| matches!(without.what, What::Step(other) if other == step);
        !self.without.iter().any(is_step)
    }
}

impl Version {
    pub(crate) const ALL: [Self; 3] = [Self::V31, Self::V311, Self::V5];

    /// As people write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }

    /// As CONNECT numbers it.
    pub(crate) const fn number(self) -> &'static str {
        match self {
            Self::V31 => "3",
            Self::V311 => "4",
            Self::V5 => "5",
        }
    }
}

impl Step {
    pub(crate) const ALL: [Self; 7] = [
        Self::Connect,
        Self::Qos0,
        Self::Qos1,
        Self::Qos2,
        Self::Retained,
        Self::Will,
        Self::Session,
    ];

    /// The line that says it has passed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Qos0 => "qos0",
            Self::Qos1 => "qos1",
            Self::Qos2 => "qos2",
            Self::Retained => "retained",
            Self::Will => "will",
            Self::Session => "session",
        }
    }
}

/// tests/interop, where the programs are.
fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// target/interop, where `tests/run install` puts what it builds.
fn built() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/interop")
}
