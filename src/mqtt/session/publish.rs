//! What the client publishes: quota, permission, QoS 2 once only, acknowledgements in order (MQTT 5, 3.3.4, 4.3, 4.6).

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Acceptance, Acknowledgement, Action, Confirmation, Denied, Packet, PacketId, Permission,
    ReasonCode, Session, Violation, denied_code,
};
use crate::{message::QoS, mqtt::packet::Publish, storage::Change};

/// An acknowledgement that waits for its turn: they leave in the order their PUBLISH came [MQTT-4.6.0-2, -3].
#[derive(Debug)]
pub(super) struct PendingAcknowledgement {
    packet_id: PacketId,
    qos: QoS,
    arrived: Instant,
    /// What it will say; `None` while storage has not answered.
    outcome: Option<Outcome>,
}

/// What has become of a published message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is where it has to be.
    Accepted,
    /// So too, but nobody had subscribed.
    NoMatchingSubscribers,
    /// The client may not publish there.
    Denied(Denied),
    /// Storage cannot keep it now.
    NotKept,
    /// The retained messages have no room for it, and nobody was sent it.
    NotRetained,
}

impl Outcome {
    /// What a client is told of a message that this many subscribers match.
    #[must_use]
    pub const fn accepted(matched: usize) -> Self {
        if matched == 0 {
            Self::NoMatchingSubscribers
        } else {
            Self::Accepted
        }
    }

    /// The message was taken over by nobody: the exchange ends here [MQTT-4.3.3-9].
    const fn is_failure(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::NotKept | Self::NotRetained)
    }

    const fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Accepted => ReasonCode::Success,
            Self::NoMatchingSubscribers => ReasonCode::NoMatchingSubscribers,
            Self::Denied(denied) => denied_code(denied),
            Self::NotKept | Self::NotRetained => ReasonCode::QuotaExceeded,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("the message was taken"),
            Self::NoMatchingSubscribers => f.write_str("nobody has subscribed to the topic"),
            Self::Denied(denied) => denied.fmt(f),
            Self::NotKept => f.write_str("storage cannot keep the message"),
            Self::NotRetained => f.write_str("the retained messages have reached their limit"),
        }
    }
}

impl Session {
    pub(super) fn receive_publish(
        &mut self,
        publish: Publish,
        now: Instant,
    ) -> Result<(), Violation> {
        let Some(packet_id) = publish.packet_id else {
            self.accept(publish, now);
            return Ok(());
        };
        let is_exactly_once = publish.qos == QoS::ExactlyOnce;
        let known = is_exactly_once.then(|| self.state.received.get(&packet_id));
        let (is_repeated, is_kept) = match known.flatten().map(|it| it.is_kept()) {
            // It could not be kept, and was not acknowledged: this is its second chance.
            None | Some(Some(false)) => (false, None),
            Some(is_kept) => (true, is_kept),
        };
        if !(is_exactly_once && self.unreleased.contains(&packet_id)) {
            self.check_quota()?;
        }
        let outcome = is_kept.map(|_| Outcome::Accepted);
        self.acknowledgements.push_back(PendingAcknowledgement {
            packet_id,
            qos: publish.qos,
            arrived: now,
            outcome,
        });
        if is_repeated {
            self.unreleased.insert(packet_id);
            if is_kept.is_none() {
                // The first copy waits for storage, perhaps on behalf of a connection that is gone.
                self.actions
                    .push_back(Action::Keep(Vec::new(), Confirmation::Repeated(packet_id)));
            }
            self.send_acknowledgements(now);
        } else {
            self.accept(publish, now);
        }
        Ok(())
    }

    /// Publishes not yet acknowledged, QoS 2 until its PUBREL [MQTT-3.3.4-7, -9].
    fn check_quota(&self) -> Result<(), Violation> {
        let pending = self
            .acknowledgements
            .iter()
            .filter(|pending| pending.qos == QoS::AtLeastOnce)
            .count();
        let limit = self.receive_maximum;
        if self.version.knows_receive_maximum()
            && pending + self.unreleased.len() >= usize::from(limit)
        {
            return Err(Violation::ReceiveMaximumExceeded { limit });
        }
        Ok(())
    }

    fn accept(&mut self, publish: Publish, now: Instant) {
        if let Err(denied) = self.may(Permission::Publish, publish.message.topic.as_str()) {
            self.actions.push_back(Action::PublishDenied);
            if let Some(packet_id) = publish.packet_id {
                self.published(packet_id, Outcome::Denied(denied), now);
            }
            return;
        }
        if let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id) {
            self.state.received.insert(packet_id, Arc::default());
            self.unreleased.insert(packet_id);
        }
        let mut message = publish.message;
        // The decoder holds no second reference: this changes the message in place.
        let owned = Arc::make_mut(&mut message);
        owned.origin = Some(self.client_id.clone());
        owned.expires_at = publish
            .message_expiry_interval
            .map(|seconds| now + Duration::from_secs(u64::from(seconds)));
        self.actions
            .push_back(Action::Publish(message, publish.packet_id));
    }

    /// What has become of a publish above QoS 0, at once or when storage has answered.
    pub fn published(&mut self, packet_id: PacketId, outcome: Outcome, now: Instant) {
        if outcome.is_failure() {
            self.release(packet_id);
        } else if let Some(acceptance) = self.acceptance(packet_id)
            && acceptance.is_kept().is_none()
        {
            acceptance.settle(true);
        }
        let waiting = |pending: &&mut PendingAcknowledgement| {
            pending.packet_id == packet_id && pending.outcome.is_none()
        };
        if let Some(pending) = self.acknowledgements.iter_mut().find(waiting) {
            pending.outcome = Some(outcome);
        }
        self.send_acknowledgements(now);
    }

    /// Where the answer of storage to a QoS 2 publish is noted.
    #[must_use]
    pub fn acceptance(&self, packet_id: PacketId) -> Option<&Arc<Acceptance>> {
        self.state.received.get(&packet_id)
    }

    /// Storage has answered for the first copy of a publish that was repeated.
    pub(super) fn repeated(&mut self, packet_id: PacketId, now: Instant) {
        let is_kept = self.acceptance(packet_id).and_then(|it| it.is_kept());
        let outcome = match is_kept {
            Some(true) => Outcome::Accepted,
            Some(false) | None => Outcome::NotKept,
        };
        self.published(packet_id, outcome, now);
    }

    fn send_acknowledgements(&mut self, now: Instant) {
        while let Some(pending) = self
            .acknowledgements
            .pop_front_if(|pending| pending.outcome.is_some())
        {
            let outcome = pending.outcome.unwrap_or(Outcome::Accepted);
            let is_kept = !matches!(outcome, Outcome::NotKept | Outcome::NotRetained);
            if !is_kept && !self.version.accepts_publish_failure() {
                // It cannot be told: without an acknowledgement it sends the message again on its next connection.
                self.actions.push_back(Action::NotKept(outcome));
                return;
            }
            let mut acknowledgement =
                Acknowledgement::new(pending.packet_id, outcome.reason_code());
            if outcome.is_failure() {
                acknowledgement = acknowledgement.because(&outcome);
            }
            self.actions.push_back(Action::Acknowledged(
                now.saturating_duration_since(pending.arrived),
            ));
            self.send(match pending.qos {
                QoS::ExactlyOnce => Packet::PubRec(acknowledgement),
                QoS::AtMostOnce | QoS::AtLeastOnce => Packet::PubAck(acknowledgement),
            });
        }
    }

    pub(super) fn receive_pub_rel(&mut self, release: &Acknowledgement) {
        let packet_id = release.packet_id;
        let released = self.release(packet_id);
        let reason_code = if released.is_some() {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        if self.is_kept() && released.is_none_or(|it| it.may_be_stored()) {
            // After PUBCOMP the client uses the identifier again: storage must not take that for a repetition.
            let change = Change::ReceivedReleased(self.state.queue.id(), packet_id);
            let confirmation = Confirmation::Complete(packet_id, reason_code);
            self.actions
                .push_back(Action::Keep(vec![change], confirmation));
        } else {
            self.send_pub_comp(packet_id, reason_code);
        }
    }

    pub(super) fn send_pub_comp(&mut self, packet_id: PacketId, reason_code: ReasonCode) {
        self.send(Packet::PubComp(Acknowledgement::new(
            packet_id,
            reason_code,
        )));
    }

    /// Forgets a QoS 2 identifier, `None` where there was none.
    fn release(&mut self, packet_id: PacketId) -> Option<Arc<Acceptance>> {
        self.unreleased.remove(&packet_id);
        self.state.received.remove(&packet_id)
    }
}
