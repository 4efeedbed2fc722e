//! Wakes the publishers of one thread when their messages are due. Timers of the runtime have milliseconds; what is
//! measured here has tenths of them.

use std::io;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use super::{client::Thread, publisher, stamp::now};

/// Wakes until it is dropped. `turns`: number of a publisher among all, and its slot on this thread, in that order.
pub(super) async fn run(
    thread: &Thread,
    start: u64,
    rate: f64,
    turns: &[(u64, usize)],
) -> io::Result<()> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
    #[expect(
        deprecated,
        reason = "what it is to be replaced by is unsafe; an OwnedFd keeps its descriptor"
    )]
    let timer = AsyncFd::new(timer)?;
    let publishers = thread.publishers() as u64;
    let mut round = 0;
    loop {
        for (number, slot) in turns {
            let due = publisher::due(start, rate, number + round * publishers);
            if due > now() {
                wait(&timer, due).await?;
            }
            thread.wake(*slot);
        }
        round += 1;
        // Behind the schedule, nothing is waited for: the others have to come to their turn.
        tokio::task::yield_now().await;
    }
}

async fn wait(timer: &AsyncFd<rustix::fd::OwnedFd>, due: u64) -> io::Result<()> {
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let value = Timespec {
        tv_sec: i64::try_from(due / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(due % 1_000_000_000).unwrap_or_default(),
    };
    let at = Itimerspec {
        it_interval: zero,
        it_value: value,
    };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &at)?;
    loop {
        let mut ready = timer.readable().await?;
        let mut expirations = [0; 8];
        let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut expirations)?));
        if let Ok(read) = read {
            return read.map(|_| ());
        }
    }
}
