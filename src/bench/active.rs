//! A client that has connected: a loop that reads, publishes and writes, and what it counts.

use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{
    client::Thread,
    inbound::{AckKind, Inbound, Scanner},
    order::{Order, Place},
    outbox::Outbox,
    plan::Arrival,
    publisher::Publisher,
    recorder::{Recorder, add},
    shared::Phase,
    stamp::{Stamp, now},
};
use crate::{
    client::{ClientError, Link},
    message::TopicFilter,
    mqtt::{
        codec::{Encoder, Frames},
        packet::{Packet, PacketId, Subscribe, Subscription},
    },
    router::{RetainHandling, SubscriptionOptions},
};

/// Reads and messages of one client before the others have their turn.
const BUDGET: u32 = 64;

/// Seconds that a closed loop waits for a delivery before it takes it for lost.
const LOST_AFTER: u32 = 6;

/// A client that has connected.
pub(super) struct Active<'a> {
    thread: &'a Thread,
    slot: usize,
    link: Link,
    scanner: Scanner,
    outbox: Outbox,
    order: Order,
    publisher: Option<Publisher>,
    /// Since then nothing was delivered of what its publisher waits for.
    stuck: (u32, u64),
    /// Seconds between pings, and when the last left.
    ping_interval: Option<u32>,
    pinged: u32,
    /// The phase in which it began.
    since: Phase,
}

impl<'a> Active<'a> {
    pub(super) fn new(
        thread: &'a Thread,
        slot: usize,
        link: Link,
        keep_alive: u16,
        since: Phase,
    ) -> Self {
        let version = thread.shared.plan.connect.version;
        Self {
            thread,
            slot,
            scanner: Scanner::new(version, thread.shared.packet_limit()),
            outbox: Outbox::new(&link),
            link,
            order: Order::default(),
            publisher: None,
            stuck: (0, 0),
            ping_interval: (keep_alive > 0).then(|| u32::from(keep_alive).div_ceil(2)),
            pinged: thread.tick.get(),
            since,
        }
    }

    pub(super) fn publishes(&mut self, publisher: Publisher) {
        self.publisher = Some(publisher);
    }

    pub(super) fn subscribe(&mut self, filter: &TopicFilter) {
        let plan = &self.thread.shared.plan;
        let packet = Packet::Subscribe(Subscribe {
            packet_id: PacketId::MIN,
            subscriptions: vec![Subscription {
                topic_filter: filter.clone(),
                options: SubscriptionOptions {
                    qos: plan.load.qos,
                    // What was retained before is no message of this run.
                    retain_handling: RetainHandling::DoNotSend,
                    ..SubscriptionOptions::default()
                },
            }],
            user_properties: Vec::new(),
        });
        let mut frames = Frames::default();
        let encoded = Encoder::for_client(plan.connect.version).encode(&packet, &mut frames);
        encoded.expect("a filter was checked, and nothing limits this encoder");
        let bytes: Vec<u8> = frames.finish().iter().flatten().copied().collect();
        self.outbox.push(&bytes, |_| {});
    }

    /// Ready once it has ended, or the phase has come that ends it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        let phase = self.thread.phase.get();
        if phase.ends(self.since) {
            return Poll::Ready(Ok(()));
        }
        self.thread.wakers.borrow_mut()[self.slot] = Some(cx.waker().clone());
        let mut has_more = self.poll_read(cx)?;
        self.ping();
        if phase == Phase::Publish {
            has_more |= self.publish(cx.waker());
        }
        if let Poll::Ready(Err(error)) = self.outbox.poll_flush(cx, &mut self.link) {
            // The broker may have said why, and that is still to be read.
            while let Poll::Ready(received) = self.link.poll_receive(cx) {
                self.receive(received?)?;
            }
            return Poll::Ready(Err(error));
        }
        if has_more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Reads what is there; whether there may be more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, ClientError> {
        for _ in 0..BUDGET {
            match self.link.poll_receive(cx) {
                Poll::Ready(received) => self.receive(received?)?,
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    fn receive(&mut self, bytes: Bytes) -> Result<(), ClientError> {
        let now = now();
        self.scanner.push(bytes);
        // Messages of one publisher mostly come together: one word to it for all of them.
        let mut run = (0, 0);
        while let Some(inbound) = self.scanner.next()? {
            match inbound {
                Inbound::Message {
                    qos,
                    packet_id,
                    payload,
                } => {
                    if let Some(publisher) = self.message(&payload, now) {
                        if publisher != run.0 {
                            self.tell(run);
                            run = (publisher, 0);
                        }
                        run.1 += 1;
                    }
                    match qos {
                        0 => {}
                        1 => self.acknowledge(0x40, packet_id),
                        _ => self.acknowledge(0x50, packet_id),
                    }
                }
                Inbound::Acknowledgement {
                    kind,
                    packet_id,
                    is_error,
                } => self.acknowledged(kind, packet_id, is_error, now),
                Inbound::Other(packet) => self.other(packet)?,
            }
        }
        self.tell(run);
        Ok(())
    }

    /// So many of a publisher's have come.
    fn tell(&self, (publisher, count): (u32, u64)) {
        let flow = self.thread.shared.flows.get(publisher as usize);
        if let Some(flow) = flow.filter(|_| count > 0) {
            flow.delivered(count);
        }
    }

    /// Counts a message; the publisher that may wait for it.
    fn message(&mut self, payload: &[u8], now: u64) -> Option<u32> {
        let counters = self.thread.counters();
        let shared = &self.thread.shared;
        // Who publishes here, too, waits for its own messages only.
        let is_ours = |stamp: &Stamp| stamp.run == shared.run || shared.flows.is_empty();
        let Some(stamp) = Stamp::read(payload).filter(is_ours) else {
            add(&counters.delivered, 1);
            add(&counters.unstamped, 1);
            return None;
        };
        match self
            .order
            .note((stamp.run, stamp.publisher), stamp.sequence)
        {
            Place::Next => {}
            Place::Late => add(&counters.out_of_order, 1),
            Place::Duplicate => {
                add(&counters.duplicates, 1);
                return None;
            }
        }
        add(&counters.delivered, 1);
        let limits = self.thread.limits();
        let histogram = &mut self.thread.recorder.borrow_mut().delivery;
        Recorder::record(histogram, stamp.time, now, limits);
        Some(stamp.publisher)
    }

    fn acknowledge(&mut self, first: u8, packet_id: u16) {
        let [high, low] = packet_id.to_be_bytes();
        self.outbox.push(&[first, 2, high, low], |_| {});
    }

    fn acknowledged(&mut self, kind: AckKind, packet_id: u16, is_error: bool, now: u64) {
        match kind {
            AckKind::PubRel => return self.acknowledge(0x70, packet_id),
            AckKind::PubRec if !is_error => return self.acknowledge(0x62, packet_id),
            AckKind::PubRec | AckKind::PubAck | AckKind::PubComp => {}
        }
        let publisher = self.publisher.as_mut();
        let Some(time) = publisher.and_then(|publisher| publisher.complete(packet_id)) else {
            return;
        };
        let counters = self.thread.counters();
        if is_error {
            return add(&counters.refused, 1);
        }
        add(&counters.acknowledged, 1);
        let limits = self.thread.limits();
        let histogram = &mut self.thread.recorder.borrow_mut().acknowledgement;
        Recorder::record(histogram, time, now, limits);
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all others are a broker's mistake"
    )]
    fn other(&self, packet: Packet) -> Result<(), ClientError> {
        match packet {
            Packet::PingResp => Ok(()),
            Packet::SubAck(ack) if ack.reason_codes.iter().all(|code| !code.is_error()) => {
                add(&self.thread.counters().ready, 1);
                Ok(())
            }
            Packet::SubAck(_) => Err(ClientError::NotMqtt(
                "the broker does not grant the subscription; its permissions have to allow it, or name another -t",
            )),
            Packet::Disconnect(disconnect) => Err(ClientError::Disconnected(Box::new(disconnect))),
            packet => Err(ClientError::Unexpected(packet.name())),
        }
    }

    fn ping(&mut self) {
        let tick = self.thread.tick.get();
        if self
            .ping_interval
            .is_some_and(|interval| tick - self.pinged >= interval)
        {
            self.pinged = tick;
            self.outbox.push(&[0xc0, 0], |_| {});
        }
    }

    /// Publishes what is due; whether there is more that needs no waiting.
    fn publish(&mut self, waker: &Waker) -> bool {
        let shared = &self.thread.shared;
        let Some(publisher) = &mut self.publisher else {
            return false;
        };
        for _ in 0..BUDGET {
            if !self.outbox.has_room() || !publisher.has_place() {
                return false;
            }
            let now = now();
            let time = match publisher.arrival() {
                Arrival::Rate(rate) => {
                    let due = publisher.due(shared.start(), rate);
                    if due > now {
                        return false;
                    }
                    due
                }
                Arrival::Window(window) => {
                    if !self
                        .thread
                        .may_go_on(publisher, window, waker, &mut self.stuck)
                    {
                        return false;
                    }
                    now
                }
            };
            if !shared.claim() {
                return false;
            }
            let (packet, patch) = publisher.next(time);
            self.outbox.push(packet, patch);
            add(&self.thread.counters().sent, 1);
        }
        true
    }

    pub(super) async fn leave(&mut self) {
        self.outbox.push(&[0xe0, 0], |_| {});
        // As far as the socket takes it at once: the broker knows anyway when the connection ends.
        poll_fn(|cx| {
            let _ = self.outbox.poll_flush(cx, &mut self.link);
            Poll::Ready(())
        })
        .await;
    }
}

impl Thread {
    /// Whether a closed loop may publish the next message.
    fn may_go_on(
        &self,
        publisher: &mut Publisher,
        window: u32,
        waker: &Waker,
        stuck: &mut (u32, u64),
    ) -> bool {
        let receivers = self.shared.plan.receivers();
        let Some(flow) = self
            .shared
            .flow(publisher.index())
            .filter(|_| receivers > 0)
        else {
            return true;
        };
        let wanted = publisher.wanted(window, receivers);
        if flow.has(wanted, waker) {
            return true;
        }
        let (tick, delivered) = (self.tick.get(), flow.total());
        if stuck.1 != delivered {
            *stuck = (tick, delivered);
        } else if tick - stuck.0 >= LOST_AFTER {
            add(&self.counters().stalls, 1);
            publisher.write_off(receivers, delivered);
            *stuck = (tick, delivered);
            return true;
        }
        false
    }
}
