//! What has been ended before its time.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::clock::Timestamp;
use crate::token::LONGEST_TOKEN;

/// Sessions, people and applications whose tokens are no longer good.
///
/// Read on every request without a lock. Bounded: entries leave when the tokens they are about
/// have expired; if there are still more than 50,000, the list starts again and everybody logs in
/// anew. It never forgets into the open.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    list: ArcSwap<List>,
    /// Whether anything was ever ended: mostly not, and then no list is looked at.
    any: AtomicBool,
    /// Writers go one after the other.
    writing: Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct List {
    /// Session id to the end of its last token.
    sessions: HashMap<Box<str>, Timestamp>,
    /// Email address to the moment up to which its tokens are void.
    users: HashMap<Box<str>, Timestamp>,
    /// Audience to the moment up to which its tokens are void.
    applications: HashMap<Box<str>, Timestamp>,
    /// All tokens up to this moment are void.
    everything_until: Option<Timestamp>,
}

/// A token as revocations see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issued<'a> {
    pub(crate) session: Option<&'a str>,
    pub(crate) email: Option<&'a str>,
    pub(crate) audience: &'a str,
    pub(crate) issued_at: Timestamp,
}

impl Revocations {
    /// Whether a token is void.
    pub(crate) fn cover(&self, token: Issued<'_>) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let list = self.list.load();
        let void = |until: Option<&Timestamp>| until.is_some_and(|until| token.issued_at <= *until);
        void(list.everything_until.as_ref())
            || token.session.is_some_and(|id| list.sessions.contains_key(id))
            || token.email.is_some_and(|email| void(list.users.get(email)))
            || void(list.applications.get(token.audience))
    }

    /// Ends one session. Its tokens live until `end` at the latest.
    pub(crate) fn end_session(&self, id: &str, end: Timestamp, now: Timestamp) {
        self.change(now, |list| {
            list.sessions.insert(id.into(), end);
        });
    }

    /// Ends all sessions of a person; they may log in again from the next second on.
    pub(crate) fn end_user(&self, email: &str, now: Timestamp) {
        self.change(now, |list| {
            list.users.insert(email.into(), now);
        });
    }

    /// Voids all tokens of an application.
    pub(crate) fn end_application(&self, audience: &str, now: Timestamp) {
        self.change(now, |list| {
            list.applications.insert(audience.into(), now);
        });
    }

    fn change(&self, now: Timestamp, change: impl FnOnce(&mut List)) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = List::clone(&self.list.load());
        change(&mut list);
        if list.len() > MOST_ENTRIES {
            list.sessions.retain(|_, end| now < *end);
            let alive = |until: &mut Timestamp| now < until.plus(LONGEST_TOKEN);
            list.users.retain(|_, until| alive(until));
            list.applications.retain(|_, until| alive(until));
        }
        if list.len() > MOST_ENTRIES {
            tracing::error!("more revocations than can be kept: everybody has to log in again");
            list = List { everything_until: Some(now), ..List::default() };
        }
        self.list.store(list.into());
        self.any.store(true, Ordering::Release);
    }
}

impl List {
    fn len(&self) -> usize {
        self.sessions.len() + self.users.len() + self.applications.len()
    }
}

const MOST_ENTRIES: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn token<'a>(session: &'a str, email: &'a str, issued_at: u64) -> Issued<'a> {
        Issued {
            session: Some(session),
            email: Some(email),
            audience: "aud",
            issued_at: at(issued_at),
        }
    }

    #[test]
    fn ses_08_ses_10_what_was_ended_stays_ended() {
        let revocations = Revocations::default();
        assert!(!revocations.cover(token("s", "a@b.example", 5)));
        revocations.end_session("s", at(100), at(10));
        assert!(revocations.cover(token("s", "a@b.example", 5)));
        assert!(revocations.cover(token("s", "a@b.example", 50)));
        assert!(!revocations.cover(token("t", "a@b.example", 5)));
        revocations.end_user("a@b.example", at(10));
        assert!(revocations.cover(token("t", "a@b.example", 10)));
        assert!(!revocations.cover(token("t", "a@b.example", 11)));
        revocations.end_application("aud", at(20));
        assert!(revocations.cover(token("t", "a@b.example", 20)));
        assert!(!revocations.cover(token("t", "a@b.example", 21)));
    }

    #[test]
    fn dos_03_an_overflow_ends_everything_and_opens_nothing() {
        let revocations = Revocations::default();
        let mut list = List::default();
        for number in 0..MOST_ENTRIES {
            list.sessions.insert(number.to_string().into(), at(1_000));
        }
        revocations.list.store(list.into());
        revocations.end_session("one more", at(1_000), at(10));
        assert!(revocations.list.load().len() <= MOST_ENTRIES);
        assert!(revocations.cover(token("0", "a@b.example", 5)));
        assert!(revocations.cover(token("one more", "a@b.example", 5)));
        assert!(!revocations.cover(token("new", "a@b.example", 11)));
    }
}
