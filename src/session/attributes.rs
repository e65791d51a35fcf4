//! Caches the attributes of sessions, for requests with a token.
//!
//! A token has the id of its session, and no groups or login methods: these have no size limit, and
//! anybody can read a token. The first request of a session whose policies need them waits for the
//! record; later ones find it in memory. The attributes of most sessions never change, so they are not
//! read again; those of sessions that the provider is asked about again are in a
//! [cell](LiveAttributes). If the record cannot be read they are missing facts, which grant no access.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::Equivalent;

use crate::clock::Timestamp;
use crate::identity::{Attributes, Email};
use crate::store::StoreError;
use crate::util::deferred::Deferred;
use crate::util::refreshing_cache::{Lookup, RefreshingCache, Times, WaitPolicy};

use super::live_attributes::{Cells, LiveAttributes};
use super::record::Session;

/// The attributes of recently used sessions.
#[derive(Debug)]
pub(super) struct SessionAttributes {
    cache: RefreshingCache<Key, KnownAttributes>,
    pub(super) cells: Arc<Cells>,
}

/// The attributes of a session.
#[derive(Clone, Debug)]
pub(crate) enum KnownAttributes {
    /// Attributes that never change.
    Fixed(Arc<Attributes>),
    /// Attributes that are refreshed.
    Live(Arc<LiveAttributes>),
}

impl KnownAttributes {
    /// Returns the attributes; `None` if they do not count any more.
    pub(crate) fn at(&self, now: Timestamp) -> Option<Arc<Attributes>> {
        match self {
            Self::Fixed(attributes) => Some(Arc::clone(attributes)),
            Self::Live(live) => live.at(now),
        }
    }
}

/// A session and its user: a token is valid for no other user's session.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    session: Box<str>,
    email: Email,
}

/// The borrowed form of [`Key`].
#[derive(Hash)]
struct KeyRef<'a> {
    session: &'a str,
    email: &'a Email,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.session == *key.session && *self.email == key.email
    }
}

impl From<&KeyRef<'_>> for Key {
    fn from(key: &KeyRef<'_>) -> Self {
        Self { session: key.session.into(), email: key.email.clone() }
    }
}

impl SessionAttributes {
    pub(super) fn new() -> Self {
        Self { cache: RefreshingCache::new(MAX_SESSIONS, TIMES), cells: Arc::new(Cells::new()) }
    }

    /// Returns the attributes of a session whose record was just read.
    pub(super) fn of(&self, session: &Session, now: Timestamp) -> KnownAttributes {
        known(&self.cells, session, now)
    }

    /// Returns the attributes of a session, if it is this user's. On `Err`, wait and call again; only
    /// if `may_wait`. `changed` runs if they have changed since the last call.
    pub(super) fn look_up<F>(
        &self,
        (session, email): (&str, &Email),
        now: Timestamp,
        may_wait: bool,
        read: impl Fn() -> F,
        changed: impl FnOnce() + Send + 'static,
    ) -> Result<Option<KnownAttributes>, Deferred>
    where
        F: Future<Output = Result<Option<Session>, StoreError>> + Send + 'static,
    {
        let wait = if may_wait { WaitPolicy::IfAbsent } else { WaitPolicy::Never };
        let question = || {
            let (read, email, cells) = (read(), email.clone(), Arc::clone(&self.cells));
            async move {
                let session = read.await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the attributes of a session could not be read from the store");
                    None
                });
                let session = session.filter(|session| session.email == email)?;
                Some(known(&cells, &session, now))
            }
        };
        match self.cache.look_up(&KeyRef { session, email }, now, wait, question) {
            Lookup::Cached(known) => {
                if let KnownAttributes::Live(cell) = &known {
                    self.cells.read_if_due(cell, (now, may_wait), read, changed)?;
                }
                Ok(Some(known))
            }
            Lookup::Pending(wait) => Err(wait),
            Lookup::Absent => Ok(None),
        }
    }
}

fn known(cells: &Cells, session: &Session, now: Timestamp) -> KnownAttributes {
    match session.refresh() {
        None => KnownAttributes::Fixed(Arc::clone(session.attributes())),
        Some(_) => KnownAttributes::Live(cells.of(session, now)),
    }
}

/// Usually a few hundred bytes each; at most 16 KiB each, as in a record, and 128 MiB in total.
const MAX_SESSIONS: usize = 8_192;
const TIMES: Times = Times {
    fresh_for: Duration::MAX,
    serve_up_to: Duration::MAX,
    cool_down: Duration::from_secs(2),
    time_limit: Duration::from_secs(15),
};
