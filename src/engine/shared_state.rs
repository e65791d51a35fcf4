//! State that an engine hands on to the one that replaces it.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::address::IgnoredForwarding;
use crate::clock::Clock;
use crate::random::Random;
use crate::session::REVOCATION_CHANNEL;
use crate::session::Revocations;
use crate::store::{BackgroundTasks, Store, follow};
use crate::token::VerifiedTokens;
use crate::util::changes::Changes;

use super::revocation_watch::RevocationWatch;
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
    followed_store: OnceLock<Arc<dyn Store>>,
    background_tasks: BackgroundTasks,
    /// Whether the log already warns that the login's endpoints are unreachable.
    pub(super) has_warned_of_nesting: AtomicBool,
    /// Whether a task follows the store, or none is needed.
    is_following: AtomicBool,
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
            is_following: AtomicBool::new(true),
        })
    }

    /// Sets the store that other processes write into as well.
    pub(super) fn set_followed_store(&self, store: Arc<dyn Store>) {
        if self.followed_store.set(store).is_ok() {
            self.is_following.store(false, Ordering::Relaxed);
        }
    }

    /// Starts the task that follows the store, if it is needed and there is a Tokio runtime.
    pub(super) fn follow(&self) {
        if self.is_following.load(Ordering::Relaxed) {
            return;
        }
        if let (Some(store), Ok(runtime)) =
            (self.followed_store.get(), tokio::runtime::Handle::try_current())
            && !self.is_following.swap(true, Ordering::AcqRel)
        {
            let revocations = Arc::downgrade(&self.revocations);
            self.background_tasks
                .spawn(&runtime, follow(Arc::clone(store), REVOCATION_CHANNEL, revocations));
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
