//! State that an engine hands on to the one that replaces it.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::address::IgnoredForwarding;
use crate::clock::Clock;
use crate::random::Random;
use crate::session::{CHANGES_CHANNEL, REVOCATION_CHANNEL, Revocations, SessionChanges};
use crate::store::{BackgroundTasks, Store, follow};
use crate::token::VerifiedTokens;
use crate::util::changes::Changes;

use super::revocation_watch::RevocationWatch;
use super::session_refresh::refresh_sessions;
use super::verified::{NEAR, Verified};

/// State that outlives a configuration.
pub(super) struct SharedState {
    pub(super) verified: VerifiedTokens<Verified>,
    pub(super) revocations: Arc<Revocations>,
    /// Re-checks open responses.
    pub(super) revocation_watch: Arc<RevocationWatch>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    /// Whether `random` is the operating system's.
    pub(super) has_system_random: bool,
    /// Untrusted peers that sent `X-Forwarded-For`: perhaps proxies in front.
    pub(super) ignored_forwarding: IgnoredForwarding,
    /// The store to follow, if other processes write into it as well.
    followed_store: OnceLock<(Arc<dyn Store>, Arc<SessionChanges>)>,
    background_tasks: BackgroundTasks,
    /// Whether the log already warns that the login's endpoints are unreachable.
    pub(super) has_warned_of_nesting: AtomicBool,
    /// Whether all tasks run that are needed.
    has_tasks: AtomicBool,
    /// Whether a task follows the store.
    is_following: AtomicBool,
    /// Whether an engine needs the task that refreshes sessions.
    needs_refreshes: AtomicBool,
    /// Whether a task refreshes sessions.
    is_refreshing: AtomicBool,
}

impl SharedState {
    pub(super) fn new(
        revocations: Arc<Revocations>,
        changes: Arc<Changes>,
        (clock, random, has_system_random): (Arc<dyn Clock>, Arc<dyn Random>, bool),
        cache_bytes: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            verified: VerifiedTokens::with_capacity(cache_bytes, &NEAR),
            revocations,
            revocation_watch: RevocationWatch::new(changes),
            clock,
            random,
            has_system_random,
            ignored_forwarding: IgnoredForwarding::default(),
            followed_store: OnceLock::new(),
            background_tasks: BackgroundTasks::default(),
            has_warned_of_nesting: AtomicBool::new(false),
            has_tasks: AtomicBool::new(true),
            is_following: AtomicBool::new(false),
            needs_refreshes: AtomicBool::new(false),
            is_refreshing: AtomicBool::new(false),
        })
    }

    /// Sets the store that other processes write into as well, and what follows their changes of
    /// sessions.
    pub(super) fn set_followed_store(&self, store: Arc<dyn Store>, sessions: SessionChanges) {
        if self.followed_store.set((store, Arc::new(sessions))).is_ok() {
            self.has_tasks.store(false, Ordering::Relaxed);
        }
    }

    /// Sets that sessions are refreshed, from now on: sessions of a method may outlive its settings.
    pub(super) fn set_refreshes_sessions(&self) {
        if !self.needs_refreshes.swap(true, Ordering::AcqRel) {
            self.has_tasks.store(false, Ordering::Relaxed);
        }
    }

    /// Starts the background tasks that are needed, if there is a Tokio runtime.
    pub(super) fn start_tasks(&self) {
        if self.has_tasks.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        self.has_tasks.store(true, Ordering::Relaxed);
        if let Some((store, sessions)) = self.followed_store.get()
            && !self.is_following.swap(true, Ordering::AcqRel)
        {
            let revocations = Arc::downgrade(&self.revocations);
            let following = follow(Arc::clone(store), REVOCATION_CHANNEL, revocations);
            self.background_tasks.spawn(&runtime, following);
            let following = follow(Arc::clone(store), CHANGES_CHANNEL, Arc::downgrade(sessions));
            self.background_tasks.spawn(&runtime, following);
        }
        if self.needs_refreshes.load(Ordering::Acquire)
            && !self.is_refreshing.swap(true, Ordering::AcqRel)
        {
            let watch = Arc::downgrade(&self.revocation_watch);
            self.background_tasks.spawn(&runtime, refresh_sessions(watch));
        }
    }

    /// Returns the changes that make open responses be judged again.
    pub(super) fn changes(&self) -> &Arc<Changes> {
        &self.revocation_watch.changes
    }
}

/// Wakes every open response when the last engine is dropped.
impl Drop for SharedState {
    fn drop(&mut self) {
        self.changes().wake();
    }
}

impl fmt::Debug for SharedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedState")
            .field("revocations", &self.revocations)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
