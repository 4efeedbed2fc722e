//! The broker's end of the control socket.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{COPY_PATIENCE, Command, Control, RELOAD_TIMEOUT, Reply, socket_path};
use crate::{admin::DataDir, storage::Form};

/// Clients served at once; more wait for their turn. A person and a script or two.
const MAX_CLIENTS: usize = 8;

/// The longest request taken, in bytes: far more than any has.
const MAX_REQUEST: u64 = 16 * 1024;

/// For the rest of a request whose client is slow, for the next one, and for taking an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the control socket of a data directory, for its owner only. Within a runtime.
///
/// # Errors
/// Its path is too long, or the system refuses.
pub fn listen(data_dir: &DataDir) -> io::Result<UnixListener> {
    let path = socket_path(data_dir.path())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidFilename, error))?;
    let listener = UnixListener::bind(&path)?;
    // Whoever connects before this line meets the check of credentials.
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers whoever may ask, for as long as it is polled.
pub async fn serve(listener: UnixListener, control: Arc<dyn Control>) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                Ok((stream, _)) => {
                    clients.spawn(converse(stream, control.clone()));
                }
                Err(error) => {
                    tracing::warn!(code = "control.accept_failed", error = %error, "control socket");
                    // Descriptors are short: they come back when connections end.
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

/// One client, request by request, until it closes or does something wrong.
async fn converse(stream: UnixStream, control: Arc<dyn Control>) {
    let allowed = match stream.peer_cred() {
        Ok(peer) => may_control(peer.uid()),
        Err(_) => false,
    };
    let mut stream = BufReader::new(stream);
    if !allowed {
        let message = "only root and the user that runs the broker may control it".to_owned();
        let _ = send(&mut stream, &Reply::Error { message }).await;
        return;
    }
    loop {
        let command = match timeout(PATIENCE, read_command(&mut stream)).await {
            Ok(Ok(Some(command))) => command,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(message)) => {
                let _ = send(&mut stream, &Reply::Error { message }).await;
                return;
            }
        };
        // Reloading and stopping are told by who does it.
        tracing::debug!(code = "control.request", command = ?command, "local control");
        let is_stop = command == Command::Stop;
        let sent = answer(command, &*control, &mut stream).await;
        // After the answer, which would otherwise race with the end of the process.
        if is_stop {
            control.stop();
        }
        if sent.is_err() {
            return;
        }
    }
}

fn may_control(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// The next request, `None` where the client has closed; an error is what to tell it.
async fn read_command(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Command>, String> {
    let mut line = Vec::new();
    let mut limited = stream.take(MAX_REQUEST);
    if limited.read_until(b'\n', &mut line).await.is_err() || line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') && line.len() as u64 == MAX_REQUEST {
        return Err(format!("a request has at most {MAX_REQUEST} bytes"));
    }
    serde_json::from_slice(&line)
        .map(Some)
        .map_err(|error| format!("this is no request: {error}"))
}

async fn answer(
    command: Command,
    control: &dyn Control,
    stream: &mut BufReader<UnixStream>,
) -> io::Result<()> {
    let reply = match command {
        Command::Reload => match timeout(RELOAD_TIMEOUT, control.reload()).await {
            Ok(Ok(report)) => Reply::Reloaded(report),
            Ok(Err(errors)) => Reply::Rejected { errors },
            Err(_) => Reply::Error {
                message: format!("the reload took longer than {} s", RELOAD_TIMEOUT.as_secs()),
            },
        },
        Command::Status => Reply::Status(Box::new(control.status())),
        Command::Stop => Reply::Stopping {
            pid: std::process::id(),
        },
        Command::Copy { form } => send_copy(form, control, stream).await?,
    };
    send(stream, &reply).await
}

/// Sends a copy as it is made; what it has come to.
async fn send_copy(
    form: Form,
    control: &dyn Control,
    stream: &mut BufReader<UnixStream>,
) -> io::Result<Reply> {
    send(stream, &Reply::Copying).await?;
    let (to, mut chunks) = mpsc::channel::<Vec<u8>>(2);
    // Whoever goes away takes the receiver along, and the copy ends since it cannot send any more.
    let sending = async move {
        while let Some(chunk) = chunks.recv().await {
            let length = u32::try_from(chunk.len()).map_err(io::Error::other)?;
            let sent = async {
                stream.write_all(&length.to_le_bytes()).await?;
                stream.write_all(&chunk).await
            };
            timeout(COPY_PATIENCE, sent).await??;
        }
        timeout(PATIENCE, stream.write_all(&0_u32.to_le_bytes())).await?
    };
    let (copied, sent) = tokio::join!(control.copy(form, to), sending);
    sent?;
    Ok(match copied {
        Ok(copied) => Reply::Copied(copied),
        Err(message) => Reply::Error { message },
    })
}

async fn send(stream: &mut BufReader<UnixStream>, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    timeout(PATIENCE, stream.write_all(&line)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_may_not_control() {
        let own = rustix::process::geteuid().as_raw();
        assert!(may_control(own));
        assert!(may_control(0));
        assert!(!may_control(own.wrapping_add(12_345)));
    }
}
