//! A store that is not as it was left: damaged, cut, incomplete, foreign, read-only, taken. The broker starts and says
//! what is lost, or does not start and says which file and what to do. It never panics, and never serves anything else
//! than what it was given.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use gatemq::{
    message::QoS,
    mqtt::packet::{Packet, ProtocolVersion, ReasonCode},
};

use crate::{
    Dice,
    broker::Broker,
    disk::{Control, EACCES, EROFS},
    faults::{client, publish, subscribe},
    number, seed,
    support::message,
};

/// Messages in the store: with 60 kB each, more than is kept in memory before it goes to a table.
const MESSAGES: u64 = 400;

/// Places that are damaged (`DURABILITY_DAMAGES`). About two seconds each.
const DAMAGES: u64 = 20;

/// Silence after which nothing more will come.
const SILENCE: Duration = Duration::from_secs(3);

fn payload(number: u64) -> String {
    let mut noise = Dice(number + 1);
    let mut text = number.to_string();
    while text.len() < 60_000 {
        text.push_str(&format!(" {:x}", noise.below(u64::MAX)));
    }
    text
}

/// A broker with a long queue and a retained message, stopped in order, and a copy of its store.
async fn filled() -> (Broker, PathBuf) {
    let mut broker = Broker::start().await;
    subscribe(&broker, "away").await.disconnect().await;
    let mut publisher = client(&broker, ProtocolVersion::V5, "publisher").await;
    for number in 0..MESSAGES {
        let message = message("d/0", &payload(number), QoS::AtLeastOnce, false);
        let taken = publish(&mut publisher, message).await;
        assert_eq!(taken, Some(ReasonCode::Success));
    }
    publisher
        .publish_retained("r", "kept", QoS::AtLeastOnce)
        .await;
    broker.terminate();
    let copy = broker.folder().join("copy");
    copy_files(&broker.store(), &copy);
    (broker, copy)
}

fn copy_files(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("removed");
    }
    fs::create_dir(to).expect("made");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let copy = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_files(&path, &copy);
        } else {
            fs::copy(&path, &copy).expect("copied");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort_unstable();
    found
}

/// Starts the broker on what was made of its store; how it went, in a word.
async fn is_told(broker: &mut Broker, what: &str) -> &'static str {
    if let Err(text) = broker.try_restart().await {
        assert!(!text.contains("panicked"), "{what}: {text}");
        assert!(
            text.contains("gatemq-data/store"),
            "{what}: no file in {text}"
        );
        return "refused";
    }
    let mut away = subscribe(broker, "away").await;
    let mut expected = 0..MESSAGES;
    let mut missing = 0;
    while let Ok(packet) = tokio::time::timeout(SILENCE, away.receive()).await {
        let publish = match packet {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("{what}: {other:?}"),
        };
        let text = String::from_utf8_lossy(&publish.message.payload).into_owned();
        let number: u64 = text
            .split(' ')
            .next()
            .and_then(|it| it.parse().ok())
            .expect("a number");
        assert_eq!(text, payload(number), "{what}: wrong content");
        // In order, each once.
        missing += expected.by_ref().take_while(|it| *it != number).count();
        away.acknowledge(&publish).await;
        if number == MESSAGES - 1 {
            break;
        }
    }
    missing += expected.count();
    let mut reader = client(broker, ProtocolVersion::V5, "reader").await;
    reader.subscribe("r", QoS::AtMostOnce).await;
    // The first PINGRESP may overtake a delivery, the second one does not.
    let mut has_retained = false;
    for _ in 0..2 {
        reader.send(&Packet::PingReq).await;
        while let Packet::Publish(publish) = reader.expect_packet().await {
            assert_eq!(
                &publish.message.payload[..],
                b"kept",
                "{what}: wrong content"
            );
            has_retained = true;
        }
    }
    broker.kill();
    let log = broker.log();
    assert!(!log.contains("panicked"), "{what}: {log}");
    if missing == 0 && has_retained {
        return "whole";
    }
    let is_said = ["storage.corrupt", "storage.failed"]
        .iter()
        .any(|it| log.contains(it));
    assert!(is_said, "{what}: {missing} messages lost in silence: {log}");
    "told"
}

/// Up to the last byte that is not 0: a journal is made long and filled from its beginning.
fn used(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("readable");
    let used = bytes.iter().rposition(|byte| *byte != 0);
    used.map_or(0, |last| last as u64 + 1)
}

/// One bit, somewhere in what is used of a file.
fn flip(path: &Path, used: u64, dice: &mut Dice) {
    let at = dice.below(used);
    let file = fs::File::options().read(true).write(true).open(path);
    let file = file.expect("there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    byte[0] ^= 1 << dice.below(8);
    file.write_all_at(&byte, at).expect("written");
}

#[tokio::test]
async fn damaged_cut_and_missing_files_are_told() {
    let (mut broker, copy) = filled().await;
    let seed = seed();
    let mut dice = Dice(seed);
    let is_table = |path: &&PathBuf| {
        let path = path.to_string_lossy();
        path.contains("/tables/") && !path.contains("/keyspaces/0/")
    };
    assert!(
        files(&copy).iter().any(|it| is_table(&it)),
        "the queue went to a table"
    );
    for damage in 0..number("DURABILITY_DAMAGES").unwrap_or(DAMAGES) {
        copy_files(&copy, &broker.store());
        broker.forget_log();
        let mut files = files(&broker.store());
        // Every second time where most of the bytes are.
        if dice.below(2) == 0 {
            files.retain(|it| is_table(&it) || it.extension().is_some_and(|it| it == "jnl"));
        }
        let path = &files[usize::try_from(dice.below(files.len() as u64)).expect("few")];
        let length = used(path);
        let what = match damage % 3 {
            0 if length > 0 => {
                flip(path, length, &mut dice);
                "flipped"
            }
            1 if length > 0 => {
                let file = fs::File::options().write(true).open(path).expect("there");
                file.set_len(dice.below(length)).expect("cut");
                "cut"
            }
            _ => {
                fs::remove_file(path).expect("removed");
                "removed"
            }
        };
        let name = path
            .strip_prefix(broker.store())
            .expect("inside")
            .display()
            .to_string();
        let what = format!("{what} {name} (DURABILITY_SEED={seed}, damage {damage})");
        let outcome = is_told(&mut broker, &what).await;
        eprintln!("{what}: {outcome}");
    }
}

/// A damaged record in the journal costs what is in it.
#[tokio::test]
async fn a_damaged_batch_costs_only_itself() {
    let mut broker = Broker::start().await;
    subscribe(&broker, "away").await.disconnect().await;
    let mut publisher = client(&broker, ProtocolVersion::V5, "publisher").await;
    for number in 0..10 {
        let message = message("d/0", &format!("number {number}"), QoS::AtLeastOnce, false);
        assert_eq!(
            publish(&mut publisher, message).await,
            Some(ReasonCode::Success)
        );
    }
    broker.kill();
    let journal = broker.store().join("0.jnl");
    let mut bytes = fs::read(&journal).expect("readable");
    let at = bytes
        .windows(8)
        .position(|it| it == b"number 4")
        .expect("there");
    bytes[at + 7] = b'X';
    fs::write(&journal, bytes).expect("written");
    broker.restart().await;
    let mut away = subscribe(&broker, "away").await;
    for number in (0..10).filter(|it| *it != 4) {
        away.expect_message("d/0", &format!("number {number}"))
            .await;
    }
    let log = broker.log();
    assert!(
        log.contains("code=storage.corrupt") && log.contains("0.jnl"),
        "{log}"
    );
    assert!(broker.store().join("0.jnl.damaged").exists());
    away.disconnect().await;
    broker.stop();
}

/// Refused with what is wrong and what to do, and nothing of it is touched.
async fn is_refused(broker: &mut Broker, expected: &[&str]) {
    let text = broker.try_restart().await.expect_err("refused");
    for expected in expected {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[tokio::test]
async fn a_directory_of_garbage_is_left_alone() {
    let mut broker = Broker::stopped();
    let store = broker.store();
    fs::create_dir_all(&store).expect("made");
    let garbage = store.join("holiday.jpg");
    fs::write(&garbage, payload(1)).expect("written");
    is_refused(
        &mut broker,
        &["gatemq-data/store/holiday.jpg", "another data_dir"],
    )
    .await;
    assert_eq!(fs::read(&garbage).expect("there"), payload(1).into_bytes());
    // With names that the engine knows.
    for name in ["0.jnl", "version"] {
        fs::remove_dir_all(&store).expect("removed");
        fs::create_dir_all(&store).expect("made");
        fs::write(store.join(name), payload(2)).expect("written");
        fs::write(store.join("notes.txt"), "mine").expect("written");
        is_refused(&mut broker, &["gatemq-data/store"]).await;
        assert_eq!(fs::read(store.join("notes.txt")).expect("there"), b"mine");
    }
}

#[tokio::test]
async fn a_data_directory_that_is_a_file() {
    let mut broker = Broker::stopped();
    fs::write(broker.folder().join("gatemq-data"), "a file").expect("written");
    is_refused(&mut broker, &["gatemq-data"]).await;
    fs::remove_file(broker.folder().join("gatemq-data")).expect("removed");
    fs::create_dir(broker.folder().join("gatemq-data")).expect("made");
    fs::write(broker.store(), "a file").expect("written");
    is_refused(
        &mut broker,
        &["gatemq-data/store", "not a directory", "another data_dir"],
    )
    .await;
}

#[tokio::test]
async fn a_directory_that_is_read_only_at_the_start() {
    for (error, cause) in [
        (EROFS, "Read-only file system"),
        (EACCES, "Permission denied"),
    ] {
        let mut broker = Broker::stopped_on_disk();
        broker.disk().set(Control::ReadOnly, error);
        is_refused(&mut broker, &["gatemq-data", cause]).await;
        // The same with a store in it, and it is as it was.
        broker.disk().works();
        broker.restart().await;
        subscribe(&broker, "away").await.disconnect().await;
        broker.kill();
        broker.disk().set(Control::ReadOnly, error);
        is_refused(&mut broker, &["gatemq-data", cause]).await;
        broker.disk().works();
        broker.restart().await;
        let access = broker.access();
        let resumed = access
            .resume(crate::support::Carrier::Tcp, "away", 10)
            .await;
        assert!(resumed.expect("a broker").1.session_present);
        broker.stop();
    }
}

/// As a later GateMQ would have written it.
#[tokio::test]
async fn a_store_of_a_newer_format() {
    let mut broker = Broker::start().await;
    broker.terminate();
    let database = fjall::Database::builder(broker.store()).open();
    let database = database.expect("a database");
    let meta = database.keyspace("meta", fjall::KeyspaceCreateOptions::default);
    let meta = meta.expect("a keyspace");
    let value = meta.get("format").expect("read").expect("there").to_vec();
    let mut number: [u8; 8] = value[4..].try_into().expect("a number");
    let at = number.iter().position(|byte| *byte != 0).expect("not 0");
    number[at] += 1;
    let sum = crc32fast::hash(&[&b"format"[..], &number].concat());
    let newer = [&sum.to_le_bytes()[..], &number].concat();
    meta.insert("format", newer).expect("written");
    database
        .persist(fjall::PersistMode::SyncAll)
        .expect("synced");
    drop((meta, database));
    is_refused(
        &mut broker,
        &["gatemq-data/store", "format 2", "another data_dir"],
    )
    .await;
}

#[tokio::test]
async fn two_brokers_on_one_directory() {
    let first = Broker::start().await;
    let mut second = Broker::stopped();
    fs::remove_dir(second.folder().join("gatemq-data")).ok();
    std::os::unix::fs::symlink(
        first.folder().join("gatemq-data"),
        second.folder().join("gatemq-data"),
    )
    .expect("linked");
    is_refused(&mut second, &["gatemq-data"]).await;
    // The first one does not notice.
    let mut publisher = client(&first, ProtocolVersion::V5, "publisher").await;
    subscribe(&first, "away").await.disconnect().await;
    let message = message("d/0", "1", QoS::AtLeastOnce, false);
    assert_eq!(
        publish(&mut publisher, message).await,
        Some(ReasonCode::Success)
    );
    first.stop();
}

/// Killed while the store was being made, at any step: nothing was kept yet, and it is made anew.
#[tokio::test]
async fn a_store_that_was_not_finished_is_made_anew() {
    let mut dice = Dice(seed());
    for _ in 0..12 {
        let mut broker = Broker::stopped_on_disk();
        broker.begin();
        // Until it has begun to write, and a little longer.
        while broker.disk().seen(Control::Syncs) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(dice.below(60_000))).await;
        broker.cut_power(&mut dice);
        broker.restart().await;
        subscribe(&broker, "away").await.disconnect().await;
        broker.stop();
    }
}
