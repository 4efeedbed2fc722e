//! What the client subscribes to (MQTT 5, 3.8 to 3.11).

use super::{Action, Packet, PacketId, Permission, ReasonCode, Session, denied_code};
use crate::{
    auth::Denied,
    message::QoS,
    mqtt::packet::{SubAck, Subscribe, UnsubAck},
    router::TooManySubscriptions,
};

/// Why one filter of a SUBSCRIBE was not subscribed to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubscribeRefusal {
    /// The client may not subscribe to it.
    Denied(Denied),
    /// The session has as many as it may.
    TooMany(TooManySubscriptions),
    /// Storage cannot keep it now.
    NotKept,
}

impl Session {
    pub(super) fn receive_subscribe(&mut self, subscribe: Subscribe) {
        let lines = subscribe
            .subscriptions
            .into_iter()
            .map(|subscription| {
                self.may(Permission::Subscribe, subscription.topic_filter.pattern())?;
                Ok(subscription)
            })
            .collect();
        self.actions
            .push_back(Action::Subscribe(subscribe.packet_id, lines));
    }

    /// What has become of each line of a SUBSCRIBE: the QoS granted, or why not.
    pub fn subscribed(&mut self, packet_id: PacketId, lines: &[Result<QoS, SubscribeRefusal>]) {
        let reason_string = lines
            .iter()
            .find_map(|line| line.as_ref().err())
            .map(|refusal| match refusal {
                SubscribeRefusal::Denied(denied) => denied.to_string().into(),
                SubscribeRefusal::TooMany(TooManySubscriptions { limit }) => {
                    format!("a session may have {limit} subscriptions").into()
                }
                SubscribeRefusal::NotKept => "storage cannot keep the subscription".into(),
            });
        let reason_codes = lines.iter().map(reason_code).collect();
        self.send(Packet::SubAck(SubAck {
            packet_id,
            reason_codes,
            reason_string,
            user_properties: Vec::new(),
        }));
    }

    /// Which of the filters of an UNSUBSCRIBE had been subscribed to.
    pub fn unsubscribed(&mut self, packet_id: PacketId, existed: impl Iterator<Item = bool>) {
        let code = |existed| {
            if existed {
                ReasonCode::Success
            } else {
                ReasonCode::NoSubscriptionExisted
            }
        };
        let reason_codes = existed.map(code).collect();
        self.send(Packet::UnsubAck(UnsubAck {
            packet_id,
            reason_codes,
            reason_string: None,
            user_properties: Vec::new(),
        }));
    }
}

const fn reason_code(line: &Result<QoS, SubscribeRefusal>) -> ReasonCode {
    match line {
        Ok(QoS::AtMostOnce) => ReasonCode::Success,
        Ok(QoS::AtLeastOnce) => ReasonCode::GrantedQoS1,
        Ok(QoS::ExactlyOnce) => ReasonCode::GrantedQoS2,
        Err(SubscribeRefusal::Denied(denied)) => denied_code(denied),
        Err(SubscribeRefusal::TooMany(_) | SubscribeRefusal::NotKept) => ReasonCode::QuotaExceeded,
    }
}
