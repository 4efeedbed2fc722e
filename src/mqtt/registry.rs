//! Client identifier to live connection or parked session: takeover, will delay, session expiry.
//!
//! Each identifier has one owner at a time, and an [`Attachment`] is the proof of it. Whoever drops an attachment, in
//! order or by a panic, gives the session on: to the connection that waits for it, or to the shelf.
//! A shard's lock lasts a few lines; nothing of the router or of storage is called under it.

use std::{
    collections::{BTreeSet, VecDeque, hash_map::Entry},
    hash::BuildHasher,
    sync::Arc,
    time::{Instant, SystemTime},
};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{
    broker::Broker,
    mailbox::{Mailbox, Request},
    session::{Session, State},
};
use crate::{
    message::{ClientId, Message},
    router::Queue,
    storage::{Change, StoredWill},
};

/// Shards, so that cores seldom meet at one lock: 64 for a handful of cores.
const SHARDS: usize = 64;

type Shard = Mutex<std::collections::HashMap<ClientId, Slot, foldhash::fast::FixedState>>;

/// All sessions by client identifier.
#[derive(Debug)]
pub(super) struct Registry {
    shards: Box<[Shard]>,
    hasher: foldhash::fast::RandomState,
    due: Mutex<BTreeSet<(Instant, ClientId)>>,
    earlier: Notify,
}

#[derive(Debug)]
enum Slot {
    /// Owned by a connection; others wait for it in the order they came.
    Live(Arc<Mailbox>, VecDeque<Waiter>),
    /// Waits for its client.
    Parked(Box<Parked>),
}

#[derive(Debug)]
struct Waiter {
    mailbox: Arc<Mailbox>,
    handover: oneshot::Sender<Attachment>,
}

/// A session without a connection.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) state: State,
    /// The will that waits for its delay, and when it is due.
    pub(super) will: Option<(Arc<Message>, Instant)>,
    pub(super) expires_at: Instant,
}

/// Something whose time has come.
pub(super) enum Due {
    Will(Arc<Message>),
    /// The timer owns the identifier until the session has ended everywhere.
    Expired(Attachment),
}

/// The ownership of a client identifier, and of its session if there is one.
pub(super) struct Attachment {
    broker: Arc<Broker>,
    client_id: ClientId,
    pub(super) held: Held,
}

/// What an attachment owns beside the identifier.
pub(super) enum Held {
    /// Nothing: there was no session, or it is over.
    Nothing,
    /// A session that an earlier connection left.
    Parked(Box<Parked>),
    /// A session in use.
    Session(Box<Session>),
    /// Given on: dropping the attachment does nothing.
    Released,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            due: Mutex::default(),
            earlier: Notify::new(),
        }
    }
}

impl Registry {
    fn shard(&self, client_id: &str) -> &Shard {
        let hash = self.hasher.hash_one(client_id);
        &self.shards[hash as usize % SHARDS]
    }

    /// Becomes the owner of an identifier; a connection that owns it is asked to end, and waited for. `None` only
    /// where the broker comes down meanwhile.
    pub(super) async fn attach(
        broker: &Arc<Broker>,
        client_id: &ClientId,
        mailbox: &Arc<Mailbox>,
    ) -> Option<Attachment> {
        let registry = &broker.registry;
        let attachment = |held| Attachment {
            broker: broker.clone(),
            client_id: client_id.clone(),
            held,
        };
        let handover = {
            let mut shard = registry.shard(client_id).lock();
            match shard.entry(client_id.clone()) {
                Entry::Vacant(slot) => {
                    slot.insert(Slot::Live(mailbox.clone(), VecDeque::new()));
                    return Some(attachment(Held::Nothing));
                }
                Entry::Occupied(mut slot) => match slot.get_mut() {
                    Slot::Live(owner, waiting) => {
                        let (handover, handed_over) = oneshot::channel();
                        owner.request(Request::TakeOver);
                        waiting.push_back(Waiter {
                            mailbox: mailbox.clone(),
                            handover,
                        });
                        handed_over
                    }
                    Slot::Parked(_) => {
                        let live = Slot::Live(mailbox.clone(), VecDeque::new());
                        let Slot::Parked(parked) = slot.insert(live) else {
                            return None;
                        };
                        drop(shard);
                        registry.forget_due(client_id, &parked);
                        broker.metrics.sessions_parked.add(-1);
                        return Some(attachment(Held::Parked(parked)));
                    }
                },
            }
        };
        handover.await.ok()
    }

    /// Puts a session on the shelf at start.
    pub(super) fn insert(&self, client_id: &ClientId, parked: Parked) {
        self.remember_due(client_id, &parked);
        self.shard(client_id)
            .lock()
            .insert(client_id.clone(), Slot::Parked(Box::new(parked)));
    }

    /// Gives an identifier on: to the next in line, to the shelf, or up.
    fn release(broker: &Arc<Broker>, client_id: &ClientId, mut parked: Option<Box<Parked>>) {
        let registry = &broker.registry;
        let mut shard = registry.shard(client_id).lock();
        let Some(Slot::Live(owner, waiting)) = shard.get_mut(client_id) else {
            return;
        };
        while let Some(waiter) = waiting.pop_front() {
            let held = parked.take().map_or(Held::Nothing, Held::Parked);
            let attachment = Attachment {
                broker: broker.clone(),
                client_id: client_id.clone(),
                held,
            };
            match waiter.handover.send(attachment) {
                Ok(()) => {
                    *owner = waiter.mailbox;
                    if !waiting.is_empty() {
                        owner.request(Request::TakeOver);
                    }
                    return;
                }
                Err(mut refused) => {
                    if let Held::Parked(back) = std::mem::replace(&mut refused.held, Held::Released)
                    {
                        parked = Some(back);
                    }
                }
            }
        }
        match parked {
            Some(parked) => {
                registry.remember_due(client_id, &parked);
                broker.metrics.sessions_parked.add(1);
                shard.insert(client_id.clone(), Slot::Parked(parked));
            }
            None => {
                shard.remove(client_id);
            }
        }
    }

    fn remember_due(&self, client_id: &ClientId, parked: &Parked) {
        let mut due = self.due.lock();
        let first = due.first().map(|(at, _)| *at);
        for at in parked.due() {
            due.insert((at, client_id.clone()));
            if first.is_none_or(|first| at < first) {
                self.earlier.notify_one();
            }
        }
    }

    fn forget_due(&self, client_id: &ClientId, parked: &Parked) {
        let mut due = self.due.lock();
        for at in parked.due() {
            due.remove(&(at, client_id.clone()));
        }
    }

    /// Takes what is due by now.
    pub(super) fn take_due(broker: &Arc<Broker>, now: Instant) -> Vec<Due> {
        let registry = &broker.registry;
        let mut taken = Vec::new();
        loop {
            let client_id = {
                let mut due = registry.due.lock();
                match due.first() {
                    Some((at, _)) if *at <= now => {}
                    Some(_) | None => return taken,
                }
                due.pop_first()
            };
            if let Some((_, client_id)) = client_id {
                registry.take_due_of(broker, &client_id, now, &mut taken);
            }
        }
    }

    fn take_due_of(
        &self,
        broker: &Arc<Broker>,
        client_id: &ClientId,
        now: Instant,
        taken: &mut Vec<Due>,
    ) {
        let mut shard = self.shard(client_id).lock();
        let Entry::Occupied(mut slot) = shard.entry(client_id.clone()) else {
            return;
        };
        // It may be connected again since: its due times went with it.
        let Slot::Parked(parked) = slot.get_mut() else {
            return;
        };
        if let Some((will, _)) = parked.will.take_if(|(_, due)| *due <= now) {
            taken.push(Due::Will(will));
        }
        if parked.expires_at <= now
            && let Slot::Parked(parked) = slot.insert(Slot::Live(Arc::default(), VecDeque::new()))
        {
            let held = Held::Parked(parked);
            taken.push(Due::Expired(Attachment {
                broker: broker.clone(),
                client_id: client_id.clone(),
                held,
            }));
        }
    }

    /// Until something may be due: the earliest known, or one that comes in before it.
    pub(super) async fn wait_for_due(&self) {
        let first = self.due.lock().first().map(|(at, _)| *at);
        let earlier = self.earlier.notified();
        match first {
            None => earlier.await,
            Some(at) => {
                let _ = tokio::time::timeout_at(at.into(), earlier).await;
            }
        }
    }

    /// The connections that own an identifier now.
    pub(super) fn connected(&self) -> Vec<Arc<Mailbox>> {
        let live = |slot: &Slot| match slot {
            Slot::Live(mailbox, _) => Some(mailbox.clone()),
            Slot::Parked(_) => None,
        };
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().values().filter_map(live).collect::<Vec<_>>())
            .collect()
    }

    /// The queues of sessions that wait for their client, some at a time.
    pub(super) fn parked_queues(&self) -> impl Iterator<Item = Vec<Arc<Queue>>> {
        let parked = |slot: &Slot| match slot {
            Slot::Live(..) => None,
            Slot::Parked(parked) => Some(parked.state.queue().clone()),
        };
        self.shards
            .iter()
            .map(move |shard| shard.lock().values().filter_map(parked).collect())
    }

    /// Sessions, connected or not.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Parked {
    fn due(&self) -> impl Iterator<Item = Instant> {
        self.will
            .iter()
            .map(|(_, due)| *due)
            .chain([self.expires_at])
    }
}

impl Due {
    pub(super) fn carry_out(self, broker: &Broker, now: Instant) {
        match self {
            Self::Will(message) => broker.publish(&message, now),
            Self::Expired(mut attachment) => {
                broker.metrics.sessions_parked.add(-1);
                broker.metrics.sessions_expired.increment();
                attachment.forget(now);
            }
        }
    }
}

impl Attachment {
    /// The session is in use from now on.
    pub(super) fn begin(&mut self, session: Session) {
        self.held = Held::Session(Box::new(session));
    }

    /// Ends the session that an earlier connection left; the identifier stays owned.
    pub(super) fn forget(&mut self, now: Instant) {
        if let Held::Parked(parked) = std::mem::replace(&mut self.held, Held::Nothing) {
            self.broker.end_session(*parked, now);
        }
    }

    /// The connection has ended: the session goes on to whoever waits for it, or to the shelf, or ends.
    pub(super) fn release(&mut self) {
        let now = tokio::time::Instant::now().into_std();
        match std::mem::replace(&mut self.held, Held::Released) {
            Held::Released => {}
            Held::Nothing => Registry::release(&self.broker, &self.client_id, None),
            Held::Parked(parked) => Registry::release(&self.broker, &self.client_id, Some(parked)),
            Held::Session(session) => {
                let parked = self.park(*session, now);
                Registry::release(&self.broker, &self.client_id, parked.map(Box::new));
            }
        }
    }

    /// What remains of a session without its connection, `None` where it ends with it.
    fn park(&self, session: Session, now: Instant) -> Option<Parked> {
        let (state, will) = session.into_parts();
        let Some(kept_for) = state.kept_for() else {
            let will = will.map(|will| (will.into_message(self.client_id.clone(), now), now));
            self.broker.end_session(
                Parked {
                    state,
                    will,
                    expires_at: now,
                },
                now,
            );
            return None;
        };
        let mut delayed = None;
        let mut stored_will = None;
        if let Some(will) = will {
            let delay = will.delay();
            let stored = StoredWill {
                message: will.to_message(self.client_id.clone()),
                delay_interval: will.delay_interval,
                expiry_interval: will.message_expiry_interval,
                due: Some(SystemTime::now() + delay),
            };
            let message = will.into_message(self.client_id.clone(), now + delay);
            if delay.is_zero() {
                self.broker.publish(&message, now);
            } else {
                delayed = Some((message, now + delay));
                stored_will = Some(stored);
            }
        }
        let sent_before = state.queue().park(now);
        let record = state.away(sent_before, stored_will);
        self.broker
            .storage
            .commit(vec![Change::SessionSaved(Box::new(record))], None);
        Some(Parked {
            state,
            will: delayed,
            expires_at: now + kept_for,
        })
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.release();
    }
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachment")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
