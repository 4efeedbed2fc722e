//! Bytes to packets and back: the only code that tells MQTT 3.1, 3.1.1 and 5.0 apart. Knows no sessions and no network.
//!
//! Start at [`Decoder`] and [`Encoder`]. `properties` is the table of MQTT 5 properties, `reader` and `writer` the data
//! types both versions share.

mod aliases;
mod decode;
mod decoder;
mod encode;
mod encoder;
mod error;
mod frames;
mod properties;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use decoder::{Decoder, Limits};
pub use encoder::{EncodeError, Encoder};
pub use error::DecodeError;
pub use frames::Frames;
