//! Replaces the settings of an engine while it serves requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::{Access, ConfigError, Engine, EngineSettings};

/// The state that all clones of an [`Access`] share: the engine in force, and earlier engines that
/// requests under way may still need.
#[derive(Debug)]
pub(super) struct Handle {
    engine: ArcSwap<Engine>,
    earlier: Mutex<VecDeque<Arc<Engine>>>,
}

impl Handle {
    fn new(engine: Arc<Engine>) -> Self {
        Self { engine: ArcSwap::new(engine), earlier: Mutex::default() }
    }

    pub(super) fn current(&self) -> Guard<Arc<Engine>> {
        self.engine.load()
    }

    /// Returns the latest engine for which the predicate holds.
    pub(super) fn find(&self, is_it: impl Fn(&Engine) -> bool) -> Option<Guard<Arc<Engine>>> {
        let current = self.engine.load();
        if is_it(&current) {
            return Some(current);
        }
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.iter().find(|engine| is_it(engine)).cloned().map(Guard::from_inner)
    }

    fn replace(&self, next: Arc<Engine>) {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.push_front(self.engine.swap(next));
        earlier.truncate(MAX_EARLIER);
    }
}

impl Access {
    /// Replaces the settings of this engine. Takes the builder of the engine's role. If the new
    /// settings are invalid, the old ones stay.
    ///
    /// Requests under way finish under the old settings; sessions, keys and revocations stay. Open
    /// responses and connections are judged again, and closed unless the new settings allow them.
    /// Keys that were fetched from an issuer stay if the new settings fetch them from the same
    /// place.
    ///
    /// A reload restores nothing that has expired or was revoked: a longer overlap restores no key, a
    /// longer idle timeout restores no session, and a service token that earlier settings removed
    /// needs a new secret (see [`service_token`](crate::service_token#the-end-of-a-token)).
    ///
    /// The state of the engine stays: its store, clock, randomness, master secret, token cache and
    /// signing keys.
    ///
    /// ```
    /// # use tower_access::application::Application;
    /// # use tower_access::policy::{Policy, Rule};
    /// # fn reload(access: &tower_access::Access) -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_access::Access;
    ///
    /// let staff = Policy::bypass("everyone").include(Rule::everyone());
    /// let wiki = Application::new("Wiki", "wiki.example.com")?.policy(staff);
    /// access.reload(Access::builder().application(wiki))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the settings contradict each other, list a service token whose secret was revoked, or are for
    /// the other role.
    pub fn reload(&self, settings: impl Into<EngineSettings>) -> Result<(), ConfigError> {
        let next = settings.into().successor(&self.engine())?;
        self.0.replace(next);
        self.activate();
        Ok(())
    }

    pub(super) fn from_engine(engine: Arc<Engine>) -> Self {
        let access = Self(Arc::new(Handle::new(engine)));
        access.activate();
        access
    }

    /// Builds an engine with other settings that takes over the state of this one. It is not in force
    /// yet: see [`activate`](Self::activate).
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) fn successor(&self, settings: EngineSettings) -> Result<Self, ConfigError> {
        let next = settings.successor(&self.engine())?;
        Ok(Self(Arc::new(Handle::new(next))))
    }

    /// Puts this engine in force for open responses and connections.
    pub(crate) fn activate(&self) {
        let engine = self.engine();
        if let Some(issuing) = engine.role.issuing() {
            let (login, now) = (&issuing.login, engine.now());
            login.issuer.set_rotation(issuing.key_rotation, now);
            login.sessions.set_max_idle(login.lifetimes.max_idle(), now);
            engine.service_tokens.activate();
            if login.refreshes_sessions() {
                engine.shared_state.set_refreshes_sessions();
            }
        }
        engine.shared_state.revocation_watch.set_engine(&engine);
    }
}

/// A request that was authenticated by an older engine than these is refused.
const MAX_EARLIER: usize = 4;
