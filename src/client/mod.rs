//! The way to a broker from outside, for the tools of the command line. Owns addresses, trust, dialing and an MQTT
//! client of a few methods; knows nothing of the broker's own parts but the packets and the words for certificates.
//!
//! Start at [`Target`]: where to. [`Trust`] says whose certificate is believed there.

mod target;
mod trust;

pub use target::{Carrier, Target, TargetError};
pub use trust::{Dialect, Presented, TlsFailure, Trust, TrustError};
