//! AUTH, and the authentication fields that CONNECT and CONNACK share with it.

use bytes::Bytes;

use super::{ReasonCode, UserProperties};

/// One step of an enhanced authentication (MQTT 5, 3.15 and 4.12).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Auth {
    /// `Success`, `ContinueAuthentication` or `ReAuthenticate`.
    pub reason_code: ReasonCode,
    /// Method and data; absent only where the packet has no properties at all, which re-authentication refuses.
    pub authentication: Option<Authentication>,
    /// The cause in words.
    pub reason_string: Option<Box<str>>,
    /// User Properties.
    pub user_properties: UserProperties,
}

/// Authentication Method and Authentication Data of CONNECT, CONNACK and AUTH.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authentication {
    /// The method, for example `SCRAM-SHA-256`; the same through the whole exchange [MQTT-4.12.0-5].
    pub method: Box<str>,
    /// What the method says at this step.
    pub data: Option<Bytes>,
}
