//! Copies of a store: what was written is made again, what is damaged or wrong leaves nothing.

use std::{
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::SystemTime,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    tests::{contents, delivery, keep, message, open, saved},
    *,
};
use crate::{
    message::{Message, MessageProperties, QoS, TopicFilter, TopicName},
    router::{Delivery, RetainHandling, SubscriptionOptions},
    storage::{Memory, Presence, SessionRecord, StoredWill},
};

fn export(store: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    Disk::copy_at_rest(store, Form::Export, &mut bytes).expect("an export");
    bytes
}

/// A backup is whole or refused; what it was made of may go on meanwhile.
#[test]
fn a_backup_is_the_store_as_it_was() {
    let directory = TempDir::new().unwrap();
    let disk = open(&directory.path().join("a"));
    let model = Memory::default();
    let message = message("t", "x", QoS::AtLeastOnce);
    let queued = Change::MessageQueued(SessionId(1), 5, delivery(&message));
    let changes = vec![saved(1), queued, Change::RetainedSet(message)];
    keep(&model, changes.clone()).unwrap();
    keep(&disk, changes).unwrap();
    let mut whole = Vec::new();
    let copied = disk.copy(Form::Backup, &mut whole).unwrap();
    keep(&disk, vec![Change::SessionEnded(SessionId(1))]).unwrap();
    let again = directory.path().join("b");
    let rows = Disk::restore(&mut &whole[..], &again).unwrap();
    assert_eq!(rows, copied.rows);
    assert_eq!(contents(&open(&again)), contents(&model));
    let refused = Disk::restore(&mut &whole[..], &again).unwrap_err();
    assert!(matches!(refused, FillError::NotEmpty(_)), "{refused}");
    let third = directory.path().join("c");
    for at in [10, 20, whole.len() / 2, whole.len() - 1] {
        let restored = Disk::restore(&mut &whole[..at], &third);
        assert!(restored.is_err(), "cut at {at}");
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        let restored = Disk::restore(&mut &damaged[..], &third);
        assert!(restored.is_err(), "damaged at {at}");
    }
    let left = std::fs::read_dir(directory.path()).unwrap();
    let mut left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["a", "b"]);
}

/// A store that a broker has made and nobody has used is as good as none; what a killed attempt has left is in nobody's
/// way; files of somebody else are left alone.
#[test]
fn what_counts_as_empty() {
    let directory = TempDir::new().unwrap();
    let store = directory.path().join("a");
    drop(open(&store));
    let unfinished = directory.path().join("a.unfinished");
    std::fs::create_dir(&unfinished).unwrap();
    std::fs::write(unfinished.join("x"), "x").unwrap();
    let text = "{\"type\":\"gatemq-export\",\"version\":1}\n\n\
                {\"type\":\"retained\",\"topic\":\"a\",\"payload\":\"b\"}\n{\"type\":\"end\"}\n";
    let imported = Disk::import(&mut text.as_bytes(), &store).unwrap();
    assert_eq!(imported.retained, 1);
    assert_eq!(contents(&open(&store)).0, [("a".to_owned(), b"b".to_vec())]);
    let foreign = directory.path().join("b");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("x"), "x").unwrap();
    let refused = Disk::import(&mut text.as_bytes(), &foreign).unwrap_err();
    assert!(refused.to_string().contains("b/x"), "{refused}");
    assert!(foreign.join("x").exists());
}

/// Sessions that are over and damaged values are left out; what refers to them, too.
#[test]
fn what_cannot_be_imported_is_not_exported() {
    let directory = TempDir::new().unwrap();
    let store = directory.path().join("a");
    drop(open(&store));
    let engine = Engine::open(&store).unwrap();
    let moment = record::Moment::epoch();
    let mut rows = Vec::new();
    // One whose session is not there, one that is damaged, one that is well.
    for (id, number) in [(7_u64, 1_u64), (8, 2), (8, 3)] {
        let message = message("t", "x", QoS::AtLeastOnce);
        let options = record::Options::of(&delivery(&message), moment);
        let key = stage::message_key(number);
        let value = record::encode_message(&key, &message, moment);
        rows.push((engine::Table::Messages, key, Some(value)));
        let key = stage::queue_key(SessionId(id), number);
        let value = record::encode_entry(&key, &record::Entry::Elsewhere(number, options));
        rows.push((engine::Table::Queues, key, Some(value)));
    }
    rows[2].2.as_mut().unwrap()[9] ^= 1;
    let key = stage::session_key(SessionId(8));
    let value = record::encode_session(&key, &tests::record(8, "c"), moment);
    rows.push((engine::Table::Sessions, key, Some(value)));
    engine.write(rows, engine::Reach::Disk).unwrap();
    drop(engine);
    let mut text = Vec::new();
    let copied = Disk::copy_at_rest(&store, Form::Export, &mut text).unwrap();
    assert_eq!((copied.rows, copied.damaged), (5, 1));
    let again = directory.path().join("b");
    Disk::import(&mut &text[..], &again).unwrap();
    assert_eq!(export(&again), text);
    // Without its session, a message is nobody's.
    let text = String::from_utf8(text).unwrap();
    let without: String = text
        .lines()
        .filter(|line| !line.contains("\"client_id\""))
        .map(|line| {
            if line.contains("\"end\"") {
                "{\"type\":\"end\"}\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    let third = directory.path().join("c");
    Disk::import(&mut without.as_bytes(), &third).unwrap();
    assert_eq!(export(&third).split(|it| *it == b'\n').count(), 3);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,6}",
        "[\\\\\"\u{1}-\u{1f}\u{7f}-\u{a0}\u{2028}é中🦀 ]{0,5}",
    ]
}

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        text().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 1..20),
    ]
}

prop_compose! {
    fn properties()(
        payload_is_utf8 in any::<Option<bool>>(),
        content_type in prop::option::of(text()),
        response_topic in prop::option::of("[a-z\u{1}\"]{1,5}"),
        correlation_data in prop::option::of(some_bytes()),
        user_properties in prop::collection::vec((text(), text()), 0..4),
    ) -> MessageProperties {
        let boxed = |(name, value): (String, String)| (name.into(), value.into());
        MessageProperties {
            payload_is_utf8,
            content_type: content_type.map(Into::into),
            response_topic: response_topic.map(|it| TopicName::parse(&it).expect("valid")),
            correlation_data: correlation_data.map(Into::into),
            user_properties: user_properties.into_iter().map(boxed).collect(),
        }
    }
}

prop_compose! {
    fn any_message()(
        topic in "[a-z/\u{1}\\\\\"é]{1,8}",
        payload in some_bytes(),
        qos in 0..3_u8,
        retain in any::<bool>(),
        origin in prop::option::of(text()),
        expires in prop::option::of(0..4_000_000_000_000_u64),
        properties in prop::option::of(properties()),
    ) -> Arc<Message> {
        Arc::new(Message {
            topic: TopicName::parse(&topic).expect("valid"),
            payload: payload.into(),
            qos: QoS::from_bits(qos).expect("below 3"),
            retain,
            origin: origin.map(Into::into),
            expires_at: expires.map(|it| tokio::time::Instant::now().into_std() + Duration::from_millis(it)),
            properties: properties.map(Box::new),
        })
    }
}

fn time() -> impl Strategy<Value = SystemTime> {
    (0..4_000_000_000_000_u64).prop_map(|it| SystemTime::UNIX_EPOCH + Duration::from_millis(it))
}

prop_compose! {
    fn session(id: u64)(
        name in "[a-z\u{1}\"\\\\é]{0,5}",
        expiry_interval in any::<u32>(),
        receive_maximum in prop::option::of(1..=u16::MAX),
        since in time(),
        sent_before in 0..100_u64,
        message in any_message(),
        delay_interval in any::<u32>(),
        rest in (prop::option::of(any::<u32>()), prop::option::of(time()), any::<bool>()),
    ) -> SessionRecord {
        let will = StoredWill { message, delay_interval, expiry_interval: rest.0, due: rest.1 };
        SessionRecord {
            id: SessionId(id),
            client_id: format!("{id}{name}").into(),
            expiry_interval,
            presence: receive_maximum.map_or(Presence::Away { since, sent_before }, |receive_maximum| {
                Presence::Connected { receive_maximum }
            }),
            will: rest.2.then_some(will),
        }
    }
}

prop_compose! {
    /// Everything that a session may have.
    fn belongings(id: u64)(
        record in session(id),
        filters in prop::collection::btree_map("[a-z\u{1}\"]{1,4}", (0..3_u8, 0..3_u8, any::<[bool; 2]>(), prop::option::of(1..=268_435_455_u32)), 0..4),
        queue in prop::collection::btree_map(0..1000_u64, (any_message(), 0..3_u8, any::<bool>(), prop::collection::vec(1..=268_435_455_u32, 0..3), any::<[bool; 2]>()), 0..6),
        received in prop::collection::btree_set(1..=u16::MAX, 0..4),
    ) -> Vec<Change> {
        let id = SessionId(id);
        let mut changes = vec![Change::SessionSaved(Box::new(record))];
        for (filter, (qos, handling, flags, identifier)) in filters {
            let options = SubscriptionOptions {
                qos: QoS::from_bits(qos).expect("below 3"),
                no_local: flags[0],
                retain_as_published: flags[1],
                retain_handling: [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend][usize::from(handling)],
                identifier: identifier.and_then(NonZeroU32::new),
            };
            changes.push(Change::Subscribed(id, TopicFilter::parse(&filter).expect("valid"), options));
        }
        for (place, (message, qos, retain, identifiers, flags)) in queue {
            let delivery = Delivery {
                qos: QoS::from_bits(qos).expect("below 3"),
                retain,
                subscription_identifiers: identifiers.into(),
                share: flags[0].then(|| TopicFilter::parse("$share/g\"\u{1}/a/#").expect("valid")),
                ..delivery(&message)
            };
            changes.push(Change::MessageQueued(id, place, delivery));
            if flags[1] {
                changes.push(Change::MessageReleased(id, place));
            }
        }
        changes.extend(received.into_iter().filter_map(NonZeroU16::new).map(|it| Change::Received(id, it)));
        changes
    }
}

/// Exports a store, imports that, and exports it again.
pub(super) fn check_round_trip(
    directory: &Path,
    disk: &Disk,
    model: &Memory,
) -> Result<(), TestCaseError> {
    keep(disk, Vec::new()).expect("kept");
    let mut first = Vec::new();
    disk.copy(Form::Export, &mut first).expect("an export");
    let again: PathBuf = directory.join("again");
    if let Err(error) = Disk::import(&mut &first[..], &again) {
        let text = String::from_utf8_lossy(&first);
        return Err(TestCaseError::fail(format!("{error}\n{text}")));
    }
    let second = export(&again);
    prop_assert_eq!(String::from_utf8(second), String::from_utf8(first));
    let [mut found, mut expected] = [contents(&open(&again)), contents(model)];
    // Sessions are numbered anew, and times are counted by the clock of whoever reads them.
    for (_, sessions) in [&mut found, &mut expected] {
        for session in sessions {
            session.record.id = SessionId(0);
            if let Some(will) = &mut session.record.will {
                Arc::make_mut(&mut will.message).expires_at = None;
            }
            for (_, delivery) in &mut session.queue {
                Arc::make_mut(&mut delivery.message).expires_at = None;
            }
        }
    }
    prop_assert_eq!(found, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever is kept: exported, imported and exported again it is the same to the byte, and the store to the value.
    #[test]
    fn an_import_of_an_export_is_the_store(
        sessions in (belongings(1), belongings(2), belongings(5)),
        retained in prop::collection::vec(any_message(), 0..4),
    ) {
        let directory = TempDir::new().unwrap();
        let disk = open(&directory.path().join("store"));
        let model = Memory::default();
        let mut changes = [sessions.0, sessions.1, sessions.2].concat();
        let retained = retained.into_iter().filter(|it| !it.payload.is_empty());
        changes.extend(retained.map(Change::RetainedSet));
        keep(&model, changes.clone()).unwrap();
        keep(&disk, changes).unwrap();
        check_round_trip(directory.path(), &disk, &model)?;
    }

    /// Lines may be anything: no panic, and nothing is left where it was wrong.
    #[test]
    fn any_line_is_taken_or_refused(kind in "message|session|subscription|received|queued|released|retained|end|x", fields in prop::collection::vec(("id|topic|payload|payload_base64|client_id|place|message|qos|will|properties|packet_id|filter|expires_at|share", prop_oneof![
        text().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<i8>().prop_map(serde_json::Value::from),
        Just(serde_json::json!({"topic": 1})),
        Just(serde_json::json!([[1]])),
        Just(serde_json::Value::Null),
    ]), 0..6)) {
        let directory = TempDir::new().unwrap();
        let mut line: serde_json::Map<_, _> = fields.into_iter().collect();
        line.insert("type".to_owned(), kind.into());
        let line = serde_json::to_string(&line).unwrap();
        let text = format!("{{\"type\":\"gatemq-export\",\"version\":1}}\n{line}\n");
        let store = directory.path().join("store");
        let refused = Disk::import(&mut text.as_bytes(), &store).is_err();
        prop_assert_eq!(refused, !store.exists());
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        prop_assert_eq!(left, usize::from(!refused));
    }
}
