//! The revocation list that every request is checked against.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::Revocation;
use crate::clock::Timestamp;
use crate::token::MAX_TOKEN_LIFETIME;

/// Sessions, users and applications whose tokens are revoked.
///
/// Read on every request without a lock. Bounded: entries are dropped when the tokens they cover have
/// expired. If more than 50,000 remain, all tokens are revoked and everybody logs in again: dropping
/// entries never restores access.
#[derive(Debug, Default)]
pub(super) struct RevocationList {
    list: ArcSwap<List>,
    /// Whether anything was ever revoked. Usually not; then the list is not read.
    any: AtomicBool,
    /// Serialises writers.
    writing: Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct List {
    /// Session id to the time of its revocation.
    sessions: HashMap<Box<str>, Timestamp>,
    /// Email address to the time up to which its tokens are revoked.
    users: HashMap<Box<str>, Timestamp>,
    /// Audience to the time up to which its tokens are revoked.
    applications: HashMap<Box<str>, Timestamp>,
    /// All tokens issued up to this time are revoked.
    everything_until: Option<Timestamp>,
    /// With more entries than this, expired ones are dropped.
    clean_above: usize,
}

/// The properties of a token that revocations match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenSubject<'a> {
    pub(crate) session: Option<&'a str>,
    pub(crate) email: Option<&'a str>,
    pub(crate) audience: &'a str,
    pub(crate) issued_at: Timestamp,
}

impl RevocationList {
    /// Returns whether a token is revoked.
    pub(super) fn is_revoked(&self, token: TokenSubject<'_>) -> bool {
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

    /// Returns whether a session was revoked before this time.
    pub(super) fn session_revoked_before(&self, session: &str, moment: Timestamp) -> bool {
        self.list.load().sessions.get(session).is_some_and(|ended_at| *ended_at < moment)
    }

    /// Adds revocations with their times. Returns whether any of them was new.
    pub(super) fn add<'a>(
        &self,
        revocations: impl IntoIterator<Item = (&'a Revocation, Timestamp)>,
        now: Timestamp,
    ) -> bool {
        let mut revocations = revocations.into_iter().peekable();
        if revocations.peek().is_none() {
            return false;
        }
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = List::clone(&self.list.load());
        let mut is_new = false;
        for (revocation, at) in revocations {
            is_new |= list.add(revocation, at);
        }
        if !is_new {
            return false;
        }
        if list.len() > list.clean_above {
            list.drop_expired(now);
            list.clean_above = 2 * list.len().max(MIN_CLEANUP_ENTRIES);
        }
        if list.len() > MAX_ENTRIES {
            tracing::error!(
                "too many revocations (more than 50,000): all sessions are revoked, and all users must log in again"
            );
            list = List { everything_until: Some(now), ..List::default() };
        }
        self.list.store(list.into());
        self.any.store(true, Ordering::Release);
        true
    }

    /// Returns all entries.
    pub(super) fn all(&self) -> Vec<(Revocation, Timestamp)> {
        let list = self.list.load();
        let sessions = list.sessions.iter().map(|(id, at)| (Revocation::Session(id.clone()), *at));
        let people = list.users.iter().map(|(email, at)| (Revocation::Person(email.clone()), *at));
        let applications =
            list.applications.iter().map(|(aud, at)| (Revocation::Application(aud.clone()), *at));
        let everything = list
            .everything_until
            .map(|until| (Revocation::Everything, until.minus(MAX_PROPAGATION)));
        sessions.chain(people).chain(applications).chain(everything).collect()
    }
}

impl List {
    /// Adds an entry; of two times for one entry the later counts.
    fn add(&mut self, revocation: &Revocation, at: Timestamp) -> bool {
        let later = |known: Option<Timestamp>| known.is_none_or(|known| known < at);
        let (entries, name) = match revocation {
            Revocation::Session(id) => (&mut self.sessions, id),
            Revocation::Person(email) => (&mut self.users, email),
            Revocation::Application(audience) => (&mut self.applications, audience),
            Revocation::Everything => {
                // Until every process is notified, revoked sessions may still issue tokens.
                let until = at.plus(MAX_PROPAGATION);
                let is_new = self.everything_until.is_none_or(|known| known < until);
                self.everything_until = self.everything_until.max(Some(until));
                return is_new;
            }
        };
        let is_new = later(entries.get(name).copied());
        if is_new {
            entries.insert(name.clone(), at);
        }
        is_new
    }

    /// Drops entries that cover no valid token any more.
    fn drop_expired(&mut self, now: Timestamp) {
        let alive = |at: &Timestamp| now < at.plus(MAX_TOKEN_LIFETIME);
        self.sessions.retain(|_, at| alive(at));
        self.users.retain(|_, at| alive(at));
        self.applications.retain(|_, at| alive(at));
    }

    fn len(&self) -> usize {
        self.sessions.len() + self.users.len() + self.applications.len()
    }
}

/// After this time every process that shares a store has applied a revocation.
const MAX_PROPAGATION: Duration = Duration::from_secs(2);
/// With fewer entries, dropping expired ones is not worth the work.
const MIN_CLEANUP_ENTRIES: usize = 500;
const MAX_ENTRIES: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn token<'a>(session: &'a str, email: &'a str, issued_at: u64) -> TokenSubject<'a> {
        TokenSubject {
            session: Some(session),
            email: Some(email),
            audience: "aud",
            issued_at: at(issued_at),
        }
    }

    fn revoke(list: &RevocationList, revocation: &Revocation, at_seconds: u64) -> bool {
        list.add([(revocation, at(at_seconds))], at(at_seconds))
    }

    #[test]
    fn ses_08_ses_10_what_was_ended_stays_ended() {
        let list = RevocationList::default();
        assert!(!list.is_revoked(token("s", "a@b.example", 5)));
        revoke(&list, &Revocation::Session("s".into()), 10);
        assert!(list.is_revoked(token("s", "a@b.example", 5)));
        assert!(list.is_revoked(token("s", "a@b.example", 50)));
        assert!(!list.is_revoked(token("t", "a@b.example", 5)));
        revoke(&list, &Revocation::Person("a@b.example".into()), 10);
        // What comes late takes nothing back.
        assert!(!revoke(&list, &Revocation::Person("a@b.example".into()), 7));
        assert!(list.is_revoked(token("t", "a@b.example", 10)));
        assert!(!list.is_revoked(token("t", "a@b.example", 11)));
        revoke(&list, &Revocation::Application("aud".into()), 20);
        assert!(list.is_revoked(token("t", "a@b.example", 20)));
        assert!(!list.is_revoked(token("t", "a@b.example", 21)));
        revoke(&list, &Revocation::Everything, 30);
        assert!(list.is_revoked(token("u", "x@b.example", 32)));
        assert!(!list.is_revoked(token("u", "x@b.example", 33)));
    }

    #[test]
    fn dos_03_an_overflow_ends_everything_and_opens_nothing() {
        let list = RevocationList::default();
        let many: Vec<Revocation> = (0..=MAX_ENTRIES)
            .map(|number| Revocation::Session(number.to_string().into()))
            .collect();
        list.add(many.iter().map(|revocation| (revocation, at(10))), at(10));
        assert!(list.list.load().len() <= MAX_ENTRIES);
        assert!(list.is_revoked(token("0", "a@b.example", 5)));
        assert!(list.is_revoked(token("another", "a@b.example", 5)));
        assert!(!list.is_revoked(token("new", "a@b.example", 11)));
    }

    #[test]
    fn dos_03_what_no_token_can_be_about_is_forgotten() {
        let list = RevocationList::default();
        let later = at(10).plus(MAX_TOKEN_LIFETIME);
        for number in 0..5_000 {
            revoke(&list, &Revocation::Session(number.to_string().into()), 10);
        }
        for number in 0..20_000 {
            list.add([(&Revocation::Session(format!("x{number}").into()), later)], later);
        }
        assert_eq!(list.list.load().len(), 20_000);
        assert!(list.is_revoked(token("x0", "a@b.example", 11)));
    }
}
