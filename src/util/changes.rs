//! Notification of open responses and connections about changes that may revoke their access.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Counts changes, and wakes the listeners. Reading the count costs one load.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    count: AtomicU64,
    told: watch::Sender<()>,
}

impl Changes {
    /// Records a change and wakes the listeners.
    pub(crate) fn tell(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.told.send_replace(());
    }

    /// Wakes the listeners without a change.
    pub(crate) fn wake(&self) {
        self.told.send_replace(());
    }

    /// Returns the number of changes.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Returns a listener for every change from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.told.subscribe()
    }
}
