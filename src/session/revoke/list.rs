//! The list every request is checked against.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::Ended;
use crate::clock::Timestamp;
use crate::token::MAX_TOKEN_LIFETIME;

/// Sessions, people and applications whose tokens are no longer good.
///
/// Read on every request without a lock. Bounded: entries leave when the tokens they are about
/// have expired; if there are still more than 50,000, the list starts again and everybody logs in
/// anew. It never forgets into the open.
#[derive(Debug, Default)]
pub(super) struct RevocationList {
    list: ArcSwap<List>,
    /// Whether anything was ever ended: mostly not, and then no list is looked at.
    any: AtomicBool,
    /// Writers go one after the other.
    writing: Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct List {
    /// Session id to the moment it was ended.
    sessions: HashMap<Box<str>, Timestamp>,
    /// Email address to the moment up to which its tokens are void.
    users: HashMap<Box<str>, Timestamp>,
    /// Audience to the moment up to which its tokens are void.
    applications: HashMap<Box<str>, Timestamp>,
    /// All tokens up to this moment are void.
    everything_until: Option<Timestamp>,
    /// With more entries than this it is looked which of them are still needed.
    worth_cleaning: usize,
}

/// A token as revocations see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issued<'a> {
    pub(crate) session: Option<&'a str>,
    pub(crate) email: Option<&'a str>,
    pub(crate) audience: &'a str,
    pub(crate) issued_at: Timestamp,
}

impl RevocationList {
    /// Whether a token is void.
    pub(super) fn cover(&self, token: Issued<'_>) -> bool {
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

    /// Whether a session was ended before this moment.
    pub(super) fn ended_before(&self, session: &str, moment: Timestamp) -> bool {
        self.list.load().sessions.get(session).is_some_and(|ended_at| *ended_at < moment)
    }

    /// Puts these on the list, each with the moment it was ended; whether any of it was news.
    pub(super) fn add<'a>(
        &self,
        ended: impl IntoIterator<Item = (&'a Ended, Timestamp)>,
        now: Timestamp,
    ) -> bool {
        let mut ended = ended.into_iter().peekable();
        if ended.peek().is_none() {
            return false;
        }
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = List::clone(&self.list.load());
        let mut is_news = false;
        for (ended, at) in ended {
            is_news |= list.add(ended, at);
        }
        if !is_news {
            return false;
        }
        if list.len() > list.worth_cleaning {
            list.drop_expired(now);
            list.worth_cleaning = 2 * list.len().max(FEW_ENTRIES);
        }
        if list.len() > MOST_ENTRIES {
            tracing::error!("more revocations than can be kept: everybody has to log in again");
            list = List { everything_until: Some(now), ..List::default() };
        }
        self.list.store(list.into());
        self.any.store(true, Ordering::Release);
        true
    }

    /// All that is on the list.
    pub(super) fn all(&self) -> Vec<(Ended, Timestamp)> {
        let list = self.list.load();
        let sessions = list.sessions.iter().map(|(id, at)| (Ended::Session(id.clone()), *at));
        let people = list.users.iter().map(|(email, at)| (Ended::Person(email.clone()), *at));
        let applications =
            list.applications.iter().map(|(aud, at)| (Ended::Application(aud.clone()), *at));
        let everything = list
            .everything_until
            .map(|until| (Ended::Everything, until.minus(LONGEST_PROPAGATION)));
        sessions.chain(people).chain(applications).chain(everything).collect()
    }
}

impl List {
    /// What is ended twice is ended from the later moment on.
    fn add(&mut self, ended: &Ended, at: Timestamp) -> bool {
        let later = |known: Option<Timestamp>| known.is_none_or(|known| known < at);
        let (entries, name) = match ended {
            Ended::Session(id) => (&mut self.sessions, id),
            Ended::Person(email) => (&mut self.users, email),
            Ended::Application(audience) => (&mut self.applications, audience),
            Ended::Everything => {
                // Until everybody has heard of it, tokens are made from sessions that are no more.
                let until = at.plus(LONGEST_PROPAGATION);
                let is_news = self.everything_until.is_none_or(|known| known < until);
                self.everything_until = self.everything_until.max(Some(until));
                return is_news;
            }
        };
        let is_news = later(entries.get(name).copied());
        if is_news {
            entries.insert(name.clone(), at);
        }
        is_news
    }

    /// Without what no token can be about any more.
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

/// After this time every process that shares a store knows what was ended.
const LONGEST_PROPAGATION: Duration = Duration::from_secs(2);
/// So few that it does not matter which of them are still needed.
const FEW_ENTRIES: usize = 500;
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

    fn ended(list: &RevocationList, ended: &Ended, at_seconds: u64) -> bool {
        list.add([(ended, at(at_seconds))], at(at_seconds))
    }

    #[test]
    fn ses_08_ses_10_what_was_ended_stays_ended() {
        let list = RevocationList::default();
        assert!(!list.cover(token("s", "a@b.example", 5)));
        ended(&list, &Ended::Session("s".into()), 10);
        assert!(list.cover(token("s", "a@b.example", 5)));
        assert!(list.cover(token("s", "a@b.example", 50)));
        assert!(!list.cover(token("t", "a@b.example", 5)));
        ended(&list, &Ended::Person("a@b.example".into()), 10);
        // What comes late takes nothing back.
        assert!(!ended(&list, &Ended::Person("a@b.example".into()), 7));
        assert!(list.cover(token("t", "a@b.example", 10)));
        assert!(!list.cover(token("t", "a@b.example", 11)));
        ended(&list, &Ended::Application("aud".into()), 20);
        assert!(list.cover(token("t", "a@b.example", 20)));
        assert!(!list.cover(token("t", "a@b.example", 21)));
        ended(&list, &Ended::Everything, 30);
        assert!(list.cover(token("u", "x@b.example", 32)));
        assert!(!list.cover(token("u", "x@b.example", 33)));
    }

    #[test]
    fn dos_03_an_overflow_ends_everything_and_opens_nothing() {
        let list = RevocationList::default();
        let many: Vec<Ended> =
            (0..=MOST_ENTRIES).map(|number| Ended::Session(number.to_string().into())).collect();
        list.add(many.iter().map(|ended| (ended, at(10))), at(10));
        assert!(list.list.load().len() <= MOST_ENTRIES);
        assert!(list.cover(token("0", "a@b.example", 5)));
        assert!(list.cover(token("another", "a@b.example", 5)));
        assert!(!list.cover(token("new", "a@b.example", 11)));
    }

    #[test]
    fn dos_03_what_no_token_can_be_about_is_forgotten() {
        let list = RevocationList::default();
        let later = at(10).plus(MAX_TOKEN_LIFETIME);
        for number in 0..5_000 {
            ended(&list, &Ended::Session(number.to_string().into()), 10);
        }
        for number in 0..20_000 {
            list.add([(&Ended::Session(format!("x{number}").into()), later)], later);
        }
        assert_eq!(list.list.load().len(), 20_000);
        assert!(list.cover(token("x0", "a@b.example", 11)));
    }
}
