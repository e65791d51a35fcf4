//! Creates, reads and ends sessions in the store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use crate::clock::Timestamp;
use crate::identity::{Attributes, Email, LoginMethod};
use crate::random::{Random, to_hex};
use crate::secret::{MasterSecret, SealError, sha256};
use crate::store::{Store, StoreError};
use crate::util::changes::Changes;
use crate::util::deferred::Deferred;

use super::account::{ProviderAccount, RefreshTimes, SessionAccount};
use super::attributes::{KnownAttributes, SessionAttributes};
use super::idle::IdleLimits;
use super::provider_tokens::{ProviderTokens, can_refresh};
use super::record::{Session, SessionLogin, user_id};
use super::{account_index, refresh_index};

/// The input for a new session.
#[derive(Debug)]
pub(crate) struct NewSession<'a> {
    pub(crate) email: Email,
    pub(crate) issuer: &'a str,
    pub(crate) login_method: LoginMethod,
    /// The attributes that the login method returned.
    pub(crate) attributes: Attributes,
    /// The account at the provider; `None` for a login method without accounts.
    pub(crate) account: Option<ProviderAccount>,
    /// How often the provider is asked again; `None` if never.
    pub(crate) refresh_interval: Option<Duration>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) browser: Option<String>,
    /// The session ends after this time without a request.
    pub(crate) max_idle: Option<Duration>,
}

/// The sessions of a deployment.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    pub(super) store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    pub(super) tokens: ProviderTokens,
    idle_limits: Arc<IdleLimits>,
    pub(super) attributes: Arc<SessionAttributes>,
    /// Makes open responses be judged again.
    pub(super) changes: Arc<Changes>,
}

impl Sessions {
    /// Creates the sessions of a store. The tokens of identity providers are sealed with the master
    /// secret.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        random: Arc<dyn Random>,
        master: &MasterSecret,
        changes: Arc<Changes>,
    ) -> Result<Self, SealError> {
        let seal = master.seal("tokens of identity providers")?;
        Ok(Self {
            tokens: ProviderTokens::new(Arc::clone(&store), Arc::clone(&random), seal),
            store,
            random,
            idle_limits: Arc::new(IdleLimits::new()),
            attributes: Arc::new(SessionAttributes::new()),
            changes,
        })
    }

    /// Returns whether an earlier idle limit has ended the session.
    pub(crate) fn is_expired_by_idle_limit(&self, session: &Session) -> bool {
        self.idle_limits.is_past_limit(session.seen_at())
    }

    /// Sets the idle limit. Sessions that ended under the previous limit stay ended. The limit is
    /// recorded in the store in the background.
    pub(crate) fn set_max_idle(&self, longest: Option<Duration>, now: Timestamp) {
        if !self.idle_limits.set(longest, now) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let sessions = self.clone();
        runtime.spawn(async move {
            if let Err(error) = sessions.sync_idle_limits(now).await {
                tracing::warn!(%error, "the idle limit could not be written to the store");
            }
        });
    }

    /// Reads what earlier idle limits have ended, and records the current limit.
    pub(crate) async fn sync_idle_limits(&self, now: Timestamp) -> Result<(), StoreError> {
        self.idle_limits.sync(&*self.store, now).await
    }

    /// Starts a session with a new random id.
    pub(crate) async fn start(
        &self,
        start: NewSession<'_>,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Session, StoreError> {
        let NewSession {
            email,
            issuer,
            login_method,
            attributes,
            account,
            refresh_interval,
            address,
            browser,
            max_idle,
        } = start;
        let mut id = [0; 12];
        self.random.fill(&mut id).map_err(StoreError::new)?;
        let id = URL_SAFE_NO_PAD.encode(id);
        let stored_account = match &account {
            Some(account) => {
                let interval = refresh_interval.filter(|_| can_refresh(account));
                let times = interval.map(|interval| RefreshTimes::confirmed(now, interval));
                Some(SessionAccount::new(account, times).map_err(StoreError::new)?)
            }
            None => None,
        };
        let session = Session {
            id,
            user_id: user_id(issuer, &email),
            email,
            login: SessionLogin::new(login_method, attributes, stored_account),
            started_at: now.as_unix_seconds(),
            ends_at: now.plus(lifetime).as_unix_seconds(),
            address,
            country: UNKNOWN_COUNTRY.to_owned(),
            last_seen: Some(now.as_unix_seconds()),
            idle_until: max_idle.map(|longest| now.plus(longest).as_unix_seconds()),
            browser,
        };
        let record = serde_json::to_vec(&session).map_err(StoreError::new)?;
        // Index first: a session that is not in the index could not be revoked.
        let person = user_key(&session.email);
        self.store.put_member(&person, &session.id, Bytes::new(), lifetime).await?;
        if let (Some(account), Some(stored)) = (&account, session.account()) {
            let of_method = (session.login_method(), stored);
            account_index::insert(&*self.store, of_method, &session.id, lifetime).await?;
            if let Some(times) = stored.refresh {
                let entry = (session.login_method(), times);
                refresh_index::put(&*self.store, &session.id, entry, lifetime).await?;
            }
            self.tokens.insert(&session.id, account, lifetime).await?;
        }
        self.store.put(&key(&session.id), record.into(), lifetime).await?;
        Ok(session)
    }

    /// Returns the user's live sessions, the latest first.
    pub(crate) async fn for_user(
        &self,
        email: &Email,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let mut sessions = Vec::new();
        for (id, _) in self.store.members(&user_key(email)).await? {
            let session = self.get(&id, now).await?;
            sessions.extend(session.filter(|session| session.email == *email));
        }
        sessions.sort_by_key(|session| std::cmp::Reverse(session.started_at));
        Ok(sessions)
    }

    /// Returns the session with this id, if it has not ended.
    pub(crate) async fn get(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let record = self.store.get(&key(id)).await?;
        Ok(record
            .and_then(|record| Session::read(id, &record))
            .filter(|session| now < session.end()))
    }

    /// Returns a live session that `counts` accepts, and records activity, at most once per `pause`.
    /// A session that ends meanwhile stays ended.
    pub(crate) async fn record_activity(
        &self,
        id: &str,
        now: Timestamp,
        (pause, max_idle): (Duration, Option<Duration>),
        counts: impl Fn(&Session) -> bool + Send,
    ) -> Result<Option<Session>, StoreError> {
        let key = key(id);
        let mut seen = None;
        for _ in 0..MAX_ATTEMPTS {
            let Some(record) = self.store.get(&key).await? else { return Ok(None) };
            let found = Session::read(id, &record).filter(|it| now < it.end() && counts(it));
            let Some(mut session) = found else { return Ok(None) };
            if now.since(session.seen_at()) < pause {
                return Ok(Some(session));
            }
            session.last_seen = Some(now.as_unix_seconds());
            session.idle_until = max_idle.map(|longest| now.plus(longest).as_unix_seconds());
            let value = serde_json::to_vec(&session).map_err(StoreError::new)?;
            let left = session.end().since(now);
            if self.store.replace(&key, &record, value.into(), left).await? {
                return Ok(Some(session));
            }
            // Another process has recorded activity, or has ended the session.
            seen = Some(session);
        }
        Ok(seen)
    }

    /// Returns the attributes of a session, for requests with its tokens. On `Err`, wait and call
    /// again. `None`: unknown, or the session of another user.
    pub(crate) fn attributes(
        &self,
        id: &str,
        email: &Email,
        now: Timestamp,
        may_wait: bool,
    ) -> Result<Option<KnownAttributes>, Deferred> {
        let read = || {
            let (sessions, id) = (self.clone(), id.to_owned());
            async move { sessions.get(&id, now).await }
        };
        let changes = Arc::clone(&self.changes);
        self.attributes.look_up((id, email), now, may_wait, read, move || changes.notify())
    }

    /// Returns the attributes of a session whose record was just read.
    pub(crate) fn attributes_of(&self, session: &Session, now: Timestamp) -> KnownAttributes {
        self.attributes.of(session, now)
    }

    /// Removes the session with this id, and returns it.
    pub(crate) async fn end(&self, id: &str) -> Result<Option<Session>, StoreError> {
        let record = self.store.take(&key(id)).await?;
        let session = record.and_then(|record| Session::read(id, &record));
        if let Some(session) = &session {
            self.store.take_member(&user_key(&session.email), id).await?;
            if let Some(account) = session.account() {
                self.tokens.remove(id).await?;
                let of_method = (session.login_method(), account);
                account_index::remove(&*self.store, of_method, id).await?;
                refresh_index::remove(&*self.store, id).await?;
            }
        }
        Ok(session)
    }
}

pub(super) fn key(id: &str) -> String {
    format!("session/{id}")
}

/// Returns the key of a user's set of sessions. Hashed, so that the store does not show the address.
fn user_key(email: &Email) -> String {
    format!("person/{}", to_hex(&sha256(email.as_str().as_bytes())))
}

/// If several requests record activity at once, one write is enough.
const MAX_ATTEMPTS: u32 = 3;
/// ISO 3166-1 leaves `XX` to its users; programs refuse a token without a country.
const UNKNOWN_COUNTRY: &str = "XX";
