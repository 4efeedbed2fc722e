//! What all connections share: the configuration, the sessions, and what stands behind them.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::{
    Config,
    mailbox::Request,
    registry::{Parked, Registry},
    session::State,
};
use crate::{
    auth::Authority,
    message::{ClientId, Message, QoS},
    router::Router,
    storage::{Change, Presence, Snapshot, Storage, StoredSession, StoredWill},
    telemetry::Metrics,
};

/// Between two looks at all queues: no more often, where messages may wait for a moment only.
const SWEEP_LEAST: Duration = Duration::from_secs(1);

/// And no less often: what nobody will be sent takes its place for a minute at most.
const SWEEP_MOST: Duration = Duration::from_secs(60);

/// Queues that are looked at before others have their turn on the same core.
const SWEPT_AT_ONCE: usize = 64;

/// The protocol engine: one for a process, shared by all listeners.
pub struct Broker {
    /// Limits for connections to come.
    pub config: ArcSwap<Config>,
    /// Who may do what.
    pub authority: ArcSwap<Arc<dyn Authority>>,
    /// Subscriptions, retained messages, queues.
    pub router: Arc<Router>,
    /// What survives a restart.
    pub storage: Arc<dyn Storage>,
    /// The one list of metrics.
    pub metrics: Arc<Metrics>,
    pub(super) registry: Registry,
    /// The server stops: no new sessions.
    pub(super) stopping: CancellationToken,
}

impl Broker {
    /// An engine without sessions.
    #[must_use]
    pub fn new(
        config: Config,
        authority: Arc<dyn Authority>,
        router: Arc<Router>,
        storage: Arc<dyn Storage>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            config: ArcSwap::from_pointee(config),
            authority: ArcSwap::from_pointee(authority),
            router,
            storage,
            metrics,
            registry: Registry::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// Puts back what storage kept. Before the first connection.
    pub fn restore(&self, snapshot: Snapshot, now: Instant) {
        self.router.restore_retained(snapshot.retained);
        self.router.begin_after(snapshot.last_session);
        for session in snapshot.sessions {
            self.restore_session(session, now);
        }
    }

    fn restore_session(&self, mut stored: StoredSession, now: Instant) {
        let record = stored.record.clone();
        let queue = self.router.restore(record.id, record.client_id.clone());
        for (filter, options) in stored.subscriptions.drain(..) {
            self.router.restore_subscription(&queue, filter, options);
        }
        let state = State::restore(queue, self.metrics.clone(), stored);
        // A session that was connected when the process ended counts as disconnected from now on.
        let gone_for = match record.presence {
            Presence::Connected { .. } => Duration::ZERO,
            Presence::Away { since, .. } => since.elapsed().unwrap_or_default(),
        };
        let kept_for = state
            .kept_for()
            .unwrap_or_default()
            .saturating_sub(gone_for);
        let will = record.will.map(|will| restored_will(&will, now));
        self.registry.insert(
            &record.client_id,
            Parked {
                state,
                will,
                expires_at: now + kept_for,
            },
        );
        self.metrics.sessions_parked.add(1);
    }

    /// Publishes a message that nobody waits for: of QoS 0, or a will. Where it cannot be retained, it is delivered at
    /// least.
    pub fn publish(&self, message: &Arc<Message>, now: Instant) {
        let published = self.router.publish(message, now, || Box::new(|_| {}));
        if published.retained_refused && message.qos > QoS::AtMostOnce {
            let mut fleeting = Message::clone(message);
            fleeting.retain = false;
            self.router
                .publish(&Arc::new(fleeting), now, || Box::new(|_| {}));
        }
    }

    /// Ends a session: its will is due now at the latest [MQTT-3.1.2-8].
    pub(super) fn end_session(&self, mut parked: Parked, now: Instant) {
        if let Some((will, due)) = &parked.will {
            self.publish(&brought_forward(will, *due, now), now);
        }
        let queue = parked.state.queue().clone();
        for queued in parked.state.unacknowledged_shares() {
            queue.push_front(queued);
        }
        self.router.remove(&queue, now);
        if parked.state.is_recorded() {
            self.storage
                .commit(vec![Change::SessionEnded(queue.id())], None);
        }
    }

    /// Lets go of what has expired, for as long as it is polled.
    pub async fn run_timers(self: Arc<Self>) {
        let mut swept = tokio::time::Instant::now();
        loop {
            let now = tokio::time::Instant::now();
            for due in Registry::take_due(&self, now.into_std()) {
                due.carry_out(&self, now.into_std());
            }
            let every = self.router.max_age().clamp(SWEEP_LEAST, SWEEP_MOST);
            if now >= swept + every {
                self.sweep_queues().await;
                swept = now;
            }
            // Something is due, or it is time to sweep again.
            let _ = tokio::time::timeout_at(swept + every, self.registry.wait_for_due()).await;
        }
    }

    /// What waits for who is away and is not worth sending any more frees its place, though nobody comes to look.
    async fn sweep_queues(&self) {
        for queues in self.registry.parked_queues() {
            let now = tokio::time::Instant::now().into_std();
            for some in queues.chunks(SWEPT_AT_ONCE) {
                some.iter().for_each(|queue| queue.sweep(now));
                tokio::task::yield_now().await;
            }
        }
    }

    /// Refuses new clients from now on.
    pub fn close(&self) {
        self.stopping.cancel();
    }

    /// Refuses new clients, and tells every client that the server stops, evenly over the time given but at most a
    /// tenth of a second apart, so that they do not all come back at once.
    pub async fn drain(&self, within: Duration) {
        self.close();
        let connected = self.registry.connected();
        let apart = within
            .checked_div(u32::try_from(connected.len()).unwrap_or(u32::MAX))
            .unwrap_or_default();
        let apart = apart.min(Duration::from_millis(100));
        let begin = tokio::time::Instant::now();
        for (place, mailbox) in (0_u32..).zip(connected) {
            tokio::time::sleep_until(begin + apart * place).await;
            mailbox.request(Request::ShutDown);
        }
    }

    /// How many sessions wait for their client, and how many are connected.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.registry.len()
    }

    /// Sessions that wait for their client and are owed most, and how many messages that is.
    #[must_use]
    pub fn longest_queues(&self, most: usize) -> Vec<(ClientId, usize)> {
        let mut longest: Vec<(usize, ClientId)> = Vec::new();
        for queues in self.registry.parked_queues() {
            let waiting = queues.iter().map(|it| (it.len(), it.client_id().clone()));
            longest.extend(waiting.filter(|(messages, _)| *messages > 0));
            longest.sort_unstable_by(|one, other| other.cmp(one));
            longest.truncate(most);
        }
        let named = |(messages, client_id)| (client_id, messages);
        longest.into_iter().map(named).collect()
    }

    /// A name for a client that has none [MQTT-3.1.3-6].
    pub(super) fn assign_client_id() -> ClientId {
        format!("gatemq-{:032x}", rand::random::<u128>()).into()
    }
}

/// A will as it waits, and when it is due: that of a client that was connected begins to wait now.
fn restored_will(will: &StoredWill, now: Instant) -> (Arc<Message>, Instant) {
    let wait = match will.due {
        Some(due) => due.duration_since(SystemTime::now()).unwrap_or_default(),
        None => Duration::from_secs(u64::from(will.delay_interval)),
    };
    let due = now + wait;
    let mut message = Message::clone(&will.message);
    message.expires_at = will
        .expiry_interval
        .map(|seconds| due + Duration::from_secs(u64::from(seconds)));
    (Arc::new(message), due)
}

/// A will that is published before it is due: its expiry counts from now (MQTT 5, 3.1.3.2.4).
fn brought_forward(will: &Arc<Message>, due: Instant, now: Instant) -> Arc<Message> {
    match will.expires_at {
        Some(expires_at) if due > now => {
            let mut will = Message::clone(will);
            will.expires_at = Some(expires_at - (due - now));
            Arc::new(will)
        }
        Some(_) | None => will.clone(),
    }
}
