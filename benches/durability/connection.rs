//! One client's end: TCP without Nagle's delay, packets in and out.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::wire::{self, Packet};

/// For one answer. A peer may have a thousand queues to make before it gives one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Connections that are opened at a time.
const CONCURRENCY: usize = 32;
/// What one read takes: many packets while a queue is drained.
const READ_BYTES: usize = 64 * 1024;

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Read from the buffer already.
    consumed: usize,
}

impl Connection {
    /// Connects, and has been accepted.
    pub(crate) async fn open(port: u16, client_id: &str, is_clean: bool) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream,
            buffer: Vec::new(),
            consumed: 0,
        };
        connection
            .write(&wire::connect(client_id, is_clean))
            .await?;
        let answer = within(connection.next()).await?;
        if answer != Packet::ConnAck(0) {
            return Err(io::Error::other(format!(
                "CONNECT is answered by {answer:?}"
            )));
        }
        Ok(connection)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next packet, which is waited for.
    pub(crate) async fn next(&mut self) -> io::Result<Packet<'_>> {
        while wire::read(&self.buffer[self.consumed..])?.is_none() {
            self.fill().await?;
        }
        // Read twice, since a loop that returns what it borrows does not pass the borrow checker.
        self.ready()?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The next packet, if it is there already.
    pub(crate) fn ready(&mut self) -> io::Result<Option<Packet<'_>>> {
        let read = wire::read(&self.buffer[self.consumed..])?;
        Ok(read.map(|(packet, bytes)| {
            self.consumed += bytes;
            packet
        }))
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        self.buffer
            .reserve(READ_BYTES.min(self.buffer.len() + 1024));
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Subscribes at QoS 1, and the broker has said so.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> io::Result<()> {
        self.write(&wire::subscribe(filter)).await?;
        let answer = within(self.next()).await?;
        if answer != Packet::SubAck(1) {
            return Err(io::Error::other(format!(
                "SUBSCRIBE is answered by {answer:?}"
            )));
        }
        Ok(())
    }

    /// Says DISCONNECT and waits until the broker has closed: then it knows.
    pub(crate) async fn disconnect(mut self) -> io::Result<()> {
        self.write(&wire::DISCONNECT).await?;
        self.stream.shutdown().await?;
        within(async {
            loop {
                match self.fill().await {
                    Ok(()) => self.buffer.clear(),
                    Err(_) => return Ok(()),
                }
            }
        })
        .await
    }
}

/// A session that is kept, subscribed to a filter, and whose client has gone.
pub(crate) async fn leave_session(port: u16, client_id: &str, filter: &str) -> io::Result<()> {
    let mut connection = Connection::open(port, client_id, false).await?;
    connection.subscribe(filter).await?;
    connection.disconnect().await
}

/// Does something for each number up to `count`, some at a time; what came of it, in no order.
pub(crate) async fn for_each<T: 'static, F>(
    count: usize,
    mut begin: impl FnMut(usize) -> F,
) -> io::Result<Vec<T>>
where
    F: Future<Output = io::Result<T>> + 'static,
{
    let mut done = Vec::with_capacity(count);
    let mut running = JoinSet::new();
    let mut next = 0;
    while done.len() < count {
        while running.len() < CONCURRENCY && next < count {
            running.spawn_local(begin(next));
            next += 1;
        }
        let ended = running.join_next().await;
        let ended = ended.expect("fewer are done than are wanted");
        done.push(ended.map_err(io::Error::other)??);
    }
    Ok(done)
}

/// With patience.
pub(crate) async fn within<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, future).await?
}
