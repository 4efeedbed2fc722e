//! What waits for storage, with a storage that answers late, as a disk does.

use super::*;
use std::task::{Context, Wake, Waker};

/// Answers when it is asked to.
#[derive(Default)]
struct Later {
    receipts: Mutex<Vec<Receipt>>,
}

impl Storage for Arc<Later> {
    fn load(&self) -> Result<Snapshot, StorageError> {
        Ok(Snapshot::default())
    }

    fn commit(&self, _: Vec<Change>, receipt: Option<Receipt>) {
        self.receipts.lock().extend(receipt);
    }

    fn read(&self, _: SessionId, _: u64, _: usize, answer: Answer) {
        answer(Ok(crate::storage::QueuePart::default()));
    }
}

impl Later {
    fn answer(&self) {
        let receipts = std::mem::take(&mut *self.receipts.lock());
        for receipt in receipts {
            receipt(Ok(()));
        }
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A kept session that has subscribed to a retained QoS 2 message, and has found that it must wait.
fn waiting_for_retained(later: &Arc<Later>) -> (Router, Arc<Queue>, Arc<Woken>, Instant) {
    let now = tokio::time::Instant::now().into_std();
    let router = Router::new(config(), Arc::new(later.clone()), Arc::default());
    let retained = message("r", "x", QoS::ExactlyOnce);
    let retained = Arc::new(Message {
        retain: true,
        ..retained
    });
    router.publish(&retained, now, || Box::new(|_| {}));
    later.answer();
    let queue = router.register("c".into(), true);
    queue.connected(10);
    let options = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        ..SubscriptionOptions::default()
    };
    let subscribed = router.subscribe(&queue, filter("r"), options, now);
    subscribed.expect("below the limit");
    later.answer();
    let woken = Arc::new(Woken::default());
    queue.register_waker(&Context::from_waker(&Waker::from(woken.clone())));
    (router, queue, woken, now)
}

/// Nothing else may happen on that connection for hours.
#[test]
fn a_retained_message_that_waits_for_its_commit_wakes_who_waits() {
    let later = Arc::new(Later::default());
    let (_router, queue, woken, now) = waiting_for_retained(&later);
    assert_eq!(queue.pop(true, now), None);
    later.answer();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(queue.pop(true, now).is_some());
}

/// A client that is back before its own parking was committed.
#[test]
fn a_client_that_returns_at_once_is_woken_too() {
    let later = Arc::new(Later::default());
    let (_router, queue, woken, now) = waiting_for_retained(&later);
    queue.park(now);
    queue.connected(10);
    assert_eq!(queue.pop(true, now), None);
    later.answer();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(queue.pop(true, now).is_some());
}
