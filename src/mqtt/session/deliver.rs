//! What the client is sent: deliveries and their acknowledgements (MQTT 5, 4.3, 4.4, 4.9).

use std::time::Instant;

use smallvec::SmallVec;

use super::{
    Acknowledgement, Action, Confirmation, Packet, PacketId, ReasonCode, Session, Violation,
    in_flight::Received,
};
use crate::{
    message::QoS,
    mqtt::packet::Publish,
    router::{Delivery, Queued},
    storage::Change,
};

impl Session {
    /// Whether the client takes a delivery above QoS 0 now.
    #[must_use]
    pub fn window_is_open(&self) -> bool {
        self.state.in_flight.is_open()
    }

    /// A delivery from the router, above QoS 0 only while [`window_is_open`](Self::window_is_open): the packet to be sent,
    /// unless it has to wait for another after all.
    pub fn deliver(&mut self, queued: Queued, now: Instant) -> Option<Packet> {
        let packet = if queued.qos == QoS::AtMostOnce {
            to_publish(queued.delivery, None, false, now)
        } else {
            let copy = queued.delivery.clone();
            let dup = self.state.sent.covers(queued.place);
            let packet_id = self.state.in_flight.insert(queued)?;
            if dup {
                self.state.sent.take();
            }
            to_publish(copy, Some(packet_id), dup, now)
        };
        Some(Packet::Publish(packet))
    }

    /// The client takes no packet of that size: it counts as delivered [MQTT-3.1.2-25].
    pub fn discard(&mut self, packet_id: PacketId, now: Instant) {
        let place = self.state.in_flight.discard(packet_id);
        self.give_up(place);
        // Its place in the window is free, and no acknowledgement will come that says so.
        self.resend(now);
    }

    /// Sends again what the last connection left unacknowledged [MQTT-4.4.0-1].
    pub(super) fn begin_deliveries(&mut self, receive_maximum: u16, now: Instant) {
        for unreleased in self.state.in_flight.begin(receive_maximum) {
            if unreleased.is_stored {
                self.send_pub_rel(unreleased.packet_id, ReasonCode::Success);
            } else {
                self.release_delivery(unreleased.packet_id, unreleased.place);
            }
        }
        self.resend(now);
    }

    fn resend(&mut self, now: Instant) {
        while let Some((packet_id, delivery)) = self.state.in_flight.next_resend() {
            let packet = to_publish(delivery.clone(), Some(packet_id), true, now);
            self.send(Packet::Publish(packet));
        }
        if let Some(queued) = self.state.in_flight.unblocked()
            && let Some(packet) = self.deliver(queued, now)
        {
            self.send(packet);
        }
    }

    /// A place is free: storage hears of it, in its own time.
    fn give_up(&mut self, place: Option<u64>) {
        if let Some(place) = place
            && self.is_kept()
        {
            let change = Change::MessageDropped(self.state.queue.id(), place);
            self.actions.push_back(Action::Forget(change));
        }
    }

    /// Sends PUBREL, of a session that is kept not before storage knows that PUBREC has come: a PUBLISH that were sent
    /// again after PUBREL would be a new message to the client.
    fn release_delivery(&mut self, packet_id: PacketId, place: u64) {
        if self.is_kept() {
            let change = Change::MessageReleased(self.state.queue.id(), place);
            let confirmation = Confirmation::Release(packet_id);
            self.actions
                .push_back(Action::Keep(vec![change], confirmation));
        } else {
            self.send_pub_rel(packet_id, ReasonCode::Success);
        }
    }

    pub(super) fn send_pub_rel(&mut self, packet_id: PacketId, reason_code: ReasonCode) {
        self.send(Packet::PubRel(Acknowledgement::new(packet_id, reason_code)));
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
        let place = self
            .state
            .in_flight
            .acknowledged(ack.packet_id)
            .map_err(misplaced)?;
        self.give_up(place);
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
        match self
            .state
            .in_flight
            .received(ack.packet_id, refused)
            .map_err(misplaced)?
        {
            Received::Release(place) => self.release_delivery(ack.packet_id, place),
            // A failure ends the exchange: nothing to release [MQTT-4.3.3-4].
            Received::Unknown if refused => {}
            // It may be of a delivery that is still being read, and comes again under this identifier. PUBREL would make
            // the client take that for a new one.
            Received::Unknown if self.state.owes_resending() => {}
            Received::Unknown => {
                self.send_pub_rel(ack.packet_id, ReasonCode::PacketIdentifierNotFound);
            }
            Received::Refused(place) => {
                self.give_up(Some(place));
                self.resend(now);
            }
        }
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
        let place = self
            .state
            .in_flight
            .completed(ack.packet_id)
            .map_err(misplaced)?;
        self.give_up(place);
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
