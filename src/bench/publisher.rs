//! One publisher: a PUBLISH that is encoded once and patched for each message, and the decision when the next one leaves.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    plan::{Arrival, Load},
    stamp::{STAMP, Stamp},
};
use crate::{
    message::{Message, QoS, TopicName},
    mqtt::{
        codec::{Encoder, Frames},
        packet::{Packet, PacketId, ProtocolVersion, Publish},
    },
};

/// Messages in flight where neither flags nor broker say how many: far more than a broker needs to be busy.
const MAX_IN_FLIGHT: u16 = 1000;

/// A publisher's part of the load.
#[derive(Debug)]
pub(super) struct Publisher {
    run: u32,
    index: u32,
    packet: Vec<u8>,
    /// Where the packet identifier stands; `None` at QoS 0.
    id_at: Option<usize>,
    stamp_at: usize,
    last_packet_id: u16,
    /// By packet identifier, as far as there is room: a place that is taken must become free first.
    in_flight: Box<[InFlight]>,
    sent: u64,
    /// Deliveries that a closed loop does not wait for any more.
    written_off: u64,
    arrival: Arrival,
    /// Of all publishers together.
    publishers: u64,
}

/// A message that is not acknowledged to the end; identifier 0 is nobody's.
#[derive(Clone, Copy, Debug, Default)]
struct InFlight {
    packet_id: u16,
    time: u64,
}

impl Publisher {
    /// Of this run, with this place among all; `receive_maximum`: what the broker allows.
    pub(super) fn new(
        (run, index): (u32, u32),
        topic: &TopicName,
        version: ProtocolVersion,
        load: &Load,
        publishers: usize,
        receive_maximum: Option<u16>,
    ) -> Self {
        let packet = encode(topic, version, load);
        let stamp_at = packet.len() - load.size;
        let is_acknowledged = load.qos != QoS::AtMostOnce;
        let window = match load.arrival {
            Arrival::Window(window) => u16::try_from(window).unwrap_or(u16::MAX),
            Arrival::Rate(_) => MAX_IN_FLIGHT,
        };
        let places = load.in_flight.unwrap_or(window);
        let places = places.min(receive_maximum.unwrap_or(u16::MAX)).max(1);
        let places = if is_acknowledged {
            usize::from(places)
        } else {
            0
        };
        Self {
            run,
            index,
            // Behind the fixed header stands the topic, its length before it.
            id_at: is_acknowledged.then(|| {
                let header = 1 + packet[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
                header + 2 + topic.as_str().len()
            }),
            packet,
            stamp_at,
            last_packet_id: 0,
            in_flight: vec![InFlight::default(); places].into(),
            sent: 0,
            written_off: 0,
            arrival: load.arrival,
            publishers: publishers as u64,
        }
    }

    /// When the next message is due in an open loop that began then.
    pub(super) fn due(&self, start: u64, rate: f64) -> u64 {
        due(
            start,
            rate,
            u64::from(self.index) + self.sent * self.publishers,
        )
    }

    /// Deliveries that a closed loop has to see before the next message.
    pub(super) fn wanted(&self, window: u32, receivers: u64) -> u64 {
        let before = (self.sent + 1).saturating_sub(u64::from(window));
        (before * receivers).saturating_sub(self.written_off)
    }

    /// A closed loop whose deliveries do not come goes on without them.
    pub(super) fn write_off(&mut self, receivers: u64, delivered: u64) {
        self.written_off = (self.sent * receivers).saturating_sub(delivered);
    }

    /// Whether there is a place for another message in flight.
    pub(super) fn has_place(&self) -> bool {
        self.in_flight.is_empty() || self.place(self.next_packet_id()).packet_id == 0
    }

    /// The next message: the packet, and what makes it out of the last one. There has to be a place for it.
    pub(super) fn next(&mut self, time: u64) -> (&[u8], impl FnOnce(&mut [u8]) + use<>) {
        let stamp = Stamp {
            run: self.run,
            time,
            publisher: self.index,
            sequence: u32::try_from(self.sent & u64::from(u32::MAX)).unwrap_or_default(),
        };
        self.sent += 1;
        let mut id = None;
        if let Some(id_at) = self.id_at {
            let packet_id = self.next_packet_id();
            self.last_packet_id = packet_id;
            let at = usize::from(packet_id) % self.in_flight.len();
            self.in_flight[at] = InFlight { packet_id, time };
            id = Some((id_at, packet_id));
        }
        let stamp_at = self.stamp_at;
        let patch = move |packet: &mut [u8]| {
            if let Some((at, packet_id)) = id {
                packet[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
            }
            stamp.write(&mut packet[stamp_at..stamp_at + STAMP]);
        };
        (&self.packet, patch)
    }

    /// A message is acknowledged to the end: when it was published; `None` where there is none.
    pub(super) fn complete(&mut self, packet_id: u16) -> Option<u64> {
        if self.in_flight.is_empty() || packet_id == 0 {
            return None;
        }
        let at = usize::from(packet_id) % self.in_flight.len();
        let place = &mut self.in_flight[at];
        (place.packet_id == packet_id).then(|| std::mem::take(place).time)
    }

    const fn next_packet_id(&self) -> u16 {
        match self.last_packet_id.wrapping_add(1) {
            0 => 1,
            next => next,
        }
    }

    fn place(&self, packet_id: u16) -> InFlight {
        self.in_flight[usize::from(packet_id) % self.in_flight.len()]
    }

    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    pub(super) const fn arrival(&self) -> Arrival {
        self.arrival
    }
}

/// When the message with this number, of all, is due.
pub(super) fn due(start: u64, rate: f64, number: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "nanoseconds of a run are far below 2^53"
    )]
    let after = (number as f64 * 1e9 / rate) as u64;
    start.saturating_add(after)
}

fn encode(topic: &TopicName, version: ProtocolVersion, load: &Load) -> Vec<u8> {
    let payload = Bytes::from(vec![0; load.size]);
    let publish = Publish {
        message: Arc::new(Message::new(topic.clone(), payload, load.qos, load.retain)),
        packet_id: (load.qos != QoS::AtMostOnce).then_some(PacketId::MIN),
        dup: false,
        qos: load.qos,
        retain: load.retain,
        message_expiry_interval: None,
        subscription_identifiers: smallvec::SmallVec::new(),
    };
    let mut frames = Frames::default();
    Encoder::for_client(version)
        .encode(&Packet::Publish(publish), &mut frames)
        .expect("the size was checked, and nothing limits this encoder");
    frames.finish().iter().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::codec::{Decoder, Limits};

    fn load(qos: QoS, arrival: Arrival) -> Load {
        Load {
            arrival,
            size: 300,
            qos,
            retain: false,
            in_flight: None,
            limit: None,
        }
    }

    fn publisher(qos: QoS, version: ProtocolVersion, window: u32) -> Publisher {
        let topic = TopicName::parse("a/b").expect("a topic");
        let load = load(qos, Arrival::Window(window));
        Publisher::new((9, 3), &topic, version, &load, 4, None)
    }

    #[test]
    fn patched_packets_are_what_the_codec_reads() {
        for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let mut publisher = publisher(qos, version, 2);
                let _ = publisher.next(1);
                let (packet, patch) = publisher.next(77);
                let mut packet = packet.to_vec();
                patch(&mut packet);
                let limits = Limits {
                    max_packet_size: 1000,
                    topic_alias_maximum: 0,
                    max_topic_levels: 10,
                };
                let mut decoder = Decoder::for_client(version, limits);
                decoder.push(packet.into());
                let Ok(Some(Packet::Publish(publish))) = decoder.next() else {
                    panic!("no PUBLISH");
                };
                assert_eq!(publish.qos, qos);
                let id = (qos != QoS::AtMostOnce).then(|| PacketId::new(2)).flatten();
                assert_eq!(publish.packet_id, id);
                assert_eq!(publish.message.topic.as_str(), "a/b");
                let stamp = Stamp::read(&publish.message.payload).expect("stamped");
                let seen = (stamp.run, stamp.publisher, stamp.sequence, stamp.time);
                assert_eq!(seen, (9, 3, 1, 77));
            }
        }
    }

    #[test]
    fn places_in_flight_are_taken_and_given_back() {
        let mut publisher = publisher(QoS::AtLeastOnce, ProtocolVersion::V5, 2);
        let _ = publisher.next(10);
        assert!(publisher.has_place());
        let _ = publisher.next(20);
        assert!(!publisher.has_place());
        assert_eq!(publisher.complete(2), Some(20));
        assert!(!publisher.has_place(), "its place is that of identifier 1");
        assert_eq!(publisher.complete(1), Some(10));
        assert_eq!(publisher.complete(1), None);
        assert!(publisher.has_place());
    }

    #[test]
    fn a_window_waits_for_deliveries_and_a_rate_for_the_time() {
        let mut publisher = publisher(QoS::AtMostOnce, ProtocolVersion::V5, 2);
        assert_eq!(publisher.wanted(2, 10), 0);
        let _ = publisher.next(1);
        assert_eq!(publisher.wanted(2, 10), 0);
        let _ = publisher.next(1);
        assert_eq!(publisher.wanted(2, 10), 10);
        publisher.write_off(10, 4);
        assert_eq!(publisher.wanted(2, 10), 0);
        // Two of its own and three of the others were due before.
        assert_eq!(publisher.due(1000, 1e9), 1000 + 3 + 2 * 4);
    }
}
