//! Notification channels of a single process.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::StoreError;

/// The numbers of all channels, by name. Only the program chooses the names.
#[derive(Debug, Default)]
pub(super) struct Channels(Mutex<HashMap<Box<str>, watch::Sender<u64>>>);

impl Channels {
    pub(super) fn notify(&self, name: &str) {
        self.with(name, |numbers| {
            numbers.send_modify(|number| *number = number.wrapping_add(1));
        });
    }

    /// Waits until a channel's number changes, and returns it.
    pub(super) fn notified(
        &self,
        name: &str,
        seen: u64,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send + use<> {
        let mut numbers = self.with(name, watch::Sender::subscribe);
        async move {
            let number = numbers.wait_for(|number| *number != seen).await;
            number.map(|number| *number).map_err(StoreError::new)
        }
    }

    fn with<T>(&self, name: &str, run: impl FnOnce(&watch::Sender<u64>) -> T) -> T {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        run(channels.entry(name.into()).or_default())
    }
}
