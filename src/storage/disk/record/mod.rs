//! Stored values: what a key leads to, as bytes. Every value begins with a checksum of key and content, so that one that
//! was damaged or is at the wrong place is found. Reading expects anything.

mod bytes;

use std::{
    fmt,
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use self::bytes::{Reader, Writer};
use crate::{
    message::{ClientId, Message, QoS, TopicFilter},
    router::{Delivery, RetainHandling, SubscriptionOptions},
    storage::{Presence, SessionId, SessionRecord, StoredWill},
};

/// Bytes of the checksum.
const CHECKSUM: usize = 4;

/// A value that is not what was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Corrupt(&'static str);

impl Corrupt {
    /// A message that is not there.
    pub(super) const MISSING: Self = Self("a queue refers to it, and it is not there");

    pub(super) const fn new(what: &'static str) -> Self {
        Self(what)
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Corrupt {}

/// One moment on both clocks: expiry is kept as wall-clock time, and counted by a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    instant: Instant,
    system: SystemTime,
}

impl Moment {
    /// Now.
    #[must_use]
    pub(super) fn now() -> Self {
        Self {
            instant: tokio::time::Instant::now().into_std(),
            system: SystemTime::now(),
        }
    }

    /// A clock that began in 1970: by it every time that is read is the same when it is written. For who passes values
    /// on and asks nobody what time it is.
    #[must_use]
    pub(super) fn epoch() -> Self {
        Self {
            system: SystemTime::UNIX_EPOCH,
            ..Self::now()
        }
    }

    pub(super) fn to_wall_clock(self, at: Instant) -> SystemTime {
        match at.checked_duration_since(self.instant) {
            Some(later) => self.system + later,
            None => self.system - self.instant.duration_since(at),
        }
    }

    pub(super) fn to_instant(self, at: SystemTime) -> Instant {
        match at.duration_since(self.system) {
            // Whoever reads it may say any time: one that cannot be reached is never.
            Ok(later) => self
                .instant
                .checked_add(later)
                .unwrap_or(self.instant + Duration::from_secs(u64::from(u32::MAX))),
            Err(_) => self.instant,
        }
    }

    /// Of something that has happened: a clock that was set back makes it happen now.
    fn to_past(self, at: SystemTime) -> Instant {
        let since = self.system.duration_since(at).unwrap_or_default();
        self.instant.checked_sub(since).unwrap_or(self.instant)
    }
}

/// What lies at a place of a queue.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry<'a> {
    /// Only the place is taken: PUBREC has come.
    Released,
    /// A message that lies among the messages, by its number, as it is delivered there.
    Elsewhere(u64, Options),
    /// A message that lies here and nowhere else.
    Here(Embedded<'a>, Options),
}

/// A message within another value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Embedded<'a>(&'a [u8]);

impl Embedded<'_> {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn message(self, moment: Moment) -> Result<Message, Corrupt> {
        let mut reader = Reader(self.0);
        let message = reader.message(moment)?;
        reader.end()?;
        Ok(message)
    }
}

/// What a delivery has beside its message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) subscription_identifiers: smallvec::SmallVec<[u32; 1]>,
    pub(super) share: Option<TopicFilter>,
    pub(super) queued_at: SystemTime,
    /// What the message occupies, by footprint.
    bytes: u32,
}

impl Options {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// When it came into its queue.
    pub(super) fn queued_at(&self, moment: Moment) -> Instant {
        moment.to_past(self.queued_at)
    }

    /// Whether it waits in memory, however many stand before it: another member may have to take over what is shared,
    /// and QoS 0 does not wait for QoS 1.
    pub(super) fn stays_in_memory(&self) -> bool {
        self.share.is_some() || self.qos == QoS::AtMostOnce
    }

    pub(super) fn of(delivery: &Delivery, moment: Moment) -> Self {
        Self {
            qos: delivery.qos,
            retain: delivery.retain,
            subscription_identifiers: delivery.subscription_identifiers.clone(),
            share: delivery.share.clone(),
            queued_at: moment.to_wall_clock(delivery.queued_at),
            bytes: length(delivery.message.footprint()),
        }
    }

    pub(super) fn deliver(self, message: Arc<Message>, moment: Moment) -> Delivery {
        Delivery {
            message,
            qos: self.qos,
            retain: self.retain,
            queued_at: moment.to_past(self.queued_at),
            subscription_identifiers: self.subscription_identifiers,
            share: self.share,
        }
    }
}

/// Reads a value as each kind of value there is, with a checksum that fits: what a fuzzer tries. How many kinds it was.
#[must_use]
pub fn read_any(key: &[u8], content: &[u8]) -> usize {
    let value = seal(key, |writer| writer.0.extend(content));
    let moment = Moment::now();
    let message = decode_message(key, &value, moment);
    if let Ok(message) = &message {
        // What was read is written again, and read again.
        let again = encode_message(key, message, moment);
        let again = decode_message(key, &again, moment);
        assert_eq!(again.map(|it| it.payload), Ok(message.payload.clone()));
    }
    let entry = decode_entry(key, &value);
    if let Ok(entry) = &entry {
        let again = encode_entry(key, entry);
        assert_eq!(decode_entry(key, &again).as_ref(), Ok(entry));
        if let Entry::Here(message, options) = entry
            && let Ok(message) = message.message(moment)
        {
            let again = encode_here(key, &message, options, moment);
            assert!(decode_entry(key, &again).is_ok());
        }
    }
    [
        decode_number(key, &value).is_ok(),
        message.is_ok(),
        entry.is_ok(),
        decode_session(SessionId(1), key, &value, moment).is_ok(),
        decode_subscription(key, &value).is_ok(),
        decode_received(key, &value).is_ok(),
    ]
    .into_iter()
    .filter(|is_read| *is_read)
    .count()
}

/// Puts the checksum before the content.
fn seal(key: &[u8], write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    /// Most values are no longer.
    const USUAL: usize = 128;
    let mut bytes = Vec::with_capacity(USUAL);
    bytes.extend([0; CHECKSUM]);
    let mut writer = Writer(bytes);
    write(&mut writer);
    let mut bytes = writer.0;
    let sum = checksum(key, &bytes[CHECKSUM..]);
    bytes[..CHECKSUM].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn checksum(key: &[u8], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(content);
    hasher.finalize()
}

/// Reads a value to its end.
fn open<'a, T>(
    key: &[u8],
    value: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Corrupt>,
) -> Result<T, Corrupt> {
    let (sum, content) = value
        .split_first_chunk::<CHECKSUM>()
        .ok_or(Corrupt("too short"))?;
    if u32::from_le_bytes(*sum) != checksum(key, content) {
        return Err(Corrupt("its checksum is wrong"));
    }
    let mut reader = Reader(content);
    let found = read(&mut reader)?;
    reader.end()?;
    Ok(found)
}

/// A plain number.
#[must_use]
pub(super) fn encode_number(key: &[u8], number: u64) -> Vec<u8> {
    seal(key, |writer| writer.u64(number))
}

/// # Errors
/// What is wrong with the value.
pub(super) fn decode_number(key: &[u8], value: &[u8]) -> Result<u64, Corrupt> {
    open(key, value, |reader| reader.u64())
}

/// A message with everything that travels with it.
#[must_use]
pub(super) fn encode_message(key: &[u8], message: &Message, moment: Moment) -> Vec<u8> {
    seal(key, |writer| writer.message(message, moment))
}

/// # Errors
/// What is wrong with the value.
pub(super) fn decode_message(key: &[u8], value: &[u8], moment: Moment) -> Result<Message, Corrupt> {
    open(key, value, |reader| reader.message(moment))
}

/// What lies at a place of a queue.
#[must_use]
pub(super) fn encode_entry(key: &[u8], entry: &Entry<'_>) -> Vec<u8> {
    seal(key, |writer| match entry {
        Entry::Released => writer.u8(0),
        Entry::Elsewhere(number, options) => {
            writer.u8(1);
            writer.u64(*number);
            writer.options(options);
        }
        Entry::Here(message, options) => {
            writer.u8(2);
            writer.options(options);
            writer.0.extend(message.0);
        }
    })
}

/// A message at a place of a queue, to be read as [`Entry::Here`].
#[must_use]
pub(super) fn encode_here(
    key: &[u8],
    message: &Message,
    options: &Options,
    moment: Moment,
) -> Vec<u8> {
    seal(key, |writer| {
        writer.u8(2);
        writer.options(options);
        writer.message(message, moment);
    })
}

/// # Errors
/// What is wrong with the value.
pub(super) fn decode_entry<'a>(key: &[u8], value: &'a [u8]) -> Result<Entry<'a>, Corrupt> {
    open(key, value, |reader| match reader.u8()? {
        0 => Ok(Entry::Released),
        1 => Ok(Entry::Elsewhere(reader.u64()?, reader.options()?)),
        2 => {
            let options = reader.options()?;
            let message = std::mem::take(&mut reader.0);
            Ok(Entry::Here(Embedded(message), options))
        }
        _ => Err(Corrupt("an unknown kind of entry")),
    })
}

/// A session, its number aside, which is the key.
#[must_use]
pub(super) fn encode_session(key: &[u8], record: &SessionRecord, moment: Moment) -> Vec<u8> {
    seal(key, |writer| {
        writer.text(&record.client_id);
        writer.u32(record.expiry_interval);
        match record.presence {
            Presence::Connected { receive_maximum } => {
                writer.u8(0);
                writer.u16(receive_maximum);
            }
            Presence::Away { since, sent_before } => {
                writer.u8(1);
                writer.time(since);
                writer.u64(sent_before);
            }
        }
        writer.optional(record.will.as_ref(), |writer, will| {
            writer.message(&will.message, moment);
            writer.u32(will.delay_interval);
            writer.optional(will.expiry_interval, Writer::u32);
            writer.optional(will.due, Writer::time);
        });
    })
}

/// # Errors
/// What is wrong with the value.
pub(super) fn decode_session(
    id: SessionId,
    key: &[u8],
    value: &[u8],
    moment: Moment,
) -> Result<SessionRecord, Corrupt> {
    open(key, value, |reader| {
        Ok(SessionRecord {
            id,
            client_id: ClientId::from(reader.text()?),
            expiry_interval: reader.u32()?,
            presence: match reader.u8()? {
                0 => Presence::Connected {
                    receive_maximum: reader.u16()?,
                },
                1 => Presence::Away {
                    since: reader.time()?,
                    sent_before: reader.u64()?,
                },
                _ => return Err(Corrupt("an unknown presence")),
            },
            will: reader.optional(|reader| {
                Ok(StoredWill {
                    message: Arc::new(reader.message(moment)?),
                    delay_interval: reader.u32()?,
                    expiry_interval: reader.optional(Reader::u32)?,
                    due: reader.optional(Reader::time)?,
                })
            })?,
        })
    })
}

/// A subscription. Its filter may be too long for a key, so the value has it, too.
#[must_use]
pub(super) fn encode_subscription(
    key: &[u8],
    filter: &TopicFilter,
    options: SubscriptionOptions,
) -> Vec<u8> {
    seal(key, |writer| {
        writer.text(filter.as_str());
        let flags = u8::from(options.no_local) << 4 | u8::from(options.retain_as_published) << 5;
        writer.u8(options.qos as u8 | (options.retain_handling as u8) << 2 | flags);
        writer.optional(options.identifier.map(NonZeroU32::get), Writer::u32);
    })
}

/// # Errors
/// What is wrong with the value.
pub(super) fn decode_subscription(
    key: &[u8],
    value: &[u8],
) -> Result<(TopicFilter, SubscriptionOptions), Corrupt> {
    open(key, value, |reader| {
        let filter = reader.filter()?;
        let bits = reader.u8()?;
        let options = SubscriptionOptions {
            qos: qos(bits & 3)?,
            no_local: bits & 16 != 0,
            retain_as_published: bits & 32 != 0,
            retain_handling: match bits >> 2 & 3 {
                0 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return Err(Corrupt("an unknown retain handling")),
            },
            identifier: reader.optional(Reader::u32)?.and_then(NonZeroU32::new),
        };
        Ok((filter, options))
    })
}

/// The identifier of a QoS 2 publish: all of it is in the key.
#[must_use]
pub(super) fn encode_received(key: &[u8]) -> Vec<u8> {
    seal(key, |_| {})
}

/// # Errors
/// What is wrong with the value.
pub(super) fn decode_received(key: &[u8], value: &[u8]) -> Result<NonZeroU16, Corrupt> {
    open(key, value, |_| Ok(()))?;
    let (_, id) = key
        .split_last_chunk::<2>()
        .ok_or(Corrupt("its key is short"))?;
    NonZeroU16::new(u16::from_be_bytes(*id)).ok_or(Corrupt("a packet identifier of 0"))
}

fn qos(bits: u8) -> Result<QoS, Corrupt> {
    QoS::from_bits(bits).ok_or(Corrupt("an unknown QoS"))
}

/// Nothing that is stored is as long as four gigabytes: a packet is at most 256 MiB.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
