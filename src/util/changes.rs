//! Notifies open connections of changes that may end their access.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Counts changes and wakes listeners. Reading the count costs one load.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    count: AtomicU64,
    sender: watch::Sender<()>,
}

impl Changes {
    /// Records a change and wakes the listeners.
    pub(crate) fn notify(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.sender.send_replace(());
    }

    /// Wakes the listeners without a change.
    pub(crate) fn wake(&self) {
        self.sender.send_replace(());
    }

    /// Returns the number of changes.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Subscribes to all later changes.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.sender.subscribe()
    }
}
