//! Revocations, in this process and in every process that shares the store.
//!
//! Every request is checked against a list in memory, without a lock and without the store. A
//! revocation is on the list of this process immediately, and in the store before the call returns;
//! other processes are notified and apply it within a second. An entry stays on the list while a
//! token that it covers may be valid, whatever happens to the store.

mod list;
mod stored;

use std::sync::Arc;

use crate::clock::Timestamp;

use self::list::RevocationList;
pub(crate) use self::list::TokenSubject;
pub(crate) use self::stored::CHANNEL;
use self::stored::StoredRevocations;
use crate::util::changes::Changes;

/// What is revoked.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Revocation {
    /// One session, by its id.
    Session(Box<str>),
    /// Every session of a user, by the email address.
    Person(Box<str>),
    /// Every token of an application, by its audience.
    Application(Box<str>),
    /// Every session and token.
    Everything,
}

/// All revocations.
#[derive(Debug)]
pub(crate) struct Revocations {
    list: RevocationList,
    changes: Arc<Changes>,
    /// `None` in an engine that only verifies: its revocations stay in the process.
    stored: Option<StoredRevocations>,
}

impl Revocations {
    /// Creates revocations of this process only.
    pub(crate) fn new(changes: Arc<Changes>) -> Self {
        Self { list: RevocationList::default(), changes, stored: None }
    }

    /// Returns whether a token is revoked.
    pub(crate) fn is_revoked(&self, token: TokenSubject<'_>) -> bool {
        self.list.is_revoked(token)
    }

    /// Returns whether a session was revoked before this time.
    pub(crate) fn session_revoked_before(&self, session: &str, moment: Timestamp) -> bool {
        self.list.session_revoked_before(session, moment)
    }

    /// Revokes in this process, immediately.
    fn revoke_locally(&self, revocation: &Revocation, now: Timestamp) {
        self.list.add([(revocation, now)], now);
        self.changes.notify();
    }
}
