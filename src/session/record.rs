//! The record of one login.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::clock::Timestamp;
use crate::facts::Person;
use crate::identity::Email;
use crate::random::{Random, to_hex};
use crate::secret::sha256;
use crate::store::{Store, StoreError};

use super::idle::IdleEnds;

/// A person's login, as the store has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Session {
    /// What its tokens carry as `identity_nonce`.
    pub(crate) id: String,
    /// The verified address.
    pub(crate) email: Email,
    /// A UUID, the same for every login with this address under one issuer.
    pub(crate) user_id: String,
    /// How the person logged in: the id of the login method.
    pub(crate) login_method: String,
    /// When, in seconds since 1970.
    pub(crate) started_at: u64,
    /// When it ends at the latest.
    pub(crate) ends_at: u64,
    /// From which address; `None` when it is unknown.
    pub(crate) address: Option<IpAddr>,
    /// From which country, `XX` when it is unknown.
    pub(crate) country: String,
    /// When a request of the person's was noticed last; `None` in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_seen: Option<u64>,
    /// When it ends if no further request is noticed, as it was configured at the last one; `None`
    /// where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idle_until: Option<u64>,
    /// The browser, in a few words of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) browser: Option<String>,
}

impl Session {
    /// Whether no request was noticed for too long, as far as the session says so itself.
    pub(crate) fn is_idle(&self, now: Timestamp) -> bool {
        self.idle_until.is_some_and(|end| end <= now.as_unix_seconds())
    }

    /// When the session ends at the latest.
    pub(crate) fn end(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.ends_at)
    }

    /// When a request of the person's was noticed last.
    pub(crate) fn seen_at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.last_seen.unwrap_or(self.started_at))
    }

    /// Whose login it is.
    pub(crate) fn person(&self) -> Person<'_> {
        Person { email: Some(&self.email), user_id: Some(&self.user_id) }
    }
}

/// Who begins a session, and how.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) email: Email,
    pub(crate) issuer: &'a str,
    pub(crate) login_method: &'a str,
    pub(crate) address: Option<IpAddr>,
    pub(crate) browser: Option<String>,
    /// How long the session lives without a request.
    pub(crate) longest_idle: Option<Duration>,
}

/// The sessions of a deployment.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    idle_ends: Arc<IdleEnds>,
}

impl Sessions {
    pub(crate) fn new(store: Arc<dyn Store>, random: Arc<dyn Random>) -> Self {
        Self { store, random, idle_ends: Arc::new(IdleEnds::new()) }
    }

    /// Whether a session ended for want of requests under an idle limit that was in force before.
    pub(crate) fn has_idled_out(&self, session: &Session) -> bool {
        self.idle_ends.cover(session.seen_at())
    }

    /// From now on sessions live so long without a request. What ended under the limit before stays
    /// ended; recorded in the store as soon as it can be written.
    pub(crate) fn set_longest_idle(&self, longest: Option<Duration>, now: Timestamp) {
        if !self.idle_ends.set(longest, now) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let sessions = self.clone();
        runtime.spawn(async move {
            if let Err(error) = sessions.sync_idle_ends(now).await {
                tracing::warn!(%error, "the idle limit in force is not recorded");
            }
        });
    }

    /// Takes over what earlier idle limits have ended, and records the one in force.
    pub(crate) async fn sync_idle_ends(&self, now: Timestamp) -> Result<(), StoreError> {
        self.idle_ends.sync(&*self.store, now).await
    }

    /// Starts a session under an id of its own.
    pub(crate) async fn start(
        &self,
        start: Start<'_>,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Session, StoreError> {
        let Start { email, issuer, login_method, address, browser, longest_idle } = start;
        let mut id = [0; 12];
        self.random.fill(&mut id).map_err(StoreError::new)?;
        let session = Session {
            id: URL_SAFE_NO_PAD.encode(id),
            user_id: user_id(issuer, &email),
            email,
            login_method: login_method.to_owned(),
            started_at: now.as_unix_seconds(),
            ends_at: now.plus(lifetime).as_unix_seconds(),
            address,
            country: UNKNOWN_COUNTRY.to_owned(),
            last_seen: Some(now.as_unix_seconds()),
            idle_until: longest_idle.map(|longest| now.plus(longest).as_unix_seconds()),
            browser,
        };
        let record = serde_json::to_vec(&session).map_err(StoreError::new)?;
        // Found before it is there: what cannot be found could not be ended.
        let person = person_key(&session.email);
        self.store.put_member(&person, &session.id, Bytes::new(), lifetime).await?;
        self.store.put(&key(&session.id), record.into(), lifetime).await?;
        Ok(session)
    }

    /// The sessions of a person that have not ended, the latest first.
    pub(crate) async fn of(
        &self,
        email: &Email,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let mut sessions = Vec::new();
        for (id, _) in self.store.members(&person_key(email)).await? {
            let session = self.get(&id, now).await?;
            sessions.extend(session.filter(|session| session.email == *email));
        }
        sessions.sort_by_key(|session| std::cmp::Reverse(session.started_at));
        Ok(sessions)
    }

    /// The session with this id, if it has not ended.
    pub(crate) async fn get(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let record = self.store.get(&key(id)).await?;
        Ok(record.and_then(|record| read(id, &record)).filter(|session| now < session.end()))
    }

    /// The session with this id, if it has not ended and counts, for a person who is there now: that
    /// is written down, unless it was less than `pause` ago. What has ended meanwhile stays ended.
    pub(crate) async fn seen(
        &self,
        id: &str,
        now: Timestamp,
        (pause, longest_idle): (Duration, Option<Duration>),
        counts: impl Fn(&Session) -> bool + Send,
    ) -> Result<Option<Session>, StoreError> {
        let key = key(id);
        let mut seen = None;
        for _ in 0..MOST_ATTEMPTS {
            let Some(record) = self.store.get(&key).await? else { return Ok(None) };
            let found = read(id, &record).filter(|it| now < it.end() && counts(it));
            let Some(mut session) = found else { return Ok(None) };
            if now.since(session.seen_at()) < pause {
                return Ok(Some(session));
            }
            session.last_seen = Some(now.as_unix_seconds());
            session.idle_until = longest_idle.map(|longest| now.plus(longest).as_unix_seconds());
            let value = serde_json::to_vec(&session).map_err(StoreError::new)?;
            let left = session.end().since(now);
            if self.store.replace(&key, &record, value.into(), left).await? {
                return Ok(Some(session));
            }
            // Somebody else has seen the person, or ended the session.
            seen = Some(session);
        }
        Ok(seen)
    }

    /// Ends the session with this id.
    pub(crate) async fn end(&self, id: &str) -> Result<Option<Session>, StoreError> {
        let record = self.store.take(&key(id)).await?;
        let session = record.and_then(|record| read(id, &record));
        if let Some(session) = &session {
            self.store.take_member(&person_key(&session.email), id).await?;
        }
        Ok(session)
    }
}

fn key(id: &str) -> String {
    format!("session/{id}")
}

/// The set of a person's sessions. The address is not for whoever looks into the store.
fn person_key(email: &Email) -> String {
    format!("person/{}", to_hex(&sha256(email.as_str().as_bytes())))
}

/// A record of another version, or under another id than its own, is no session.
fn read(id: &str, record: &Bytes) -> Option<Session> {
    serde_json::from_slice::<Session>(record).ok().filter(|session| session.id == id)
}

/// A UUID (RFC 9562, version 5) made from issuer and address: one person, one id. Nothing depends
/// on its being hard to guess.
fn user_id(issuer: &str, email: &Email) -> String {
    let name = format!("{issuer}/cdn-cgi/access/users/{email}");
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(Uuid::NAMESPACE_URL.as_bytes());
    context.update(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(context.finish().as_ref()).for_each(|(byte, hash)| *byte = *hash);
    Builder::from_sha1_bytes(bytes).into_uuid().to_string()
}

/// Of those that write down that they have seen a person at once, one is enough.
const MOST_ATTEMPTS: u32 = 3;
/// ISO 3166-1 leaves `XX` to its users; programs refuse a token without a country.
const UNKNOWN_COUNTRY: &str = "XX";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_one_uuid_under_one_issuer() {
        let ada: Email = "ada@example.com".parse().unwrap();
        let id = user_id("https://a.example", &ada);
        assert_eq!(id, user_id("https://a.example", &ada));
        assert_ne!(id, user_id("https://b.example", &ada));
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "5");
        assert!("89ab".contains(&id[19..20]));
    }

    /// Cookies and tokens in use carry it: an update changes nobody's id.
    #[test]
    fn the_uuid_of_a_person_stays_the_same() {
        for (issuer, email, id) in [
            ("https://team.example.com", "ada@example.com", "771b3820-426b-5564-9216-94af8981624e"),
            (
                "https://login.example:8443",
                "Grace.Hopper@navy.example",
                "847d8be5-4c4f-54d6-b6af-22acf938c77f",
            ),
        ] {
            assert_eq!(user_id(issuer, &email.parse().unwrap()), id, "{email}");
        }
    }

    #[test]
    fn ses_16_ses_25_a_record_is_bound_to_its_id_and_its_version() {
        assert!(read("a", &Bytes::from_static(b"{}")).is_none());
        assert!(read("a", &Bytes::from_static(b"garbage")).is_none());
        let session = r#"{"id":"a","email":"a@b.example","user_id":"u","login_method":"onetimepin",
            "started_at":1,"ends_at":2,"address":null,"country":"XX"}"#;
        assert!(read("a", &Bytes::from_static(session.as_bytes())).is_some());
        assert!(read("b", &Bytes::from_static(session.as_bytes())).is_none());
    }
}
