//! What an engine hands on to the one that replaces it.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::address::IgnoredForwarding;
use crate::clock::Clock;
use crate::random::Random;
use crate::session::REVOCATIONS;
use crate::session::Revocations;
use crate::store::{BackgroundTasks, Store, follow};
use crate::token::VerifiedTokens;
use crate::util::changes::Changes;

use super::oversight::Oversight;
use super::verified::{NEAR, Verified};

/// What stays when a configuration is replaced by another.
pub(super) struct Lasting {
    pub(super) verified: VerifiedTokens<Verified>,
    pub(super) revocations: Arc<Revocations>,
    /// Tells what is open that it has to be looked at again.
    pub(super) oversight: Arc<Oversight>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    /// Proxies in front, it may be, that are not trusted.
    pub(super) ignored_forwarding: IgnoredForwarding,
    /// The store whose changes are heard of, where others write into it as well.
    shared: OnceLock<Arc<dyn Store>>,
    background_tasks: BackgroundTasks,
    /// Whether the log says that the login's endpoints are out of reach.
    pub(super) knows_of_nesting: AtomicBool,
    /// Whether nothing has to be done to hear of them.
    follows: AtomicBool,
}

impl Lasting {
    pub(super) fn new(
        revocations: Arc<Revocations>,
        changes: Arc<Changes>,
        (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
        cache_bytes: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            verified: VerifiedTokens::with_capacity(cache_bytes, &NEAR),
            revocations,
            oversight: Oversight::new(changes),
            clock,
            random,
            ignored_forwarding: IgnoredForwarding::default(),
            shared: OnceLock::new(),
            background_tasks: BackgroundTasks::default(),
            knows_of_nesting: AtomicBool::new(false),
            follows: AtomicBool::new(true),
        })
    }

    /// Others write into the store as well.
    pub(super) fn share(&self, store: Arc<dyn Store>) {
        if self.shared.set(store).is_ok() {
            self.follows.store(false, Ordering::Relaxed);
        }
    }

    /// Begins to hear of what others write into the store, once there is a Tokio runtime.
    pub(super) fn follow(&self) {
        if self.follows.load(Ordering::Relaxed) {
            return;
        }
        if let (Some(store), Ok(runtime)) =
            (self.shared.get(), tokio::runtime::Handle::try_current())
            && !self.follows.swap(true, Ordering::AcqRel)
        {
            let revocations = Arc::downgrade(&self.revocations);
            self.background_tasks
                .spawn(&runtime, follow(Arc::clone(store), REVOCATIONS, revocations));
        }
    }

    /// What is told when something changes by which requests were let in.
    pub(super) fn changes(&self) -> &Arc<Changes> {
        &self.oversight.changes
    }
}

/// Nobody is left who could say that what is open has to end.
impl Drop for Lasting {
    fn drop(&mut self) {
        self.changes().wake();
    }
}

impl fmt::Debug for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lasting")
            .field("revocations", &self.revocations)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
