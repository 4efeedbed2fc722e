//! What makes a delivery not worth sending any more.

use std::time::{Duration, Instant};

use crate::{router::Delivery, telemetry::DropReason};

/// The moment at which deliveries are looked at, and how long they may have waited by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freshness {
    pub(super) now: Instant,
    pub(super) max_age: Duration,
}

impl Freshness {
    /// Why a delivery is not sent any more: its publisher's interval has passed [MQTT-3.3.2-5], or ours.
    pub(super) fn lapse(&self, delivery: &Delivery) -> Option<DropReason> {
        if delivery.message.has_expired(self.now) {
            return Some(DropReason::Expired);
        }
        self.is_too_old(delivery.queued_at)
            .then_some(DropReason::TooOld)
    }

    /// Whether what came into a queue at that moment has waited for too long.
    pub(super) fn is_too_old(&self, queued_at: Instant) -> bool {
        self.now.saturating_duration_since(queued_at) >= self.max_age
    }
}
