//! The loop of one client: transport ↔ codec ↔ session ↔ router. Decides nothing about packets; that is the session's.
//!
//! Start at [`serve`]. `opening` is the way from CONNECT to CONNACK, `storing` what storage answers, `link` a transport with its codec, `end` the
//! reasons a connection may end for and what the client is told then.

mod connected;
mod end;
mod link;
mod opening;
mod storing;

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::time::Sleep;

use self::{end::End, link::Link, opening::Opened};
use super::{
    Broker,
    mailbox::{Awaited, Mailbox, Request},
    packet::Packet,
    registry::{Attachment, Held},
    session::{Action, Session},
    transport::{Peer, Transport},
};
use crate::telemetry::{DropReason, Stage};

/// Bytes that may wait to be written before more is taken from the client or from its queue. One read's worth of
/// acknowledgements and one TLS record's worth of deliveries fit several times; 20,000 clients that take nothing hold
/// 1.3 GB at most, which the kernel's own buffers exceed.
const HIGH_WATER: usize = 64 * 1024;

/// Packets of one client that are taken before others have their turn on the same core.
const BATCH: usize = 64;

/// Reads of what had arrived when a connection is asked to end: a megabyte at most.
const LAST_READS: usize = 16;

/// For the last packet and the end of the stream; whoever takes longer has lost interest.
const FAREWELL: Duration = Duration::from_secs(1);

/// A keep alive of none still needs a timer value: far enough, and no overflow.
const NEVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Serves one client from its first byte to its last.
pub fn serve<T: Transport>(
    transport: T,
    peer: Peer,
    broker: Arc<Broker>,
) -> impl Future<Output = ()> + Send {
    // Boxed here: a future keeps room for its arguments beside what it makes of them, and a TLS stream takes 1.2 kB.
    let link = Link::new(transport, &broker);
    serve_guest(Box::new(Guest { link, peer, broker }))
}

/// A client, whether it has been let in or not.
struct Guest<T> {
    link: Link<T>,
    peer: Peer,
    broker: Arc<Broker>,
}

async fn serve_guest<T: Transport>(mut guest: Box<Guest<T>>) {
    let mailbox = Arc::new(Mailbox::default());
    // Boxed: what opening a connection needs, TLS certificates and passwords of which the steady state knows nothing,
    // is freed with it. So is what its end needs.
    let (end, client) = match Box::pin(guest.open(&mailbox)).await {
        Ok(mut opened) => {
            let end = guest.run(&mut opened.attachment, &mailbox).await;
            // Whoever waits for the session need not wait for our farewell.
            opened.attachment.release();
            (end, Some(opened.client))
        }
        Err(end) => (end, None),
    };
    Box::pin(guest.leave(end, client)).await;
}

impl<T: Transport> Guest<T> {
    /// From the first byte to CONNACK.
    async fn open(&mut self, mailbox: &Arc<Mailbox>) -> Result<Box<Opened>, End> {
        let Self { link, peer, broker } = self;
        let opened = opening::open(link, peer, broker, mailbox).await;
        let opened = opened.inspect_err(|end| broker.metrics.connect_refused.add(end.name(), 1))?;
        if let Some(probe) = &peer.probe {
            probe.note(
                Stage::Connect,
                true,
                "accepted",
                "CONNECT was accepted",
                now(),
            );
        }
        let client = &opened.client;
        tracing::info!(code = "client.connected", client_id = %client.client_id,
            username = client.username.as_deref(), source = %peer.source, listener = %peer.listener,
            transport = peer.carrier.as_str(), version = client.version.as_str(), "client connected");
        Ok(Box::new(opened))
    }

    /// From CONNACK to the reason of the end.
    async fn run(&mut self, attachment: &mut Attachment, mailbox: &Arc<Mailbox>) -> End {
        let Held::Session(session) = &mut attachment.held else {
            return End::Closed;
        };
        let mut client = Client {
            link: &mut self.link,
            session,
            mailbox,
            broker: &self.broker,
            is_sending: false,
            subscribing: 0,
        };
        let deadline = client.session.next_deadline().map(Into::into);
        let deadline = deadline.unwrap_or_else(|| tokio::time::Instant::now() + NEVER);
        let mut timer = Box::pin(tokio::time::sleep_until(deadline));
        let request = match poll_fn(|cx| client.poll(cx, timer.as_mut())).await {
            Leave::Ended(end) => return end,
            Leave::Requested(request) => request,
        };
        match Box::pin(client.take_last_packets(now())).await {
            Ok(()) => request.into(),
            Err(end) => end,
        }
    }

    /// Tells the log why, and the client as far as it can be told.
    async fn leave(&mut self, end: End, client: Option<opening::Client>) {
        let Self { link, peer, .. } = self;
        let client_id = client.as_ref().map(|client| &*client.client_id);
        tracing::info!(code = "client.disconnected", client_id, source = %peer.source, listener = %peer.listener,
            transport = peer.carrier.as_str(), reason = end.name(), bytes_received = link.bytes_received,
            bytes_sent = link.bytes_sent, "connection ended: {end}");
        if let Some(probe) = &peer.probe {
            end.note(probe, client.is_some(), now());
        }
        let farewell = link.farewell(&end, peer, client.is_some());
        let _ = tokio::time::timeout(FAREWELL * 3, farewell).await;
    }
}

struct Client<'a, T> {
    link: &'a mut Link<T>,
    session: &'a mut Session,
    mailbox: &'a Arc<Mailbox>,
    broker: &'a Arc<Broker>,
    /// The transport has taken bytes and not yet said that they are out.
    is_sending: bool,
    /// SUBACKs that wait for storage: what a subscription brings comes after its SUBACK.
    subscribing: usize,
}

/// What a step has come to.
enum Progress {
    /// There may be more to do.
    Some,
    /// There is, but it is others' turn.
    Yield,
    /// Whatever comes next wakes the task.
    None,
}

/// Why the loop is left.
enum Leave {
    Ended(End),
    /// Somebody else wants the connection to end.
    Requested(Request),
}

impl From<End> for Leave {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

impl<T: Transport> Client<'_, T> {
    /// Does what can be done now. Ready at the end of the connection.
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Leave> {
        // Before anything is looked at, so that nothing comes between the look and the wait.
        self.mailbox.register(cx);
        self.session.queue().register_waker(cx);
        let now = now();
        loop {
            if let Some(request) = self.mailbox.requested() {
                return Poll::Ready(Leave::Requested(request));
            }
            match self.step(cx, now) {
                Ok(Progress::Some) => {}
                Ok(Progress::Yield) => {
                    // What remains waits for the other connections of this core, not for the network.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(Progress::None) => break,
                Err(end) => return Poll::Ready(end.into()),
            }
        }
        while timer.as_mut().poll(cx).is_ready() {
            // As late as the timer, or it would be ready again and again.
            if let Err(end) = self.session.expire(self::now()) {
                return Poll::Ready(End::from(end).into());
            }
            let next = self.session.next_deadline();
            let never = || tokio::time::Instant::now() + NEVER;
            timer.as_mut().reset(next.map_or_else(never, Into::into));
        }
        Poll::Pending
    }

    /// From what has come to what goes out, once.
    fn step(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Progress, End> {
        self.take_commits(now)?;
        let has_more = self.take_packets(now)?;
        // Storage may have answered already: an acknowledgement comes before what it leads to.
        self.take_commits(now)?;
        self.take_deliveries(now)?;
        let was_full = !self.has_room();
        if let Poll::Ready(sent) = self.poll_send(cx) {
            sent?;
            if was_full {
                return Ok(Progress::Some);
            }
        } else if was_full {
            return Ok(Progress::None);
        }
        if has_more {
            return Ok(Progress::Yield);
        }
        if !self.session.wants_input() {
            return Ok(Progress::None);
        }
        let received = pin!(self.link.transport.receive()).poll(cx);
        match received {
            Poll::Ready(Ok(Some(bytes))) => {
                self.link.push(bytes);
                Ok(Progress::Some)
            }
            Poll::Ready(Ok(None)) => Err(End::Closed),
            Poll::Ready(Err(error)) => Err(End::Network(error)),
            Poll::Pending => Ok(Progress::None),
        }
    }

    /// Takes what had arrived before the connection was asked to end: a client that says DISCONNECT and comes back at once
    /// may be taken over by itself on another core before its DISCONNECT was read.
    async fn take_last_packets(&mut self, now: Instant) -> Result<(), End> {
        // Until the runtime has looked at its sockets.
        tokio::task::yield_now().await;
        for _ in 0..LAST_READS {
            while self.take_packets(now)? {}
            if !self.session.wants_input() || !self.has_room() {
                break;
            }
            let received = poll_fn(|cx| Poll::Ready(pin!(self.link.transport.receive()).poll(cx)));
            match received.await {
                Poll::Ready(Ok(Some(bytes))) => self.link.push(bytes),
                Poll::Ready(Ok(None)) => return Err(End::Closed),
                Poll::Ready(Err(error)) => return Err(End::Network(error)),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Takes packets that have arrived; `true` where more may be there.
    fn take_packets(&mut self, now: Instant) -> Result<bool, End> {
        for _ in 0..BATCH {
            if !self.has_room() || !self.session.wants_input() {
                return Ok(false);
            }
            let Some(packet) = self.link.next_packet()? else {
                return Ok(false);
            };
            self.session.receive(packet, now)?;
            self.carry_out(now)?;
        }
        Ok(true)
    }

    fn take_commits(&mut self, now: Instant) -> Result<(), End> {
        if self.mailbox.has_commits() {
            for commit in self.mailbox.take_commits() {
                self.committed(commit, now);
            }
        }
        // Also what there was to do at the beginning: a session that returns sends again what was not acknowledged.
        self.carry_out(now)
    }

    /// Takes what is queued, as much as one write may carry.
    fn take_deliveries(&mut self, now: Instant) -> Result<(), End> {
        while self.has_room() && self.subscribing == 0 {
            let Some(delivery) = self.session.queue().pop(self.session.window_is_open(), now)
            else {
                break;
            };
            if let Some(packet) = self.session.deliver(delivery, now) {
                self.send(&packet, now);
                self.carry_out(now)?;
            }
        }
        self.check_overflow()
    }

    fn has_room(&self) -> bool {
        self.link.frames.len_bytes() < HIGH_WATER
    }

    /// A queue that the client does not take from may meet its end while nothing else happens.
    fn check_overflow(&self) -> Result<(), End> {
        if self.session.queue().has_overflowed() {
            Err(End::Overflowed)
        } else {
            Ok(())
        }
    }

    /// Ready once everything is out.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        while self.is_sending || !self.link.frames.is_empty() {
            self.is_sending = true;
            let Link {
                transport, frames, ..
            } = &mut *self.link;
            ready!(pin!(transport.send(frames)).poll(cx)).map_err(End::Network)?;
            self.is_sending = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Carries out what the session wants done.
    fn carry_out(&mut self, now: Instant) -> Result<(), End> {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Send(packet) => self.send(&packet, now),
                Action::Publish(message, packet_id) => self.publish(&message, packet_id, now),
                Action::Subscribe(packet_id, lines) => self.subscribe(packet_id, lines, now),
                Action::Unsubscribe(packet_id, filters) => self.unsubscribe(packet_id, &filters),
                Action::Keep(changes, then) => self.commit(changes, Awaited::Step(then)),
                Action::Forget(change) => self.broker.storage.commit(vec![change], None),
                Action::PublishDenied => self.broker.metrics.publish_denied.increment(),
                Action::Acknowledged(after) => self.broker.metrics.publish_latency.observe(after),
                Action::End(reason_code) => return Err(End::Disconnected(reason_code)),
                Action::NotKept(outcome) => return Err(End::NotKept(outcome)),
            }
        }
        Ok(())
    }

    /// Encodes a packet; one that the client does not take is dropped as the standard says [MQTT-3.1.2-25].
    fn send(&mut self, packet: &Packet, now: Instant) {
        if self.link.send(packet).is_ok() {
            return;
        }
        if let Packet::Publish(publish) = packet {
            self.broker.metrics.dropped(DropReason::TooLarge);
            if let Some(packet_id) = publish.packet_id {
                self.session.discard(packet_id, now);
            }
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
