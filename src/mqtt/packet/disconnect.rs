//! DISCONNECT.

use super::{ReasonCode, UserProperties};

/// The last packet of a connection (MQTT 5, 3.14).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disconnect {
    /// Why; `Success` is the normal end, which deletes the will.
    pub reason_code: ReasonCode,
    /// The Session Expiry Interval from now on, in seconds, where it changes.
    pub session_expiry_interval: Option<u32>,
    /// The cause in words.
    pub reason_string: Option<Box<str>>,
    /// User Properties.
    pub user_properties: UserProperties,
    /// Another server to use.
    pub server_reference: Option<Box<str>>,
}

impl Disconnect {
    /// A DISCONNECT without words.
    #[must_use]
    pub const fn new(reason_code: ReasonCode) -> Self {
        Self {
            reason_code,
            session_expiry_interval: None,
            reason_string: None,
            user_properties: Vec::new(),
            server_reference: None,
        }
    }

    /// The same with the cause in words.
    #[must_use]
    pub fn because(mut self, reason: &(impl ToString + ?Sized)) -> Self {
        self.reason_string = Some(reason.to_string().into());
        self
    }
}
