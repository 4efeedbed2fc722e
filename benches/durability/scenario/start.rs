//! kill -9 with much in store, and how long until the first client is accepted again. The page cache is warm, as it is
//! after a crash of a process.
//!
//! The brokers are filled once; the crashes take turns.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use crate::{
    connection::{Connection, for_each, leave_session},
    figures::Figures,
    load::{Load, Until},
    machine::Cores,
    peer::{Kind, Peer},
    plan::Plan,
    process::resident_bytes,
    scenario::drain::drain,
    statistics,
};

const PAYLOAD_BYTES: usize = 64;
/// Sessions that share what is stored.
const SESSIONS: usize = 100;
/// Messages in one step of filling, between two words on the progress.
const STEP: u64 = 100_000;

pub(crate) async fn run(
    kinds: &[Kind],
    disk: &Path,
    cores: Cores,
    plan: &Plan,
    figures: &mut Figures,
) -> io::Result<()> {
    let mut peers = Vec::new();
    for kind in kinds {
        let peer = Peer::start(*kind, disk, cores.broker).await?;
        let port = peer.port();
        let leave = |number| async move {
            let name = format!("stored-{number}");
            leave_session(port, &name, &format!("stored/{number}")).await
        };
        for_each(SESSIONS, leave).await?;
        peers.push(Filled {
            peer,
            stored: 0,
            first_session: 0,
        });
    }
    for stored in plan.stored.iter().copied() {
        if stored > plan.most_stored_by_others {
            peers.retain(|filled| filled.peer.kind == Kind::GateMq);
        }
        for filled in &mut peers {
            filled.fill(stored).await?;
        }
        for _ in 0..plan.runs {
            for filled in &mut peers {
                filled.crash(cores, figures).await?;
            }
        }
    }
    for filled in &peers {
        filled.verify().await?;
    }
    Ok(())
}

/// A broker, and what it has acknowledged.
struct Filled {
    peer: Peer,
    stored: u64,
    /// Of these the first session is owed so many.
    first_session: u64,
}

impl Filled {
    async fn fill(&mut self, to: u64) -> io::Result<()> {
        while self.stored < to {
            let messages = STEP.min(to - self.stored);
            let load = Load {
                publishers: SESSIONS,
                window: 50,
                payload_bytes: PAYLOAD_BYTES,
                first: self.stored,
                until: Until::Sent(messages),
            };
            let outcome = load.run(self.peer.port(), "stored").await?;
            self.first_session += outcome.sent_by[0];
            self.stored += messages;
            progress(self.peer.kind, self.stored, to);
        }
        self.peer.save().await
    }

    async fn crash(&mut self, cores: Cores, figures: &mut Figures) -> io::Result<()> {
        let took = self.peer.crash(cores.broker).await?;
        let memory = resident_bytes(self.peer.pid())?;
        let (kind, messages) = (self.peer.kind, statistics::count(self.stored));
        let mut record = |what: &str, value: f64| {
            figures.record(kind, &format!("{messages} messages: {what}"), value);
        };
        record("seconds to the first CONNACK", took.as_secs_f64());
        record("memory then, MiB", memory as f64 / 1024.0 / 1024.0);
        Ok(())
    }

    /// What a session was owed before the crashes is there after them.
    async fn verify(&self) -> io::Result<()> {
        let mut connection = Connection::open(self.peer.port(), "stored-0", false).await?;
        drain(&mut connection, self.first_session).await?;
        connection.disconnect().await
    }
}

/// A line on the terminal that replaces itself.
fn progress(kind: Kind, done: u64, of: u64) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() || done.is_multiple_of(10 * STEP) {
        let _ = writeln!(stderr, "{}: {done} of {of} messages stored", kind.name());
        let _ = stderr.flush();
    }
}
