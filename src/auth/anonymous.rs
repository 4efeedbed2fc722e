//! The authority that checks nobody: either everyone may do everything, or nobody may connect.

use std::{future::Future, pin::Pin};

use super::{Action, Authority, Denied, Mechanism, Principal, Request};

/// With `allow` everyone is let in and may do everything; a user name is recorded, not checked.
#[derive(Clone, Copy, Debug)]
pub struct Anonymous {
    /// The configuration's `mqtt.allow_anonymous`.
    pub allow: bool,
}

impl Authority for Anonymous {
    fn authenticate<'a>(
        &'a self,
        request: Request<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Principal, Denied>> + Send + 'a>> {
        let answer = if self.allow {
            Ok(Principal {
                name: request.username.map(Into::into),
            })
        } else {
            Err(Denied::NotAuthorized(
                "mqtt.allow_anonymous is false and there are no users to check".into(),
            ))
        };
        Box::pin(std::future::ready(answer))
    }

    fn may(&self, _: &Principal, _: Action, topic: &str) -> Result<(), Denied> {
        // What the broker says about itself stays the broker's own word.
        let _ = topic;
        Ok(())
    }

    fn mechanism(&self, _: &str) -> Option<Box<dyn Mechanism>> {
        None
    }
}
