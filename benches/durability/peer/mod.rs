//! The brokers: each a child process with a folder of its own on the disk that is measured, on loopback, on ports that
//! were free. Each is configured to lose nothing that it can keep, and without limits that would drop messages.
//!
//! Start at [`Peer::start`]; `gatemq`, `mosquitto` and `rabbitmq` say how each is run.

mod gatemq;
mod mosquitto;
mod rabbitmq;

use std::{
    fs::{self, File},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::connection::Connection;

/// The slowest takes ten seconds where nothing else runs; ten million messages are read meanwhile, too.
const START_PATIENCE: Duration = Duration::from_secs(600);
/// Between two tries to connect to a broker that starts.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// A CONNECT that comes too early may stay without an answer.
const TRY_PATIENCE: Duration = Duration::from_secs(30);
/// Of the log of a broker that does not start, so much is shown.
const LOG_TAIL: usize = 2000;

/// Which broker.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, clap::ValueEnum)]
pub(crate) enum Kind {
    #[value(name = "gatemq")]
    GateMq,
    Mosquitto,
    #[value(name = "rabbitmq")]
    RabbitMq,
}

/// A running broker. Killed when dropped, and its folder removed.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    folder: TempDir,
    port: u16,
    child: Child,
    /// What it cannot do without: RabbitMQ's name server.
    helper: Option<Child>,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::GateMq, Self::Mosquitto, Self::RabbitMq];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GateMq => "GateMQ",
            Self::Mosquitto => "mosquitto",
            Self::RabbitMq => "RabbitMQ",
        }
    }

    /// With its version.
    pub(crate) fn title(self) -> String {
        let version = match self {
            Self::GateMq => Some(env!("CARGO_PKG_VERSION").to_owned()),
            Self::Mosquitto => mosquitto::version(),
            Self::RabbitMq => rabbitmq::version(),
        };
        format!("{} {}", self.name(), version.unwrap_or_default())
            .trim_end()
            .to_owned()
    }

    /// Whether it can be started.
    ///
    /// # Errors
    /// It is not installed: how it becomes so.
    pub(crate) fn check(self) -> Result<(), String> {
        let package = match self {
            Self::GateMq => return Ok(()),
            Self::Mosquitto if mosquitto::program().is_some() => return Ok(()),
            Self::RabbitMq if rabbitmq::program().is_some() => return Ok(()),
            Self::Mosquitto => "mosquitto",
            Self::RabbitMq => "rabbitmq-server",
        };
        Err(format!(
            "{} is not installed: `apt-get install --no-install-recommends {package}` does it; no service of it is \
             needed (`systemctl disable --now {package}`)",
            self.name()
        ))
    }

    fn prepare(self, folder: &Path, port: u16) -> io::Result<Option<Child>> {
        match self {
            Self::GateMq => gatemq::configure(folder, port).map(|()| None),
            Self::Mosquitto => mosquitto::configure(folder, port).map(|()| None),
            Self::RabbitMq => rabbitmq::configure(folder, port).map(Some),
        }
    }

    fn command(self, folder: &Path) -> io::Result<Command> {
        match self {
            Self::GateMq => Ok(gatemq::command()),
            Self::Mosquitto => Ok(mosquitto::command()),
            Self::RabbitMq => rabbitmq::command(folder),
        }
    }
}

impl Peer {
    /// Starts it in a new folder beneath `disk`, on this core where one is named, and returns once it takes clients.
    pub(crate) async fn start(kind: Kind, disk: &Path, core: Option<usize>) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("durability-")
            .tempdir_in(disk)?;
        let port = free_port()?;
        let helper = kind.prepare(folder.path(), port)?;
        let child = spawn(kind, folder.path(), core)?;
        let mut peer = Self {
            kind,
            folder,
            port,
            child,
            helper,
        };
        peer.answers().await?;
        Ok(peer)
    }

    /// Kills it and starts it again with what it has. How long that takes, from the start of the process to the CONNACK of
    /// the first client.
    pub(crate) async fn crash(&mut self, core: Option<usize>) -> io::Result<Duration> {
        self.child.kill()?;
        self.child.wait()?;
        let begin = Instant::now();
        self.child = spawn(self.kind, self.folder.path(), core)?;
        self.answers().await?;
        Ok(begin.elapsed())
    }

    /// Waits until a client is accepted.
    async fn answers(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < START_PATIENCE {
            let connecting = Connection::open(self.port, "is-it-there", true);
            if let Ok(Ok(connection)) = timeout(TRY_PATIENCE, connecting).await {
                return connection.disconnect().await;
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(&format!("it ended with {status}")));
            }
            sleep(RETRY_INTERVAL).await;
        }
        Err(self.failed("it takes no clients"))
    }

    fn failed(&self, text: &str) -> io::Error {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(LOG_TAIL)..];
        io::Error::other(format!("{text}: {}", String::from_utf8_lossy(tail)))
    }

    /// Where its clients connect, without TLS.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets it write what it keeps in memory only, if that is how it works; returns when it is written.
    pub(crate) async fn save(&self) -> io::Result<()> {
        match self.kind {
            Kind::Mosquitto => mosquitto::save(self).await,
            Kind::GateMq | Kind::RabbitMq => Ok(()),
        }
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).map_err(io::Error::from)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for child in std::iter::once(&mut self.child).chain(&mut self.helper) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The broker as a child that logs into its folder.
fn spawn(kind: Kind, folder: &Path, core: Option<usize>) -> io::Result<Child> {
    let command = kind.command(folder)?;
    let mut pinned = match core {
        Some(core) => {
            // taskset becomes what it starts, so the child keeps its pid.
            let mut taskset = Command::new("taskset");
            taskset.args(["-c", &core.to_string()]);
            taskset.arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => taskset.env(name, value),
                    None => taskset.env_remove(name),
                };
            }
            taskset
        }
        None => command,
    };
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))?;
    pinned
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A program on the path, or where Debian has those of the administrator.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|program| program.is_file())
}
