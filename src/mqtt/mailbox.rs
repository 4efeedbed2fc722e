//! How the rest of the broker reaches a connection, whatever core it lives on.

use std::{
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
    task::Context,
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::{
    packet::PacketId,
    session::{Confirmation, SubscribeRefusal},
};
use crate::{
    message::{QoS, TopicFilter},
    router::SubscriptionOptions,
    storage::StorageError,
};

/// One connection's letters: what others want of it, and the answers of storage it waits for.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waker: AtomicWaker,
    /// The first request stands: a connection ends once.
    request: AtomicU8,
    has_commits: AtomicBool,
    commits: Mutex<Vec<Commit>>,
}

/// The answer of storage to something that waits for it.
pub(crate) type Commit = (Awaited, Result<(), StorageError>);

/// What waits for an answer of storage.
#[derive(Debug)]
pub(crate) enum Awaited {
    /// PUBACK or PUBREC.
    Publish(PacketId),
    /// A step of QoS 2.
    Step(Confirmation),
    /// SUBACK, line by line.
    Subscribe(PacketId, Vec<Line>),
    /// UNSUBACK: which filters had been subscribed to.
    Unsubscribe(PacketId, Vec<bool>),
}

/// One filter of a SUBSCRIBE, and what has become of it.
pub(crate) type Line = Result<Taken, SubscribeRefusal>;

/// A filter that was subscribed to.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) filter: TopicFilter,
    pub(crate) qos: QoS,
    /// How it had been before.
    pub(crate) before: Option<SubscriptionOptions>,
}

/// Why a connection is asked to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Request {
    /// Another connection has come with the same client identifier.
    TakeOver = 1,
    /// The server stops.
    ShutDown = 2,
}

impl Mailbox {
    /// Asks the connection to end.
    pub(crate) fn request(&self, request: Request) {
        // A second request changes nothing.
        let _ =
            self.request
                .compare_exchange(0, request as u8, Ordering::AcqRel, Ordering::Relaxed);
        self.waker.wake();
    }

    /// What was asked for, if anything. It stays asked for.
    pub(crate) fn requested(&self) -> Option<Request> {
        match self.request.load(Ordering::Acquire) {
            1 => Some(Request::TakeOver),
            2 => Some(Request::ShutDown),
            _ => None,
        }
    }

    /// Whether answers of storage have come that were not taken.
    pub(crate) fn has_commits(&self) -> bool {
        self.has_commits.load(Ordering::Acquire)
    }

    /// Brings an answer of storage.
    pub(crate) fn committed(&self, awaited: Awaited, result: Result<(), StorageError>) {
        self.commits.lock().push((awaited, result));
        self.has_commits.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Takes the answers of storage that have come.
    pub(crate) fn take_commits(&self) -> Vec<Commit> {
        if self.has_commits.swap(false, Ordering::AcqRel) {
            std::mem::take(&mut *self.commits.lock())
        } else {
            Vec::new()
        }
    }

    /// Wakes this task when a letter comes. Register first, then look.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }
}
