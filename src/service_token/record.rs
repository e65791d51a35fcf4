//! A service token as the store has it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ServiceToken;
use super::revoked::Fingerprint;
use crate::clock::{GoDuration, Timestamp};
use crate::secret::SecretHash;

/// How long a service token is good: a duration as Go writes it, or `forever`. A year when nothing
/// is said.
///
/// ```
/// use tower_access::service_token::ServiceTokenDuration;
///
/// assert_eq!(ServiceTokenDuration::default().to_string(), "8760h");
/// assert_eq!("forever".parse(), Ok(ServiceTokenDuration::Forever));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServiceTokenDuration {
    /// So long. Parts of a second are dropped.
    Limited(GoDuration),
    /// Until it is deleted or disabled.
    Forever,
}

impl ServiceTokenDuration {
    /// When a token ends that is good from now on.
    pub(super) fn end(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Limited(duration) => Some(now.plus(duration.get())),
            Self::Forever => None,
        }
    }
}

impl Default for ServiceTokenDuration {
    fn default() -> Self {
        Self::Limited(YEAR.into())
    }
}

impl From<Duration> for ServiceTokenDuration {
    fn from(duration: Duration) -> Self {
        Self::Limited(duration.into())
    }
}

/// `None` is for ever.
impl From<Option<Duration>> for ServiceTokenDuration {
    fn from(duration: Option<Duration>) -> Self {
        duration.map_or(Self::Forever, Self::from)
    }
}

impl FromStr for ServiceTokenDuration {
    type Err = ServiceTokenDurationError;

    fn from_str(text: &str) -> Result<Self, ServiceTokenDurationError> {
        match text {
            FOREVER => Ok(Self::Forever),
            text => text.parse().map(Self::Limited).map_err(|_| ServiceTokenDurationError),
        }
    }
}

impl fmt::Display for ServiceTokenDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limited(duration) => duration.fmt(f),
            Self::Forever => f.write_str(FOREVER),
        }
    }
}

impl Serialize for ServiceTokenDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ServiceTokenDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that says no time a service token could be good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no duration: write numbers with units, such as `8760h`, or `forever`")]
pub struct ServiceTokenDurationError;

/// What the store has of one token, as JSON. Moments are seconds since 1970.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Record {
    /// Of this description: another one is not read.
    format: u8,
    /// One more with every change.
    pub(super) version: u64,
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    pub(super) client_id: Box<str>,
    #[serde(serialize_with = "serialize_hash")]
    pub(super) secret: SecretHash,
    /// One more with every rotation.
    pub(super) secret_version: u64,
    pub(super) previous: Option<PreviousSecret>,
    pub(super) enabled: bool,
    pub(super) duration: ServiceTokenDuration,
    pub(super) created_at: u64,
    pub(super) updated_at: u64,
    pub(super) expires_at: Option<u64>,
}

/// The secret before a rotation.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct PreviousSecret {
    #[serde(serialize_with = "serialize_hash")]
    pub(super) secret: SecretHash,
    /// It is good before this moment.
    pub(super) until: u64,
}

/// What a new token is called.
pub(super) struct Names {
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    pub(super) client_id: Box<str>,
}

impl Record {
    /// A token that was not there before.
    pub(super) fn new(
        Names { id, name, client_id }: Names,
        secret: SecretHash,
        duration: ServiceTokenDuration,
        now: Timestamp,
    ) -> Self {
        Self {
            format: FORMAT,
            version: 1,
            id,
            name,
            client_id,
            secret,
            secret_version: 1,
            previous: None,
            enabled: true,
            duration,
            created_at: now.as_unix_seconds(),
            updated_at: now.as_unix_seconds(),
            expires_at: duration.end(now).map(Timestamp::as_unix_seconds),
        }
    }

    /// A record of another format, or under another id than its own, is none.
    pub(super) fn read(id: &str, bytes: &Bytes) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.format == FORMAT && *record.id == *id).then_some(record)
    }

    pub(super) fn write(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(self).map(Bytes::from)
    }

    /// Puts another secret in the place of the present one, which stays good for a while.
    pub(super) fn rotate(&mut self, secret: SecretHash, overlap: Duration, now: Timestamp) {
        let until = now.plus(overlap.min(MAX_OVERLAP)).as_unix_seconds();
        let present = std::mem::replace(&mut self.secret, secret);
        // What was switched off does not come back with a second secret.
        let stays = self.enabled && until > now.as_unix_seconds();
        self.previous = stays.then_some(PreviousSecret { secret: present, until });
        self.secret_version += 1;
    }

    /// Gives the token one more year from now on, unless it does not end at all.
    pub(super) fn refresh(&mut self, now: Timestamp) {
        if self.expires_at.is_some() {
            self.expires_at = Some(now.plus(YEAR).as_unix_seconds());
        }
    }

    /// Switches the token on or off; off, the secret before the present one is gone for good.
    pub(super) fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
        if !enabled {
            self.previous = None;
        }
    }

    pub(super) fn end(&self) -> Option<Timestamp> {
        self.expires_at.map(Timestamp::from_unix_seconds)
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(&self.client_id, &self.secret)
    }

    /// What no other token may be called.
    pub(super) fn names(&self) -> [&str; 3] {
        [&self.id, &self.name, &self.client_id]
    }

    /// The token, as it is where a file defines it.
    pub(super) fn token(&self) -> ServiceToken {
        let mut token =
            ServiceToken::new(self.name.clone(), self.client_id.clone(), self.secret.clone())
                .id(self.id.clone());
        token.enabled = self.enabled;
        token.expires_at = self.end();
        token
    }
}

fn serialize_hash<S: serde::Serializer>(
    hash: &SecretHash,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

const FORMAT: u8 = 1;
const FOREVER: &str = "forever";
const YEAR: Duration = Duration::from_secs(8_760 * 3_600);
/// Section 11: thirty days.
const MAX_OVERLAP: Duration = Duration::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn record(duration: ServiceTokenDuration) -> Record {
        let names = Names { id: "1".into(), name: "ci".into(), client_id: "a.access".into() };
        Record::new(names, SecretHash::new("one"), duration, NOW)
    }

    #[test]
    fn svc_08_a_record_holds_hashes_and_is_bound_to_its_id_and_format() {
        let mut record = record(ServiceTokenDuration::default());
        record.rotate(SecretHash::new("two"), DAY, NOW);
        let bytes = record.write().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text.matches("\"sha256:").count(), 2, "{text}");
        let read = Record::read("1", &bytes).unwrap();
        assert!(read.secret.matches("two") && read.previous.unwrap().secret.matches("one"));
        assert!(Record::read("2", &bytes).is_none());
        for other in [text.replace("\"format\":1", "\"format\":2"), "{}".to_owned(), String::new()]
        {
            assert!(Record::read("1", &other.into()).is_none());
        }
        assert!(!format!("{record:?}").contains("sha256"));
    }

    #[test]
    fn the_secret_before_stays_for_thirty_days_at_most_and_not_where_it_is_off() {
        let mut record = record(ServiceTokenDuration::Forever);
        record.rotate(SecretHash::new("two"), 90 * DAY, NOW);
        assert_eq!(record.previous.as_ref().unwrap().until, NOW.plus(30 * DAY).as_unix_seconds());
        record.rotate(SecretHash::new("three"), Duration::ZERO, NOW);
        assert!(record.previous.is_none());
        record.rotate(SecretHash::new("four"), DAY, NOW);
        record.set_enabled(false);
        assert!(record.previous.is_none());
        record.rotate(SecretHash::new("five"), DAY, NOW);
        record.set_enabled(true);
        assert!(record.previous.is_none() && record.secret.matches("five"));
        assert_eq!(record.secret_version, 5);
    }

    #[test]
    fn a_year_more_counts_from_now() {
        let mut limited = record(DAY.into());
        assert_eq!(limited.end(), Some(NOW.plus(DAY)));
        limited.refresh(NOW.plus(9 * DAY));
        assert_eq!(limited.end(), Some(NOW.plus(374 * DAY)));
        let mut endless = record(None.into());
        endless.refresh(NOW);
        assert_eq!(endless.end(), None);
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["8760h", "30m", "forever"] {
            assert_eq!(text.parse::<ServiceTokenDuration>().unwrap().to_string(), text);
        }
        for text in ["", "never", "1y", "-1h"] {
            assert!(text.parse::<ServiceTokenDuration>().is_err(), "{text}");
        }
    }
}
