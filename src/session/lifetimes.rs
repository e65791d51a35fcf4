//! How long sessions and tokens live: section 13.1 of the contract.

use std::time::Duration;

use crate::application::MAX_SESSION_DURATION;

/// What a deployment says for all applications.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lifetimes {
    /// How long a login lasts, whatever the application says.
    pub(crate) session: Option<Duration>,
    /// How long a session lives without a request.
    pub(crate) idle: Option<Duration>,
}

impl Lifetimes {
    /// How long an application token lives: as its policy says, else its application, else as long
    /// as a login lasts.
    pub(crate) fn token_lifetime(
        self,
        policy: Option<Duration>,
        application: Option<Duration>,
    ) -> TokenLifetime {
        let chosen = policy.or(application).or(self.session).unwrap_or(DEFAULT);
        TokenLifetime(chosen.min(MAX_SESSION_DURATION))
    }

    /// How long a token that lives so long is used before a request renews it.
    pub(crate) fn renew_after(self, life: Duration) -> Duration {
        let half = life / 2;
        self.idle.map_or(half, |idle| half.min(idle / 4))
    }

    /// Whether a token that lives so long is worth renewing, where a new one is to have this
    /// lifetime. A shorter one ends with its session.
    pub(crate) fn is_renewable(self, lifetime: TokenLifetime, life: Duration) -> bool {
        let full = Duration::from_secs(self.bounded(lifetime).as_secs());
        !lifetime.expires_immediately() && (self.idle.is_some() || life >= full)
    }

    /// From when a token is made until it ends, if its session does not end before.
    pub(crate) fn bounded(self, lifetime: TokenLifetime) -> Duration {
        let life = lifetime.get();
        self.max_idle().map_or(life, |longest| life.min(longest))
    }

    /// Whether a session has ended that was seen last so long ago.
    pub(crate) fn is_idle(self, unseen_for: Duration) -> bool {
        self.max_idle().is_some_and(|longest| longest <= unseen_for)
    }

    /// What is seen is written down after a quarter of the idle time: that is how much later than
    /// it says a session may end.
    pub(crate) fn max_idle(self) -> Option<Duration> {
        self.idle.map(|idle| idle + idle / 4)
    }

    /// How long the session lasts that a login for an application begins. An application whose
    /// tokens end at once still has a session that renews them.
    pub(crate) fn session_duration(self, application: Option<Duration>) -> Duration {
        let chosen = self.session.or(application).unwrap_or(DEFAULT);
        chosen.clamp(MIN_SESSION, MAX_SESSION_DURATION)
    }
}

/// How long an application token is to live, if its session does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TokenLifetime(Duration);

impl TokenLifetime {
    /// Whether every page is to go through the login anew: such a token is for one page.
    pub(crate) fn expires_immediately(self) -> bool {
        self.0.is_zero()
    }

    /// From when the token is made until it ends, if nothing else says sooner.
    pub(crate) fn get(self) -> Duration {
        self.0.max(MIN_TOKEN_LIFETIME)
    }
}

/// Where nobody says anything.
const DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// The shortest global session of the contract.
pub(crate) const MIN_SESSION: Duration = Duration::from_secs(15 * 60);
/// The bounds of an idle timeout.
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
