//! One client, without I/O: packets and deliveries go in, actions come out, time is an argument.
//!
//! Start at [`Session::receive`]. `publish` and `subscribe` are what the client asks for, `deliver` and `in_flight`
//! what it is sent. A [`State`] is what outlives the connection.

mod authentication;
mod deliver;
mod in_flight;
mod publish;
mod state;
mod subscribe;
#[cfg(test)]
mod tests;
mod violation;
mod will;

pub(crate) use authentication::Exchange;
pub use publish::Outcome;
pub use state::{Acceptance, State};
pub use subscribe::SubscribeRefusal;
pub use violation::Violation;

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use self::publish::PendingAcknowledgement;
use crate::{
    auth::{Action as Permission, Authority, Denied, Principal, Step},
    message::{ClientId, Message, TopicFilter},
    mqtt::packet::{
        Acknowledgement, Auth, Connect, Disconnect, Packet, PacketId, ProtocolVersion, ReasonCode,
        Subscription, Will,
    },
    storage::{Change, SessionRecord, StoredWill},
};

/// One client while it is connected.
pub struct Session {
    state: State,
    client_id: ClientId,
    version: ProtocolVersion,
    principal: Principal,
    authority: Arc<dyn Authority>,
    exchange: Option<Box<Exchange>>,
    will: Option<Box<Will>>,
    /// The cap on session expiry, for what DISCONNECT may change.
    session_expiry_max: u32,
    keep_alive: Option<Duration>,
    last_received: Instant,
    receive_maximum: u16,
    /// QoS 2 publishes of this connection that wait for their PUBREL: those of an earlier one do not count against
    /// the Receive Maximum of this one until they are sent again [MQTT-4.9.0-1].
    unreleased: BTreeSet<PacketId>,
    acknowledgements: VecDeque<PendingAcknowledgement>,
    actions: VecDeque<Action>,
}

/// What a session needs to know of its connection.
pub struct Grant {
    /// Who the client has proven to be.
    pub principal: Principal,
    /// Answers what it may do.
    pub authority: Arc<dyn Authority>,
    /// The enhanced authentication it came in by.
    pub(crate) exchange: Option<Box<Exchange>>,
    /// QoS 1 and 2 publishes it may have unacknowledged.
    pub receive_maximum: u16,
    /// The keep alive that holds; zero is none.
    pub keep_alive: Duration,
    /// The cap on session expiry, in seconds.
    pub session_expiry_max: u32,
}

/// What a session wants done.
#[derive(Debug)]
pub enum Action {
    /// Send this.
    Send(Packet),
    /// Route this message; answer with [`Session::published`] where it carries an identifier.
    Publish(Arc<Message>, Option<PacketId>),
    /// Subscribe to what is `Ok`; answer with [`Session::subscribed`].
    Subscribe(PacketId, Vec<Result<Subscription, Denied>>),
    /// Give these up; answer with [`Session::unsubscribed`].
    Unsubscribe(PacketId, Vec<TopicFilter>),
    /// Store this; answer with [`Session::confirmed`] once it is, and what was stored before.
    Keep(Vec<Change>, Confirmation),
    /// Store this, in its own time: a crash that undoes it only repeats something.
    Forget(Change),
    /// A publish was denied and the message dropped: worth a count.
    PublishDenied,
    /// From the arrival of a PUBLISH to its acknowledgement: worth a measurement.
    Acknowledged(Duration),
    /// The client has said DISCONNECT with this code: close, send nothing more.
    End(ReasonCode),
    /// A message cannot be kept and the client cannot be told otherwise: close without acknowledging it.
    NotKept(Outcome),
}

/// What follows once storage has answered.
#[derive(Debug)]
pub enum Confirmation {
    /// PUBREL.
    Release(PacketId),
    /// PUBCOMP.
    Complete(PacketId, ReasonCode),
    /// PUBREC for a publish that was sent twice before it was answered.
    Repeated(PacketId),
}

impl Session {
    /// A connection begins: `state` is new or what an earlier connection left.
    #[must_use]
    pub fn new(
        state: State,
        client_id: ClientId,
        connect: &mut Connect,
        grant: Grant,
        now: Instant,
    ) -> Self {
        let mut session = Self {
            state,
            client_id,
            version: connect.version,
            principal: grant.principal,
            authority: grant.authority,
            exchange: grant.exchange,
            will: connect.will.take(),
            session_expiry_max: grant.session_expiry_max,
            // One and a half times, as [MQTT-3.1.2-22] says.
            keep_alive: Some(grant.keep_alive.mul_f32(1.5))
                .filter(|keep_alive| !keep_alive.is_zero()),
            last_received: now,
            receive_maximum: grant.receive_maximum,
            unreleased: BTreeSet::new(),
            acknowledgements: VecDeque::new(),
            actions: VecDeque::new(),
        };
        session.state.expiry_interval = connect
            .session_expiry_interval
            .min(grant.session_expiry_max);
        session.begin_deliveries(connect.receive_maximum, now);
        session
    }

    /// A packet from the client.
    ///
    /// # Errors
    /// The rule it broke; the connection ends with the violation's reason code.
    pub fn receive(&mut self, packet: Packet, now: Instant) -> Result<(), Violation> {
        self.last_received = now;
        match packet {
            Packet::Publish(publish) => self.receive_publish(publish, now),
            Packet::PubAck(acknowledgement) => self.receive_pub_ack(&acknowledgement, now),
            Packet::PubRec(acknowledgement) => self.receive_pub_rec(&acknowledgement, now),
            Packet::PubRel(acknowledgement) => {
                self.receive_pub_rel(&acknowledgement);
                Ok(())
            }
            Packet::PubComp(acknowledgement) => self.receive_pub_comp(&acknowledgement, now),
            Packet::Subscribe(subscribe) => {
                self.receive_subscribe(subscribe);
                Ok(())
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.actions.push_back(Action::Unsubscribe(
                    unsubscribe.packet_id,
                    unsubscribe.topic_filters,
                ));
                Ok(())
            }
            Packet::PingReq => {
                self.send(Packet::PingResp);
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.receive_disconnect(&disconnect),
            Packet::Auth(auth) => self.receive_auth(&auth),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => Err(Violation::Unexpected {
                packet: packet.name(),
            }),
        }
    }

    /// A deadline has passed.
    ///
    /// # Errors
    /// The client has been silent for too long.
    pub fn expire(&mut self, now: Instant) -> Result<(), Violation> {
        if !self.wants_input() {
            // It may have said what is not read: while a disk is slow, nobody is silent but us.
            self.last_received = now;
        }
        match (self.next_deadline(), self.keep_alive) {
            (Some(deadline), Some(keep_alive)) if deadline <= now => {
                Err(Violation::KeepAliveTimeout {
                    seconds: (keep_alive / 3 * 2).as_secs_f32().round() as u64,
                })
            }
            _ => Ok(()),
        }
    }

    /// When [`expire`](Self::expire) wants to be called; every packet received moves it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        Some(self.last_received + self.keep_alive?)
    }

    /// The next thing to do, in order.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether more may be read from the client; not while it is owed as many acknowledgements as it may be.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.acknowledgements.len() < usize::from(self.receive_maximum)
    }

    /// Storage keeps what it was given.
    pub fn confirmed(&mut self, confirmation: &Confirmation, now: Instant) {
        match *confirmation {
            Confirmation::Release(packet_id) => {
                self.state.in_flight.stored(packet_id);
                self.send_pub_rel(packet_id, ReasonCode::Success);
            }
            Confirmation::Complete(packet_id, code) => self.send_pub_comp(packet_id, code),
            Confirmation::Repeated(packet_id) => self.repeated(packet_id, now),
        }
    }

    /// Whether the session outlives the connection, and storage hears of it.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.state.queue.is_kept()
    }

    /// What storage is to know of the session while it is connected.
    #[must_use]
    pub fn record(&self, receive_maximum: u16) -> SessionRecord {
        let will = self.will.as_deref().map(|will| StoredWill {
            delay_interval: will.delay_interval,
            expiry_interval: will.message_expiry_interval,
            due: None,
            message: will.to_message(self.client_id.clone()),
        });
        self.state.connected(receive_maximum, will)
    }

    /// The session as the router sees it.
    #[must_use]
    pub const fn queue(&self) -> &Arc<crate::router::Queue> {
        &self.state.queue
    }

    /// Who the client is.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The connection has ended: what outlives it, and the will where one is to be published.
    #[must_use]
    pub fn into_parts(self) -> (State, Option<Box<Will>>) {
        (self.state, self.will)
    }

    fn send(&mut self, packet: Packet) {
        self.actions.push_back(Action::Send(packet));
    }

    /// Asks the one question of the seam.
    fn may(&self, permission: Permission, topic: &str) -> Result<(), Denied> {
        may(&*self.authority, &self.principal, permission, topic)
    }

    fn receive_disconnect(&mut self, disconnect: &Disconnect) -> Result<(), Violation> {
        if let Some(interval) = disconnect.session_expiry_interval {
            if interval > 0 && self.state.expiry_interval == 0 {
                return Err(Violation::SessionExpiryRaised);
            }
            self.state.expiry_interval = interval.min(self.session_expiry_max);
        }
        if disconnect.reason_code == ReasonCode::Success {
            // [MQTT-3.14.4-3]
            self.will = None;
        }
        self.actions.push_back(Action::End(disconnect.reason_code));
        Ok(())
    }

    /// A re-authentication, which leaves the session as it is until it has succeeded.
    fn receive_auth(&mut self, auth: &Auth) -> Result<(), Violation> {
        let Some(exchange) = &mut self.exchange else {
            return Err(Violation::AuthenticationNotBegun);
        };
        let answer = match exchange.step(&self.authority, auth)? {
            Step::Continue(data) => exchange.auth(ReasonCode::ContinueAuthentication, data),
            Step::Success(principal, data) => {
                self.principal = principal;
                exchange.auth(ReasonCode::Success, data)
            }
            Step::Failure(denied) => return Err(Violation::ReAuthenticationFailed(denied)),
        };
        self.send(Packet::Auth(answer));
        Ok(())
    }
}

/// Whether a principal may publish or subscribe there; what the broker says about itself is nobody else's to say.
pub(crate) fn may(
    authority: &dyn Authority,
    principal: &Principal,
    permission: Permission,
    topic: &str,
) -> Result<(), Denied> {
    if permission == Permission::Publish && (topic == "$SYS" || topic.starts_with("$SYS/")) {
        return Err(Denied::NotAuthorized(
            "only the broker itself publishes to $SYS".into(),
        ));
    }
    authority.may(principal, permission, topic)
}

/// The reason code of a refusal.
pub(crate) const fn denied_code(denied: &Denied) -> ReasonCode {
    match denied {
        Denied::BadCredentials => ReasonCode::BadUserNameOrPassword,
        Denied::NotAuthorized(_) => ReasonCode::NotAuthorized,
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
