//! The threads that connections live on: one single-threaded runtime for each core. Knows nothing of what runs there.

use std::thread::JoinHandle;

use tokio::runtime::{Handle, Runtime};
use tokio_util::sync::CancellationToken;

/// One single-threaded runtime for each core. A connection lives and dies on one of them.
pub(crate) struct Runtimes {
    stop: CancellationToken,
    threads: Vec<(Handle, JoinHandle<()>)>,
}

/// Whether all runtimes are alive, for a watchdog. Outlives the broker.
#[derive(Clone, Debug)]
pub struct Pulse(Vec<Handle>);

impl Runtimes {
    pub(crate) fn start(count: usize) -> Result<Self, String> {
        let mut runtimes = Self {
            stop: CancellationToken::new(),
            threads: Vec::new(),
        };
        for number in 0..count.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| format!("cannot start a runtime: {error}"))?;
            let handle = runtime.handle().clone();
            let stop = runtimes.stop.clone();
            let thread = std::thread::Builder::new()
                .name(format!("gatemq-{number}"))
                .spawn(move || run(&runtime, &stop))
                .map_err(|error| format!("cannot start a thread: {error}"))?;
            runtimes.threads.push((handle, thread));
        }
        Ok(runtimes)
    }

    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.threads
            .iter()
            .map(|(handle, _)| handle.clone())
            .collect()
    }

    pub(crate) fn first(&self) -> &Handle {
        &self.threads[0].0
    }

    pub(crate) fn pulse(&self) -> Pulse {
        Pulse(self.handles())
    }
}

impl Pulse {
    /// Returns once every runtime has run something new: `false` where one has ended. Where one hangs, never.
    pub async fn beat(&self) -> bool {
        let beats: Vec<_> = self
            .0
            .iter()
            .map(|runtime| runtime.spawn(async {}))
            .collect();
        for beat in beats {
            if beat.await.is_err() {
                return false;
            }
        }
        true
    }
}

fn run(runtime: &Runtime, stop: &CancellationToken) {
    runtime.block_on(stop.cancelled());
}

impl Drop for Runtimes {
    fn drop(&mut self) {
        self.stop.cancel();
        for (_, thread) in self.threads.drain(..) {
            // A thread that has panicked has said so already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn a_pulse_beats_while_every_runtime_runs() {
        let runtimes = Runtimes::start(2).expect("runtimes");
        let pulse = runtimes.pulse();
        assert!(pulse.beat().await);
        drop(runtimes);
        assert!(!pulse.beat().await);
    }

    #[tokio::test]
    async fn a_pulse_waits_for_a_runtime_that_hangs() {
        let runtimes = Runtimes::start(2).expect("runtimes");
        let pulse = runtimes.pulse();
        let (release, blocked) = mpsc::channel::<()>();
        // Not a blocking pool: it is the runtime itself that must hang.
        runtimes.handles()[1].spawn(async move { blocked.recv() });
        let beat = pulse.beat();
        tokio::pin!(beat);
        let early = tokio::time::timeout(Duration::from_millis(50), &mut beat).await;
        assert!(early.is_err());
        drop(release);
        assert!(beat.await);
    }
}
