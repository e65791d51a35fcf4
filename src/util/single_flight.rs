//! One refresh at a time, in the background.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::clock::Timestamp;

/// Runs a refresh as a task of its own: one at a time, and with a pause between two.
#[derive(Debug, Default)]
pub(crate) struct SingleFlight {
    last_start: Option<Timestamp>,
    /// Closed when the refresh is over.
    running: Option<watch::Receiver<()>>,
}

impl SingleFlight {
    /// Returns the refresh under way.
    pub(crate) fn running(&self) -> Option<watch::Receiver<()>> {
        // An error: the sender is gone.
        self.running.as_ref().filter(|running| running.has_changed().is_ok()).cloned()
    }

    /// When the last refresh was started.
    pub(crate) fn last_start(&self) -> Option<Timestamp> {
        self.last_start
    }

    /// Returns the refresh under way, or starts one, unless the last start is younger than the
    /// cool-down, `refresh` returns `None`, or there is no Tokio runtime. The task goes on when the
    /// client that caused it goes away.
    pub(crate) fn join_or_start<F>(
        &mut self,
        now: Timestamp,
        cool_down: Duration,
        refresh: impl FnOnce() -> Option<F>,
    ) -> Option<watch::Receiver<()>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(running) = self.running() {
            return Some(running);
        }
        if self.last_start.is_some_and(|last| elapsed(last, now) < cool_down) {
            return None;
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!("cannot fetch in the background: not called in a Tokio runtime");
            return None;
        };
        let refresh = refresh()?;
        let (sender, running) = watch::channel(());
        self.last_start = Some(now);
        self.running = Some(running.clone());
        runtime.spawn(async move {
            refresh.await;
            drop(sender);
        });
        Some(running)
    }
}

/// The time since an event. Requests that read the clock at once may arrive here out of order; an
/// event further in the future is of a clock that has been set back since, and may be of any age.
pub(crate) fn elapsed(then: Timestamp, now: Timestamp) -> Duration {
    if now >= then {
        now.since(then)
    } else if then.since(now) <= OUT_OF_ORDER {
        Duration::ZERO
    } else {
        Duration::MAX
    }
}

const OUT_OF_ORDER: Duration = Duration::from_secs(60);
