//! Lifetimes of sessions and tokens: section 13.1 of the contract.

use std::time::Duration;

use crate::application::MAX_SESSION_DURATION;

/// The settings for all applications of a deployment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lifetimes {
    /// The session duration; overrides the applications' own.
    pub(crate) session: Option<Duration>,
    /// The idle timeout.
    pub(crate) idle: Option<Duration>,
}

impl Lifetimes {
    /// Returns the lifetime of an application token: of its policy, else of its application, else the
    /// session duration.
    pub(crate) fn token_lifetime(
        self,
        policy: Option<Duration>,
        application: Option<Duration>,
    ) -> TokenLifetime {
        let chosen = policy.or(application).or(self.session).unwrap_or(DEFAULT);
        TokenLifetime(chosen.min(MAX_SESSION_DURATION))
    }

    /// Returns the age at which a token with this lifetime is renewed.
    pub(crate) fn renew_after(self, life: Duration) -> Duration {
        let half = life / 2;
        self.idle.map_or(half, |idle| half.min(idle / 4))
    }

    /// Returns whether to renew a token that lives for `life`, if a new one gets `lifetime`. A shorter
    /// token ends with its session.
    pub(crate) fn is_renewable(self, lifetime: TokenLifetime, life: Duration) -> bool {
        let full = Duration::from_secs(self.bounded(lifetime).as_secs());
        !lifetime.expires_immediately() && (self.idle.is_some() || life >= full)
    }

    /// Returns a token's lifetime, limited by the idle timeout. The session may end earlier.
    pub(crate) fn bounded(self, lifetime: TokenLifetime) -> Duration {
        let life = lifetime.get();
        self.max_idle().map_or(life, |longest| life.min(longest))
    }

    /// Returns whether a session has ended after this time without activity.
    pub(crate) fn is_idle(self, unseen_for: Duration) -> bool {
        self.max_idle().is_some_and(|longest| longest <= unseen_for)
    }

    /// Returns the effective idle limit. Activity is recorded once per quarter of the idle timeout, so a
    /// session may end that much later than configured.
    pub(crate) fn max_idle(self) -> Option<Duration> {
        self.idle.map(|idle| idle + idle / 4)
    }

    /// Returns the duration of a session that starts with a login for an application. An application
    /// whose tokens expire immediately still has a session that renews them.
    pub(crate) fn session_duration(self, application: Option<Duration>) -> Duration {
        let chosen = self.session.or(application).unwrap_or(DEFAULT);
        chosen.clamp(MIN_SESSION, MAX_SESSION_DURATION)
    }
}

/// The lifetime of an application token; its session may end earlier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TokenLifetime(Duration);

impl TokenLifetime {
    /// Returns whether every page goes through the login again: such a token is for one page.
    pub(crate) fn expires_immediately(self) -> bool {
        self.0.is_zero()
    }

    /// Returns the time from issuance to expiry.
    pub(crate) fn get(self) -> Duration {
        self.0.max(MIN_TOKEN_LIFETIME)
    }
}

/// The default for sessions and tokens.
const DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// The shortest global session of the contract.
pub(crate) const MIN_SESSION: Duration = Duration::from_secs(15 * 60);
/// The shortest idle timeout.
pub(crate) const MIN_IDLE: Duration = Duration::from_secs(5 * 60);
/// "Expires immediately" still has to outlive the redirect that sets the cookie.
const MIN_TOKEN_LIFETIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_goes_over_application_over_login_for_tokens_and_login_over_application_for_sessions()
    {
        const S: fn(u64) -> Duration = Duration::from_secs;
        let day = 86_400;
        // Policy, application, all logins: token, session.
        for (policy, application, login, token, session) in [
            (None, None, None, day, day),
            (None, None, Some(3600), 3600, 3600),
            (None, Some(7200), None, 7200, 7200),
            (None, Some(7200), Some(3600), 7200, 3600),
            (Some(1800), None, None, 1800, day),
            (Some(1800), None, Some(3600), 1800, 3600),
            (Some(1800), Some(7200), None, 1800, 7200),
            (Some(1800), Some(7200), Some(3600), 1800, 3600),
            // One page at a time, and a session behind it.
            (Some(0), Some(7200), Some(3600), 10, 3600),
            (Some(0), None, None, 10, day),
            (None, Some(0), None, 10, 900),
            (None, Some(0), Some(3600), 10, 3600),
            (Some(1800), Some(0), None, 1800, 900),
            (Some(3), None, None, 10, day),
            (None, Some(60), None, 60, 900),
            (Some(365 * day), Some(400 * day), None, 31 * day, 31 * day),
        ] {
            let lifetimes = Lifetimes { session: login.map(S), ..Lifetimes::default() };
            let (policy, application) = (policy.map(S), application.map(S));
            let what = (policy, application, login);
            let made = lifetimes.token_lifetime(policy, application);
            assert_eq!(made.get(), S(token), "{what:?}");
            let chosen = policy.or(application);
            assert_eq!(made.expires_immediately(), chosen == Some(Duration::ZERO), "{what:?}");
            assert_eq!(lifetimes.session_duration(application), S(session), "{what:?}");
        }
    }

    #[test]
    fn tokens_are_renewed_at_half_of_their_life_or_a_quarter_of_the_idle_time() {
        const S: fn(u64) -> Duration = Duration::from_secs;
        let with_idle = |idle: Option<u64>| Lifetimes { session: None, idle: idle.map(S) };
        let (none, hour) = (with_idle(None), with_idle(Some(3600)));
        assert_eq!(none.renew_after(S(1000)), S(500));
        assert_eq!(hour.renew_after(S(86_400)), S(900));
        assert_eq!(hour.renew_after(S(600)), S(300));
        let day = none.token_lifetime(None, None);
        assert_eq!((none.bounded(day), hour.bounded(day)), (S(86_400), S(4500)));
        assert_eq!(hour.bounded(none.token_lifetime(None, Some(S(60)))), S(60));
        assert!(!none.is_idle(S(u64::MAX)));
        assert!(!hour.is_idle(S(4499)) && hour.is_idle(S(4500)));
        assert!(none.is_renewable(day, S(86_400)));
        assert!(!none.is_renewable(day, S(86_399)), "it ends with its session");
        assert!(hour.is_renewable(day, S(10)), "the session is seen all the same");
        let once = none.token_lifetime(Some(Duration::ZERO), None);
        assert!(!none.is_renewable(once, S(10)) && !hour.is_renewable(once, S(10)));
    }
}
