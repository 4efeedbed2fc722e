//! What holds where nothing is said, and between which bounds something may be said. README.md lists the same.

use std::time::Duration;

/// A number or a size in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub default: u64,
    pub least: u64,
    pub most: u64,
}

/// A time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub default: Duration,
    pub least: Duration,
    pub most: Duration,
}

const fn limit(default: u64, least: u64, most: u64) -> Limit {
    Limit {
        default,
        least,
        most,
    }
}

const fn seconds(default: u64, least: u64, most: u64) -> Wait {
    Wait {
        default: Duration::from_secs(default),
        least: Duration::from_secs(least),
        most: Duration::from_secs(most),
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What a file is called that nobody named.
pub(super) const FILE: &str = "gatemq.toml";
/// Nobody writes a megabyte of settings; a device file or a database given by mistake ends here.
pub(super) const MAX_FILE_BYTES: u64 = MIB;

pub(super) const DATA_DIR: &str = "gatemq-data";
pub(super) const OWN_DIR: &str = "certs";
/// The default is one for each core. 1024 is beyond any machine, and below what would exhaust its threads.
pub(super) const MAX_THREADS: u64 = 1024;
/// Docker kills after 10 s, Kubernetes after 30 s, systemd after 90 s: the shortest of them, less 2 s to close.
pub(super) const DRAIN_TIMEOUT: Wait = seconds(8, 0, HOUR);
/// As mosquitto.
pub(super) const SYS_INTERVAL: Wait = seconds(10, 1, DAY);

/// A photograph fits, a film does not. The most is what a remaining length can say, rounded down (MQTT 5, 1.5.5); the
/// least leaves room for a CONNECT with a will.
pub(super) const MAX_PACKET_SIZE: Limit = limit(MIB, KIB, 256 * MIB);
/// A device that is away for a week is still expected. The most is what the property can say without meaning "never"
/// (MQTT 5, 3.1.2.11.2).
pub(super) const SESSION_EXPIRY_MAX: Wait = seconds(7 * DAY, 0, 0xFFFF_FFFE);
/// Never, in seconds (MQTT 5, 3.1.2.11.2).
pub(super) const NEVER: Duration = Duration::from_secs(0xFFFF_FFFF);
/// 32 bytes for each: 320 kB for a client that does its worst. Low ones hurt: MQTT.js does not honour it, and would be
/// disconnected with 0x93 for a burst.
pub(super) const RECEIVE_MAXIMUM: Limit = limit(10_000, 1, 65_535);
/// 32 topics of 100 bytes in both directions are 6 kB for a client, 2 MiB each way for one that does its worst. 0 is none.
pub(super) const TOPIC_ALIAS_MAXIMUM: Limit = limit(32, 0, 65_535);
/// Real topics have ten; the index walks one node for each.
pub(super) const MAX_TOPIC_LEVELS: Limit = limit(128, 1, 1024);
/// CONNECT follows at once where somebody means it; ten seconds are for a bad radio.
pub(super) const CONNECT_TIMEOUT: Wait = seconds(10, 1, HOUR);
/// 1 kB each while nothing is queued: a gigabyte when all are there.
pub(super) const MAX_SESSIONS: Limit = limit(1_000_000, 1, 1_000_000_000);
/// Off by default: what the client asks for. The field has 16 bits of seconds (MQTT 5, 3.1.2.10).
pub(super) const MAX_KEEP_ALIVE: Wait = seconds(0, 5, 65_535);
/// 200 bytes each: 2 MB for a client that does its worst.
pub(super) const MAX_SUBSCRIPTIONS: Limit = limit(10_000, 1, 10_000_000);

/// With messages of 1 kB, a megabyte for each slow client.
pub(super) const QUEUE_MESSAGES: Limit = limit(1_000, 1, 100_000_000);
/// Sixteen of the largest packets: what bounds a queue of large messages.
pub(super) const QUEUE_BYTES: Limit = limit(16 * MIB, KIB, 1024 * GIB);
/// As long as the session: off by default, since what was acknowledged is to arrive. The most is what a Message Expiry
/// Interval can say without meaning "never".
pub(super) const QUEUE_AGE: Wait = Wait {
    default: NEVER,
    least: Duration::from_secs(1),
    most: Duration::from_secs(0xFFFF_FFFE),
};
/// 512 sessions that are all a thousand messages of 1 kB behind.
pub(super) const QUEUE_TOTAL_BYTES: Limit = limit(512 * MIB, MIB, 1024 * GIB);
/// A million topics of 256 bytes, payload and name included.
pub(super) const RETAINED_BYTES: Limit = limit(256 * MIB, 0, 1024 * GIB);

/// The default is what file descriptors allow, at most a million: 13 kB each make 13 GB.
pub(super) const MAX_CONNECTIONS: Limit = limit(1_000_000, 1, 100_000_000);
/// Descriptors that are no connections: listeners (one for each thread), log, storage, certificates being read, control.
pub(super) const OTHER_DESCRIPTORS: u64 = 200;
/// 40 kB each while TLS shakes hands: 80 MB. At 0.2 ms of CPU each they are done in half a second.
pub(super) const MAX_HANDSHAKES: Limit = limit(2_048, 1, 1_000_000);
/// A proxy on the same network sends it with the first segment.
pub(super) const PROXY_HEADER_TIMEOUT: Wait = seconds(5, 1, HOUR);
/// Three round trips and a slow processor at the other end.
pub(super) const TLS_HANDSHAKE_TIMEOUT: Wait = seconds(10, 1, HOUR);
/// Browsers open connections ahead of need and use them within seconds.
pub(super) const FIRST_BYTE_TIMEOUT: Wait = seconds(10, 1, HOUR);
/// A page with its files is fetched in one go; then the connection only costs.
pub(super) const HTTP_HEADER_TIMEOUT: Wait = seconds(15, 1, HOUR);
/// Big cookies are common. The least is the smallest buffer the HTTP library takes.
pub(super) const MAX_HEADER_BYTES: Limit = limit(64 * KIB, 8 * KIB, MIB);
/// Proxies cut at 60 s; two PINGs fit.
pub(super) const PING_INTERVAL: Wait = seconds(25, 1, HOUR);

pub(super) const LOG_FILTER: &str = "info";

/// The port of the front door where none is said, as the first of these that may be bound.
pub(super) const FRONT_DOOR_PORTS: [u16; 2] = [443, 8443];
/// The other ports where no listener is said: MQTT over TLS, MQTT, WebSocket, WebSocket over TLS.
pub(super) const LOCAL_PORTS: [(u16, bool); 4] =
    [(8883, true), (1883, false), (8083, false), (8084, true)];
/// Ports that mean no TLS, unless the listener says otherwise.
pub(super) const PLAIN_PORTS: [u16; 2] = [1883, 8083];
