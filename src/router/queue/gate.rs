//! What holds a QoS 2 delivery back until its message is kept.
//!
//! A QoS 2 message that was sent and then forgotten by a crash would be taken for a new one when its publisher sends it
//! again. So it goes to nobody before the commit that makes its publisher stop.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use parking_lot::Mutex;

use super::Queue;

/// Shared by all deliveries of one message.
#[derive(Debug, Default)]
pub(in crate::router) struct Gate {
    state: AtomicU8,
    waiting: Mutex<Vec<Arc<Queue>>>,
}

/// What has become of the commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum GateState {
    /// It is under way.
    Closed,
    /// The message is kept, or need not be.
    Open,
    /// The message cannot be kept: it is sent to nobody.
    Failed,
}

impl Gate {
    /// Remembers a queue that is to be woken.
    pub(in crate::router) fn add(&self, queue: &Arc<Queue>) {
        self.waiting.lock().push(queue.clone());
    }

    /// The commit has succeeded or failed.
    pub(in crate::router) fn settle(&self, is_kept: bool) {
        self.state
            .store(if is_kept { 1 } else { 2 }, Ordering::Release);
        for queue in std::mem::take(&mut *self.waiting.lock()) {
            queue.wake();
        }
    }

    pub(super) fn state(&self) -> GateState {
        match self.state.load(Ordering::Acquire) {
            0 => GateState::Closed,
            1 => GateState::Open,
            _ => GateState::Failed,
        }
    }
}
