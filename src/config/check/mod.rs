//! From what was written to what was meant: defaults, ranges, and what must not be said together. Start at
//! [`Check::config`].

mod listeners;

use std::{
    fmt::Display,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    config::{
        Config, Overrides,
        defaults::{self, Limit, Wait},
        diagnostics::{Place, Problems},
        file::{
            CertificateFile, File, LimitsFile, LogFile, MqttFile, QueueFile, RetainedFile, TlsFile,
            WebSocketFile,
        },
        local,
        section::{Key, Written},
        units::{Count, OrNever, OrOff, Period, Size},
    },
    listener::{self, tls},
    mqtt,
    router::{self, QueueConfig, WhenFull},
    telemetry::{LogConfig, LogFormat},
};

/// Checks one file.
pub(in crate::config) struct Check<'a> {
    /// What relative paths are relative to.
    pub folder: &'a Path,
    /// What the command line says.
    pub overrides: &'a Overrides,
    /// The front door's port where no listener is written.
    pub front_door: &'a dyn Fn() -> u16,
    /// All that was written could be read: what is not there was not written.
    pub whole: bool,
    /// Where problems go.
    pub problems: &'a mut Problems,
    /// What is no error, and probably not meant.
    pub warnings: Vec<String>,
}

/// An amount with a unit of its own.
trait Amount: Copy + Display {
    fn new(amount: u64) -> Self;
    fn amount(self) -> u64;
}

impl Amount for Count {
    fn new(amount: u64) -> Self {
        Self(amount)
    }

    fn amount(self) -> u64 {
        self.0
    }
}

impl Amount for Size {
    fn new(amount: u64) -> Self {
        Self(amount)
    }

    fn amount(self) -> u64 {
        self.0
    }
}

impl Check<'_> {
    /// What the whole file means.
    pub(in crate::config) fn config(&mut self, file: &File) -> Config {
        let tls_file = section(&file.tls);
        let mqtt_file = section(&file.mqtt);
        let no_client_ca = tls_file.client_ca.is_absent() && !matches!(file.tls, Key::Wrong);
        let listeners = match file.listener.value() {
            Some(written) if !written.is_empty() => self.listeners(written, !no_client_ca),
            Some(_) | None => local::listeners(self.overrides.port.unwrap_or_else(self.front_door)),
        };
        // Nobody else can reach listeners that nobody configured.
        let local = listeners.iter().any(|listener| listener.optional);
        let allow_anonymous = mqtt_file.allow_anonymous.value().copied().unwrap_or(local);
        self.warn_about_anonymous(&listeners, allow_anonymous);
        let data_dir = self.path(&file.data_dir, defaults::DATA_DIR);
        Config {
            listeners,
            limits: self.limits(&section(&file.limits), &section(&file.websocket)),
            tls: self.tls(&tls_file),
            router: self.router(&section(&file.queue), &section(&file.retained), &mqtt_file),
            mqtt: self.mqtt(&mqtt_file),
            allow_anonymous,
            log: self.log(&section(&file.log)),
            sys_interval: self.or_off(
                &file.sys_interval,
                Some(defaults::SYS_INTERVAL.default),
                defaults::SYS_INTERVAL,
            ),
            data_dir,
            ephemeral: self.overrides.ephemeral,
            drain_timeout: self.wait(&file.drain_timeout, defaults::DRAIN_TIMEOUT),
            threads: self.threads(&file.threads),
        }
    }

    fn warn_about_anonymous(&mut self, listeners: &[listener::Config], allow_anonymous: bool) {
        let reachable = |listener: &&listener::Config| match &listener.bind {
            listener::Bind::Tcp(addr) => !addr.ip().is_loopback(),
            listener::Bind::Unix(_) => false,
        };
        if !allow_anonymous {
            self.warnings.push(
                "mqtt.allow_anonymous is false and there are no users to check: every client will be refused; `allow_anonymous = true` under [mqtt] lets all in".to_owned(),
            );
        } else if let Some(listener) = listeners.iter().find(reachable) {
            self.warnings.push(format!(
                "mqtt.allow_anonymous is true: whoever reaches {} may publish and subscribe to everything",
                listener.bind
            ));
        }
    }

    fn threads(&mut self, written: &Key<Count>) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let limit = Limit {
            default: u64::try_from(cores).unwrap_or(1).min(defaults::MAX_THREADS),
            least: 1,
            most: defaults::MAX_THREADS,
        };
        self.number(written, limit)
    }

    fn limits(&mut self, file: &LimitsFile, websocket: &WebSocketFile) -> listener::Limits {
        let max_connections = self.max_connections(&file.max_connections);
        let per_address = Limit {
            // Without a limit of its own: a whole site, or a whole test bench, may stand behind one address.
            default: max_connections,
            ..defaults::MAX_CONNECTIONS
        };
        listener::Limits {
            max_connections: usize::try_from(max_connections).unwrap_or(usize::MAX),
            max_connections_per_address: self
                .number(&file.max_connections_per_address, per_address),
            max_handshakes: self.number(&file.max_handshakes, defaults::MAX_HANDSHAKES),
            proxy_header_timeout: self
                .wait(&file.proxy_header_timeout, defaults::PROXY_HEADER_TIMEOUT),
            tls_handshake_timeout: self
                .wait(&file.tls_handshake_timeout, defaults::TLS_HANDSHAKE_TIMEOUT),
            first_byte_timeout: self.wait(&file.first_byte_timeout, defaults::FIRST_BYTE_TIMEOUT),
            http_header_timeout: self
                .wait(&file.http_header_timeout, defaults::HTTP_HEADER_TIMEOUT),
            max_header_bytes: self.number(&file.max_header_bytes, defaults::MAX_HEADER_BYTES),
            websocket_ping_interval: self.wait(&websocket.ping_interval, defaults::PING_INTERVAL),
            allowed_origins: list(&websocket.allowed_origins, |origin| origin.0.clone()),
        }
    }

    /// As many as there are descriptors for, less those for everything else.
    fn max_connections(&mut self, written: &Key<Count>) -> u64 {
        use rustix::process::{Resource, getrlimit};
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        // A process with next to none shares them evenly.
        let spare = defaults::OTHER_DESCRIPTORS.min(descriptors / 2);
        let possible = (descriptors - spare).max(1);
        let limit = Limit {
            default: possible.min(defaults::MAX_CONNECTIONS.default),
            ..defaults::MAX_CONNECTIONS
        };
        let connections = self.number::<_, u64>(written, limit);
        if connections > possible {
            self.warnings.push(format!(
                "limits.max_connections is {connections}, but the process may have only {descriptors} file descriptors (ulimit -n, LimitNOFILE=)"
            ));
        }
        connections
    }

    fn tls(&mut self, file: &TlsFile) -> tls::Config {
        let mut certificates = Vec::new();
        for written in file.certificate.value().into_iter().flatten() {
            let CertificateFile { chain, key } = &written.value;
            self.must_be_there(chain, "chain", "[[tls.certificate]]", &written.place);
            self.must_be_there(key, "key", "[[tls.certificate]]", &written.place);
            if let (Some(chain), Some(key)) = (chain.value(), key.value()) {
                certificates.push(tls::CertificateFiles {
                    chain: self.folder.join(chain),
                    key: self.folder.join(key),
                });
            }
        }
        let crl = file.crl.get().filter(|crl| !crl.value.is_empty());
        if let (Some(crl), true) = (crl, file.client_ca.is_absent() && self.whole) {
            self.problems.add(
                &crl.place,
                "crl: without client_ca there are no client certificates to revoke",
                Some("set client_ca to the certificates of the CA that issues them".to_owned()),
            );
        }
        tls::Config {
            certificates,
            own_dir: self.path(&file.own_dir, defaults::OWN_DIR),
            client_ca: file.client_ca.value().map(|path| self.folder.join(path)),
            crl: list(&file.crl, |path| self.folder.join(path)),
            own_names: list(&file.own_names, |name| name.0.clone()),
        }
    }

    fn mqtt(&mut self, file: &MqttFile) -> mqtt::Config {
        mqtt::Config {
            max_packet_size: self.number(&file.max_packet_size, defaults::MAX_PACKET_SIZE),
            session_expiry_max: self
                .or_never(&file.session_expiry_max, defaults::SESSION_EXPIRY_MAX),
            receive_maximum: self.number(&file.receive_maximum, defaults::RECEIVE_MAXIMUM),
            topic_alias_maximum: self
                .number(&file.topic_alias_maximum, defaults::TOPIC_ALIAS_MAXIMUM),
            max_topic_levels: self.number(&file.max_topic_levels, defaults::MAX_TOPIC_LEVELS),
            connect_timeout: self.wait(&file.connect_timeout, defaults::CONNECT_TIMEOUT),
            max_sessions: self.number(&file.max_sessions, defaults::MAX_SESSIONS),
            max_keep_alive: self.or_off(&file.max_keep_alive, None, defaults::MAX_KEEP_ALIVE),
        }
    }

    fn router(
        &mut self,
        queue: &QueueFile,
        retained: &RetainedFile,
        mqtt: &MqttFile,
    ) -> router::Config {
        router::Config {
            queue: QueueConfig {
                max_messages: self.number(&queue.max_messages, defaults::QUEUE_MESSAGES),
                max_bytes: self.number(&queue.max_bytes, defaults::QUEUE_BYTES),
                max_age: self.or_never(&queue.max_age, defaults::QUEUE_AGE),
                when_full: queue
                    .when_full
                    .value()
                    .copied()
                    .unwrap_or(WhenFull::DropOldest),
                queue_qos0: queue.queue_qos0.value().copied().unwrap_or(false),
            },
            max_queued_bytes: self.number(&queue.max_total_bytes, defaults::QUEUE_TOTAL_BYTES),
            max_retained_bytes: self.number(&retained.max_bytes, defaults::RETAINED_BYTES),
            max_subscriptions_per_session: self.number(
                &mqtt.max_subscriptions_per_session,
                defaults::MAX_SUBSCRIPTIONS,
            ),
        }
    }

    fn log(&self, file: &LogFile) -> LogConfig {
        let filter = (file.filter.value()).map_or(defaults::LOG_FILTER, |filter| &filter.0);
        LogConfig {
            filter: match self.overrides.verbose {
                0 => filter.to_owned(),
                1 => format!("{filter},gatemq=debug"),
                2.. => format!("{filter},gatemq=trace"),
            },
            format: file.format.value().copied().unwrap_or(LogFormat::Text),
        }
    }

    /// A path, relative to the file's folder.
    pub(super) fn path(&self, written: &Key<PathBuf>, default: &str) -> PathBuf {
        let written = written.value().map(PathBuf::as_path);
        self.folder.join(written.unwrap_or(Path::new(default)))
    }

    /// A section cannot do without this key.
    pub(in crate::config) fn must_be_there<T>(
        &mut self,
        key: &Key<T>,
        name: &str,
        title: &str,
        section: &Place,
    ) {
        if key.is_absent() && self.whole {
            let message = format!("{name} is missing in {title}");
            self.problems.add(section, message, None);
        }
    }

    /// A number within its bounds.
    fn number<A: Amount, T: TryFrom<u64>>(&mut self, written: &Key<A>, limit: Limit) -> T
    where
        T::Error: std::fmt::Debug,
    {
        let number = written.get().and_then(|written| {
            let amount = written.value.amount();
            let number = T::try_from(amount)
                .ok()
                .filter(|_| (limit.least..=limit.most).contains(&amount));
            if number.is_none() {
                self.out_of_range(written, &A::new(limit.least), &A::new(limit.most));
            }
            number
        });
        number.unwrap_or_else(|| T::try_from(limit.default).expect("a default fits its type"))
    }

    /// A time within its bounds.
    fn wait(&mut self, written: &Key<Period>, wait: Wait) -> Duration {
        match written.get() {
            Some(written) if self.in_time(written, written.value.0, wait) => written.value.0,
            Some(_) | None => wait.default,
        }
    }

    fn or_off(
        &mut self,
        written: &Key<OrOff>,
        default: Option<Duration>,
        wait: Wait,
    ) -> Option<Duration> {
        match written.get() {
            None => default,
            Some(written) => written
                .value
                .0
                .filter(|time| self.in_time(written, *time, wait)),
        }
    }

    fn or_never(&mut self, written: &Key<OrNever>, wait: Wait) -> Duration {
        match written.get() {
            None => wait.default,
            Some(written) => {
                let time = written
                    .value
                    .0
                    .filter(|time| self.in_time(written, *time, wait));
                time.unwrap_or(defaults::NEVER)
            }
        }
    }

    fn in_time<T>(&mut self, written: &Written<T>, time: Duration, wait: Wait) -> bool {
        let within = (wait.least..=wait.most).contains(&time);
        if !within {
            self.out_of_range(written, &Period(wait.least), &Period(wait.most));
        }
        within
    }

    fn out_of_range<T>(&mut self, written: &Written<T>, least: &dyn Display, most: &dyn Display) {
        let message = format!("{} must be {least} to {most}", written.name);
        self.problems.add(&written.place, message, None);
    }
}

fn section<T: Clone + Default>(written: &Key<T>) -> T {
    written.value().cloned().unwrap_or_default()
}

/// The values of a list that was written.
pub(in crate::config) fn list<T, U>(
    written: &Key<Vec<Written<T>>>,
    map: impl Fn(&T) -> U,
) -> Vec<U> {
    let elements = written.value().into_iter().flatten();
    elements.map(|element| map(&element.value)).collect()
}
