//! QoS 1 and 2 deliveries between PUBLISH and their last acknowledgement (MQTT 5, 4.3 and 4.4).

use std::{collections::VecDeque, sync::Arc};

use hashbrown::HashMap;

use crate::{
    message::QoS,
    mqtt::packet::PacketId,
    router::{Delivery, Queue, Queued},
    telemetry::Metrics,
};

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
    /// Its identifier is taken: it waits, and everything new behind it.
    blocked: Option<Box<Queued>>,
    /// Identifiers follow from places, so that a crash does not change them.
    is_kept: bool,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Entry {
    order: u64,
    place: u64,
    stage: Stage,
    /// Its PUBLISH was sent on this connection and counts as outstanding.
    counted: bool,
}

#[derive(Debug)]
enum Stage {
    /// Waits for PUBACK or PUBREC.
    Published(Delivery),
    /// PUBREC has come; waits for PUBCOMP.
    Released {
        /// Storage knows.
        is_stored: bool,
    },
}

/// A delivery that waits for PUBCOMP when a connection begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unreleased {
    pub(crate) packet_id: PacketId,
    pub(crate) place: u64,
    /// Storage knows that PUBREC has come.
    pub(crate) is_stored: bool,
}

/// An acknowledgement that does not fit what was sent under its identifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Misplaced;

/// What a PUBREC leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Received {
    /// Answer PUBREL; the message at this place is not needed any more.
    Release(u64),
    /// The client has refused the message: the identifier is free, and this place.
    Refused(u64),
    /// Nothing is in flight under this identifier.
    Unknown,
}

impl InFlight {
    pub(crate) fn new(is_kept: bool, metrics: Arc<Metrics>) -> Self {
        Self {
            entries: HashMap::new(),
            last_id: 0,
            next_order: 0,
            limit: 0,
            outstanding: 0,
            bytes: 0,
            resend: VecDeque::new(),
            blocked: None,
            is_kept,
            metrics,
        }
    }

    /// A connection begins. Returns what needs a PUBREL at once; PUBLISH packets follow by [`next_resend`](Self::next_resend).
    pub(crate) fn begin(&mut self, receive_maximum: u16) -> Vec<Unreleased> {
        self.limit = usize::from(receive_maximum);
        self.outstanding = 0;
        let mut left: Vec<_> = Vec::with_capacity(self.entries.len());
        for (packet_id, entry) in &mut self.entries {
            entry.counted = false;
            left.push((entry.order, *packet_id));
        }
        left.sort_unstable();
        let is_released = |(_, packet_id): &(u64, PacketId)| {
            matches!(self.entries[packet_id].stage, Stage::Released { .. })
        };
        let (released, published): (Vec<_>, Vec<_>) = left.into_iter().partition(is_released);
        self.resend = published
            .into_iter()
            .map(|(_, packet_id)| packet_id)
            .collect();
        released
            .into_iter()
            .map(|(_, packet_id)| Unreleased {
                packet_id,
                place: self.entries[&packet_id].place,
                is_stored: matches!(
                    self.entries[&packet_id].stage,
                    Stage::Released { is_stored: true }
                ),
            })
            .collect()
    }

    /// Whether another QoS 1 or 2 delivery may be sent: the client takes it, and nothing older waits to be sent again.
    pub(crate) fn is_open(&self) -> bool {
        self.outstanding < self.limit
            && self.bytes < MAX_BYTES
            && self.resend.is_empty()
            && self.blocked.is_none()
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

    /// Takes a delivery in and gives it an identifier. Only while [`is_open`](Self::is_open). `None` where it has to
    /// wait for its identifier: [`unblocked`](Self::unblocked) gives it back.
    pub(crate) fn insert(&mut self, queued: Queued) -> Option<PacketId> {
        let Some(packet_id) = self.id_for(&queued) else {
            self.occupy(&queued.delivery);
            self.blocked = Some(Box::new(queued));
            return None;
        };
        self.occupy(&queued.delivery);
        self.add(packet_id, queued.place, Stage::Published(queued.delivery));
        self.outstanding += 1;
        if let Some(entry) = self.entries.get_mut(&packet_id) {
            entry.counted = true;
        }
        Some(packet_id)
    }

    /// The delivery that waited for its identifier, once that is free and the client takes more.
    pub(crate) fn unblocked(&mut self) -> Option<Queued> {
        if self.outstanding >= self.limit || !self.resend.is_empty() {
            return None;
        }
        let queued = self.blocked.take()?;
        if self.id_for(&queued).is_none() {
            self.blocked = Some(queued);
            return None;
        }
        self.vacate(&queued.delivery);
        Some(*queued)
    }

    fn add(&mut self, packet_id: PacketId, place: u64, stage: Stage) {
        let entry = Entry {
            order: self.next_order,
            place,
            stage,
            counted: false,
        };
        self.next_order += 1;
        self.entries.insert(packet_id, entry);
        self.metrics.in_flight.add(1);
    }

    /// For QoS 2 of a session that is kept the identifier must be the same after a crash: by it the client knows what
    /// it has received. QoS 1 takes another where that one is in use.
    fn id_for(&mut self, queued: &Queued) -> Option<PacketId> {
        if !self.is_kept {
            return Some(self.free_id());
        }
        let own = id_of(queued.place);
        if !self.entries.contains_key(&own) {
            return Some(own);
        }
        (queued.qos < QoS::ExactlyOnce).then(|| self.free_id())
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

    /// PUBACK. The place that is free, `None` where nothing is in flight under this identifier.
    pub(crate) fn acknowledged(&mut self, packet_id: PacketId) -> Result<Option<u64>, Misplaced> {
        match self.qos(packet_id) {
            None => Ok(None),
            Some(QoS::AtLeastOnce) => Ok(self.remove(packet_id).map(|entry| entry.place)),
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
                let place = self.remove(packet_id).map(|entry| entry.place);
                Ok(place.map_or(Received::Unknown, Received::Refused))
            }
            Some(QoS::ExactlyOnce) => {
                let Some(entry) = self.entries.get_mut(&packet_id) else {
                    return Ok(Received::Unknown);
                };
                let place = entry.place;
                let stage =
                    std::mem::replace(&mut entry.stage, Stage::Released { is_stored: false });
                if let Stage::Published(delivery) = stage {
                    self.vacate(&delivery);
                }
                Ok(Received::Release(place))
            }
            Some(QoS::AtMostOnce | QoS::AtLeastOnce) => Err(Misplaced),
        }
    }

    /// Storage knows that this one waits for PUBCOMP.
    pub(crate) fn stored(&mut self, packet_id: PacketId) {
        if let Some(entry) = self.entries.get_mut(&packet_id)
            && let Stage::Released { is_stored } = &mut entry.stage
        {
            *is_stored = true;
        }
    }

    /// PUBCOMP. The place that is free, `None` where nothing is in flight under this identifier.
    pub(crate) fn completed(&mut self, packet_id: PacketId) -> Result<Option<u64>, Misplaced> {
        match self.entries.get(&packet_id).map(|entry| &entry.stage) {
            None => Ok(None),
            Some(Stage::Released { .. }) => Ok(self.remove(packet_id).map(|entry| entry.place)),
            Some(Stage::Published(_)) => Err(Misplaced),
        }
    }

    /// Gives an identifier back whose PUBLISH could not be sent, and its place.
    pub(crate) fn discard(&mut self, packet_id: PacketId) -> Option<u64> {
        Some(self.remove(packet_id)?.place)
    }

    /// Takes out what waits for its PUBACK and came by a shared subscription, the last one first.
    pub(crate) fn take_shares(&mut self) -> Vec<Queued> {
        let is_share = |entry: &Entry| match &entry.stage {
            Stage::Published(delivery) => {
                delivery.qos == QoS::AtLeastOnce && delivery.share.is_some()
            }
            Stage::Released { .. } => false,
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
            .filter_map(|(_, packet_id)| {
                let Entry { place, stage, .. } = self.remove(packet_id)?;
                match stage {
                    Stage::Published(delivery) => Some(Queued { place, delivery }),
                    Stage::Released { .. } => None,
                }
            })
            .collect()
    }

    /// Puts back what storage kept: places that wait for PUBCOMP, and what may have been sent. What cannot be in flight
    /// together is returned: it is sent in its turn.
    pub(crate) fn restore(
        &mut self,
        released: &[u64],
        mut sent: VecDeque<Queued>,
    ) -> VecDeque<Queued> {
        for place in released {
            let stage = Stage::Released { is_stored: true };
            self.add(id_of(*place), *place, stage);
        }
        while let Some(queued) = sent.front()
            && let Some(packet_id) = self.id_for(queued)
            && self.entries.len() < usize::from(u16::MAX)
            && self.bytes < MAX_BYTES
            && let Some(Queued { place, delivery }) = sent.pop_front()
        {
            self.occupy(&delivery);
            self.last_id = self.last_id.max(packet_id.get());
            self.add(packet_id, place, Stage::Published(delivery));
        }
        sent
    }

    /// The QoS something is in flight with; a released one can only be QoS 2.
    fn qos(&self, packet_id: PacketId) -> Option<QoS> {
        self.entries
            .get(&packet_id)
            .map(|entry| match &entry.stage {
                Stage::Published(delivery) => delivery.qos,
                Stage::Released { .. } => QoS::ExactlyOnce,
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

/// The identifier that belongs to a place.
fn id_of(place: u64) -> PacketId {
    let offset = place.wrapping_sub(Queue::first_place()) % u64::from(u16::MAX);
    let id = u16::try_from(offset).unwrap_or_default() + 1;
    PacketId::new(id).unwrap_or(PacketId::MIN)
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
