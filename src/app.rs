//! Builds every part from its Config; starts, reloads, drains. The only place that knows all the parts.
//! Start at [`Builder::start`].

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    admin::{
        Endpoints, Facts, Readiness,
        control::{CertificateStatus, ListenerStatus, QueueStatus, Report, Status},
    },
    auth::{Anonymous, Authority},
    config::{Config, changes_needing_restart},
    listener::{
        self, Bind, FrontDoor, Inherited,
        tls::{self, Certificates},
    },
    mqtt::Broker,
    router::Router,
    runtimes::{Pulse, Runtimes},
    storage::{Disk, Loading, Memory, Storage},
    sys,
    telemetry::{Metrics, Probes},
};

/// Queues that the status names: a screen has room for more, but whoever looks wants the first.
const LONGEST: usize = 5;

/// How long connections may take to end beyond `drain_timeout`, once every one of them has been told.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The directory of the store within the data directory.
pub const STORE: &str = "store";

/// A running broker. Dropped, it stops at once; [`drain`](Self::drain) stops it in order.
pub struct App {
    config: Mutex<Config>,
    front_door: FrontDoor,
    broker: Arc<Broker>,
    certificates: Arc<Certificates>,
    endpoints: Arc<Endpoints>,
    readiness: Arc<Readiness>,
    sys_interval: watch::Sender<Option<Duration>>,
    started: Instant,
    /// A given authority outlives reloads; the configuration's own follows it.
    authority_is_given: bool,
    runtimes: Runtimes,
}

/// What a broker is built from.
pub struct Builder {
    config: Config,
    storage: Option<Arc<dyn Storage>>,
    authority: Option<Arc<dyn Authority>>,
    inherited: Inherited,
    tell: Box<Tell>,
}

/// Hears how far the reading of a store has come.
type Tell = dyn Fn(Loading) + Send + Sync;

/// Why a broker did not start or did not take a new configuration; everything that is wrong, one line each.
#[derive(Debug)]
pub struct Failed(Vec<String>);

impl App {
    /// Begins with a checked configuration.
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        Builder {
            config,
            storage: None,
            authority: None,
            inherited: Inherited::none(),
            tell: Box::new(|_| {}),
        }
    }

    /// Where it listens, with the ports that were taken where the configuration says 0.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<Bind> {
        let listeners = self.front_door.listeners();
        listeners.into_iter().map(|(bind, _)| bind).collect()
    }

    /// The front door, for who wants to know what each listener does.
    #[must_use]
    pub const fn front_door(&self) -> &FrontDoor {
        &self.front_door
    }

    /// The certificates in force.
    #[must_use]
    pub const fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// The one list of metrics.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.broker.metrics
    }

    /// The protocol engine.
    #[must_use]
    pub const fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Tells whether every runtime still runs what is spawned on it.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.runtimes.pulse()
    }

    /// Replaces the configuration, all or nothing: everything is prepared before anything changes.
    ///
    /// # Errors
    /// Everything that is wrong; the broker goes on as it was.
    pub fn reload(&self, config: Config) -> Result<Report, Failed> {
        let mut current = self.config.lock();
        let prepared = self.prepare(&config);
        let (certificates, listeners) = match prepared {
            Ok(prepared) => prepared,
            Err(failed) => {
                self.metrics().reloaded(Err(&failed.to_string()));
                return Err(failed);
            }
        };
        let summary = self.certificates.install(certificates);
        self.front_door.install(listeners, config.limits.clone());
        self.broker.config.store(Arc::new(config.mqtt.clone()));
        self.broker.router.configure(config.router.clone());
        if !self.authority_is_given {
            self.broker.authority.store(Arc::new(authority(&config)));
        }
        self.sys_interval.send_replace(config.sys_interval);
        let facts = facts(&config, &self.front_door, &self.certificates);
        self.endpoints.facts.store(Arc::new(facts));
        self.metrics().reloaded(Ok(()));
        let report = Report {
            changed: changed(&current, &config, summary.changed),
            needs_restart: changes_needing_restart(&current, &config)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            warnings: lines(summary.warnings),
        };
        *current = config;
        Ok(report)
    }

    /// A configuration could not even be read: the broker goes on as it was, and says so where it is watched.
    pub fn reload_failed(&self, errors: impl fmt::Display) -> Failed {
        let failed = Failed(errors.to_string().lines().map(str::to_owned).collect());
        self.metrics().reloaded(Err(&failed.to_string()));
        failed
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.lock().clone()
    }

    fn prepare(&self, config: &Config) -> Result<(tls::Prepared, listener::Prepared), Failed> {
        let certificates = Certificates::prepare(config.tls.clone());
        let listeners = self.front_door.prepare(config.listeners.clone());
        match (certificates, listeners) {
            (Ok(certificates), Ok(listeners)) => Ok((certificates, listeners)),
            (certificates, listeners) => {
                let certificates = certificates
                    .err()
                    .map_or_else(Vec::new, |errors| lines(errors.0));
                let listeners = listeners.err().map_or_else(Vec::new, lines);
                Err(Failed([certificates, listeners].concat()))
            }
        }
    }

    /// What it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let metrics = self.metrics();
        let now = tls::Timestamp::from(SystemTime::now()).0;
        let listener = |(bind, config): (Bind, Arc<listener::Config>)| ListenerStatus {
            bind: bind.to_string(),
            tls: config.tls,
            protocols: config.protocols.names().map(str::to_owned).collect(),
        };
        let certificate =
            |info: tls::CertificateInfo| CertificateStatus::new(info.names, info.not_after.0, now);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            listeners: self
                .front_door
                .listeners()
                .into_iter()
                .map(listener)
                .collect(),
            connections: count(metrics.connected.get()),
            sessions: self.broker.session_count() as u64,
            subscriptions: count(metrics.subscriptions.get()),
            retained: count(metrics.retained_messages.get()),
            queued: count(metrics.queued_messages.get()),
            longest_queues: self
                .broker
                .longest_queues(LONGEST)
                .into_iter()
                .map(|(client_id, messages)| QueueStatus {
                    client_id: client_id.to_string(),
                    messages: messages as u64,
                })
                .collect(),
            certificates: self
                .certificates
                .summary()
                .certificates
                .into_iter()
                .map(certificate)
                .collect(),
            ready: self.readiness.check().is_ok(),
            not_ready: self.readiness.check().err().map(str::to_owned),
            last_reload: metrics
                .last_reload_error
                .lock()
                .as_deref()
                .unwrap_or("ok")
                .to_owned(),
        }
    }

    /// Stops in order: nobody new is let in, every client is told, spread over `drain_timeout`, and what they were sent
    /// has left before this returns.
    pub async fn drain(self) {
        self.readiness.draining();
        // Before the listeners, so that whoever sees one closed sees everything closed.
        self.broker.close();
        self.front_door.close();
        let within = self.config.lock().drain_timeout;
        let broker = self.broker.clone();
        let told = self
            .runtimes
            .first()
            .spawn(async move { broker.drain(within).await });
        // It cannot fail but with its runtime, and then there is nobody left to tell.
        let _ = told.await;
        if !self.front_door.wait(LAST_WORDS).await {
            tracing::warn!(
                code = "app.drained",
                "some connections did not end in time and are cut off"
            );
        }
    }
}

impl Builder {
    /// Storage to use instead of what the configuration says.
    #[must_use]
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    /// An authority to use instead of what the configuration says.
    #[must_use]
    pub fn authority(mut self, authority: Arc<dyn Authority>) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Sockets that are bound already and become the listeners of their addresses.
    #[must_use]
    pub fn inherited(mut self, sockets: Inherited) -> Self {
        self.inherited = sockets;
        self
    }

    /// Who is told, once a second, how far the reading of a large store has come.
    #[must_use]
    pub fn tell_loading(mut self, tell: impl Fn(Loading) + Send + Sync + 'static) -> Self {
        self.tell = Box::new(tell);
        self
    }

    /// Binds, spawns a thread per runtime, and returns once every listener accepts.
    ///
    /// # Errors
    /// Everything that is in the way.
    pub fn start(self) -> Result<App, Failed> {
        let Self {
            config,
            storage,
            authority: given,
            inherited,
            tell,
        } = self;
        let started = now();
        let metrics = Arc::new(Metrics::default());
        let readiness = Arc::new(Readiness::default());
        let open = || open_storage(&config, &metrics, readiness.clone(), &*tell);
        let storage = storage.map_or_else(open, Ok)?;
        let certificates = Certificates::open(config.tls.clone(), metrics.clone())
            .map_err(|errors| Failed(lines(errors.0)))?;
        let loaded = storage.load();
        let snapshot = loaded.map_err(|error| Failed::because(error.with_cause()))?;
        let router = Router::new(config.router.clone(), storage.clone(), metrics.clone());
        let authority_is_given = given.is_some();
        let broker = Arc::new(Broker::new(
            config.mqtt.clone(),
            given.unwrap_or_else(|| authority(&config)),
            Arc::new(router),
            storage,
            metrics,
        ));
        broker.restore(snapshot, started);
        let runtimes = Runtimes::start(config.threads).map_err(|error| Failed(vec![error]))?;
        let probes = Arc::new(Probes::default());
        let endpoints = Endpoints::new(
            broker.metrics.clone(),
            readiness.clone(),
            probes.clone(),
            Facts::default(),
            started,
        );
        let endpoints = Arc::new(endpoints);
        let front_door = FrontDoor::new(
            config.limits.clone(),
            certificates.clone(),
            endpoints.clone(),
            broker.clone(),
            probes,
            runtimes.handles(),
            inherited,
        );
        let app = App {
            front_door,
            broker,
            certificates,
            endpoints,
            readiness,
            sys_interval: watch::Sender::new(config.sys_interval),
            started,
            authority_is_given,
            runtimes,
            config: Mutex::new(config),
        };
        app.open()?;
        Ok(app)
    }
}

impl App {
    /// Begins what runs beside the connections, and listens.
    fn open(&self) -> Result<(), Failed> {
        let config = self.config.lock().clone();
        let runtime = self.runtimes.first();
        runtime.spawn(self.broker.clone().run_timers());
        runtime.spawn(self.certificates.clone().watch());
        runtime.spawn(sys::run(
            self.broker.router.clone(),
            self.metrics().clone(),
            self.sys_interval.subscribe(),
            self.started,
        ));
        let prepared = self
            .front_door
            .prepare(config.listeners.clone())
            .map_err(|errors| Failed(lines(errors)))?;
        self.front_door.install(prepared, config.limits.clone());
        let facts = facts(&config, &self.front_door, &self.certificates);
        self.endpoints.facts.store(Arc::new(facts));
        self.readiness.started();
        Ok(())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.broker.storage.close();
    }
}

/// Where sessions and messages are kept, as the configuration says.
fn open_storage(
    config: &Config,
    metrics: &Arc<Metrics>,
    readiness: Arc<Readiness>,
    tell: &Tell,
) -> Result<Arc<dyn Storage>, Failed> {
    if config.ephemeral {
        return Ok(Arc::new(Memory::default()));
    }
    let health = Box::new(move |works: bool| readiness.storage_failing(!works));
    match Disk::open_and_tell(&config.data_dir.join(STORE), metrics.clone(), health, tell) {
        Ok(disk) => Ok(Arc::new(disk)),
        Err(error) => Err(Failed::because(error.with_cause())),
    }
}

fn authority(config: &Config) -> Arc<dyn Authority> {
    Arc::new(Anonymous {
        allow: config.allow_anonymous,
    })
}

/// What the page and `/.well-known/mqtt` say of the broker.
fn facts(config: &Config, front_door: &FrontDoor, certificates: &Certificates) -> Facts {
    let listener = |(bind, config): (Bind, Arc<listener::Config>)| crate::admin::FrontDoor {
        name: bind.to_string().into(),
        addr: match bind {
            Bind::Tcp(addr) => Some(addr),
            Bind::Unix(_) => None,
        },
        tls: config.tls,
        protocols: config.protocols,
    };
    Facts {
        listeners: front_door.listeners().into_iter().map(listener).collect(),
        certificate_authority: certificates.ca_pem(),
        max_packet_size: config.mqtt.max_packet_size,
        max_keep_alive: config.mqtt.max_keep_alive,
        allow_anonymous: config.allow_anonymous,
    }
}

/// The parts of a configuration that a reload has changed.
fn changed(old: &Config, new: &Config, certificates: bool) -> Vec<String> {
    let parts = [
        ("listeners", old.listeners != new.listeners),
        ("certificates", certificates),
        ("limits", old.limits != new.limits),
        (
            "mqtt",
            old.mqtt != new.mqtt || old.allow_anonymous != new.allow_anonymous,
        ),
        ("queues and retained messages", old.router != new.router),
        ("log", old.log != new.log),
        ("sys_interval", old.sys_interval != new.sys_interval),
        ("drain_timeout", old.drain_timeout != new.drain_timeout),
    ];
    let is_changed = |(part, is_changed): (&str, bool)| is_changed.then(|| part.to_owned());
    parts.into_iter().filter_map(is_changed).collect()
}

/// A gauge that counts is never below zero but between two steps of two threads.
fn count(gauge: i64) -> u64 {
    u64::try_from(gauge).unwrap_or_default()
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// One line for each error.
fn lines<T: ToString>(errors: impl IntoIterator<Item = T>) -> Vec<String> {
    errors.into_iter().map(|error| error.to_string()).collect()
}

impl Failed {
    /// For one reason.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self(vec![reason.into()])
    }

    /// Everything that is wrong, one line each.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Failed {}
