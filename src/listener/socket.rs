//! Sockets that listen: TCP once for each runtime, Unix sockets shared by all. Knows addresses, no protocols.

use std::{
    fmt, fs, io,
    net::{SocketAddr, TcpListener as StdTcpListener},
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpStream, UnixStream};

use super::Bind;

/// Connections that wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Silence after which the kernel asks a TCP peer whether it is still there, and between its questions: a peer that
/// vanished without FIN is noticed within a minute or two, whatever its keep alive.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// One bound address, with a socket for each runtime.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(Bind, Vec<StdTcpListener>),
    /// The file is there where it is ours to remove.
    Unix(Bind, Vec<StdUnixListener>, Option<SocketFile>),
}

/// Listeners and sockets do not come together.
#[derive(Debug)]
pub enum BindError {
    /// A listener could not be bound.
    Failed {
        /// Where.
        bind: Bind,
        /// Why not.
        source: io::Error,
    },
    /// A socket was handed over, and no listener is configured for its address.
    NoListener {
        /// Where it listens.
        inherited: Bind,
    },
}

/// The file of a Unix socket, removed when nobody listens there any more.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Bound {
    /// Binds and listens, `count` times for as many runtimes. `ours` is where we listen already: one address may be
    /// exchanged for another of the same port.
    pub(super) fn new(bind: &Bind, count: usize, ours: &[Bind]) -> Result<Self, BindError> {
        let shares_port = |addr: &SocketAddr| {
            let same = |bind: &Bind| matches!(bind, Bind::Tcp(our) if our.port() == addr.port());
            ours.iter().any(same)
        };
        let bound = match bind {
            Bind::Tcp(addr) => bind_tcp(*addr, count, shares_port(addr)),
            Bind::Unix(path) => bind_unix(path, count),
        };
        bound.map_err(|source| BindError::Failed {
            bind: bind.clone(),
            source,
        })
    }

    /// Where it listens, with the port that was taken where the configuration says 0.
    pub(super) fn local_addr(&self) -> Bind {
        match self {
            Self::Tcp(addr, _) | Self::Unix(addr, ..) => addr.clone(),
        }
    }
}

fn bind_tcp(addr: SocketAddr, count: usize, is_ours: bool) -> io::Result<Bound> {
    if addr.port() != 0 && !is_ours {
        // SO_REUSEPORT would let two brokers share a port without noticing: a socket without it does notice. It would
        // notice our own as well.
        new_tcp_socket(addr)?.bind(&addr.into())?;
    }
    let first = listen_tcp(addr)?;
    let addr = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        sockets.push(listen_tcp(addr)?);
    }
    Ok(Bound::Tcp(Bind::Tcp(addr), sockets))
}

fn listen_tcp(addr: SocketAddr) -> io::Result<StdTcpListener> {
    let socket = new_tcp_socket(addr)?;
    socket.set_reuse_port(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn new_tcp_socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    if let SocketAddr::V6(v6) = addr {
        // `[::]` takes IPv4 too, as people expect of it; other addresses have no IPv4 side.
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    Ok(socket)
}

fn bind_unix(path: &Path, count: usize) -> io::Result<Bound> {
    remove_stale(path)?;
    let listener = StdUnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    listener.set_nonblocking(true)?;
    let mut sockets = Vec::with_capacity(count);
    for _ in 1..count {
        sockets.push(listener.try_clone()?);
    }
    sockets.push(listener);
    Ok(Bound::Unix(
        Bind::Unix(path.to_owned()),
        sockets,
        Some(file),
    ))
}

/// A socket file that nobody listens on is what a killed broker left.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is no socket lies there",
        )),
        Ok(_) if StdUnixStream::connect(path).is_ok() => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => fs::remove_file(path),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it; there is nothing left to do then.
        let _ = fs::remove_file(&self.0);
    }
}

/// What an accepted connection needs before its first byte.
pub(super) trait Options {
    /// Sets the options of the socket.
    fn set_options(&self) -> io::Result<()>;
}

impl Options for TcpStream {
    fn set_options(&self) -> io::Result<()> {
        self.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_INTERVAL);
        SockRef::from(self).set_tcp_keepalive(&keepalive)
    }
}

impl Options for UnixStream {
    fn set_options(&self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bind, source) = match self {
            Self::Failed { bind, source } => (bind, source),
            Self::NoListener { inherited } => {
                return write!(
                    f,
                    "the socket {inherited} was handed over (LISTEN_FDS), and no listener has `bind = \"{inherited}\"`: add one, or \
                     take it out of the socket unit"
                );
            }
        };
        match (source.kind(), bind) {
            (io::ErrorKind::AddrInUse, _) => write!(
                f,
                "cannot listen on {bind}: another process listens there; stop it or choose another port"
            ),
            (io::ErrorKind::PermissionDenied, Bind::Tcp(addr)) if addr.port() < 1024 => write!(
                f,
                "cannot listen on {bind}: ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher port with -p"
            ),
            (io::ErrorKind::AddrNotAvailable, _) => {
                write!(
                    f,
                    "cannot listen on {bind}: this machine has no such address"
                )
            }
            _ => write!(f, "cannot listen on {bind}: {source}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed { source, .. } => Some(source),
            Self::NoListener { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: &BindError) -> io::ErrorKind {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
        source.map_or(io::ErrorKind::Other, io::Error::kind)
    }

    fn loopback() -> Bind {
        Bind::Tcp(([127, 0, 0, 1], 0).into())
    }

    #[test]
    fn every_runtime_gets_a_socket_of_the_same_port() {
        let bound = Bound::new(&loopback(), 3, &[]).expect("a free port");
        let Bound::Tcp(addr, sockets) = &bound else {
            panic!("{bound:?}");
        };
        assert_eq!(sockets.len(), 3);
        for socket in sockets {
            assert_eq!(Bind::Tcp(socket.local_addr().expect("bound")), *addr);
        }
    }

    #[test]
    fn a_second_broker_on_the_same_port_is_noticed() {
        let first = Bound::new(&loopback(), 1, &[]).expect("a free port");
        let error = Bound::new(&first.local_addr(), 1, &[]).expect_err("taken");
        assert_eq!(kind(&error), io::ErrorKind::AddrInUse);
        assert!(
            error.to_string().contains("another process listens there"),
            "{error}"
        );
    }

    #[test]
    fn our_own_port_is_not_in_the_way() {
        let first = Bound::new(&loopback(), 2, &[]).expect("a free port");
        let Bind::Tcp(addr) = first.local_addr() else {
            panic!("{first:?}");
        };
        let everywhere = Bind::Tcp(([0, 0, 0, 0], addr.port()).into());
        assert!(Bound::new(&everywhere, 2, &[]).is_err());
        assert!(Bound::new(&everywhere, 2, &[first.local_addr()]).is_ok());
    }

    #[test]
    fn a_stale_unix_socket_gives_way_and_a_live_one_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gatemq.sock");
        drop(StdUnixListener::bind(&path).expect("bound"));
        let bound =
            Bound::new(&Bind::Unix(path.clone()), 2, &[]).expect("the stale one is removed");
        let error = Bound::new(&Bind::Unix(path.clone()), 1, &[]).expect_err("in use");
        assert_eq!(kind(&error), io::ErrorKind::AddrInUse);
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_plain_file_is_never_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("precious");
        fs::write(&path, "x").expect("written");
        assert!(Bound::new(&Bind::Unix(path.clone()), 1, &[]).is_err());
        assert!(path.exists());
    }
}
