//! What has been ended before its time, here and on every machine that shares the store.
//!
//! Every request is checked against a list in memory, without a lock and without the store. What is
//! ended is on the list of this process at once, and written into the store before whoever asked is
//! told that it is done; other processes hear of it and take it over within a second. Nothing that
//! is on the list goes off it while a token it is about may live, whatever becomes of the store.

mod kept;
mod list;

use std::sync::Arc;

use crate::clock::Timestamp;

pub(crate) use self::kept::CHANNEL;
use self::kept::KeptRevocations;
pub(crate) use self::list::Issued;
use self::list::RevocationList;
use crate::util::changes::Changes;

/// Something that is ended before its time.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ended {
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
    kept: Option<KeptRevocations>,
}

impl Revocations {
    /// Known to this process alone.
    pub(crate) fn new(changes: Arc<Changes>) -> Self {
        Self { list: RevocationList::default(), changes, kept: None }
    }

    /// Whether a token is void.
    pub(crate) fn cover(&self, token: Issued<'_>) -> bool {
        self.list.cover(token)
    }

    /// Whether a session was ended before this moment.
    pub(crate) fn ended_before(&self, session: &str, moment: Timestamp) -> bool {
        self.list.ended_before(session, moment)
    }

    /// Ends something on this machine, at once.
    fn end_here(&self, ended: &Ended, now: Timestamp) {
        self.list.add([(ended, now)], now);
        self.changes.notify();
    }
}
