//! The logins whose code was sent to the provider, or is about to be.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::pending::LIFETIME;
use crate::clock::Timestamp;

/// The spent logins of this process. If there are too many, the oldest are forgotten: then only the
/// provider refuses a second use of their codes.
#[derive(Debug, Default)]
pub(super) struct SpentLogins(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    ids: HashSet<Box<str>>,
    oldest_first: VecDeque<(Box<str>, Timestamp)>,
}

impl SpentLogins {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Marks a login as spent. Returns `false` if it is already.
    pub(super) fn spend(&self, id: &str, now: Timestamp) -> bool {
        let mut spent = self.spent();
        spent.forget_old(now);
        if !spent.ids.insert(id.into()) {
            return false;
        }
        spent.oldest_first.push_back((id.into(), now));
        true
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spent {
    fn forget_old(&mut self, now: Timestamp) {
        while let Some((id, since)) = self.oldest_first.front() {
            if now.since(*since) < LIFETIME && self.oldest_first.len() < MAX_LOGINS {
                return;
            }
            self.ids.remove(id);
            self.oldest_first.pop_front();
        }
    }
}

/// A few hundred bytes each.
const MAX_LOGINS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_05_a_login_is_spent_once_while_it_is_pending() {
        let spent = SpentLogins::new();
        let at = Timestamp::from_unix_seconds;
        assert!(spent.spend("a", at(1_000)));
        assert!(!spent.spend("a", at(1_000)));
        assert!(!spent.spend("a", at(1_000 + LIFETIME.as_secs() - 1)));
        assert!(spent.spend("b", at(1_000)));
        assert!(spent.spend("a", at(1_000 + LIFETIME.as_secs())));
    }

    #[test]
    fn spent_logins_are_bounded() {
        let spent = SpentLogins::new();
        let now = Timestamp::from_unix_seconds(1_000);
        for number in 0..3 * MAX_LOGINS {
            assert!(spent.spend(&number.to_string(), now));
        }
        let inner = spent.spent();
        assert!(inner.ids.len() <= MAX_LOGINS && inner.oldest_first.len() <= MAX_LOGINS);
        drop(inner);
        assert!(!spent.spend(&(3 * MAX_LOGINS - 1).to_string(), now));
    }
}
