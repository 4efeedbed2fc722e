//! From the listening socket to a task of its own for each connection.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    runtime::Handle,
};
use tokio_util::sync::CancellationToken;

use super::{
    front_door::{Listener, Shared},
    path,
    socket::{Bound, Options, SocketFile},
};
use crate::mqtt::transport::Source;

/// How long accepting rests when the process has no descriptor left: long enough to cost nothing, short enough for
/// nobody to notice once there are some again.
const REST: Duration = Duration::from_millis(100);

/// A socket that connections are accepted from.
trait Accept: Send + 'static {
    type Stream: Options + tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Source)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Source)> {
        let (stream, addr) = Self::accept(self).await?;
        Ok((stream, Source::Ip(addr)))
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Source)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, Source::Local))
    }
}

/// Accepts on every runtime until `stop`. Returns the file of a Unix socket, where it is ours.
pub(super) fn spawn(
    bound: Bound,
    runtimes: &[Handle],
    listener: &Arc<Listener>,
    shared: &Arc<Shared>,
    stop: &CancellationToken,
) -> Option<SocketFile> {
    match bound {
        Bound::Tcp(_, sockets) => {
            for (socket, runtime) in sockets.into_iter().zip(runtimes) {
                let _entered = runtime.enter();
                spawn_on(
                    runtime,
                    TcpListener::from_std(socket),
                    listener,
                    shared,
                    stop,
                );
            }
            None
        }
        Bound::Unix(_, sockets, file) => {
            for (socket, runtime) in sockets.into_iter().zip(runtimes) {
                let _entered = runtime.enter();
                spawn_on(
                    runtime,
                    UnixListener::from_std(socket),
                    listener,
                    shared,
                    stop,
                );
            }
            file
        }
    }
}

fn spawn_on<A: Accept + Sync>(
    runtime: &Handle,
    socket: io::Result<A>,
    listener: &Arc<Listener>,
    shared: &Arc<Shared>,
    stop: &CancellationToken,
) {
    match socket {
        Ok(socket) => {
            let accepting = accept(socket, listener.clone(), shared.clone());
            let stop = stop.clone();
            runtime.spawn(async move { stop.run_until_cancelled(accepting).await });
        }
        // The runtime has no room for another descriptor.
        Err(error) => {
            tracing::error!(code = "listener.failed", listener = %listener.name, "cannot accept: {error}");
        }
    }
}

async fn accept<A: Accept>(socket: A, listener: Arc<Listener>, shared: Arc<Shared>) {
    let mut is_resting = false;
    loop {
        match socket.accept().await {
            Ok((stream, source)) => {
                is_resting = false;
                shared.metrics.sockets_accepted.increment();
                // The peer may be gone already; then the first read will say so.
                let _ = stream.set_options();
                let handshake = shared
                    .handshakes
                    .place(|| shared.limits.load().max_handshakes)
                    .await;
                let connection =
                    path::serve(stream, source, listener.clone(), shared.clone(), handshake);
                shared.connections.spawn(connection);
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                if !is_resting {
                    is_resting = true;
                    tracing::error!(code = "listener.exhausted", listener = %listener.name,
                        "cannot accept: {error}; trying again until it can");
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// A connection that ended before it was accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
