//! What has been ended before its time, here and on every machine that shares the store.
//!
//! Every request is checked against a list in memory, without a lock and without the store. What is
//! ended is on the list of this process at once, and written into the store before whoever asked is
//! told that it is done; other processes hear of it and take it over within a second. Nothing that
//! is on the list goes off it while a token it is about may live, whatever becomes of the store.

mod list;
mod stored;

use std::sync::Arc;

use crate::clock::Timestamp;

use self::list::RevocationList;
pub(crate) use self::list::TokenSubject;
pub(crate) use self::stored::CHANNEL;
use self::stored::StoredRevocations;
use crate::util::changes::Changes;

/// Something that is ended before its time.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Revocation {
    /// One session, by its id.
    Session(Box<str>),
    /// Every session of a person, by the address.
    Person(Box<str>),
    /// Every token of an application, by its audience.
    Application(Box<str>),
    /// Every session and token there is.
    Everything,
}

/// What has been ended.
#[derive(Debug)]
pub(crate) struct Revocations {
    list: RevocationList,
    changes: Arc<Changes>,
    /// `None` where nothing is issued: then each process has its own.
    stored: Option<StoredRevocations>,
}

impl Revocations {
    /// Known to this process alone.
    pub(crate) fn new(changes: Arc<Changes>) -> Self {
        Self { list: RevocationList::default(), changes, stored: None }
    }

    /// Whether a token is void.
    pub(crate) fn is_revoked(&self, token: TokenSubject<'_>) -> bool {
        self.list.is_revoked(token)
    }

    /// Whether a session was ended before this moment.
    pub(crate) fn session_revoked_before(&self, session: &str, moment: Timestamp) -> bool {
        self.list.session_revoked_before(session, moment)
    }

    /// Ends something on this machine, at once.
    fn revoke_locally(&self, revocation: &Revocation, now: Timestamp) {
        self.list.add([(revocation, now)], now);
        self.changes.tell();
    }
}
