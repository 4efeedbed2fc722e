//! GateMQ's own counters, from `/metrics` on the port that its clients use.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::connection::within;

/// What the store has done so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Store {
    pub(crate) commits: u64,
    /// Times that it waited for fdatasync.
    pub(crate) syncs: u64,
}

impl Store {
    pub(crate) async fn of(port: u16) -> io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await?;
        Self::parse(&answer)
            .ok_or_else(|| io::Error::other("/metrics without gatemq_store_commits and _syncs"))
    }

    pub(crate) fn parse(metrics: &str) -> Option<Self> {
        Some(Self {
            commits: counter(metrics, "gatemq_store_commits_total")?,
            syncs: counter(metrics, "gatemq_store_syncs_total")?,
        })
    }
}

/// The value in a line `NAME VALUE`.
fn counter(metrics: &str, name: &str) -> Option<u64> {
    let mut values = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.next()?.trim().parse().ok()
}
