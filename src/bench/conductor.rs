//! Leads all threads through the phases of a plan, and looks at the counters meanwhile.

use std::{io, pin::Pin, sync::Arc, thread::JoinHandle, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Arrival, BenchError, Counts, Plan, Progress, Report, Round, Scenario,
    plan::Member,
    process::Usage,
    recorder::Recorder,
    report::Measured,
    shared::{Phase, Shared},
    stamp::now,
    thread,
};

/// How often it is looked whether a phase is over.
const LOOK: Duration = Duration::from_millis(5);

/// Without anything that arrives for so long, what is missing is lost.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// For every thread to see that publishing begins before the first message of an open loop is due.
const START: Duration = Duration::from_millis(20);

/// Between two words on the progress.
const SECOND: Duration = Duration::from_secs(1);

/// The conductor of all threads.
struct Bench<'a> {
    shared: Arc<Shared>,
    phases: watch::Sender<Phase>,
    threads: Vec<JoinHandle<Recorder>>,
    tell: &'a mut dyn FnMut(&Progress),
    stop: Pin<Box<dyn Future<Output = ()> + 'a>>,
    is_stopped: bool,
    began: Instant,
    told: (Instant, Counts),
}

/// Does what is planned with these clients.
pub(super) async fn conduct(
    plan: Plan,
    members: Vec<Member>,
    tell: &mut dyn FnMut(&Progress),
    stop: Pin<Box<dyn Future<Output = ()> + '_>>,
) -> Result<Report, BenchError> {
    let before = usage(plan.pid)?;
    let (phases, receiver) = watch::channel(Phase::Connect);
    let shared = Arc::new(Shared::new(plan));
    let mut shares = vec![Vec::new(); shared.plan.threads];
    for member in members {
        shares[member.thread].push(member);
    }
    let mut bench = Bench {
        phases,
        threads: Vec::new(),
        tell,
        stop,
        is_stopped: false,
        began: Instant::now(),
        told: (Instant::now(), Counts::default()),
        shared,
    };
    for (number, share) in shares.into_iter().enumerate() {
        let shared = Arc::clone(&bench.shared);
        let started = thread::start(shared, number, share, receiver.clone());
        bench.threads.push(started.map_err(BenchError::Thread)?);
    }
    bench.conduct(before).await
}

/// What the server has used, where it is known, and what we have.
fn usage(pid: Option<u32>) -> Result<(Option<Usage>, Usage), BenchError> {
    let server = match pid {
        Some(pid) => Some(Usage::of(pid).map_err(|error| BenchError::Server(pid, error))?),
        None => None,
    };
    Ok((server, Usage::own().map_err(BenchError::Thread)?))
}

impl Bench<'_> {
    async fn conduct(mut self, before: (Option<Usage>, Usage)) -> Result<Report, BenchError> {
        let clients = self.shared.plan.clients() as u64;
        self.wait("connecting", None, |counts| {
            counts.ready + counts.failed + counts.lost >= clients
        })
        .await;
        let mut measured = Measured {
            opening: self.began.elapsed(),
            opened: self.shared.counts(),
            before,
            idle: usage(self.shared.plan.pid)?,
            ..Measured::default()
        };
        match self.shared.plan.scenario {
            Scenario::Conn => self.hold(&mut measured).await?,
            Scenario::Storm { rounds } => self.storm(rounds, &mut measured).await?,
            Scenario::Pub
            | Scenario::Sub
            | Scenario::FanOut
            | Scenario::FanIn { .. }
            | Scenario::Pairs => {
                // Without some of its clients it would measure something else.
                if measured.opened.ready == clients && !self.is_stopped {
                    self.load(&mut measured).await?;
                }
            }
        }
        measured.counts = self.shared.counts();
        measured.is_stopped = self.is_stopped;
        let _ = self.phases.send(Phase::Leave);
        let mut recorder = Recorder::new();
        for thread in self.threads {
            let broken = |_| BenchError::Thread(io::Error::other("it has panicked"));
            recorder.merge(thread.join().map_err(broken)?);
        }
        Ok(Report::new(&self.shared.plan, &measured, &recorder))
    }

    /// Idle connections stay as long as they are to.
    async fn hold(&mut self, measured: &mut Measured) -> Result<(), BenchError> {
        measured.started = measured.idle;
        let start = Instant::now();
        self.wait("holding", self.end_of_measuring(start), |_| false)
            .await;
        measured.period = start.elapsed();
        measured.finished = usage(self.shared.plan.pid)?;
        Ok(())
    }

    async fn storm(&mut self, rounds: u32, measured: &mut Measured) -> Result<(), BenchError> {
        let clients = self.shared.plan.clients() as u64;
        measured.started = measured.idle;
        let begin = Instant::now();
        for round in 1..=rounds {
            if self.is_stopped {
                break;
            }
            let (start, before) = (Instant::now(), self.shared.counts());
            let _ = self.phases.send(Phase::Round(round));
            let done = move |counts: &Counts| {
                counts.connected + counts.failed - before.connected - before.failed >= clients
            };
            self.wait("round", None, done).await;
            let after = self.shared.counts();
            measured.rounds.push(Round {
                seconds: start.elapsed().as_secs_f64(),
                connected: after.connected - before.connected,
                failed: after.failed - before.failed,
                resumed: after.resumed - before.resumed,
            });
        }
        measured.period = begin.elapsed();
        measured.finished = usage(self.shared.plan.pid)?;
        Ok(())
    }

    async fn load(&mut self, measured: &mut Measured) -> Result<(), BenchError> {
        let plan = &self.shared.plan;
        let (limit, receivers, qos) = (plan.load.limit, plan.receivers(), plan.load.qos as u8);
        let (publishes, pid) = (plan.publishers() > 0, plan.pid);
        let mut quiet = (Instant::now(), Counts::default());
        // What only receives is done when it has got its number, what publishes when all of it has arrived, or nothing
        // arrives any more.
        let mut is_done = move |counts: &Counts| {
            let Some(limit) = limit else {
                return false;
            };
            if !publishes {
                return counts.delivered >= limit;
            }
            if quiet.1 != *counts {
                quiet = (Instant::now(), *counts);
            }
            let is_over = counts.sent >= limit || counts.lost > 0;
            (counts.sent >= limit && has_arrived(counts, receivers, qos))
                || (is_over && quiet.0.elapsed() >= DRAIN_PATIENCE)
        };
        let lead = match plan.load.arrival {
            Arrival::Rate(_) => START,
            Arrival::Window(_) => Duration::ZERO,
        };
        let warm_up = plan.warm_up;
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let start = now().saturating_add(nanoseconds(lead));
        self.shared
            .begin(start, start.saturating_add(nanoseconds(warm_up)));
        let mut begin = Instant::now();
        measured.started = usage(pid)?;
        let _ = self.phases.send(Phase::Publish);
        if !(lead + warm_up).is_zero() {
            self.wait("warming up", Some(begin + lead + warm_up), &mut is_done)
                .await;
            begin = Instant::now();
            measured.started = usage(pid)?;
            measured.at_start = self.shared.counts();
        }
        self.wait("measuring", self.end_of_measuring(begin), &mut is_done)
            .await;
        self.shared.end(now());
        measured.period = begin.elapsed();
        measured.finished = usage(pid)?;
        measured.at_end = self.shared.counts();
        let _ = self.phases.send(Phase::Drain);
        self.drain(receivers, qos).await;
        Ok(())
    }

    fn end_of_measuring(&self, begin: Instant) -> Option<Instant> {
        self.shared.plan.duration.map(|duration| begin + duration)
    }

    /// Until everything has arrived, or nothing does any more.
    async fn drain(&mut self, receivers: u64, qos: u8) {
        let mut last = self.shared.counts();
        while !self.is_stopped && receivers + u64::from(qos) > 0 {
            let arrived = |counts: &Counts| has_arrived(counts, receivers, qos);
            let end = Instant::now() + DRAIN_PATIENCE;
            self.wait("draining", Some(end), arrived).await;
            let counts = self.shared.counts();
            if arrived(&counts) || counts == last {
                return;
            }
            last = counts;
        }
    }

    /// Until a moment, or that is so, or it is stopped; tells meanwhile how far it is.
    async fn wait(
        &mut self,
        stage: &'static str,
        until: Option<Instant>,
        mut is_so: impl FnMut(&Counts) -> bool,
    ) {
        loop {
            let now = Instant::now();
            let counts = self.shared.counts();
            self.tell(stage, now, counts);
            // Only a defect of ours ends a thread before it is told to.
            self.is_stopped |= self.threads.iter().any(JoinHandle::is_finished);
            if self.is_stopped || is_so(&counts) || until.is_some_and(|until| until <= now) {
                return;
            }
            // Whoever only publishes loses its clients one by one: nothing would ever be so again.
            if !self.shared.is_storm() && counts.lost >= self.shared.plan.clients() as u64 {
                return;
            }
            let next = until.map_or(now + LOOK, |until| until.min(now + LOOK));
            tokio::select! {
                () = sleep_until(next) => {}
                () = &mut self.stop => self.is_stopped = true,
            }
        }
    }

    fn tell(&mut self, stage: &'static str, now: Instant, counts: Counts) {
        let (told, before) = self.told;
        if now < told + SECOND {
            return;
        }
        self.told = (now, counts);
        (self.tell)(&Progress {
            stage,
            elapsed: now - self.began,
            clients: self.shared.plan.clients(),
            sent: counts.sent - before.sent,
            delivered: counts.delivered - before.delivered,
            counts,
        });
    }
}

/// Whether everything that was published is where it is to go, and acknowledged.
const fn has_arrived(counts: &Counts, receivers: u64, qos: u8) -> bool {
    let own = counts.delivered - counts.unstamped;
    let answered = counts.acknowledged + counts.refused;
    own >= counts.sent * receivers && (qos == 0 || answered >= counts.sent)
}
