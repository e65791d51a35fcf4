//! A bounded list of idle connections. The time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Idle connections, the most recently used last.
pub(super) struct IdleList<T> {
    entries: Vec<Entry<T>>,
    max: usize,
    timeout: Option<Duration>,
}

struct Entry<T> {
    since: Instant,
    idle: T,
}

impl<T> IdleList<T> {
    /// `timeout` is the longest time that a connection is idle; `None` means no limit.
    pub(super) fn new(max: usize, timeout: Option<Duration>) -> Self {
        Self { entries: Vec::new(), max, timeout }
    }

    /// Takes the most recently used connection; [`sweep`](Self::sweep) removes the expired ones.
    pub(super) fn take(&mut self, now: Instant) -> Option<T> {
        // If the last one has expired, all have.
        let Entry { since, .. } = self.entries.last()?;
        if is_expired(self.timeout, *since, now) {
            return None;
        }
        self.entries.pop().map(|entry| entry.idle)
    }

    /// Adds a connection, or returns it if there are enough.
    pub(super) fn insert(&mut self, idle: T, now: Instant) -> Option<T> {
        if self.entries.len() >= self.max {
            return Some(idle);
        }
        self.entries.push(Entry { since: now, idle });
        None
    }

    /// Removes connections that have expired, and those idle for at least `rest` that are over.
    pub(super) fn sweep(
        &mut self,
        now: Instant,
        rest: Duration,
        mut is_over: impl FnMut(&mut T) -> bool,
    ) -> Vec<T> {
        let mut removed = Vec::new();
        for mut entry in std::mem::take(&mut self.entries) {
            let rested = now.saturating_duration_since(entry.since) >= rest;
            if is_expired(self.timeout, entry.since, now) || (rested && is_over(&mut entry.idle)) {
                removed.push(entry.idle);
            } else {
                self.entries.push(entry);
            }
        }
        removed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn is_expired(timeout: Option<Duration>, since: Instant, now: Instant) -> bool {
    timeout.is_some_and(|timeout| now.saturating_duration_since(since) >= timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn list(max: usize) -> IdleList<&'static str> {
        IdleList::new(max, Some(10 * SECOND))
    }

    #[test]
    fn the_most_recently_used_comes_first() {
        let (mut list, now) = (list(10), Instant::now());
        for name in ["a", "b", "c"] {
            assert_eq!(list.insert(name, now), None);
        }
        assert_eq!((list.take(now), list.take(now)), (Some("c"), Some("b")));
        assert_eq!(list.insert("d", now), None);
        assert_eq!((list.take(now), list.take(now), list.take(now)), (Some("d"), Some("a"), None));
    }

    #[test]
    fn there_are_never_more_than_allowed() {
        let now = Instant::now();
        let mut few = list(2);
        for name in ["a", "b"] {
            assert_eq!(few.insert(name, now), None);
        }
        assert_eq!(few.insert("c", now), Some("c"));
        assert_eq!(list(0).insert("a", now), Some("a"));
    }

    #[test]
    fn an_expired_connection_is_never_taken() {
        let (mut list, start) = (list(10), Instant::now());
        list.insert("old", start);
        list.insert("young", start + SECOND);
        let later = start + 10 * SECOND;
        assert_eq!(list.take(later), Some("young"));
        assert_eq!(list.take(later), None);
        assert!(!list.is_empty());
        assert_eq!(list.sweep(later, SECOND, |_| false), ["old"]);
        assert!(list.is_empty());
    }

    #[test]
    fn without_a_timeout_nothing_expires() {
        let (mut list, start) = (IdleList::new(1, None), Instant::now());
        list.insert("a", start);
        let later = start + 1_000_000 * SECOND;
        assert!(list.sweep(later, SECOND, |_| false).is_empty());
        assert_eq!(list.take(later), Some("a"));
    }

    #[test]
    fn only_connections_at_rest_are_looked_at() {
        let (mut list, start) = (list(10), Instant::now());
        list.insert("over", start);
        list.insert("alive", start);
        list.insert("busy", start + SECOND);
        let mut seen = Vec::new();
        let removed = list.sweep(start + SECOND, SECOND, |name| {
            seen.push(*name);
            *name == "over"
        });
        assert_eq!((seen, removed), (vec!["over", "alive"], vec!["over"]));
        let now = start + SECOND;
        assert_eq!((list.take(now), list.take(now)), (Some("busy"), Some("alive")));
    }
}
