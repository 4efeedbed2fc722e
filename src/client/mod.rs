//! The way to a broker from outside, for the tools of the command line. Owns addresses, trust, dialing and an MQTT
//! client of a few methods; knows nothing of the broker's own parts but the packets and the words for certificates.
//!
//! Start at [`Client::connect`]: it dials ([`Dial`]) a [`Target`], where [`Trust`] says whose certificate is believed.
//! [`doctor`] says why it does not connect.

mod connection;
mod dial;
pub mod doctor;
mod error;
mod link;
pub mod reason;
mod session;
mod target;
mod trust;
mod wire;

pub use connection::{Client, Event};
pub use dial::{Dial, DialError, Prepared, Stage};
pub use error::{ClientError, Kind, PublishError};
pub use link::Link;
pub use session::Session;
pub use target::{Carrier, Target, TargetError};
pub use trust::{Dialect, Presented, TlsFailure, Trust, TrustError};

#[cfg(test)]
mod tests;
