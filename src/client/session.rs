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
