//! How long a broker takes to open a store of many messages, and how much memory: after `kill -9`, after an orderly end,
//! and what is left on the disk once the sessions have ended. A million messages for each layout;
//! `GATEMQ_BENCH_MESSAGES` says how many instead. With `--test` ten thousand.
//!
//! Each step is a process of its own, so that its peak of memory is that of the step.

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use gatemq::{
    message::{Message, QoS, TopicName},
    router::Delivery,
    storage::{Change, Disk, Presence, SessionId, SessionRecord, Snapshot, Storage},
    telemetry::{Metrics, Process},
};

/// Bytes of one payload.
const PAYLOAD: usize = 128;

/// Deliveries in one commit.
const BATCH: u64 = 1000;

/// How long what has ended may leave its rows on the disk.
const PATIENCE: Duration = Duration::from_secs(300);

/// What stays of the journal, whatever has ended: a smaller store is not seen to shrink.
const JOURNAL: u64 = 64 * 1024 * 1024;

type Outcome = Result<(), Box<dyn Error>>;

/// Who waits for what.
#[derive(Clone, Copy)]
enum Layout {
    /// Everything waits for one session.
    One,
    /// A thousand messages of its own for each session.
    Many,
    /// A thousand sessions wait for the same messages.
    Shared,
}

impl Layout {
    const ALL: [Self; 3] = [Self::One, Self::Many, Self::Shared];

    const fn name(self) -> &'static str {
        match self {
            Self::One => "one session",
            Self::Many => "1000 each",
            Self::Shared => "shared by 1000",
        }
    }

    const fn sessions(self, messages: u64) -> u64 {
        match self {
            Self::One => 1,
            Self::Many => messages.div_ceil(1000),
            Self::Shared => 1000,
        }
    }
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, step, store, layout, messages] = &arguments[..] {
        let layout = Layout::ALL.into_iter().find(|it| it.name() == layout);
        let layout = layout.ok_or("an unknown layout")?;
        let messages = messages.parse()?;
        return match step.as_str() {
            "fill" => fill(Path::new(store), layout, messages),
            "open" => open(Path::new(store), messages),
            "end" => end(Path::new(store), layout, messages),
            _ => Err("an unknown step".into()),
        };
    }
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let messages = match std::env::var("GATEMQ_BENCH_MESSAGES") {
        Ok(messages) => messages.parse()?,
        Err(_) if is_test => 10_000,
        Err(_) => 1_000_000,
    };
    for layout in Layout::ALL {
        let directory = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        println!("{messages} deliveries, {}", layout.name());
        let step = |name: &str| step(name, directory.path(), layout, messages);
        step("fill")?.kill_once_done()?;
        println!("  on the disk: {} MB", size(directory.path())? / 1_000_000);
        print!("  after kill -9: ");
        step("open")?.wait()?;
        print!("  after an orderly end: ");
        step("open")?.wait()?;
        if size(directory.path())? > 2 * JOURNAL {
            print!("  sessions end: ");
            step("end")?.wait()?;
        }
    }
    Ok(())
}

/// A step in a process of its own.
struct Step(Child);

fn step(name: &str, store: &Path, layout: Layout, messages: u64) -> Result<Step, Box<dyn Error>> {
    let child = Command::new(std::env::current_exe()?)
        .arg(name)
        .arg(store)
        .args([layout.name(), &messages.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    Ok(Step(child))
}

impl Step {
    fn read_line(&mut self) -> Result<String, Box<dyn Error>> {
        let output = self.0.stdout.as_mut().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(line)
    }

    fn kill_once_done(mut self) -> Outcome {
        let line = self.read_line()?;
        print!("  filled: {line}");
        self.0.kill()?;
        self.0.wait()?;
        if line.is_empty() {
            return Err("it did not come to its end".into());
        }
        Ok(())
    }

    fn wait(mut self) -> Outcome {
        print!("{}", self.read_line()?);
        let status = self.0.wait()?;
        status
            .success()
            .then_some(())
            .ok_or_else(|| status.to_string().into())
    }
}

fn fill(store: &Path, layout: Layout, messages: u64) -> Outcome {
    let begin = now();
    let disk = disk(store)?;
    let sessions = layout.sessions(messages);
    keep(&disk, (1..=sessions).map(saved).collect())?;
    let mut changes = Vec::new();
    let mut shared = None;
    for number in 0..messages {
        let (id, message) = match layout {
            Layout::One => (1, message(number)),
            Layout::Many => (number % sessions + 1, message(number)),
            Layout::Shared => {
                let is_next = number.is_multiple_of(sessions);
                let before = shared.take().filter(|_| !is_next);
                let message = before.unwrap_or_else(|| message(number));
                shared = Some(message.clone());
                (number % sessions + 1, message)
            }
        };
        let delivery = Delivery {
            message,
            qos: QoS::AtLeastOnce,
            retain: false,
            queued_at: now(),
            subscription_identifiers: smallvec::SmallVec::new(),
            share: None,
        };
        changes.push(Change::MessageQueued(
            SessionId(id),
            (1 << 32) + number,
            delivery,
        ));
        if (number + 1).is_multiple_of(BATCH) || number + 1 == messages {
            keep(&disk, std::mem::take(&mut changes))?;
        }
    }
    let took = begin.elapsed();
    println!("{} s", took.as_secs());
    // Its end comes from outside.
    std::thread::sleep(PATIENCE);
    drop(disk);
    Ok(())
}

fn open(store: &Path, messages: u64) -> Outcome {
    let begin = now();
    let disk = disk(store)?;
    let snapshot = disk.load()?;
    let took = begin.elapsed();
    let found = waiting(&snapshot);
    let peak = Process::read().resident_bytes_max.unwrap_or_default() / 1_000_000;
    let begin = now();
    disk.close();
    drop(disk);
    println!(
        "open in {} ms, at most {peak} MB of memory; closed in {} ms",
        took.as_millis(),
        begin.elapsed().as_millis()
    );
    if found == messages {
        Ok(())
    } else {
        Err(format!("{found} deliveries").into())
    }
}

fn end(store: &Path, layout: Layout, messages: u64) -> Outcome {
    let disk = disk(store)?;
    let before = size(store)?;
    let sessions = layout.sessions(messages);
    let begin = now();
    keep(
        &disk,
        (1..=sessions)
            .map(|id| Change::SessionEnded(SessionId(id)))
            .collect(),
    )?;
    let mut after = before;
    while after > before / 2 && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
        after = size(store)?;
    }
    println!(
        "{} MB became {} MB within {} ms",
        before / 1_000_000,
        after / 1_000_000,
        begin.elapsed().as_millis()
    );
    Ok(())
}

fn disk(store: &Path) -> Result<Disk, Box<dyn Error>> {
    Ok(Disk::open(
        store,
        Arc::new(Metrics::default()),
        Box::new(|_| {}),
    )?)
}

fn waiting(snapshot: &Snapshot) -> u64 {
    let of = |session: &gatemq::storage::StoredSession| {
        session.queue.len() + session.unread.as_ref().map_or(0, |it| it.messages)
    };
    snapshot.sessions.iter().map(of).sum::<usize>() as u64
}

/// Commits and waits until it is kept.
fn keep(disk: &Disk, changes: Vec<Change>) -> Outcome {
    let (told, answer) = mpsc::channel();
    let receipt = move |result| {
        // Nobody may wait any more.
        let _ = told.send(result);
    };
    disk.commit(changes, Some(Box::new(receipt)));
    Ok(answer.recv()??)
}

fn saved(id: u64) -> Change {
    Change::SessionSaved(Box::new(SessionRecord {
        id: SessionId(id),
        client_id: format!("client-{id}").as_str().into(),
        expiry_interval: u32::MAX,
        presence: Presence::Away {
            since: std::time::SystemTime::now(),
            sent_before: 0,
        },
        will: None,
    }))
}

fn message(number: u64) -> Arc<Message> {
    let topic = TopicName::parse("building/7/floor/3/temperature").expect("valid");
    // Not all alike, as nothing that is measured is.
    let mut payload = format!("{number}").into_bytes();
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while payload.len() < PAYLOAD {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        payload.push(b'0' + u8::try_from(state % 64).unwrap_or_default());
    }
    Arc::new(Message::new(topic, payload, QoS::AtLeastOnce, false))
}

/// Bytes that the files of a directory take.
fn size(directory: &Path) -> Result<u64, Box<dyn Error>> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += size(&entry.path())?,
            // As it lies there: a journal is made long before it is written.
            Ok(metadata) => bytes += std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
            // Removed since it was listed.
            Err(_) => {}
        }
    }
    Ok(bytes)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
