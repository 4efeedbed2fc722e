//! One client of a benchmark: a task that connects, is what `active` says as long as it is connected, and in a storm comes
//! back. The threads are in `thread`.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
};

use tokio::sync::Semaphore;

use super::{
    active::Active,
    plan::{Limits, Member, Role},
    publisher::Publisher,
    recorder::{Counters, Recorder, add},
    shared::{Phase, Shared},
    stamp::now,
};
use crate::client::{Client, ClientError, Session};

/// What the clients of one thread share.
pub(super) struct Thread {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
    pub(super) recorder: RefCell<Recorder>,
    pub(super) phase: Cell<Phase>,
    /// Seconds since the start.
    pub(super) tick: Cell<u32>,
    pub(super) wakers: RefCell<Vec<Option<Waker>>>,
    /// How many connect at the same time.
    pub(super) gate: Rc<Semaphore>,
}

impl Thread {
    pub(super) fn counters(&self) -> &Counters {
        &self.shared.counters[self.number]
    }

    pub(super) fn publishers(&self) -> usize {
        self.shared.plan.publishers()
    }

    pub(super) fn wake(&self, slot: usize) {
        let waker = self.wakers.borrow_mut()[slot].take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn wake_all(&self) {
        let clients = self.wakers.borrow().len();
        for slot in 0..clients {
            self.wake(slot);
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.shared.limits()
    }

    pub(super) fn failed(&self, error: &ClientError) {
        self.recorder.borrow_mut().failed(error);
    }
}

/// Connects and stays until all is done; in a storm it comes back.
pub(super) async fn run(thread: Rc<Thread>, slot: usize, member: Member) {
    loop {
        // Boxed, so that what a handshake needs is gone after it.
        let opened = Box::pin(open(&thread, slot, &member)).await;
        let phase = thread.phase.get();
        match opened {
            Err(error) => {
                thread.failed(&error);
                add(&thread.counters().failed, 1);
            }
            Ok(mut active) => {
                let ended = poll_fn(|cx| active.poll(cx)).await;
                match ended {
                    Err(error) => {
                        thread.failed(&error);
                        add(&thread.counters().lost, 1);
                    }
                    Ok(()) if thread.phase.get() == Phase::Leave => active.leave().await,
                    // Cut off without a word.
                    Ok(()) => {}
                }
            }
        }
        if !thread.shared.is_storm() || !comes_back(&thread, slot, phase).await {
            return;
        }
    }
}

/// Waits for the next round, if there is any.
async fn comes_back(thread: &Thread, slot: usize, phase: Phase) -> bool {
    poll_fn(|cx| {
        if thread.phase.get() == phase {
            thread.wakers.borrow_mut()[slot] = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(thread.phase.get() != Phase::Leave)
    })
    .await
}

async fn open<'a>(
    thread: &'a Thread,
    slot: usize,
    member: &Member,
) -> Result<Active<'a>, ClientError> {
    let plan = &thread.shared.plan;
    let gate = Rc::clone(&thread.gate);
    // Never closed.
    let _permit = gate.acquire().await;
    let since = thread.phase.get();
    let mut connect = plan.connect.clone();
    connect.client_id = member.client_id.as_str().into();
    let start = now();
    let client = Client::connect(&plan.dial, &plan.target, &connect, Session::default()).await?;
    let took = now() - start;
    thread
        .recorder
        .borrow_mut()
        .handshake
        .saturating_record(took);
    let connack = client.connack();
    let receive_maximum = connack.receive_maximum;
    let keep_alive = connack.server_keep_alive.unwrap_or(connect.keep_alive);
    let link = client.into_link()?;
    let counters = thread.counters();
    add(&counters.connected, 1);
    if link.is_resumed() {
        add(&counters.resumed, 1);
    }
    let mut active = Active::new(thread, slot, link, keep_alive, since);
    match &member.role {
        Role::Idle => add(&counters.ready, 1),
        Role::Subscriber(filter) => active.subscribe(filter),
        Role::Publisher(index, topic) => {
            let publisher = Publisher::new(
                (thread.shared.run, *index),
                topic,
                connect.version,
                &plan.load,
                plan.publishers(),
                receive_maximum,
            );
            active.publishes(publisher);
            add(&counters.ready, 1);
        }
    }
    Ok(active)
}
