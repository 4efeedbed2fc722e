//! CONNACK.

use super::{Authentication, ReasonCode, UserProperties};
use crate::message::QoS;

/// The answer to CONNECT (MQTT 5, 3.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnAck {
    /// The server has kept a session of this client, and the connection goes on with it.
    pub session_present: bool,
    /// `Success` or why not.
    pub reason_code: ReasonCode,
    /// The expiry the server uses where it is not the one asked for, in seconds.
    pub session_expiry_interval: Option<u32>,
    /// How many QoS 1 and 2 publishes the server takes before it acknowledges one; absent means 65,535.
    pub receive_maximum: Option<u16>,
    /// The highest QoS the server takes; absent means 2.
    pub maximum_qos: Option<QoS>,
    /// Retained messages are kept.
    pub retain_available: bool,
    /// The largest packet the server takes, in bytes.
    pub maximum_packet_size: Option<u32>,
    /// The client identifier the server made up.
    pub assigned_client_identifier: Option<Box<str>>,
    /// The highest topic alias the server takes; 0 none.
    pub topic_alias_maximum: u16,
    /// The cause in words.
    pub reason_string: Option<Box<str>>,
    /// User Properties.
    pub user_properties: UserProperties,
    /// `+` and `#` may be subscribed to.
    pub wildcard_subscription_available: bool,
    /// Subscription identifiers are understood.
    pub subscription_identifiers_available: bool,
    /// `$share/…` may be subscribed to.
    pub shared_subscription_available: bool,
    /// The keep alive the client must use instead of its own, in seconds.
    pub server_keep_alive: Option<u16>,
    /// The basis for response topics.
    pub response_information: Option<Box<str>>,
    /// Another server to use.
    pub server_reference: Option<Box<str>>,
    /// The last step of an enhanced authentication.
    pub authentication: Option<Authentication>,
}

impl ConnAck {
    /// An answer that promises nothing but the standard's defaults.
    #[must_use]
    pub const fn new(session_present: bool, reason_code: ReasonCode) -> Self {
        Self {
            session_present,
            reason_code,
            session_expiry_interval: None,
            receive_maximum: None,
            maximum_qos: None,
            retain_available: true,
            maximum_packet_size: None,
            assigned_client_identifier: None,
            topic_alias_maximum: 0,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: true,
            subscription_identifiers_available: true,
            shared_subscription_available: true,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication: None,
        }
    }
}
