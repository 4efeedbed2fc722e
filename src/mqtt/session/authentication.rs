//! Enhanced authentication (MQTT 5, 4.12): the same exchange at CONNECT and whenever a client repeats it.

use std::sync::Arc;

use super::Violation;
use crate::{
    auth::{Authority, Mechanism, Step},
    mqtt::packet::{Auth, Authentication, ReasonCode},
};

/// The method a connection uses, and the exchange that may be under way.
pub(crate) struct Exchange {
    method: Box<str>,
    mechanism: Option<Box<dyn Mechanism>>,
}

impl Exchange {
    /// Begins with what CONNECT brought, `None` where the method is not supported.
    pub(crate) fn begin(
        authority: &Arc<dyn Authority>,
        first: &Authentication,
    ) -> Option<(Self, Step)> {
        let mut mechanism = authority.mechanism(&first.method)?;
        let step = mechanism.step(first.data.as_ref());
        Some((
            Self {
                method: first.method.clone(),
                mechanism: Some(mechanism),
            },
            step,
        ))
    }

    /// Goes on with an AUTH of the client.
    pub(crate) fn step(
        &mut self,
        authority: &Arc<dyn Authority>,
        auth: &Auth,
    ) -> Result<Step, Violation> {
        let authentication = auth
            .authentication
            .as_ref()
            .ok_or(Violation::AuthenticationMethodChanged)?;
        if authentication.method != self.method {
            return Err(Violation::AuthenticationMethodChanged);
        }
        match (auth.reason_code, self.mechanism.is_some()) {
            (ReasonCode::ContinueAuthentication, true) => {}
            (ReasonCode::ReAuthenticate, false) => {
                self.mechanism = authority.mechanism(&self.method)
            }
            _ => return Err(Violation::AuthenticationNotBegun),
        }
        let mechanism = self
            .mechanism
            .as_mut()
            .ok_or(Violation::AuthenticationNotBegun)?;
        let step = mechanism.step(authentication.data.as_ref());
        if !matches!(step, Step::Continue(_)) {
            self.finish();
        }
        Ok(step)
    }

    /// The exchange is over; another may begin.
    pub(crate) fn finish(&mut self) {
        self.mechanism = None;
    }

    /// What an answer carries.
    pub(crate) fn answer(&self, data: Option<bytes::Bytes>) -> Authentication {
        Authentication {
            method: self.method.clone(),
            data,
        }
    }

    /// An AUTH of the server.
    pub(crate) fn auth(&self, reason_code: ReasonCode, data: Option<bytes::Bytes>) -> Auth {
        Auth {
            reason_code,
            authentication: Some(self.answer(data)),
            reason_string: None,
            user_properties: Vec::new(),
        }
    }
}
