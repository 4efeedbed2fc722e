//! PUBLISH.

use std::sync::Arc;

use smallvec::SmallVec;

use super::PacketId;
use crate::message::{Message, QoS};

/// A message on one hop (MQTT 5, 3.3). The message inside travels from end to end and is shared, not copied.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// What is published. From a client: `origin` and `expires_at` are still empty, and `qos` and `retain` say what
    /// this packet says.
    pub message: Arc<Message>,
    /// Present exactly where `qos` is above 0 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// The packet may have been sent before [MQTT-3.3.1-1]. It belongs to this hop alone.
    pub dup: bool,
    /// The QoS of this hop.
    pub qos: QoS,
    /// The RETAIN flag of this hop.
    pub retain: bool,
    /// Message Expiry Interval as it stands in this packet, in seconds.
    pub message_expiry_interval: Option<u32>,
    /// The Subscription Identifiers that matched; only a server may send any [MQTT-3.3.4-6].
    pub subscription_identifiers: SmallVec<[u32; 1]>,
}
