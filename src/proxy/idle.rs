//! A bounded list of idle connections.

use std::time::Duration;

use tokio::time::Instant;

/// Idle connections, the most recently used last.
pub(super) struct IdleList<T> {
    entries: Vec<(Instant, T)>,
    max: usize,
    timeout: Option<Duration>,
}

impl<T> IdleList<T> {
    pub(super) fn new(max: usize, timeout: Option<Duration>) -> Self {
        Self { entries: Vec::new(), max, timeout }
    }

    /// Takes the most recently used connection, and all if even that has expired.
    pub(super) fn take(&mut self, now: Instant) -> (Option<T>, Vec<(Instant, T)>) {
        match self.entries.pop() {
            Some((since, idle)) if !self.is_expired(since, now) => (Some(idle), Vec::new()),
            Some(_) => (None, std::mem::take(&mut self.entries)),
            None => (None, Vec::new()),
        }
    }

    /// Adds a connection; returns it if there are enough.
    pub(super) fn insert(&mut self, idle: T, now: Instant) -> Option<T> {
        if self.entries.len() >= self.max {
            return Some(idle);
        }
        self.entries.push((now, idle));
        None
    }

    fn is_expired(&self, since: Instant, now: Instant) -> bool {
        self.timeout.is_some_and(|timeout| now.saturating_duration_since(since) >= timeout)
    }
}
