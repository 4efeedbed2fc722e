//! What the client is sent: deliveries and their acknowledgements (MQTT 5, 4.3, 4.4, 4.9).

use std::time::Instant;

use smallvec::SmallVec;

use super::{
    Acknowledgement, Packet, PacketId, ReasonCode, Session, Violation, in_flight::Received,
};
use crate::{message::QoS, mqtt::packet::Publish, router::Delivery};

impl Session {
    /// Whether the client takes a delivery above QoS 0 now.
    #[must_use]
    pub fn window_is_open(&self) -> bool {
        self.state.in_flight.is_open()
    }

    /// A delivery from the router; above QoS 0 only while [`window_is_open`](Self::window_is_open).
    pub fn deliver(&mut self, delivery: Delivery, now: Instant) {
        let packet = if delivery.qos == QoS::AtMostOnce {
            to_publish(delivery, None, false, now)
        } else {
            let copy = delivery.clone();
            let packet_id = self.state.in_flight.insert(delivery);
            to_publish(copy, Some(packet_id), false, now)
        };
        self.send(Packet::Publish(packet));
    }

    /// The client takes no packet of that size: it counts as delivered [MQTT-3.1.2-25].
    pub fn discard(&mut self, packet_id: PacketId, now: Instant) {
        self.state.in_flight.discard(packet_id);
        // Its place in the window is free, and no acknowledgement will come that says so.
        self.resend(now);
    }

    /// Sends again what the last connection left unacknowledged [MQTT-4.4.0-1].
    pub(super) fn begin_deliveries(&mut self, receive_maximum: u16, now: Instant) {
        for packet_id in self.state.in_flight.begin(receive_maximum) {
            self.send(Packet::PubRel(Acknowledgement::new(
                packet_id,
                ReasonCode::Success,
            )));
        }
        self.resend(now);
    }

    fn resend(&mut self, now: Instant) {
        while let Some((packet_id, delivery)) = self.state.in_flight.next_resend() {
            let packet = to_publish(delivery.clone(), Some(packet_id), true, now);
            self.send(Packet::Publish(packet));
        }
    }

    pub(super) fn receive_pub_ack(
        &mut self,
        ack: &Acknowledgement,
        now: Instant,
    ) -> Result<(), Violation> {
        let misplaced = |_| Violation::Misplaced {
            packet: "PUBACK",
            packet_id: ack.packet_id,
        };
        self.state
            .in_flight
            .acknowledged(ack.packet_id)
            .map_err(misplaced)?;
        self.resend(now);
        Ok(())
    }

    pub(super) fn receive_pub_rec(
        &mut self,
        ack: &Acknowledgement,
        now: Instant,
    ) -> Result<(), Violation> {
        let misplaced = |_| Violation::Misplaced {
            packet: "PUBREC",
            packet_id: ack.packet_id,
        };
        let refused = ack.reason_code.is_error();
        let reason_code = match self
            .state
            .in_flight
            .received(ack.packet_id, refused)
            .map_err(misplaced)?
        {
            Received::Release => ReasonCode::Success,
            // A failure ends the exchange: nothing to release [MQTT-4.3.3-4].
            Received::Unknown if refused => return Ok(()),
            Received::Unknown => ReasonCode::PacketIdentifierNotFound,
            Received::Refused => {
                self.resend(now);
                return Ok(());
            }
        };
        self.send(Packet::PubRel(Acknowledgement::new(
            ack.packet_id,
            reason_code,
        )));
        Ok(())
    }

    pub(super) fn receive_pub_comp(
        &mut self,
        ack: &Acknowledgement,
        now: Instant,
    ) -> Result<(), Violation> {
        let misplaced = |_| Violation::Misplaced {
            packet: "PUBCOMP",
            packet_id: ack.packet_id,
        };
        self.state
            .in_flight
            .completed(ack.packet_id)
            .map_err(misplaced)?;
        self.resend(now);
        Ok(())
    }
}

fn to_publish(delivery: Delivery, packet_id: Option<PacketId>, dup: bool, now: Instant) -> Publish {
    Publish {
        message_expiry_interval: delivery.message.remaining_expiry_interval(now),
        message: delivery.message,
        packet_id,
        dup,
        qos: delivery.qos,
        retain: delivery.retain,
        subscription_identifiers: SmallVec::from_slice(&delivery.subscription_identifiers),
    }
}
