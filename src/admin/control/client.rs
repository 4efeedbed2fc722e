//! The command line's end of the control socket. Blocks: there is nothing else to do.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{CHUNK, COPY_PATIENCE, Command, PathTooLong, RELOAD_TIMEOUT, Reply, socket_path};
use crate::storage::Form;

/// For an answer that needs no work, and on top of a reload's own time.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer taken: a status with some thousand listeners and certificates.
const MAX_REPLY: u64 = 1024 * 1024;

/// Why a broker cannot be asked.
#[derive(Debug)]
pub enum Unreachable {
    /// No broker runs with this data directory.
    NotRunning {
        /// Which one.
        data_dir: PathBuf,
    },
    /// The socket belongs to another user.
    PermissionDenied {
        /// Which socket.
        socket: PathBuf,
    },
    /// The path of the socket is too long.
    PathTooLong(PathTooLong),
    /// The broker has the request and does not answer.
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// The answer is not one: perhaps of another version.
    NotUnderstood {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The system refuses.
    Io {
        /// Which socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Asks the broker that runs with this data directory.
///
/// # Errors
/// It cannot be asked, or does not answer in time.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a request is made to be sent"
)]
pub fn request(data_dir: &Path, command: Command) -> Result<Reply, Unreachable> {
    let patience = match command {
        Command::Reload => RELOAD_TIMEOUT + PATIENCE,
        Command::Copy { .. } => COPY_PATIENCE,
        Command::Status | Command::Stop => PATIENCE,
    };
    request_within(data_dir, &command, patience)
}

pub(super) fn request_within(
    data_dir: &Path,
    command: &Command,
    patience: Duration,
) -> Result<Reply, Unreachable> {
    let socket = socket_path(data_dir).map_err(Unreachable::PathTooLong)?;
    let failed = |source: io::Error| Unreachable::new(data_dir, &socket, patience, source);
    let line = exchange(&socket, command, patience).map_err(failed)?;
    if line.is_empty() {
        // It took the request and went away.
        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
    }
    reply(&line)
}

fn exchange(socket: &Path, command: &Command, patience: Duration) -> io::Result<Vec<u8>> {
    read_line(&mut ask(socket, command, patience)?)
}

fn ask(socket: &Path, command: &Command, patience: Duration) -> io::Result<BufReader<UnixStream>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    match stream.write_all(&line) {
        // Refused before it was read: the answer says why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(BufReader::new(stream))
}

fn read_line(stream: &mut BufReader<UnixStream>) -> io::Result<Vec<u8>> {
    let mut reply = Vec::new();
    stream.take(MAX_REPLY).read_until(b'\n', &mut reply)?;
    Ok(reply)
}

/// Lets the broker that runs with this data directory send a copy of what it keeps; what it has answered in the end.
///
/// # Errors
/// It cannot be asked, does not go on, or what it sends cannot be written.
pub fn copy(data_dir: &Path, form: Form, to: &mut dyn Write) -> Result<Reply, Interrupted> {
    let socket = socket_path(data_dir).map_err(Unreachable::PathTooLong)?;
    let failed = |source: io::Error| Unreachable::new(data_dir, &socket, COPY_PATIENCE, source);
    let command = Command::Copy { form };
    let mut stream = ask(&socket, &command, COPY_PATIENCE).map_err(failed)?;
    let first = reply(&read_line(&mut stream).map_err(failed)?)?;
    if first != Reply::Copying {
        return Ok(first);
    }
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        let mut length = [0; 4];
        stream
            .read_exact(&mut length)
            .map_err(|error| failed(gone(error)))?;
        let length = u32::from_le_bytes(length);
        if length == 0 {
            break;
        }
        chunk.clear();
        let read = (&mut stream).take(length.into()).read_to_end(&mut chunk);
        if read.map_err(failed)? < length as usize {
            return Err(failed(gone(io::ErrorKind::UnexpectedEof.into())).into());
        }
        to.write_all(&chunk).map_err(Interrupted::Output)?;
    }
    Ok(reply(&read_line(&mut stream).map_err(failed)?)?)
}

/// The end of a copy before its end.
fn gone(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        let text = "the broker has gone before the copy was complete: copy it again";
        io::Error::new(error.kind(), text)
    } else {
        error
    }
}

fn reply(line: &[u8]) -> Result<Reply, Unreachable> {
    serde_json::from_slice(line).map_err(|source| Unreachable::NotUnderstood { source })
}

/// Why a copy did not come to its end.
#[derive(Debug)]
pub enum Interrupted {
    /// The broker cannot be asked, or has gone.
    Unreachable(Unreachable),
    /// What it sends cannot be written.
    Output(io::Error),
}

impl From<Unreachable> for Interrupted {
    fn from(error: Unreachable) -> Self {
        Self::Unreachable(error)
    }
}

impl Unreachable {
    fn new(data_dir: &Path, socket: &Path, patience: Duration, source: io::Error) -> Self {
        use io::ErrorKind::{
            ConnectionRefused, NotFound, PermissionDenied, TimedOut as Late, WouldBlock,
        };
        let kind = source.kind();
        if matches!(kind, NotFound | ConnectionRefused) {
            let data_dir = data_dir.to_owned();
            Self::NotRunning { data_dir }
        } else if kind == PermissionDenied {
            let socket = socket.to_owned();
            Self::PermissionDenied { socket }
        } else if matches!(kind, WouldBlock | Late) {
            Self::TimedOut { after: patience }
        } else {
            let socket = socket.to_owned();
            Self::Io { socket, source }
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { data_dir } => write!(
                f,
                "no broker runs with data_dir {}: start it with `gatemq run`, or name its configuration with -c",
                data_dir.display(),
            ),
            Self::PermissionDenied { socket } => write!(
                f,
                "{} may be used by root and the user that runs the broker only",
                socket.display(),
            ),
            Self::PathTooLong(error) => error.fmt(f),
            Self::TimedOut { after } => {
                write!(f, "the broker has not answered within {} s", after.as_secs())
            }
            Self::NotUnderstood { .. } => f.write_str(
                "the broker's answer is not understood: it may be of another version than this program",
            ),
            Self::Io { socket, .. } => write!(f, "{} does not work", socket.display()),
        }
    }
}

impl std::error::Error for Unreachable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NotUnderstood { source } => Some(source),
            Self::NotRunning { .. }
            | Self::PermissionDenied { .. }
            | Self::PathTooLong(_)
            | Self::TimedOut { .. } => None,
        }
    }
}
