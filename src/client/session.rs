//! What a client owes, and is owed, beyond one connection: QoS 1 and 2 in both directions. No I/O.

use std::collections::{HashSet, VecDeque};

use crate::{
    message::QoS,
    mqtt::packet::{Acknowledgement, Packet, PacketId, Publish, ReasonCode},
};

/// The client's part of a session (MQTT 5, 4.1): to be kept over reconnects with the same client identifier.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// QoS 2 publishes that have come and are not released: another PUBLISH with the identifier is the same one.
    received: HashSet<PacketId>,
    /// In the order they were published.
    in_flight: VecDeque<InFlight>,
    last_packet_id: u16,
}

#[derive(Clone, Debug)]
struct InFlight {
    packet_id: PacketId,
    publish: Publish,
    /// PUBREC has come, PUBREL was sent.
    is_released: bool,
}

/// What is to be done about a packet.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Response {
    pub(super) send: Option<Packet>,
    /// A PUBLISH was acknowledged to its end.
    pub(super) done: Option<Acknowledgement>,
}

impl Session {
    /// The publishes that are not acknowledged to their end.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The server has no session of this client: what was in flight begins anew, what was received is forgotten.
    pub(super) fn restart(&mut self) {
        self.received.clear();
        for in_flight in &mut self.in_flight {
            in_flight.is_released = false;
        }
    }

    /// What must be sent again on a new connection [MQTT-4.4.0-1].
    pub(super) fn resend(&mut self, session_present: bool) -> Vec<Packet> {
        let again = |in_flight: &InFlight| {
            if in_flight.is_released {
                let release = Acknowledgement::new(in_flight.packet_id, ReasonCode::Success);
                return Packet::PubRel(release);
            }
            Packet::Publish(Publish {
                dup: session_present,
                ..in_flight.publish.clone()
            })
        };
        self.in_flight.iter().map(again).collect()
    }

    /// An identifier that nothing is in flight with. There is one: fewer are in flight than a Receive Maximum.
    pub(super) fn next_packet_id(&mut self) -> PacketId {
        loop {
            self.last_packet_id = self.last_packet_id.wrapping_add(1);
            let Some(packet_id) = PacketId::new(self.last_packet_id) else {
                continue;
            };
            if !self
                .in_flight
                .iter()
                .any(|other| other.packet_id == packet_id)
            {
                return packet_id;
            }
        }
    }

    pub(super) fn sent(&mut self, packet_id: PacketId, publish: Publish) {
        self.in_flight.push_back(InFlight {
            packet_id,
            publish,
            is_released: false,
        });
    }

    /// Whether a PUBLISH that has come is to be shown, and its acknowledgement.
    pub(super) fn receive(&mut self, publish: &Publish) -> (bool, Option<Packet>) {
        let Some(packet_id) = publish.packet_id else {
            return (true, None);
        };
        let acknowledgement = Acknowledgement::new(packet_id, ReasonCode::Success);
        match publish.qos {
            QoS::AtMostOnce => (true, None),
            QoS::AtLeastOnce => (true, Some(Packet::PubAck(acknowledgement))),
            QoS::ExactlyOnce => {
                let is_new = self.received.insert(packet_id);
                (is_new, Some(Packet::PubRec(acknowledgement)))
            }
        }
    }

    pub(super) fn release(&mut self, packet_id: PacketId) -> Packet {
        let code = if self.received.remove(&packet_id) {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        Packet::PubComp(Acknowledgement::new(packet_id, code))
    }

    /// PUBACK, PUBCOMP, or a PUBREC that refuses.
    pub(super) fn complete(&mut self, acknowledgement: Acknowledgement) -> Response {
        let packet_id = acknowledgement.packet_id;
        let at = self
            .in_flight
            .iter()
            .position(|other| other.packet_id == packet_id);
        let known = at.and_then(|at| self.in_flight.remove(at));
        Response {
            send: None,
            done: known.map(|_| acknowledgement),
        }
    }

    pub(super) fn recorded(&mut self, acknowledgement: Acknowledgement) -> Response {
        if acknowledgement.reason_code.is_error() {
            return self.complete(acknowledgement);
        }
        let packet_id = acknowledgement.packet_id;
        let known = self
            .in_flight
            .iter_mut()
            .find(|other| other.packet_id == packet_id);
        let code = match known {
            Some(in_flight) => {
                in_flight.is_released = true;
                ReasonCode::Success
            }
            None => ReasonCode::PacketIdentifierNotFound,
        };
        Response {
            send: Some(Packet::PubRel(Acknowledgement::new(packet_id, code))),
            done: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::{Message, TopicName};

    fn publish(qos: QoS, packet_id: Option<PacketId>) -> Publish {
        let topic = TopicName::parse("a").expect("a topic");
        Publish {
            message: Arc::new(Message::new(topic, "x", qos, false)),
            packet_id,
            dup: false,
            qos,
            retain: false,
            message_expiry_interval: None,
            subscription_identifiers: smallvec::SmallVec::new(),
        }
    }

    fn ack(packet_id: PacketId, code: ReasonCode) -> Acknowledgement {
        Acknowledgement::new(packet_id, code)
    }

    /// [MQTT-4.3.3-10] A PUBLISH with an identifier that is not released is the same message.
    #[test]
    fn what_comes_twice_at_qos_2_is_shown_once() {
        let mut session = Session::default();
        let packet_id = PacketId::MIN;
        let again = publish(QoS::ExactlyOnce, Some(packet_id));
        let recorded = Some(Packet::PubRec(ack(packet_id, ReasonCode::Success)));
        assert_eq!(session.receive(&again), (true, recorded.clone()));
        assert_eq!(session.receive(&again), (false, recorded.clone()));
        let complete = Packet::PubComp(ack(packet_id, ReasonCode::Success));
        assert_eq!(session.release(packet_id), complete);
        assert_eq!(session.receive(&again), (true, recorded));
        session.restart();
        assert!(session.receive(&again).0);
    }

    /// [MQTT-4.4.0-1] What is not acknowledged is sent again, PUBREL where PUBREC has come.
    #[test]
    fn what_is_in_flight_is_sent_again_in_order() {
        let mut session = Session::default();
        let ids = [(); 2].map(|()| {
            let packet_id = session.next_packet_id();
            session.sent(packet_id, publish(QoS::ExactlyOnce, Some(packet_id)));
            packet_id
        });
        let response = session.recorded(ack(ids[0], ReasonCode::Success));
        assert_eq!(
            response.send,
            Some(Packet::PubRel(ack(ids[0], ReasonCode::Success)))
        );
        let again = session.resend(true);
        assert!(matches!(&again[0], Packet::PubRel(release) if release.packet_id == ids[0]));
        assert!(matches!(&again[1], Packet::Publish(publish) if publish.dup));
        session.restart();
        assert!(matches!(&session.resend(false)[0], Packet::Publish(publish) if !publish.dup));
        for packet_id in ids {
            assert!(
                session
                    .complete(ack(packet_id, ReasonCode::Success))
                    .done
                    .is_some()
            );
        }
        assert_eq!(session.in_flight(), 0);
    }

    #[test]
    fn a_refusal_ends_it_and_strangers_change_nothing() {
        let mut session = Session::default();
        let packet_id = session.next_packet_id();
        session.sent(packet_id, publish(QoS::ExactlyOnce, Some(packet_id)));
        let stranger = PacketId::MAX;
        let answer = session.recorded(ack(stranger, ReasonCode::Success));
        let unknown = ack(stranger, ReasonCode::PacketIdentifierNotFound);
        assert_eq!(answer.send, Some(Packet::PubRel(unknown)));
        assert_eq!(
            session.complete(ack(stranger, ReasonCode::Success)),
            Response::default()
        );
        let refused = session.recorded(ack(packet_id, ReasonCode::QuotaExceeded));
        assert_eq!(
            refused.done,
            Some(ack(packet_id, ReasonCode::QuotaExceeded))
        );
        assert_eq!(session.in_flight(), 0);
    }
}
