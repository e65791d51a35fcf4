//! One configuration in place of another, while requests go on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::{Access, ConfigError, Engine, EngineSettings};

/// What all clones of an [`Access`] share: the engine in force, and those before it that requests
/// under way may still ask for.
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
    pub(super) fn that(&self, is_it: impl Fn(&Engine) -> bool) -> Option<Guard<Arc<Engine>>> {
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
    /// Puts other settings in force, in place of those this engine was built with: all of them, or
    /// none when they are wrong. Takes the builder of the engine's role.
    ///
    /// Requests under way end under the settings they began with; sessions, keys and revocations
    /// stay. Open responses and connections are judged again, and closed where the new settings
    /// would not open them. Keys that were fetched from an issuer stay while they are fetched from
    /// the same place.
    ///
    /// What has ended stays so, whatever the settings say: a longer overlap of keys brings back no key,
    /// a longer idle timeout no session, and a service token that settings before did not have any more
    /// takes a new secret (see [`service_token`](crate::service_token#the-end-of-a-token)).
    ///
    /// The state of an engine is not replaced: its store, clock, randomness, master secret, token
    /// cache and signing keys.
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
    /// When the settings contradict each other, list a service token whose secret was revoked, or are
    /// those of the other role.
    pub fn reload(&self, settings: impl Into<EngineSettings>) -> Result<(), ConfigError> {
        let next = settings.into().successor(&self.engine())?;
        self.0.replace(next);
        self.take_over();
        Ok(())
    }

    pub(super) fn of(engine: Arc<Engine>) -> Self {
        let access = Self(Arc::new(Handle::new(engine)));
        access.take_over();
        access
    }

    /// An engine with other settings that goes on with the state of this one, without being in force
    /// already: see [`take_over`](Self::take_over).
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) fn successor(&self, settings: EngineSettings) -> Result<Self, ConfigError> {
        let next = settings.successor(&self.engine())?;
        Ok(Self(Arc::new(Handle::new(next))))
    }

    /// Judges open responses and connections by this engine from now on.
    pub(crate) fn take_over(&self) {
        let engine = self.engine();
        if let Some(issuing) = engine.role.issuing() {
            let (login, now) = (&issuing.login, engine.now());
            login.issuer.set_rotation(issuing.key_rotation, now);
            login.sessions.set_longest_idle(login.lifetimes.longest_idle(), now);
            engine.service_tokens.put_in_force();
        }
        engine.lasting.oversight.put_in_force(&engine);
    }
}

/// A request that was authenticated so many configurations ago is refused.
const MAX_EARLIER: usize = 4;
