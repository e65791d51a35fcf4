//! The stored record of a service token.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ServiceToken;
use super::revoked::Fingerprint;
use crate::clock::{GoDuration, Timestamp};
use crate::secret::SecretHash;

/// How long a service token is valid: a duration in Go's notation, or `forever`. Default: one year.
///
/// ```
/// use tower_access::service_token::ServiceTokenDuration;
///
/// assert_eq!(ServiceTokenDuration::default().to_string(), "8760h");
/// assert_eq!("forever".parse(), Ok(ServiceTokenDuration::Forever));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ServiceTokenDuration {
    /// For this long. Fractions of a second are dropped.
    Limited(GoDuration),
    /// Until it is deleted or disabled.
    Forever,
}

impl ServiceTokenDuration {
    /// Returns the end of a token that is valid from `now` on.
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

/// `None` means [`ServiceTokenDuration::Forever`].
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

/// The text is not a [`ServiceTokenDuration`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid duration; write numbers with units, such as `8760h`, or `forever`")]
#[non_exhaustive]
pub struct ServiceTokenDurationError;

/// The record of one token, stored as JSON. Times are in seconds since 1970.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Record {
    /// The record format: others are ignored.
    format: u8,
    /// Incremented with every change.
    pub(super) version: u64,
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    pub(super) client_id: Box<str>,
    #[serde(serialize_with = "serialize_hash")]
    pub(super) secret: SecretHash,
    /// Incremented with every rotation.
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
    /// It is valid before this time.
    pub(super) until: u64,
}

/// The names of a new token.
pub(super) struct Names {
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    pub(super) client_id: Box<str>,
}

impl Record {
    /// Creates the record of a new token.
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

    /// Parses a record. Returns `None` for another format, or if the id does not match.
    pub(super) fn read(id: &str, bytes: &Bytes) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.format == FORMAT && *record.id == *id).then_some(record)
    }

    pub(super) fn write(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(self).map(Bytes::from)
    }

    /// Replaces the secret; the previous one stays valid for `overlap`.
    pub(super) fn rotate(&mut self, secret: SecretHash, overlap: Duration, now: Timestamp) {
        let until = now.plus(overlap.min(MAX_OVERLAP)).as_unix_seconds();
        let present = std::mem::replace(&mut self.secret, secret);
        // A disabled token does not get a second valid secret.
        let stays = self.enabled && until > now.as_unix_seconds();
        self.previous = stays.then_some(PreviousSecret { secret: present, until });
        self.secret_version += 1;
    }

    /// Sets the end to one year from now, unless the token has no end.
    pub(super) fn refresh(&mut self, now: Timestamp) {
        if self.expires_at.is_some() {
            self.expires_at = Some(now.plus(YEAR).as_unix_seconds());
        }
    }

    /// Enables or disables the token. Disabling removes the previous secret permanently.
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

    /// Returns the names that no other token may have.
    pub(super) fn names(&self) -> [&str; 3] {
        [&self.id, &self.name, &self.client_id]
    }

    /// Returns the token in the form in which a file defines it.
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
