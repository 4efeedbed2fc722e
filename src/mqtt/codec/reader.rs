//! The data types of MQTT 5, 1.5, as they are read. Every length is checked before anything is taken.

use std::num::NonZeroU16;

use bytes::Bytes;

use super::error::DecodeError;
use crate::mqtt::packet::PacketId;

/// The rest of a packet, or of its properties.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// The packet, for messages.
    packet: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8], packet: &'static str) -> Self {
        Self {
            rest: bytes,
            packet,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) const fn packet(&self) -> &'static str {
        self.packet
    }

    /// So many bytes, named in the error where they are not there.
    pub(super) fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            let packet = self.packet;
            return Err(DecodeError::malformed(format!(
                "{packet} ends within its {what}"
            )));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Whatever is left.
    pub(super) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn u8(&mut self, what: &str) -> Result<u8, DecodeError> {
        Ok(self.take(1, what)?[0])
    }

    pub(super) fn u16(&mut self, what: &str) -> Result<u16, DecodeError> {
        let bytes = self.take(2, what)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, DecodeError> {
        let bytes = self.take(4, what)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A variable byte integer in its shortest form [MQTT-1.5.5-1].
    pub(super) fn variable(&mut self, what: &str) -> Result<u32, DecodeError> {
        let packet = self.packet;
        let fault = match variable(self.rest) {
            Variable::Whole {
                value,
                length,
                is_shortest: true,
            } => {
                self.rest = &self.rest[length..];
                return Ok(value);
            }
            Variable::Whole { .. } => "is not in its shortest form",
            Variable::Begun => "is cut off",
            Variable::TooLong => "has more than four bytes",
        };
        Err(DecodeError::malformed(format!(
            "the {what} of {packet} {fault}"
        )))
    }

    /// Binary data: two bytes of length, then the data.
    pub(super) fn binary(&mut self, what: &str) -> Result<&'a [u8], DecodeError> {
        let length = self.u16(what)?;
        self.take(usize::from(length), what)
    }

    pub(super) fn bytes(&mut self, what: &str) -> Result<Bytes, DecodeError> {
        Ok(Bytes::copy_from_slice(self.binary(what)?))
    }

    /// A UTF-8 string without U+0000 [MQTT-1.5.4-1, -2].
    pub(super) fn string(&mut self, what: &str) -> Result<&'a str, DecodeError> {
        let bytes = self.binary(what)?;
        let packet = self.packet;
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(DecodeError::malformed(format!(
                "the {what} of {packet} is not UTF-8"
            )));
        };
        // Without a branch: all bytes of a text that is right are looked at anyway.
        if bytes.iter().fold(false, |found, byte| found | (*byte == 0)) {
            return Err(DecodeError::malformed(format!(
                "the {what} of {packet} contains U+0000"
            )));
        }
        Ok(text)
    }

    /// A packet identifier, which is not zero [MQTT-2.2.1-3].
    pub(super) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        let value = self.u16("packet identifier")?;
        NonZeroU16::new(value).ok_or_else(|| {
            DecodeError::protocol(format!("the packet identifier of {} is 0", self.packet))
        })
    }

    /// The packet ends here.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let (packet, length) = (self.packet, self.rest.len());
        Err(DecodeError::malformed(format!(
            "{packet} has {length} bytes more than its fields"
        )))
    }
}

/// What the beginning of some bytes is as a variable byte integer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Variable {
    /// A whole one.
    Whole {
        value: u32,
        /// Its bytes.
        length: usize,
        /// It could not be said in fewer.
        is_shortest: bool,
    },
    /// More bytes are needed.
    Begun,
    /// A fifth byte follows.
    TooLong,
}

/// Reads a variable byte integer (MQTT 5, 1.5.5).
pub(super) fn variable(bytes: &[u8]) -> Variable {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Variable::Whole {
                value,
                length: at + 1,
                is_shortest: at == 0 || *byte != 0,
            };
        }
    }
    if bytes.len() < 4 {
        Variable::Begun
    } else {
        Variable::TooLong
    }
}
