//! A broker that works for a long time occupies no more than one that has worked for a while: memory, open files, disk.
//!
//! Cycle after cycle does the same: queues of absent sessions fill and drain, a slow subscriber's queue spills, sessions
//! expire, retained messages and subscriptions come and go. `DURABILITY_SOAK` says for how many seconds.

use std::{collections::HashSet, fs, num::NonZeroU16, path::Path, sync::Arc, time::Duration};

use gatemq::{
    message::{Message, QoS},
    mqtt::packet::{Acknowledgement, Packet, ProtocolVersion, ReasonCode},
};

use crate::{
    broker::{Access, Broker, send},
    faults::get,
    number,
    support::{Carrier, Client, connect, message},
};

/// In CI; enough for a dozen cycles on two busy cores.
const SECONDS: u64 = 60;

/// Fewer say nothing: those of the first third are for warming up.
const LEAST_CYCLES: usize = 12;

/// Of each publisher in each cycle: with two of them more than a queue holds in memory.
const MESSAGES: usize = 700;

/// Of each message: memory and disk fill so fast that caches and journals are full early.
const PAYLOAD: usize = 4000;

/// Sessions that are away while messages come, and the one that is there and takes nothing.
const SESSIONS: usize = 4;

/// Sessions of each cycle that expire with it, each with messages.
const BRIEF: usize = 20;

/// Retained topics, and subscriptions, that come and go in each cycle.
const CHANGING: usize = 50;

const PATIENCE: Duration = Duration::from_secs(120);

/// What two thirds may differ by in memory: the engine's cache of 64 MiB may have been empty and be full, and so may one
/// keyspace's 16 MiB of rows not yet in a table; half as much again for what the allocator does with what is freed. A cycle
/// moves 5.6 MB through five queues: a message kept of each delivery is found in a minute, of each publish in six.
const MEMORY_MARGIN: u64 = (64 + 16 + 8) * 1024 * 1024;

/// A connection that is closed may not have been closed yet; a table that is merged away may still be read.
const FILES_MARGIN: u64 = 24;

/// The engine's limit of 128 MiB, and the journal of 64 MiB that is begun when it is met.
const MAX_JOURNALS: u64 = 192 * 1024 * 1024;

/// Tables that were written while the ones they replace are still there: two of 16 MiB.
const TABLES_MARGIN: u64 = 32 * 1024 * 1024;

/// What the broker occupies.
#[derive(Clone, Copy, Debug)]
struct Sample {
    memory: u64,
    files: u64,
    journals: u64,
    tables: u64,
}

impl Sample {
    fn take(broker: &Broker) -> Self {
        let process = format!("/proc/{}", broker.pid().as_raw_nonzero());
        let status = fs::read_to_string(format!("{process}/status")).expect("a process");
        let resident = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
        let kilobytes = resident.and_then(|it| it.trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes.expect("a size").parse().expect("a number");
        let files = fs::read_dir(format!("{process}/fd")).expect("a process");
        let (mut journals, mut tables) = (0, 0);
        measure(&broker.store(), &mut journals, &mut tables);
        Self {
            memory: kilobytes * 1024,
            files: files.count() as u64,
            journals,
            tables,
        }
    }
}

/// Adds up what files occupy. They come and go meanwhile.
fn measure(folder: &Path, journals: &mut u64, tables: &mut u64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            measure(&path, journals, tables);
        } else if path.extension().is_some_and(|it| it == "jnl") {
            *journals += metadata.len();
        } else {
            *tables += metadata.len();
        }
    }
}

/// The last third of the cycles is as the second.
fn check(samples: &[Sample]) {
    let third = samples.len() / 3;
    let (middle, last) = (&samples[third..2 * third], &samples[2 * third..]);
    let compare = |what: &str, margin: u64, of: fn(&Sample) -> u64| {
        let most = |samples: &[Sample]| samples.iter().map(of).max().expect("some");
        let (before, after) = (most(middle), most(last));
        assert!(
            after <= before + margin,
            "{what} grow with time: {before}, later {after} in\n{samples:#?}"
        );
    };
    compare("bytes of memory", MEMORY_MARGIN, |it| it.memory);
    compare("open files", FILES_MARGIN, |it| it.files);
    compare("bytes of tables", TABLES_MARGIN, |it| it.tables);
    let journals = samples.iter().map(|it| it.journals).max().expect("some");
    assert!(journals <= MAX_JOURNALS, "{journals} bytes of journals");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_occupies_does_not_grow() {
    let seconds = number("DURABILITY_SOAK").unwrap_or(SECONDS);
    let broker = Broker::start().await;
    let access = Arc::new(broker.access());
    let begin = tokio::time::Instant::now();
    let mut samples = Vec::new();
    while samples.len() < LEAST_CYCLES || begin.elapsed() < Duration::from_secs(seconds) {
        let cycle = cycle(&broker, &access, samples.len());
        tokio::time::timeout(PATIENCE, cycle)
            .await
            .expect("a cycle");
        let sample = Sample::take(&broker);
        eprintln!("{:>4} s {sample:?}", begin.elapsed().as_secs());
        samples.push(sample);
    }
    check(&samples);
    broker.stop();
}

async fn cycle(broker: &Broker, access: &Arc<Access>, cycle: usize) {
    for session in 0..SESSIONS {
        let mut client = resume(access, session).await;
        if cycle == 0 {
            client.subscribe("s/#", QoS::ExactlyOnce).await;
        }
        client.disconnect().await;
    }
    let mut slow = resume(access, SESSIONS).await;
    if cycle == 0 {
        slow.subscribe("s/#", QoS::AtLeastOnce).await;
    }
    for brief in 0..BRIEF {
        expire(access, &format!("brief-{cycle}-{brief}")).await;
    }
    let publishers = [
        (Carrier::Tcp, QoS::AtLeastOnce),
        (Carrier::Wss, QoS::ExactlyOnce),
    ];
    let publishers =
        publishers.map(|(carrier, qos)| tokio::spawn(publish(access.clone(), carrier, qos)));
    let changing = tokio::spawn(change(access.clone(), cycle));
    for publisher in publishers {
        publisher.await.expect("a publisher");
    }
    changing.await.expect("who changes its subscriptions");
    drain(&mut slow).await;
    slow.disconnect().await;
    let drains: Vec<_> = (0..SESSIONS)
        .map(|session| {
            let access = access.clone();
            tokio::spawn(async move {
                let mut client = resume(&access, session).await;
                drain(&mut client).await;
                client.disconnect().await;
            })
        })
        .collect();
    for drain in drains {
        drain.await.expect("drained");
    }
    let sessions = format!("gatemq_sessions{{state=\"parked\"}} {}", SESSIONS + 1);
    crate::faults::becomes(broker, "/metrics", &sessions).await;
    let metrics = get(broker, "/metrics").await;
    assert!(metrics.contains("gatemq_queued_messages 0\n"), "{metrics}");
}

async fn resume(access: &Access, session: usize) -> Client {
    let carrier = [Carrier::Tcp, Carrier::Wss][session % 2];
    let resumed = access
        .resume(carrier, &format!("session-{session}"), 50)
        .await;
    resumed.expect("a broker").0
}

/// A session that is over a second later, with what it was owed by then.
async fn expire(access: &Access, client_id: &str) {
    let mut request = connect(ProtocolVersion::V5, client_id);
    request.session_expiry_interval = 1;
    let connected = access.connect(Carrier::Tcp, request).await;
    let (mut client, _) = connected.expect("a broker");
    client.subscribe("s/#", QoS::AtLeastOnce).await;
    client.disconnect().await;
}

/// Publishes what each session is owed, so many at once as are acknowledged at once.
async fn publish(access: Arc<Access>, carrier: Carrier, qos: QoS) {
    const AT_ONCE: usize = 50;
    let request = connect(ProtocolVersion::V5, &format!("publisher-{qos:?}"));
    let (mut client, _) = access.connect(carrier, request).await.expect("a broker");
    let text = "x".repeat(PAYLOAD);
    for _ in 0..MESSAGES / AT_ONCE {
        for _ in 0..AT_ONCE {
            let publish = client.publish_of(message("s/t", &text, qos, false));
            send(&mut client, &Packet::Publish(publish))
                .await
                .expect("sent");
        }
        let mut unfinished = AT_ONCE;
        while unfinished > 0 {
            match client.expect_packet().await {
                Packet::PubRec(ack) if !ack.reason_code.is_error() => {
                    client.send(&Packet::PubRel(success(ack.packet_id))).await;
                }
                Packet::PubAck(ack) | Packet::PubComp(ack) if !ack.reason_code.is_error() => {
                    unfinished -= 1;
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }
    client.disconnect().await;
}

/// Retained messages and subscriptions that no other cycle has.
async fn change(access: Arc<Access>, cycle: usize) {
    let (mut client, _) = access
        .resume(Carrier::Tcp, "session-changing", 50)
        .await
        .expect("a broker");
    for number in 0..CHANGING {
        let topic = format!("r/{cycle}/{number}");
        client
            .publish_retained(&topic, "kept", QoS::AtLeastOnce)
            .await;
        client.subscribe(&topic, QoS::ExactlyOnce).await;
        client.expect_message(&topic, "kept").await;
        client.unsubscribe(&topic).await;
        let clear: Message = message(&topic, "", QoS::AtLeastOnce, true);
        client.publish_message(clear).await;
    }
    // Its session ends, and the next cycle begins another.
    let mut end = gatemq::mqtt::packet::Disconnect::new(ReasonCode::Success);
    end.session_expiry_interval = Some(0);
    client.send(&Packet::Disconnect(end)).await;
    assert_eq!(client.expect_end().await, []);
}

/// Takes everything a session is owed, each once.
async fn drain(client: &mut Client) {
    let mut received = 0;
    let mut unreleased: HashSet<NonZeroU16> = HashSet::new();
    while received < 2 * MESSAGES || !unreleased.is_empty() {
        match client.expect_packet().await {
            Packet::Publish(publish) => {
                let packet_id = publish.packet_id.expect("above QoS 0");
                received += 1;
                if publish.qos == QoS::ExactlyOnce {
                    assert!(unreleased.insert(packet_id), "sent twice");
                    client.send(&Packet::PubRec(success(packet_id))).await;
                } else {
                    client.send(&Packet::PubAck(success(packet_id))).await;
                }
            }
            Packet::PubRel(release) => {
                assert!(unreleased.remove(&release.packet_id));
                client
                    .send(&Packet::PubComp(success(release.packet_id)))
                    .await;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(received, 2 * MESSAGES);
}

fn success(packet_id: NonZeroU16) -> Acknowledgement {
    Acknowledgement::new(packet_id, ReasonCode::Success)
}
