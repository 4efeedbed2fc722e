//! The four packets that acknowledge a PUBLISH.

use super::{PacketId, ReasonCode, UserProperties};

/// PUBACK, PUBREC, PUBREL and PUBCOMP, which all have this form (MQTT 5, 3.4 to 3.7).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acknowledgement {
    /// The packet identifier of the PUBLISH.
    pub packet_id: PacketId,
    /// How it went; below 0x80 it went well. Always `Success` before MQTT 5.
    pub reason_code: ReasonCode,
    /// The cause in words, for whoever reads the client's log.
    pub reason_string: Option<Box<str>>,
    /// User Properties.
    pub user_properties: UserProperties,
}

impl Acknowledgement {
    /// An acknowledgement without words.
    #[must_use]
    pub const fn new(packet_id: PacketId, reason_code: ReasonCode) -> Self {
        Self {
            packet_id,
            reason_code,
            reason_string: None,
            user_properties: Vec::new(),
        }
    }

    /// The same with the cause in words.
    #[must_use]
    pub fn because(mut self, reason: &(impl ToString + ?Sized)) -> Self {
        self.reason_string = Some(reason.to_string().into());
        self
    }
}
