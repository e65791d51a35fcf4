//! The account at an identity provider, behind a session.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::secret::SecretText;

/// The account at an identity provider that a user logged in with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ProviderAccount {
    /// The user's id at the provider: a `sub`, the number of a GitHub user, a `NameID`.
    pub(crate) subject: Box<str>,
    /// The user's name, for display.
    pub(crate) name: Option<Box<str>>,
    /// The id of the session at the provider (`sid`, `SessionIndex`).
    pub(crate) session: Option<Box<str>>,
    /// Asks the provider again while the session lives.
    pub(crate) refresh_token: Option<SecretText>,
    /// The ID token, if the provider needs it to log the user out.
    pub(crate) id_token: Option<SecretText>,
}

/// The part of an account that the record of a session contains. Its tokens have
/// [records of their own](super::provider_tokens).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct SessionAccount {
    pub(crate) subject: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Box<str>>,
    /// The id of the session at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<Box<str>>,
    /// `None` if the provider is not asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh: Option<RefreshTimes>,
}

/// When the provider is asked again about a user, in seconds since 1970.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct RefreshTimes {
    /// When the provider was last asked with success.
    pub(crate) confirmed_at: u64,
    /// The time of the next question.
    pub(crate) due_at: u64,
    /// When the session ends unless the provider confirms it before.
    pub(crate) expires_at: u64,
}

impl SessionAccount {
    /// Takes over what the record of a session contains. Parts that are too long are dropped.
    ///
    /// # Errors
    ///
    /// If the id of the user is too long: nothing could end the session.
    pub(super) fn new(
        account: &ProviderAccount,
        refresh: Option<RefreshTimes>,
    ) -> Result<Self, SubjectTooLong> {
        if account.subject.len() > MAX_SUBJECT {
            return Err(SubjectTooLong);
        }
        let session = account.session.clone().filter(|id| id.len() <= MAX_SUBJECT);
        if account.session.is_some() && session.is_none() {
            tracing::warn!(
                max_bytes = MAX_SUBJECT,
                "the provider's id of a session is too long to be stored: a logout there ends all \
                 sessions of the user"
            );
        }
        Ok(Self { subject: account.subject.clone(), name: name(account), session, refresh })
    }

    /// Returns the account after the provider has confirmed it.
    pub(super) fn confirmed(&self, account: &ProviderAccount, times: RefreshTimes) -> Self {
        let name = name(account).or_else(|| self.name.clone());
        Self { name, refresh: Some(times), ..self.clone() }
    }
}

impl RefreshTimes {
    /// Returns the times after the provider has confirmed the user.
    pub(crate) fn confirmed(now: Timestamp, interval: Duration) -> Self {
        let interval = interval.max(MIN_INTERVAL);
        let longest = (4 * interval).max(MIN_AGE);
        Self {
            confirmed_at: now.as_unix_seconds(),
            due_at: now.plus(interval).as_unix_seconds(),
            expires_at: now.plus(longest).as_unix_seconds(),
        }
    }

    /// Returns the times after the provider has not responded: the pause grows from one minute to 15.
    pub(crate) fn postponed(self, now: Timestamp, interval: Duration) -> Self {
        let confirmed_at = Timestamp::from_unix_seconds(self.confirmed_at);
        let late = now.since(confirmed_at).saturating_sub(interval.max(MIN_INTERVAL));
        let pause = late.clamp(MIN_PAUSE, MAX_PAUSE);
        let due_at = now.plus(pause).as_unix_seconds().min(self.expires_at);
        Self { due_at, ..self }
    }

    /// Returns whether the session has ended because the provider was silent for too long.
    pub(crate) fn is_expired(self, now: Timestamp) -> bool {
        self.expires_at <= now.as_unix_seconds()
    }

    /// Returns whether the provider has to be asked.
    pub(crate) fn is_due(self, now: Timestamp) -> bool {
        self.due_at <= now.as_unix_seconds()
    }
}

fn name(account: &ProviderAccount) -> Option<Box<str>> {
    account.name.clone().filter(|name| name.len() <= MAX_NAME)
}

/// The error of a user's id that is too long.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the provider's id of the user is longer than {MAX_SUBJECT} bytes")]
pub(super) struct SubjectTooLong;

/// In bytes. OpenID Connect allows 255 characters in a `sub`.
const MAX_SUBJECT: usize = 1024;
const MAX_NAME: usize = 512;
/// No provider is asked more often about a user.
const MIN_INTERVAL: Duration = Duration::from_secs(60);
const MIN_PAUSE: Duration = Duration::from_secs(60);
const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);
/// What a provider has said counts at least as long while it does not respond: a short interval must
/// not turn a short outage into a logout of everybody.
const MIN_AGE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000).plus(Duration::from_secs(60 * minutes))
    }

    #[test]
    fn a_silent_provider_is_asked_again_after_growing_pauses_until_the_session_ends() {
        for (interval, longest) in [(1, 60), (10, 60), (30, 120), (240, 960)] {
            let interval = Duration::from_secs(60 * interval);
            let mut times = RefreshTimes::confirmed(at(0), interval);
            assert_eq!(times.due_at, at(0).plus(interval).as_unix_seconds());
            assert_eq!(times.expires_at, at(longest).as_unix_seconds());
            let (mut pauses, mut asked) = (Vec::new(), 0);
            loop {
                let now = Timestamp::from_unix_seconds(times.due_at);
                if times.is_expired(now) {
                    break;
                }
                assert!(times.is_due(now));
                times = times.postponed(now, interval);
                pauses.push(times.due_at - now.as_unix_seconds());
                asked += 1;
                assert!(!times.is_due(now) && asked < 100);
            }
            assert_eq!(pauses[0], 60);
            let last = pauses.len() - 1;
            assert!(pauses[..last].is_sorted(), "{pauses:?}");
            assert!(pauses.iter().all(|pause| *pause <= 900));
            assert!(pauses.iter().sum::<u64>() + interval.as_secs() == 60 * longest);
        }
    }

    #[test]
    fn proto_08_long_ids_are_not_stored() {
        let account = |length: usize| ProviderAccount {
            subject: "s".repeat(length).into(),
            session: Some("i".repeat(length).into()),
            name: Some("n".repeat(length).into()),
            ..ProviderAccount::default()
        };
        let stored = SessionAccount::new(&account(1024), None).unwrap();
        assert!(stored.session.is_some() && stored.name.is_none());
        assert!(SessionAccount::new(&account(1025), None).is_err());
        let long = ProviderAccount { subject: "s".into(), ..account(1025) };
        assert_eq!(SessionAccount::new(&long, None).unwrap().session, None);
    }
}
