//! One configuration in place of another, while requests go on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::{Access, ConfigError, Engine, VerifierBuilder};

/// What all clones of an [`Access`] share: the engine in force, and those before it that requests
/// under way may still ask for.
#[derive(Debug)]
pub(super) struct Handle {
    engine: ArcSwap<Engine>,
    earlier: Mutex<VecDeque<Arc<Engine>>>,
}

impl Handle {
    pub(super) fn current(&self) -> Guard<Arc<Engine>> {
        self.engine.load()
    }

    /// The latest engine of which this is so.
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
        earlier.truncate(MOST_EARLIER);
    }
}

/// Settings of an engine in either role.
#[cfg(feature = "config")]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum Settings {
    /// It runs the login.
    Issuing(super::AccessBuilder),
    /// Somebody else does.
    Verifying(VerifierBuilder),
}

impl Access {
    /// Puts other settings in force, in place of those this engine was built with: all of them, or
    /// none when they are wrong. Requests under way end under those they began with; sessions, keys
    /// and what was ended stay. Answers and connections that go on are judged anew, and closed where
    /// they would not be opened now.
    ///
    /// What has ended stays so, whatever the settings say: a longer overlap of keys brings back no key,
    /// a longer idle timeout no session, and a service token that settings before did not have any more
    /// takes a new secret (see [`service_token`](crate::service_token#the-end-of-a-token)).
    ///
    /// What an engine is founded on is not replaced: its store, clock, randomness, master secret,
    /// token cache and signing keys.
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
    /// When the settings contradict each other, list a service token whose secret was revoked, or this
    /// engine issues no tokens.
    pub fn reload(&self, settings: super::AccessBuilder) -> Result<(), ConfigError> {
        let next = settings.successor(&self.engine())?;
        self.replace(next);
        Ok(())
    }

    /// As [`reload`](Self::reload), where tokens are verified for an issuer. Keys that were fetched
    /// are kept while they are fetched from the same place.
    ///
    /// # Errors
    ///
    /// When the settings contradict each other, or this engine issues tokens itself.
    pub fn reload_verifier(&self, settings: VerifierBuilder) -> Result<(), ConfigError> {
        let next = settings.successor(&self.engine())?;
        self.replace(next);
        Ok(())
    }

    pub(super) fn of(engine: Arc<Engine>) -> Self {
        let handle = Handle { engine: ArcSwap::new(engine), earlier: Mutex::default() };
        let access = Self(Arc::new(handle));
        access.take_over();
        access
    }

    /// An engine with other settings that goes on with the state of this one, without being in force
    /// already: see [`take_over`](Self::take_over).
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) fn successor(&self, settings: Settings) -> Result<Self, ConfigError> {
        let present = self.engine();
        let next = match settings {
            Settings::Issuing(settings) => settings.successor(&present)?,
            Settings::Verifying(settings) => settings.successor(&present)?,
        };
        let handle = Handle { engine: ArcSwap::new(next), earlier: Mutex::default() };
        Ok(Self(Arc::new(handle)))
    }

    /// From now on what is open is judged by this engine.
    pub(crate) fn take_over(&self) {
        let engine = self.engine();
        if let super::Role::Issuing(issuing) = &engine.role {
            let (login, now) = (&issuing.login, engine.now());
            login.issuer.set_rotation(issuing.key_rotation, now);
            login.sessions.set_longest_idle(login.lifetimes.longest_idle(), now);
            engine.service_tokens.put_in_force();
        }
        engine.lasting.oversight.put_in_force(&engine);
    }

    /// Replaces the engine by one that goes on with its state.
    fn replace(&self, next: Arc<Engine>) {
        self.0.replace(next);
        self.take_over();
    }
}

/// A request that was authenticated so many configurations ago is refused.
const MOST_EARLIER: usize = 4;
