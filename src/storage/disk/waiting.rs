//! Who waits for a commit. Those of one runtime are told by one task of its own: from there a woken task costs no system
//! call, where the thread that writes would pay one for each.

use tokio::runtime::Handle;

use crate::storage::{Receipt, StorageError};

/// A receipt, and the runtime from which it came.
pub(super) struct Waiting {
    receipt: Receipt,
    home: Option<Handle>,
}

impl Waiting {
    pub(super) fn new(receipt: Receipt) -> Self {
        Self {
            receipt,
            home: Handle::try_current().ok(),
        }
    }
}

/// Tells all of them, in order.
pub(super) fn tell(waiting: impl IntoIterator<Item = Waiting>, result: &Result<(), StorageError>) {
    let mut homes: Vec<(Handle, Vec<Receipt>)> = Vec::new();
    for Waiting { receipt, home } in waiting {
        let Some(home) = home else {
            receipt(result.clone());
            continue;
        };
        match homes.iter_mut().find(|(known, _)| known.id() == home.id()) {
            Some((_, receipts)) => receipts.push(receipt),
            None => homes.push((home, vec![receipt])),
        }
    }
    for (home, receipts) in homes {
        let result = result.clone();
        // A runtime that has ended has nobody left who waits.
        home.spawn(async move {
            for receipt in receipts {
                receipt(result.clone());
            }
        });
    }
}
