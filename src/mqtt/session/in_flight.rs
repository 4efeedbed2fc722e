//! QoS 1 and 2 deliveries between PUBLISH and their last acknowledgement (MQTT 5, 4.3 and 4.4).

use std::{collections::VecDeque, sync::Arc};

use hashbrown::HashMap;

use crate::{message::QoS, mqtt::packet::PacketId, router::Delivery, storage, telemetry::Metrics};

/// Payloads and topics that one client may leave unacknowledged before it is sent no more above QoS 0, whatever its
/// Receive Maximum says: 4 MiB, with which a client 100 ms away takes 40 MB/s. MQTT 3 has no Receive Maximum, and 65,535
/// messages of 1 MiB would be 64 GiB.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What this server has sent and the client has not yet acknowledged to the end.
#[derive(Debug)]
pub(crate) struct InFlight {
    entries: HashMap<PacketId, Entry>,
    /// Where the search for a free identifier goes on.
    last_id: u16,
    next_order: u64,
    /// The client's Receive Maximum on this connection.
    limit: usize,
    /// PUBLISH packets of this connection that count against it [MQTT-4.9.0-2].
    outstanding: usize,
    /// What the deliveries that wait for PUBACK or PUBREC occupy. It stands in the gauge of what is queued, too, whose
    /// limit holds for all clients together.
    bytes: usize,
    /// What the previous connection left, in order; sent again before anything new.
    resend: VecDeque<PacketId>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Entry {
    order: u64,
    stage: Stage,
    /// Its PUBLISH was sent on this connection and counts as outstanding.
    counted: bool,
}

#[derive(Debug)]
enum Stage {
    /// Waits for PUBACK or PUBREC.
    Published(Delivery),
    /// PUBREC has come; waits for PUBCOMP.
    Released,
}

/// An acknowledgement that does not fit what was sent under its identifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Misplaced;

/// What a PUBREC leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Received {
    /// Answer PUBREL.
    Release,
    /// The client has refused the message: the identifier is free.
    Refused,
    /// Nothing is in flight under this identifier.
    Unknown,
}

impl InFlight {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            entries: HashMap::new(),
            last_id: 0,
            next_order: 0,
            limit: 0,
            outstanding: 0,
            bytes: 0,
            resend: VecDeque::new(),
            metrics,
        }
    }

    /// A connection begins. Returns what needs a PUBREL at once; PUBLISH packets follow by [`next_resend`](Self::next_resend).
    pub(crate) fn begin(&mut self, receive_maximum: u16) -> Vec<PacketId> {
        self.limit = usize::from(receive_maximum);
        self.outstanding = 0;
        let mut left: Vec<_> = Vec::with_capacity(self.entries.len());
        for (packet_id, entry) in &mut self.entries {
            entry.counted = false;
            left.push((entry.order, *packet_id));
        }
        left.sort_unstable();
        let is_released = |(_, packet_id): &(u64, PacketId)| {
            matches!(self.entries[packet_id].stage, Stage::Released)
        };
        let (released, published): (Vec<_>, Vec<_>) = left.into_iter().partition(is_released);
        self.resend = published
            .into_iter()
            .map(|(_, packet_id)| packet_id)
            .collect();
        released
            .into_iter()
            .map(|(_, packet_id)| packet_id)
            .collect()
    }

    /// Whether another QoS 1 or 2 delivery may be sent: the client takes it, and nothing older waits to be sent again.
    pub(crate) fn is_open(&self) -> bool {
        self.outstanding < self.limit
            && self.bytes < MAX_BYTES
            && self.resend.is_empty()
            && self.entries.len() < usize::from(u16::MAX)
    }

    /// The next delivery to send again, with DUP, while the client takes more [MQTT-4.4.0-1].
    pub(crate) fn next_resend(&mut self) -> Option<(PacketId, &Delivery)> {
        if self.outstanding >= self.limit {
            return None;
        }
        while let Some(packet_id) = self.resend.pop_front() {
            // An acknowledgement that crossed the reconnection may have taken it away meanwhile.
            if self
                .entries
                .get(&packet_id)
                .is_some_and(|entry| matches!(entry.stage, Stage::Published(_)))
            {
                self.outstanding += 1;
                let entry = self.entries.get_mut(&packet_id)?;
                entry.counted = true;
                let Stage::Published(delivery) = &entry.stage else {
                    return None;
                };
                return Some((packet_id, delivery));
            }
        }
        None
    }

    /// Takes a delivery in and gives it an identifier. Only while [`is_open`](Self::is_open).
    pub(crate) fn insert(&mut self, delivery: Delivery) -> PacketId {
        self.occupy(&delivery);
        let packet_id = self.free_id();
        let entry = Entry {
            order: self.next_order,
            stage: Stage::Published(delivery),
            counted: true,
        };
        self.next_order += 1;
        self.outstanding += 1;
        self.entries.insert(packet_id, entry);
        self.metrics.in_flight.add(1);
        packet_id
    }

    fn free_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(packet_id) = PacketId::new(self.last_id)
                && !self.entries.contains_key(&packet_id)
            {
                return packet_id;
            }
        }
    }

    /// PUBACK. `false` where nothing is in flight under this identifier.
    pub(crate) fn acknowledged(&mut self, packet_id: PacketId) -> Result<bool, Misplaced> {
        match self.qos(packet_id) {
            None => Ok(false),
            Some(QoS::AtLeastOnce) => {
                self.remove(packet_id);
                Ok(true)
            }
            Some(QoS::AtMostOnce | QoS::ExactlyOnce) => Err(Misplaced),
        }
    }

    /// PUBREC, with the client's verdict.
    pub(crate) fn received(
        &mut self,
        packet_id: PacketId,
        refused: bool,
    ) -> Result<Received, Misplaced> {
        match self.qos(packet_id) {
            None => Ok(Received::Unknown),
            Some(QoS::ExactlyOnce) if refused => {
                self.remove(packet_id);
                Ok(Received::Refused)
            }
            Some(QoS::ExactlyOnce) => {
                if let Some(entry) = self.entries.get_mut(&packet_id)
                    && let Stage::Published(delivery) =
                        std::mem::replace(&mut entry.stage, Stage::Released)
                {
                    self.vacate(&delivery);
                }
                Ok(Received::Release)
            }
            Some(QoS::AtMostOnce | QoS::AtLeastOnce) => Err(Misplaced),
        }
    }

    /// PUBCOMP. `false` where nothing is in flight under this identifier.
    pub(crate) fn completed(&mut self, packet_id: PacketId) -> Result<bool, Misplaced> {
        match self.entries.get(&packet_id).map(|entry| &entry.stage) {
            None => Ok(false),
            Some(Stage::Released) => {
                self.remove(packet_id);
                Ok(true)
            }
            Some(Stage::Published(_)) => Err(Misplaced),
        }
    }

    /// Gives an identifier back whose PUBLISH could not be sent.
    pub(crate) fn discard(&mut self, packet_id: PacketId) {
        self.remove(packet_id);
    }

    /// Takes out what waits for its PUBACK and came by a shared subscription, the last one first.
    pub(crate) fn take_shares(&mut self) -> Vec<Delivery> {
        let is_share = |entry: &Entry| match &entry.stage {
            Stage::Published(delivery) => {
                delivery.qos == QoS::AtLeastOnce && delivery.share.is_some()
            }
            Stage::Released => false,
        };
        let mut found: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| is_share(entry))
            .map(|(packet_id, entry)| (entry.order, *packet_id))
            .collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found
            .into_iter()
            .filter_map(|(_, packet_id)| match self.remove(packet_id)?.stage {
                Stage::Published(delivery) => Some(delivery),
                Stage::Released => None,
            })
            .collect()
    }

    /// Everything in the order it was sent, for a session record.
    pub(crate) fn to_records(&self) -> Vec<storage::InFlight> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_unstable_by_key(|(_, entry)| entry.order);
        entries
            .into_iter()
            .map(|(packet_id, entry)| storage::InFlight {
                packet_id: *packet_id,
                delivery: match &entry.stage {
                    Stage::Published(delivery) => Some(delivery.clone()),
                    Stage::Released => None,
                },
            })
            .collect()
    }

    /// Puts back what storage kept.
    pub(crate) fn restore(&mut self, records: Vec<storage::InFlight>) {
        self.metrics.in_flight.add(signed(records.len()));
        for record in records {
            if let Some(delivery) = &record.delivery {
                self.occupy(delivery);
            }
            let stage = record.delivery.map_or(Stage::Released, Stage::Published);
            let entry = Entry {
                order: self.next_order,
                stage,
                counted: false,
            };
            self.next_order += 1;
            self.last_id = self.last_id.max(record.packet_id.get());
            self.entries.insert(record.packet_id, entry);
        }
    }

    /// The QoS something is in flight with; a released one can only be QoS 2.
    fn qos(&self, packet_id: PacketId) -> Option<QoS> {
        self.entries
            .get(&packet_id)
            .map(|entry| match &entry.stage {
                Stage::Published(delivery) => delivery.qos,
                Stage::Released => QoS::ExactlyOnce,
            })
    }

    fn remove(&mut self, packet_id: PacketId) -> Option<Entry> {
        let entry = self.entries.remove(&packet_id)?;
        if let Stage::Published(delivery) = &entry.stage {
            self.vacate(delivery);
        }
        self.outstanding -= usize::from(entry.counted);
        self.metrics.in_flight.add(-1);
        Some(entry)
    }

    fn occupy(&mut self, delivery: &Delivery) {
        let bytes = delivery.message.footprint();
        self.bytes += bytes;
        self.metrics.queued_bytes.add(signed(bytes));
    }

    fn vacate(&mut self, delivery: &Delivery) {
        let bytes = delivery.message.footprint();
        self.bytes -= bytes;
        self.metrics.queued_bytes.add(-signed(bytes));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.metrics.in_flight.add(-signed(self.entries.len()));
        self.metrics.queued_bytes.add(-signed(self.bytes));
    }
}

fn signed(amount: usize) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
