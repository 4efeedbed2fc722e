//! Local control: `gatemq reload | status | stop` ask the running broker over a Unix socket in its data directory. One
//! JSON object a line asks, one answers. Only the user that runs the broker, and root, are heard.
//!
//! Start at [`Control`], which `app` implements, and [`request`], which the command line calls.

mod client;
mod server;
mod status;

pub use client::{Interrupted, Unreachable, copy, request};
pub use server::{listen, serve};
pub use status::{CertificateStatus, ListenerStatus, QueueStatus, Status};

use std::{
    fmt,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::storage::{Copied, Form};

/// The name of the socket in the data directory.
pub(super) const SOCKET: &str = "control.sock";

/// `sun_path` of Linux has 108 bytes, the last one zero.
const MAX_SOCKET_PATH: usize = 107;

/// The longest a reload may take: certificates, CRLs and sockets, none of them over a network.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long either end of a copy waits for the other: who reads it may be a pager, and what is skipped in a large store
/// takes a while.
const COPY_PATIENCE: Duration = Duration::from_secs(300);

/// Bytes of a copy that are sent at once.
pub const CHUNK: usize = 64 * 1024;

/// Where a copy goes, part by part; it cannot be sent to any more when nobody wants it.
pub type Chunks = tokio::sync::mpsc::Sender<Vec<u8>>;

/// What the broker does when it is asked.
pub trait Control: Send + Sync {
    /// Reads the configuration and the certificates again, all or nothing.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Report, Vec<String>>> + Send + '_>>;

    /// How it is.
    fn status(&self) -> Status;

    /// Sends a copy of what it keeps: what it has, or why there is none.
    fn copy(
        &self,
        form: Form,
        to: Chunks,
    ) -> Pin<Box<dyn Future<Output = Result<Copied, String>> + Send + '_>>;

    /// Begins to stop, and returns at once.
    fn stop(&self);
}

/// What is asked of a broker.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Read configuration and certificates again.
    Reload,
    /// Say how it is.
    Status,
    /// Stop in order.
    Stop,
    /// Send a copy of what is kept. The answer is [`Reply::Copying`], then chunks behind their length (four bytes,
    /// little-endian), then a length of 0 and one more answer.
    Copy {
        /// In which form.
        form: Form,
    },
}

/// What a broker answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The new configuration is in use.
    Reloaded(Report),
    /// The old configuration stays in use.
    Rejected {
        /// All that is wrong with the new one.
        errors: Vec<String>,
    },
    /// How it is.
    Status(Box<Status>),
    /// It has begun to stop.
    Stopping {
        /// Its process, which will end.
        pid: u32,
    },
    /// A copy follows.
    Copying,
    /// The copy is complete.
    Copied(Copied),
    /// The request cannot be answered.
    Error {
        /// Why.
        message: String,
    },
}

/// What a reload has done.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// What is different now, a line for each; empty where nothing is.
    pub changed: Vec<String>,
    /// Settings that are different in the file and need a restart.
    pub needs_restart: Vec<String>,
    /// What is allowed but deserves a look.
    pub warnings: Vec<String>,
}

/// A data directory whose control socket would have too long a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathTooLong {
    /// The path of the socket.
    pub path: PathBuf,
}

/// Where the control socket of a data directory is.
fn socket_path(data_dir: &Path) -> Result<PathBuf, PathTooLong> {
    let path = data_dir.join(SOCKET);
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(PathTooLong { path });
    }
    Ok(path)
}

impl fmt::Display for PathTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {} bytes long, and the path of a Unix socket at most {MAX_SOCKET_PATH}: choose a shorter data_dir, \
             write it relative to where the broker runs, or name a symbolic link to it",
            self.path.display(),
            self.path.as_os_str().len(),
        )
    }
}

impl std::error::Error for PathTooLong {}

#[cfg(test)]
mod tests;
