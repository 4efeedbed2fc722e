//! Who may connect, publish and subscribe. Every CONNECT, PUBLISH and SUBSCRIBE passes the one seam [`Authority`].
//! Knows no packets and no connections. Start at [`Authority`]; [`Anonymous`] is the one there is until users come.

mod anonymous;

pub use anonymous::Anonymous;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

/// Decides who somebody is, and what they may do.
pub trait Authority: Send + Sync {
    /// Who opens this connection. May take its time (a password hash, a database).
    fn authenticate<'a>(
        &'a self,
        request: Request<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Principal, Denied>> + Send + 'a>>;

    /// Whether the principal may do this to the topic. Asked for every message: answers at once.
    ///
    /// # Errors
    /// Which rule denies it.
    fn may(&self, principal: &Principal, action: Action, topic: &str) -> Result<(), Denied>;

    /// Begins an enhanced authentication (MQTT 5, 4.12); `None` where the method is not supported.
    fn mechanism(&self, method: &str) -> Option<Box<dyn Mechanism>>;
}

/// One enhanced authentication, from CONNECT or a re-authentication to its end.
pub trait Mechanism: Send {
    /// The client's next data, and what to answer.
    fn step(&mut self, data: Option<&Bytes>) -> Step;
}

/// What a [`Mechanism`] answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// AUTH 0x18 with this data; the client answers.
    Continue(Option<Bytes>),
    /// The client is this principal; the data goes into CONNACK, or into AUTH 0x00 of a re-authentication.
    Success(Principal, Option<Bytes>),
    /// The client is nobody.
    Failure(Denied),
}

/// What somebody who connects shows.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The client identifier, assigned already where the client sent none.
    pub client_id: &'a str,
    /// User Name.
    pub username: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// The subject of the verified client certificate.
    pub certificate_subject: Option<&'a str>,
}

/// Who somebody is, once that is settled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Principal {
    /// The name that permissions are looked up by; `None` is anonymous.
    pub name: Option<Arc<str>>,
}

/// What a client wants to do to a topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Publish to a topic name, a will included.
    Publish,
    /// Subscribe to a topic filter, here without its share name.
    Subscribe,
}

/// A permission or an identity is refused. Reads as a sentence that the client may see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Denied {
    /// The user name or the password is wrong.
    BadCredentials,
    /// A rule or a setting says no; the text names it.
    NotAuthorized(Box<str>),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCredentials => f.write_str("bad user name or password"),
            Self::NotAuthorized(rule) => f.write_str(rule),
        }
    }
}

impl std::error::Error for Denied {}
