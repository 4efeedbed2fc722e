//! Bytes become packets, packets become decisions. Owns the packets and each client's session; knows no sockets,
//! no TLS and no HTTP. Start at [`connection::serve`].

mod broker;
pub mod codec;
pub mod connection;
mod mailbox;
pub mod packet;
mod registry;
pub mod session;
pub mod transport;

pub use broker::Broker;

use std::time::Duration;

/// What the protocol engine grants its clients. All of it may change while it runs, for connections to come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The largest packet taken, in bytes, fixed header included.
    pub max_packet_size: u32,
    /// The longest time a session is kept without a connection.
    pub session_expiry_max: Duration,
    /// QoS 1 and 2 publishes a client may have unacknowledged.
    pub receive_maximum: u16,
    /// The highest topic alias taken from a client, and the most used towards one.
    pub topic_alias_maximum: u16,
    /// Levels a topic name or filter may have.
    pub max_topic_levels: usize,
    /// For CONNECT, an enhanced authentication included.
    pub connect_timeout: Duration,
    /// Sessions there may be, connected or not.
    pub max_sessions: usize,
    /// The longest keep alive granted; `None` leaves it to the client.
    pub max_keep_alive: Option<Duration>,
}
