//! What the store promises, behaviour by behaviour; the format; damage. `model` has whatever may happen in whatever order.

mod failing;
mod model;

use std::{
    num::NonZeroU16,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    message::{Message, QoS, TopicFilter, TopicName},
    router::{Delivery, SubscriptionOptions},
    storage::{Memory, Presence, SessionId, SessionRecord, StoredSession, StoredWill},
};

pub(super) fn open(path: &Path) -> Disk {
    Disk::open(path, Arc::default(), Box::new(|_| {})).expect("a store")
}

pub(super) fn topic(text: &str) -> TopicName {
    TopicName::parse(text).expect(text)
}

pub(super) fn message(text: &str, payload: &str, qos: QoS) -> Arc<Message> {
    let mut message = Message::new(topic(text), payload.to_owned(), qos, false);
    message.origin = Some("publisher".into());
    Arc::new(message)
}

/// When the tests began. Whatever waits has waited for a thousand seconds by then.
static BEGUN: LazyLock<Instant> = LazyLock::new(|| tokio::time::Instant::now().into_std());

const WAITED: Duration = Duration::from_secs(1000);

pub(super) fn delivery(message: &Arc<Message>) -> Delivery {
    Delivery {
        message: message.clone(),
        qos: message.qos,
        retain: false,
        queued_at: *BEGUN - WAITED,
        subscription_identifiers: smallvec::smallvec![7],
        share: None,
    }
}

pub(super) fn record(id: u64, client_id: &str) -> SessionRecord {
    let will = StoredWill {
        message: message("will", "gone", QoS::AtLeastOnce),
        delay_interval: 5,
        expiry_interval: Some(9),
        due: None,
    };
    SessionRecord {
        id: SessionId(id),
        client_id: client_id.into(),
        expiry_interval: 100,
        presence: Presence::Connected {
            receive_maximum: 20,
        },
        will: Some(will),
    }
}

pub(super) fn saved(id: u64) -> Change {
    Change::SessionSaved(Box::new(record(id, &format!("c{id}"))))
}

/// Commits and waits for the answer.
pub(super) fn keep(storage: &dyn Storage, changes: Vec<Change>) -> Result<(), StorageError> {
    let (told, answer) = std::sync::mpsc::channel();
    let receipt = move |result| {
        // Nobody may wait any more.
        let _ = told.send(result);
    };
    storage.commit(changes, Some(Box::new(receipt)));
    answer.recv().expect("an answer")
}

/// What a store holds, in an order of its own.
pub(super) fn contents(storage: &dyn Storage) -> (Vec<(String, Vec<u8>)>, Vec<StoredSession>) {
    let snapshot = storage.load().expect("readable");
    let retained = snapshot.retained.iter();
    let mut retained: Vec<_> = retained
        .map(|it| (it.topic.to_string(), it.payload.to_vec()))
        .collect();
    retained.sort_unstable();
    let mut sessions = snapshot.sessions;
    sessions.sort_unstable_by_key(|session| session.record.id);
    for session in &mut sessions {
        if let Some(unread) = session.unread.take() {
            let read = read_all(storage, session.record.id, unread.first);
            // What is shared, or of QoS 0, was read at start.
            let is_left = |it: &Delivery| it.share.is_none() && it.qos > QoS::AtMostOnce;
            let read = read.into_iter().filter(|(_, it)| is_left(it));
            let read: Vec<_> = read.collect();
            assert_eq!(read.len(), unread.messages, "all of them are counted");
            let bytes: usize = read.iter().map(|(_, it)| it.message.footprint()).sum();
            assert_eq!(bytes, unread.bytes);
            let ends = (read.first(), read.last());
            let ends = (ends.0.map(|it| it.0), ends.1.map(|it| it.0));
            assert_eq!(ends, (Some(unread.first), Some(unread.last)));
            session.queue.extend(read);
            session.queue.sort_unstable_by_key(|(place, _)| *place);
        }
        session.queue.iter_mut().for_each(|(_, it)| round(it));
        let subscriptions = &mut session.subscriptions;
        subscriptions.sort_unstable_by_key(|(filter, _)| filter.to_string());
    }
    (retained, sessions)
}

/// When it came is kept by the wall clock, in milliseconds.
fn round(delivery: &mut Delivery) {
    let error = (*BEGUN - delivery.queued_at).abs_diff(WAITED);
    assert!(error < Duration::from_millis(500), "{error:?}");
    delivery.queued_at = *BEGUN;
}

/// What lies in a queue from a place on, a few deliveries at a time.
pub(super) fn read_all(
    storage: &dyn Storage,
    id: SessionId,
    mut from: u64,
) -> Vec<(u64, Delivery)> {
    let mut all = Vec::new();
    loop {
        let (told, answer) = std::sync::mpsc::channel();
        let take = move |read| told.send(read).expect("somebody waits");
        storage.read(id, from, 100, Box::new(take));
        let read = answer.recv().unwrap().unwrap();
        all.extend(read.deliveries);
        let Some(next) = read.next else {
            return all;
        };
        assert!(next > from);
        from = next;
    }
}

#[test]
fn what_was_kept_is_there_again() {
    let directory = TempDir::new().unwrap();
    let disk = open(directory.path());
    let model = Memory::default();
    let shared = message("t", "to both", QoS::ExactlyOnce);
    let retained = message("r", "kept", QoS::AtMostOnce);
    let filter = TopicFilter::parse("$share/g/a/#").unwrap();
    let id = NonZeroU16::MIN;
    let changes = vec![
        saved(1),
        saved(2),
        Change::Subscribed(SessionId(1), filter, SubscriptionOptions::default()),
        Change::MessageQueued(SessionId(1), 5, delivery(&shared)),
        Change::MessageQueued(SessionId(2), 9, delivery(&shared)),
        Change::MessageQueued(SessionId(2), 10, delivery(&shared)),
        Change::MessageReleased(SessionId(2), 10),
        Change::Received(SessionId(2), id),
        Change::RetainedSet(retained),
    ];
    keep(&model, changes.clone()).unwrap();
    keep(&disk, changes).unwrap();
    drop(disk);
    assert_eq!(contents(&open(directory.path())), contents(&model));
}

/// A message goes with the last place that refers to it; sessions that end leave nothing.
#[test]
fn what_is_given_up_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let rows = || {
        let engine = Engine::open(directory.path()).expect("a store");
        let mut rows = 0;
        for table in engine::Table::ALL {
            engine
                .scan(table, &[], |_, _| {
                    rows += 1;
                    true
                })
                .expect("readable");
        }
        rows
    };
    let disk = open(directory.path());
    let shared = message("t", "to both", QoS::AtLeastOnce);
    keep(&disk, vec![saved(1), saved(2), saved(3)]).unwrap();
    let queued = |id, place| Change::MessageQueued(SessionId(id), place, delivery(&shared));
    keep(&disk, vec![queued(1, 5), queued(2, 5), queued(3, 5)]).unwrap();
    keep(&disk, vec![Change::MessageDropped(SessionId(1), 5)]).unwrap();
    drop(disk);
    // The format, three sessions, two places, one message.
    assert_eq!(rows(), 7);
    let disk = open(directory.path());
    keep(&disk, vec![Change::MessageDropped(SessionId(2), 5)]).unwrap();
    keep(&disk, vec![Change::SessionEnded(SessionId(3))]).unwrap();
    keep(&disk, vec![Change::SessionEnded(SessionId(1))]).unwrap();
    // What is swept in between batches is done once nothing waits any more.
    while disk.shared.pending.lock().transactions.len() > 1 {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(300));
    drop(disk);
    let disk = open(directory.path());
    std::thread::sleep(Duration::from_millis(300));
    drop(disk);
    assert_eq!(rows(), 2, "the format and one session");
}

/// A place that is given up before it is taken, by another core, is not taken.
#[test]
fn given_up_before_it_was_taken() {
    let directory = TempDir::new().unwrap();
    let disk = open(directory.path());
    let message = message("t", "x", QoS::AtLeastOnce);
    keep(&disk, vec![saved(1)]).unwrap();
    keep(&disk, vec![Change::MessageDropped(SessionId(1), 5)]).unwrap();
    let queued = |place| Change::MessageQueued(SessionId(1), place, delivery(&message));
    keep(&disk, vec![queued(5), queued(6)]).unwrap();
    drop(disk);
    let (_, sessions) = contents(&open(directory.path()));
    let places: Vec<_> = sessions[0].queue.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [6]);
}

/// What goes from one queue to another within a batch is stored with the one it went to.
#[test]
fn given_up_and_queued_again_at_once() {
    let directory = TempDir::new().unwrap();
    let disk = open(directory.path());
    let model = Memory::default();
    let message = message("t", "x", QoS::AtLeastOnce);
    let queued = |id| Change::MessageQueued(SessionId(id), 1, delivery(&message));
    let dropped = Change::MessageDropped(SessionId(1), 1);
    let changes = vec![saved(1), saved(2), queued(1), dropped, queued(2)];
    keep(&model, changes.clone()).unwrap();
    keep(&disk, changes).unwrap();
    drop(disk);
    assert_eq!(contents(&open(directory.path())), contents(&model));
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    let directory = TempDir::new().unwrap();
    drop(open(directory.path()));
    let engine = Engine::open(directory.path()).unwrap();
    let value = record::encode_number(b"format", 2);
    let row = (engine::Table::Meta, b"format"[..].into(), Some(value));
    engine.write(vec![row], engine::Reach::Disk).unwrap();
    drop(engine);
    let error = Disk::open(directory.path(), Arc::default(), Box::new(|_| {}))
        .err()
        .expect("refused");
    let text = error.source.to_string();
    assert!(
        text.contains("format 2") && text.contains("up to 1"),
        "{text}"
    );
}

#[test]
fn a_second_process_is_refused() {
    let directory = TempDir::new().unwrap();
    let _first = open(directory.path());
    let error = Disk::open(directory.path(), Arc::default(), Box::new(|_| {}))
        .err()
        .expect("refused");
    assert!(
        error.source.to_string().contains("stop that one"),
        "{error:?}"
    );
}

/// Damage is counted and passed over; what is beside it is there.
#[test]
fn a_damaged_value_costs_only_itself() {
    let directory = TempDir::new().unwrap();
    let disk = open(directory.path());
    let queued = |place, payload: &str| {
        // Large enough to lie among the messages.
        let message = message("t", &payload.repeat(1000), QoS::AtLeastOnce);
        Change::MessageQueued(SessionId(1), place, delivery(&message))
    };
    keep(
        &disk,
        vec![saved(1), saved(2), queued(1, "a"), queued(2, "b")],
    )
    .unwrap();
    drop(disk);
    let engine = Engine::open(directory.path()).unwrap();
    for (table, key) in [
        (engine::Table::Sessions, 2_u64.to_be_bytes()),
        (engine::Table::Messages, 0_u64.to_be_bytes()),
    ] {
        let mut value = engine.get(table, &key).unwrap().expect("there");
        *value.last_mut().unwrap() ^= 1;
        let row = (table, key[..].into(), Some(value));
        engine.write(vec![row], engine::Reach::Disk).unwrap();
    }
    drop(engine);
    let metrics = Arc::new(Metrics::default());
    let disk = Disk::open(directory.path(), metrics.clone(), Box::new(|_| {})).unwrap();
    // Messages are read when their client comes.
    assert_eq!(metrics.store_corrupt.get(), 1);
    let sessions = disk.load().unwrap().sessions;
    assert_eq!(sessions.len(), 1);
    let queue = read_all(&disk, SessionId(1), 0);
    assert_eq!(metrics.store_corrupt.get(), 2);
    assert_eq!(queue.len(), 1);
    assert!(queue[0].1.message.payload.starts_with(b"b"));
}

/// Many commit at once: everybody is answered, and they share their syncs.
#[test]
fn commits_are_shared() {
    const EACH: usize = 500;
    let directory = TempDir::new().unwrap();
    let metrics = Arc::new(Metrics::default());
    let disk = Disk::open(directory.path(), metrics.clone(), Box::new(|_| {})).unwrap();
    keep(&disk, vec![saved(1)]).unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (disk, answered) = (&disk, &answered);
            scope.spawn(move || {
                for number in 0..EACH as u64 {
                    let message = message("t", "x", QoS::AtLeastOnce);
                    let place = thread << 32 | number;
                    let change = Change::MessageQueued(SessionId(1), place, delivery(&message));
                    let answered = answered.clone();
                    let receipt = move |result: Result<(), StorageError>| {
                        result.expect("kept");
                        answered.fetch_add(1, Ordering::Relaxed);
                    };
                    disk.commit(vec![change], Some(Box::new(receipt)));
                }
            });
        }
    });
    disk.close();
    assert_eq!(answered.load(Ordering::Relaxed), 4 * EACH);
    assert!(metrics.store_syncs.get() < EACH as u64);
    drop(disk);
    let (_, sessions) = contents(&open(directory.path()));
    assert_eq!(sessions[0].queue.len(), 4 * EACH);
}

/// What is queued and given up before it was written is not written.
#[test]
fn what_is_acknowledged_before_the_commit_is_not_written() {
    let directory = TempDir::new().unwrap();
    let metrics = Arc::new(Metrics::default());
    let disk = Disk::open(directory.path(), metrics.clone(), Box::new(|_| {})).unwrap();
    keep(&disk, vec![saved(1)]).unwrap();
    let before = metrics.store_syncs.get();
    let message = message("t", "x", QoS::AtLeastOnce);
    let changes = vec![
        Change::MessageQueued(SessionId(1), 1, delivery(&message)),
        Change::MessageDropped(SessionId(1), 1),
    ];
    keep(&disk, changes).unwrap();
    assert_eq!(metrics.store_syncs.get(), before);
}

proptest! {
    /// A reader of stored values expects anything.
    #[test]
    fn any_bytes_are_read_without_a_panic(key in prop::collection::vec(any::<u8>(), 0..20), value in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_any(&key, &value);
        prop_assert!(record::decode_number(&key, &value).is_err());
    }
}

/// A value may say anything of the lengths in it: what is not there is not made room for.
#[test]
fn a_length_that_is_only_claimed_is_not_believed() {
    let longest = u32::MAX.to_le_bytes();
    let claiming = |before: &[u8]| [before, &longest].concat();
    let entry = claiming(b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let topic = claiming(b"");
    // Topic, no payload, no more than user properties.
    let message = claiming(b"\x01\0\0\0t\0\0\0\0\0\0\0\x01\0\0\0\0");
    for content in [entry, topic, message] {
        assert_eq!(read_any(b"key", &content), 0, "{content:?}");
    }
}

/// The name of the journal that is written to, and where what was written ends.
fn last_journal(store: &Path) -> (PathBuf, usize) {
    let entries = std::fs::read_dir(store).unwrap();
    let last = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "jnl"))
        .max()
        .expect("a journal");
    let journal = std::fs::read(&last).unwrap();
    let end = journal.iter().rposition(|byte| *byte != 0);
    (
        last.file_name().expect("a file").into(),
        end.map_or(0, |at| at + 1),
    )
}

/// Copies a store that is open as it is at one moment: the engine may merge tables meanwhile, and then it is tried again.
fn copy_files(from: &Path, to: &Path) {
    loop {
        let before = files(from);
        let copied = before.iter().try_for_each(|(path, ..)| {
            let target = to.join(path.strip_prefix(from).expect("listed there"));
            std::fs::create_dir_all(target.parent().expect("a folder"))?;
            std::fs::copy(path, target).map(|_| ())
        });
        if copied.is_ok() && files(from) == before {
            return;
        }
        std::fs::remove_dir_all(to).unwrap();
        std::fs::create_dir_all(to).unwrap();
    }
}

/// All files beneath a folder, with what changes where they do.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, u64, Option<SystemTime>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(files(&entry.path())),
            Ok(metadata) => found.push((entry.path(), metadata.len(), metadata.modified().ok())),
            // Removed since it was listed: the next listing differs.
            Err(_) => {}
        }
    }
    found.sort_unstable();
    found
}

/// Expiry is kept by the wall clock: it goes on while nothing runs.
#[test]
fn expiry_is_counted_across_restarts() {
    let directory = TempDir::new().unwrap();
    let disk = open(directory.path());
    let now = tokio::time::Instant::now().into_std();
    let mut expiring = Message::clone(&message("t", "x", QoS::AtLeastOnce));
    expiring.expires_at = Some(now + Duration::from_secs(60));
    let expiring = Arc::new(expiring);
    let queued = Change::MessageQueued(SessionId(1), 1, delivery(&expiring));
    keep(&disk, vec![saved(1), queued]).unwrap();
    drop(disk);
    let (_, sessions) = contents(&open(directory.path()));
    let again = sessions[0].queue[0]
        .1
        .message
        .expires_at
        .expect("an expiry");
    let apart = again.max(now + Duration::from_secs(60)) - again.min(now + Duration::from_secs(60));
    assert!(apart < Duration::from_secs(5), "{apart:?}");
    let _ = SystemTime::now();
}
