//! Attributes of sessions that the provider is asked about again: they change while the session lives.
//!
//! Each process has one cell for a session, which its cache and the open responses of the session
//! share. The cell is updated when this process has refreshed the session, when another one
//! [announces](super::changed) a change, and once a minute while the session is used.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};

use crate::clock::Timestamp;
use crate::identity::Attributes;
use crate::store::StoreError;
use crate::util::deferred::Deferred;
use crate::util::single_flight::SingleFlight;

use super::record::Session;

/// The current attributes of a session.
#[derive(Debug)]
pub(crate) struct LiveAttributes {
    state: ArcSwap<State>,
    /// When the record is read again, in seconds.
    next_read: AtomicU64,
    reading: Mutex<SingleFlight>,
}

#[derive(Debug, Eq, PartialEq)]
struct State {
    /// `None` if the session has ended.
    attributes: Option<Arc<Attributes>>,
    /// When the provider confirmed them, in seconds.
    confirmed_at: u64,
    /// They do not count after this time, in seconds.
    expires_at: u64,
}

impl State {
    fn of(session: Option<&Session>) -> Self {
        let refresh = session.and_then(Session::refresh);
        let attributes = session.map(Session::attributes).cloned();
        Self {
            attributes,
            confirmed_at: refresh.map_or(u64::MAX, |refresh| refresh.confirmed_at),
            expires_at: refresh.map_or(u64::MAX, |refresh| refresh.expires_at),
        }
    }
}

impl LiveAttributes {
    fn new(session: &Session, now: Timestamp) -> Self {
        Self {
            state: ArcSwap::from_pointee(State::of(Some(session))),
            next_read: AtomicU64::new(now.plus(READ_INTERVAL).as_unix_seconds()),
            reading: Mutex::default(),
        }
    }

    /// Returns the attributes; `None` if the session has ended, or the provider has not confirmed them
    /// for too long.
    pub(crate) fn at(&self, now: Timestamp) -> Option<Arc<Attributes>> {
        let state = self.state.load();
        let counts = now.as_unix_seconds() < state.expires_at;
        state.attributes.as_ref().filter(|_| counts).cloned()
    }

    /// Updates the attributes from the record, unless later ones are known. Returns whether they have
    /// changed.
    fn update(&self, session: Option<&Session>, now: Timestamp) -> bool {
        let next = Arc::new(State::of(session));
        self.next_read.store(now.plus(READ_INTERVAL).as_unix_seconds(), Ordering::Relaxed);
        let is_later = |present: &State| present.confirmed_at <= next.confirmed_at;
        let previous =
            self.state.rcu(|present| Arc::clone(if is_later(present) { &next } else { present }));
        is_later(&previous) && previous.attributes != next.attributes
    }

    /// Reads the record, unless that is under way.
    fn start_reading<F>(
        self: &Arc<Self>,
        now: Timestamp,
        read: impl FnOnce() -> F,
        changed: impl FnOnce() + Send + 'static,
    ) -> Option<watch::Receiver<()>>
    where
        F: Future<Output = Result<Option<Session>, StoreError>> + Send + 'static,
    {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.join_or_start(now, COOL_DOWN, || {
            let (cell, reading) = (Arc::clone(self), tokio::time::timeout(TIME_LIMIT, read()));
            Some(async move {
                let read = reading.await.unwrap_or_else(|error| Err(StoreError::new(error)));
                match read {
                    Ok(session) if cell.update(session.as_ref(), now) => changed(),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(
                        %error, "the attributes of a session could not be read from the store"
                    ),
                }
            })
        })
    }
}

/// The cells of this process, by the id of the session.
#[derive(Debug)]
pub(super) struct Cells {
    cells: Mutex<Registered>,
    waiting: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Registered {
    cells: HashMap<Box<str>, Weak<LiveAttributes>>,
    /// Unused entries are removed when there are as many entries.
    purge_at: usize,
}

impl Cells {
    pub(super) fn new() -> Self {
        Self { cells: Mutex::default(), waiting: Arc::new(Semaphore::new(MAX_WAITING)) }
    }

    /// Returns the cell of a session whose record was just read.
    pub(super) fn of(&self, session: &Session, now: Timestamp) -> Arc<LiveAttributes> {
        let mut registered = self.registered();
        if let Some(cell) = registered.cells.get(&*session.id).and_then(Weak::upgrade) {
            return cell;
        }
        let Registered { cells, purge_at } = &mut *registered;
        if cells.len() >= (*purge_at).max(MIN_PURGE) {
            cells.retain(|_, cell| cell.strong_count() > 0);
            *purge_at = 2 * cells.len();
        }
        let cell = Arc::new(LiveAttributes::new(session, now));
        cells.insert(session.id.as_str().into(), Arc::downgrade(&cell));
        cell
    }

    /// Updates the cell of a session, if this process has one. Returns whether the attributes have
    /// changed.
    pub(super) fn update(&self, id: &str, session: Option<&Session>, now: Timestamp) -> bool {
        let cell = self.registered().cells.get(id).and_then(Weak::upgrade);
        cell.is_some_and(|cell| cell.update(session, now))
    }

    /// Returns whether this process has a cell of a session.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.registered().cells.get(id).is_some_and(|cell| cell.strong_count() > 0)
    }

    /// Returns the ids of all sessions with a cell.
    pub(super) fn ids(&self) -> Vec<Box<str>> {
        let registered = self.registered();
        let live = registered.cells.iter().filter(|(_, cell)| cell.strong_count() > 0);
        live.map(|(id, _)| id.clone()).collect()
    }

    /// Reads the record again if that is due. Returns a wait if the attributes do not count until then
    /// and the caller may wait. `changed` runs if they have changed.
    pub(super) fn read_if_due<F>(
        &self,
        cell: &Arc<LiveAttributes>,
        (now, may_wait): (Timestamp, bool),
        read: impl FnOnce() -> F,
        changed: impl FnOnce() + Send + 'static,
    ) -> Result<(), Deferred>
    where
        F: Future<Output = Result<Option<Session>, StoreError>> + Send + 'static,
    {
        let counts = now.as_unix_seconds() < cell.state.load().expires_at;
        if counts && now.as_unix_seconds() < cell.next_read.load(Ordering::Relaxed) {
            return Ok(());
        }
        let running = cell.start_reading(now, read, changed);
        match (running, counts || !may_wait) {
            (Some(running), false) => match Arc::clone(&self.waiting).try_acquire_owned() {
                Ok(permit) => Err(Deferred::until_closed(running, permit)),
                Err(_) => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn registered(&self) -> MutexGuard<'_, Registered> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often the record of a session in use is read, in case that an announcement was lost.
const READ_INTERVAL: Duration = Duration::from_secs(60);
const COOL_DOWN: Duration = Duration::from_secs(2);
const TIME_LIMIT: Duration = Duration::from_secs(15);
const MAX_WAITING: usize = 1_024;
const MIN_PURGE: usize = 1_024;
