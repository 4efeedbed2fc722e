//! MQTT in WebSocket (RFC 6455): the upgrade, the frames, and the byte stream that is left without them.
//!
//! `handshake` decides about a request, `decoder` takes frames off, `frame` knows their headers: without I/O.
//! `outgoing` puts frames on, and [`WebSocketTransport`] moves the bytes. MQTT packets need not keep to frames
//! [MQTT-6.0.0-2]: payload is passed on as it comes, and no message is ever put together.

mod decoder;
mod frame;
mod handshake;
mod outgoing;
mod packets;
#[cfg(test)]
mod tests;
mod transport;

pub use decoder::{Decoder, Event};
pub use frame::{MAX_FRAME, Violation};
pub use handshake::{PATHS, Rejection, Upgrade, served_path, upgrade, wants_upgrade};
pub use transport::WebSocketTransport;
