//! All listeners together: which addresses are listened on, added, changed and given up under running connections.
//! Start at [`FrontDoor`].

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    Bind, Config, Limits, accept,
    admission::Admissions,
    handshakes::Handshakes,
    http::Routes,
    inherited::Inherited,
    socket::{BindError, Bound, SocketFile},
    tls::Certificates,
};
use crate::{
    mqtt::Broker,
    telemetry::{Metrics, Probes},
};

/// Every listener of the broker, on all its runtimes.
pub struct FrontDoor {
    shared: Arc<Shared>,
    runtimes: Vec<Handle>,
    inherited: Inherited,
    active: Mutex<Vec<Active>>,
}

/// What every connection needs on its way in.
pub(super) struct Shared {
    pub(super) limits: ArcSwap<Limits>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) routes: Arc<dyn Routes>,
    pub(super) broker: Arc<Broker>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) probes: Arc<Probes>,
    pub(super) admissions: Arc<Admissions>,
    pub(super) handshakes: Arc<Handshakes>,
    /// Every task of a connection, so that a stop can wait for them.
    pub(super) connections: TaskTracker,
    /// The server stops: HTTP connections end after the request at hand.
    pub(super) stopping: CancellationToken,
}

/// One listener as its connections see it.
pub(super) struct Listener {
    /// Its address, in logs and metrics.
    pub(super) name: Arc<str>,
    /// Replaced by a reload, for connections to come.
    pub(super) config: ArcSwap<Config>,
}

/// A listener that accepts.
struct Active {
    /// As configured, which may be port 0.
    wanted: Bind,
    local: Bind,
    listener: Arc<Listener>,
    /// Dropped: its accept loops end and close their sockets.
    _stop: DropGuard,
    _file: Option<SocketFile>,
}

/// Listeners that are bound and not yet in use: a reload prepares everything before it changes anything.
pub struct Prepared(Vec<Step>);

enum Step {
    Keep(Config),
    Open(Config, Bound),
}

impl FrontDoor {
    /// A front door without listeners. Connections run on these runtimes, each on the one that accepted it. Sockets that
    /// were handed over become listeners as soon as their addresses are configured.
    #[must_use]
    pub fn new(
        limits: Limits,
        certificates: Arc<Certificates>,
        routes: Arc<dyn Routes>,
        broker: Arc<Broker>,
        probes: Arc<Probes>,
        runtimes: Vec<Handle>,
        inherited: Inherited,
    ) -> Self {
        let metrics = broker.metrics.clone();
        Self {
            shared: Arc::new(Shared {
                limits: ArcSwap::from_pointee(limits),
                certificates,
                routes,
                broker,
                metrics,
                probes,
                admissions: Arc::default(),
                handshakes: Arc::default(),
                connections: TaskTracker::new(),
                stopping: CancellationToken::new(),
            }),
            runtimes,
            inherited,
            active: Mutex::default(),
        }
    }

    /// Binds what is not yet listened on. Nothing changes until [`install`](Self::install).
    ///
    /// # Errors
    /// Every address that cannot be had, and every socket handed over that nobody would accept from.
    pub fn prepare(&self, configs: Vec<Config>) -> Result<Prepared, Vec<BindError>> {
        let active = self.active.lock();
        let ours: Vec<Bind> = active.iter().map(|active| active.local.clone()).collect();
        // Each is kept for one: port 0 may be wanted several times.
        let mut left: Vec<&Bind> = active.iter().map(|active| &active.wanted).collect();
        let mut steps = Vec::new();
        let mut errors = self.inherited.unwanted(&configs);
        for config in configs {
            if let Some(at) = left.iter().position(|wanted| **wanted == config.bind) {
                left.remove(at);
                steps.push(Step::Keep(config));
                continue;
            }
            let count = self.runtimes.len();
            let inherited = self.inherited.open(&config.bind, count);
            match inherited.unwrap_or_else(|| Bound::new(&config.bind, count, &ours)) {
                Ok(bound) => steps.push(Step::Open(config, bound)),
                Err(error) if config.optional => {
                    tracing::warn!(code = "listener.skipped", "{error}; skipped");
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(Prepared(steps))
        } else {
            Err(errors)
        }
    }

    /// Listens on what was prepared, and no longer on anything else. Running connections stay.
    pub fn install(&self, prepared: Prepared, limits: Limits) {
        self.shared.limits.store(Arc::new(limits));
        let mut active = self.active.lock();
        let mut before = std::mem::take(&mut *active);
        for step in prepared.0 {
            match step {
                Step::Keep(config) => {
                    let wanted = |active: &Active| active.wanted == config.bind;
                    if let Some(at) = before.iter().position(wanted) {
                        let kept = before.remove(at);
                        kept.listener.config.store(Arc::new(config));
                        active.push(kept);
                    }
                }
                Step::Open(config, bound) => active.push(self.open(config, bound)),
            }
        }
        for gone in before {
            tracing::info!(code = "listener.closed", listener = %gone.local, "no longer listening");
        }
    }

    fn open(&self, config: Config, bound: Bound) -> Active {
        let wanted = config.bind.clone();
        let local = bound.local_addr();
        tracing::info!(code = "listener.opened", listener = %local, tls = config.tls, "listening");
        let listener = Arc::new(Listener {
            name: local.to_string().into(),
            config: ArcSwap::from_pointee(config),
        });
        let stop = CancellationToken::new();
        let file = accept::spawn(bound, &self.runtimes, &listener, &self.shared, &stop);
        Active {
            wanted,
            local,
            listener,
            _stop: stop.drop_guard(),
            _file: file,
        }
    }

    /// Where it listens, with the ports that were taken where the configuration says 0, in the order of the
    /// configuration.
    #[must_use]
    pub fn listeners(&self) -> Vec<(Bind, Arc<Config>)> {
        let listener = |active: &Active| (active.local.clone(), active.listener.config.load_full());
        self.active.lock().iter().map(listener).collect()
    }

    /// Accepts nothing more; HTTP connections end after the request at hand.
    pub fn close(&self) {
        self.active.lock().clear();
        self.shared.stopping.cancel();
        self.shared.connections.close();
    }

    /// Waits until every connection has ended, at most this long; `false` where some are left.
    pub async fn wait(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.shared.connections.wait())
            .await
            .is_ok()
    }
}
