//! Sockets that somebody else has bound and handed over: systemd's socket activation (`LISTEN_FDS`), or whatever speaks
//! like it. Whoever binds them needs the privilege for ports below 1024, not the broker, and clients that come while it
//! restarts wait instead of being refused.
//!
//! Each becomes the listener that has its address as `bind`. Start at [`Inherited::from_env`].

use std::{
    io,
    net::TcpListener,
    os::unix::net::{SocketAddr as UnixSocketAddr, UnixListener},
};

use listenfd::ListenFd;
use socket2::SockRef;

use super::{
    Bind, Config,
    socket::{BindError, Bound},
};

/// Sockets that were handed over. They stay open as long as this lives, whichever of them are in use.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Socket>);

#[derive(Debug)]
enum Socket {
    Tcp(Bind, TcpListener),
    Unix(Bind, UnixListener),
}

impl Inherited {
    /// No sockets.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The sockets that the environment announces, which it does not after this. To be called while there is one thread:
    /// the environment belongs to all of them.
    ///
    /// # Errors
    /// What was handed over is no listening stream socket; a sentence for the operator.
    pub fn from_env() -> Result<Self, String> {
        let mut announced = ListenFd::from_env();
        let sockets = (0..announced.len()).map(|at| take(&mut announced, at).map_err(|error| {
            format!(
                "socket {number} of those handed over (LISTEN_FDS) cannot be used: {error}; a socket unit for gatemq has \
                 ListenStream= lines only, and Accept=no",
                number = at + 1,
            )
        }));
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// A socket for each of `count` runtimes, where this address was handed over.
    pub(super) fn open(&self, bind: &Bind, count: usize) -> Option<Result<Bound, BindError>> {
        let socket = self.0.iter().find(|socket| socket.addr() == bind)?;
        Some(socket.share(count).map_err(|source| BindError::Failed {
            bind: bind.clone(),
            source,
        }))
    }

    /// Those that none of these listeners would accept from: their clients would wait for ever.
    pub(super) fn unwanted(&self, listeners: &[Config]) -> Vec<BindError> {
        let addrs = self.0.iter().map(Socket::addr);
        let unwanted =
            addrs.filter(|addr| listeners.iter().all(|listener| listener.bind != **addr));
        unwanted
            .map(|addr| BindError::NoListener {
                inherited: addr.clone(),
            })
            .collect()
    }
}

fn take(announced: &mut ListenFd, at: usize) -> io::Result<Socket> {
    let taken = || io::Error::other("it was taken already");
    if let Ok(listener) = announced.take_tcp_listener(at) {
        let listener = listener.ok_or_else(taken)?;
        must_listen(&SockRef::from(&listener))?;
        listener.set_nonblocking(true)?;
        return Ok(Socket::Tcp(Bind::Tcp(listener.local_addr()?), listener));
    }
    // Its error is the one to tell: the descriptor is neither.
    let listener = announced.take_unix_listener(at)?.ok_or_else(taken)?;
    must_listen(&SockRef::from(&listener))?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let path = UnixSocketAddr::as_pathname(&addr)
        .ok_or_else(|| io::Error::other("a Unix socket without a path"))?;
    Ok(Socket::Unix(Bind::Unix(path.to_owned()), listener))
}

fn must_listen(socket: &SockRef<'_>) -> io::Result<()> {
    if socket.is_listener()? {
        Ok(())
    } else {
        Err(io::Error::other("it does not listen"))
    }
}

impl Socket {
    const fn addr(&self) -> &Bind {
        match self {
            Self::Tcp(addr, _) | Self::Unix(addr, _) => addr,
        }
    }

    /// One socket with one queue of clients, for all runtimes: a client wakes all that are idle, and one of them gets
    /// it. Sockets of our own, one for each runtime, could not be added without a moment in which clients are lost.
    fn share(&self, count: usize) -> io::Result<Bound> {
        match self {
            Self::Tcp(addr, listener) => {
                let shared = (0..count).map(|_| listener.try_clone());
                Ok(Bound::Tcp(addr.clone(), shared.collect::<Result<_, _>>()?))
            }
            Self::Unix(addr, listener) => {
                let shared = (0..count).map(|_| listener.try_clone());
                // The file is its owner's to remove.
                let sockets = shared.collect::<Result<_, _>>()?;
                Ok(Bound::Unix(addr.clone(), sockets, None))
            }
        }
    }
}
