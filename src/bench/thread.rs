//! One thread of clients: opens their connections at the pace that was asked for, tells them of the phases, and lets
//! them ping.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime,
    sync::{Semaphore, watch},
    task::{JoinSet, LocalSet, spawn_local},
    time::{Instant, interval, sleep_until},
};

use super::{
    client::{self, Thread},
    pace,
    plan::{Arrival, Member, Role},
    recorder::Recorder,
    shared::{Phase, Shared},
};
use crate::client::ClientError;

/// More clients than a thread can have: the gate is open.
const MANY: usize = Semaphore::MAX_PERMITS / 2;

/// Starts a thread with its share of the clients. It ends after [`Phase::Leave`].
pub(super) fn start(
    shared: Arc<Shared>,
    number: usize,
    members: Vec<Member>,
    phases: watch::Receiver<Phase>,
) -> io::Result<JoinHandle<Recorder>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let work = move || {
        let permits = match shared.plan.opening.concurrency {
            Some(limit) => limit.div_ceil(shared.plan.threads).max(1),
            None => MANY,
        };
        let thread = Rc::new(Thread {
            number,
            recorder: RefCell::new(Recorder::new()),
            phase: Cell::new(Phase::Connect),
            tick: Cell::new(0),
            wakers: RefCell::new(vec![None; members.len()]),
            gate: Rc::new(Semaphore::new(permits)),
            shared,
        });
        LocalSet::new().block_on(&runtime, run(&thread, members, phases));
        let recorder = thread.recorder.replace(Recorder::new());
        runtime.shutdown_background();
        recorder
    };
    Builder::new().name(format!("bench-{number}")).spawn(work)
}

async fn run(thread: &Rc<Thread>, members: Vec<Member>, mut phases: watch::Receiver<Phase>) {
    let turns = turns(&members);
    let mut clients = JoinSet::new();
    let mut waiting = members.into_iter().enumerate();
    let mut ticks = interval(Duration::from_secs(1));
    let mut opened = 0;
    let begin = Instant::now();
    let mut next = waiting.next();
    let mut _pacer = None;
    loop {
        let due = thread.opening_time(begin, opened);
        tokio::select! {
            biased;
            changed = phases.changed() => {
                // Whoever conducts it is gone: so are we.
                let phase = if changed.is_ok() { *phases.borrow_and_update() } else { Phase::Leave };
                thread.phase.set(phase);
                _pacer = match (phase, thread.shared.plan.load.arrival) {
                    (Phase::Publish, Arrival::Rate(rate)) => {
                        let start = thread.shared.start();
                        let thread = Rc::clone(thread);
                        Some(Abort(spawn_local(pacing(thread, start, rate, turns.clone()))))
                    }
                    _ => None,
                };
                if phase == Phase::Round(1) && thread.shared.plan.opening.storms {
                    thread.gate.add_permits(MANY);
                }
                thread.wake_all();
                if phase == Phase::Leave {
                    break;
                }
            }
            _ = ticks.tick() => {
                thread.tick.set(thread.tick.get() + 1);
                thread.wake_share(&turns);
            }
            () = sleep_until(due), if next.is_some() => {
                if let Some((slot, member)) = next.take() {
                    clients.spawn_local(client::run(Rc::clone(thread), slot, member));
                    opened += 1;
                }
                next = waiting.next();
            }
        }
    }
    // Whoever is still connecting has nothing to say good-bye to.
    let leaving = async { while clients.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), leaving).await;
    clients.abort_all();
}

/// Wakes publishers when they are due, or says why it cannot.
async fn pacing(thread: Rc<Thread>, start: u64, rate: f64, turns: Vec<(u64, usize)>) {
    if let Err(error) = pace::run(&thread, start, rate, &turns).await {
        thread.failed(&ClientError::Io(error));
    }
}

/// The publishers of this thread: their number among all, and their slot.
fn turns(members: &[Member]) -> Vec<(u64, usize)> {
    let publisher = |(slot, member): (usize, &Member)| match member.role {
        Role::Publisher(index, _) => Some((u64::from(index), slot)),
        Role::Idle | Role::Subscriber(_) => None,
    };
    members.iter().enumerate().filter_map(publisher).collect()
}

impl Thread {
    /// Lets clients look at the clock: a fourth of them, so that not all do at once, and publishers that may wait for
    /// what is lost.
    fn wake_share(&self, turns: &[(u64, usize)]) {
        let keep_alive = u32::from(self.shared.plan.connect.keep_alive);
        let share = (keep_alive / 4).clamp(1, 4) as usize;
        let tick = self.tick.get() as usize;
        let clients = self.wakers.borrow().len();
        for slot in (tick % share..clients).step_by(share) {
            self.wake(slot);
        }
        if self.phase.get() == Phase::Publish {
            for (_, slot) in turns {
                self.wake(*slot);
            }
        }
    }

    /// When the connection with this number is to be opened.
    fn opening_time(&self, begin: Instant, number: u32) -> Instant {
        let plan = &self.shared.plan;
        match plan.opening.rate {
            Some(rate) => {
                let share = rate / plan.threads as f64;
                begin + Duration::from_secs_f64(f64::from(number) / share)
            }
            None => begin,
        }
    }
}

/// Ends with whoever holds it.
struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
