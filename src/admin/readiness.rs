//! Whether the broker takes clients, and if not, why: what `/readyz` answers.

use parking_lot::Mutex;

/// Shared by whoever starts, stops or stores.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    storage_failing: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Starting,
    Running,
    Draining,
}

impl Readiness {
    /// Every listener accepts.
    pub fn started(&self) {
        let mut state = self.0.lock();
        // A stop that came while starting stays a stop.
        if state.phase == Phase::Starting {
            state.phase = Phase::Running;
        }
    }

    /// The broker stops: no new clients.
    pub fn draining(&self) {
        self.0.lock().phase = Phase::Draining;
    }

    /// Storage keeps nothing at the moment, or does so again.
    pub fn storage_failing(&self, is_failing: bool) {
        self.0.lock().storage_failing = is_failing;
    }

    /// # Errors
    /// Why no client should be sent here: `starting`, `draining`, `storage is failing`.
    pub fn check(&self) -> Result<(), &'static str> {
        let state = self.0.lock();
        match state.phase {
            Phase::Starting => Err("starting"),
            Phase::Draining => Err("draining"),
            Phase::Running if state.storage_failing => Err("storage is failing"),
            Phase::Running => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_between_start_and_drain_while_storage_works() {
        let readiness = Readiness::default();
        assert_eq!(readiness.check(), Err("starting"));
        readiness.started();
        assert_eq!(readiness.check(), Ok(()));
        readiness.storage_failing(true);
        assert_eq!(readiness.check(), Err("storage is failing"));
        readiness.storage_failing(false);
        assert_eq!(readiness.check(), Ok(()));
        readiness.draining();
        readiness.started();
        assert_eq!(readiness.check(), Err("draining"));
    }
}
