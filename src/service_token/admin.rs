//! Administration of service tokens at run time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use uuid::Builder;

use super::record::{Names, Record, ServiceTokenDuration};
use super::revoked::{Reason, RevokedSecret};
use super::stored::{CHANNEL, INDEX, MAX_ATTEMPTS, STORED_FOR, StoredTokens, key, member};
use super::{LiveServiceTokens, ServiceTokenSecret, TokenEntry};
use crate::audit::{self, Event, EventKind};
use crate::clock::Timestamp;
use crate::random::{Random, RandomUnavailable, hex, to_hex};
use crate::secret::{SecretHash, sha256};
use crate::store::{ReloadCause, StoreError, StoreMirror};

/// Creates, changes and deletes the service tokens of the store, and lists them with those of the file.
/// From [`Access::service_tokens`](crate::Access::service_tokens).
///
/// When a method returns, the change is in the store and in force in this process; every other process
/// that shares the store applies it within a second. Policies decide what a token may access: rules
/// `service_token` refer to it by its id, its name or its client id. Names and ids are unique over the
/// store and the file. The limit is 1,000 tokens.
///
/// The methods do not check permissions: the caller does.
#[derive(Clone, Debug)]
pub struct ServiceTokenAdmin {
    tokens: Arc<LiveServiceTokens>,
}

/// A service token, without its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServiceTokenRecord {
    /// The id, for policies and for the methods of [`ServiceTokenAdmin`].
    pub id: Box<str>,
    /// The name.
    pub name: Box<str>,
    /// The client id: the public half of the credential.
    pub client_id: Box<str>,
    /// Whether it is enabled.
    pub enabled: bool,
    /// It is valid before this time; `None`: without an end.
    pub expires_at: Option<Timestamp>,
    /// The duration it was created with; `None` if the file defines it.
    pub duration: Option<ServiceTokenDuration>,
    /// The number of its secrets so far, starting at 1; `None` if the file defines it.
    pub secret_version: Option<u64>,
    /// The previous secret is valid before this time; `None`: not valid.
    pub previous_secret_until: Option<Timestamp>,
    /// When it was created; `None` if the file defines it.
    pub created_at: Option<Timestamp>,
    /// When it was last changed; `None` if the file defines it.
    pub updated_at: Option<Timestamp>,
    /// When it was last used, to the minute; `None` if unknown. Only [`ServiceTokenAdmin::list`] sets
    /// it.
    pub last_used: Option<Timestamp>,
    /// Whether the file defines it. Such a token can only be changed in the file.
    pub is_in_file: bool,
    /// Whether another token with its id, name or client id is in force instead: one of the file, or an
    /// earlier one of the store.
    pub is_shadowed: bool,
}

/// The result of the methods of [`ServiceTokenAdmin`].
type Result<T> = std::result::Result<T, ServiceTokenAdminError>;

impl ServiceTokenAdmin {
    pub(crate) fn new(tokens: &Arc<LiveServiceTokens>) -> Self {
        Self { tokens: Arc::clone(tokens) }
    }

    /// Creates a token. Returns its secret, which is shown only once: the store has its hash.
    ///
    /// The name, for users and policies, has 1 to 200 characters and no control characters.
    ///
    /// # Errors
    ///
    /// If another token has this name or id, the name is invalid, there are already 1,000 tokens, or the
    /// store is unavailable. No token is created then.
    pub async fn create(
        &self,
        name: &str,
        duration: impl Into<ServiceTokenDuration>,
    ) -> Result<(ServiceTokenRecord, ServiceTokenSecret)> {
        let (stored, duration) = (self.stored()?, duration.into());
        let secret = ServiceTokenSecret::generate(&*stored.random)?;
        let id = random_uuid(&*stored.random)?;
        let client_id = format!("{}.access", hex::<16>(&*stored.random)?);
        let names = Names { id: id.into(), name: name.into(), client_id: client_id.into() };
        let (now, hash) = (stored.clock.now(), SecretHash::new(secret.reveal()));
        let record = Record::new(names, hash, duration, now);
        with_reserved_name(stored, name, async {
            check_names(stored, &record).await?;
            let bytes = record.write().map_err(StoreError::new)?;
            stored.store.put_member(INDEX, &record.id, Bytes::new(), STORED_FOR).await?;
            if !stored.store.insert(&key(&record.id), bytes, STORED_FOR).await? {
                return Err(Kind::Duplicate.into());
            }
            Ok(())
        })
        .await?;
        self.tokens.adopt(stored, record.clone(), true);
        if let Err(error) = stored.store.notify(CHANNEL).await {
            // Nobody has its secret.
            self.tokens.forget(stored, &record.id);
            let _ = stored.delete(&record.id).await;
            return Err(error.into());
        }
        report_change(&record, "made");
        Ok((self.describe(&record), secret))
    }

    /// Returns all tokens, of the store and of the file, by name, with their last use.
    ///
    /// # Errors
    ///
    /// If the store is unavailable.
    pub async fn list(&self) -> Result<Vec<ServiceTokenRecord>> {
        let stored = self.stored()?;
        let records = stored.read_all().await?;
        let uses = stored.read_uses().await?;
        let table = self.tokens.table.load_full();
        let last_used = |client_id: &str| {
            let here = table.entry(client_id).and_then(|known| known.usage.last());
            here.max(uses.get(&member(client_id)).copied())
        };
        let stored_records = records.values().map(|record| self.describe(record));
        let file_record = stored.in_file.all().map(|known| file_record(known));
        let mut all: Vec<ServiceTokenRecord> = stored_records.chain(file_record).collect();
        for token in &mut all {
            token.last_used = last_used(&token.client_id);
        }
        all.sort_by(|one, two| (&one.name, &one.id).cmp(&(&two.name, &two.id)));
        Ok(all)
    }

    /// Rotates the secret of a token. The previous secret stays valid for `overlap`: 30 days at most,
    /// longer values are clamped. If `overlap` is zero or the token is disabled, it becomes invalid
    /// immediately. A still older secret becomes invalid.
    ///
    /// Cookies that were exchanged for a secret are valid while the token is. To revoke them as well,
    /// delete the token.
    ///
    /// # Errors
    ///
    /// If the store has no such token, or is unavailable.
    pub async fn rotate(
        &self,
        id: &str,
        overlap: Duration,
    ) -> Result<(ServiceTokenRecord, ServiceTokenSecret)> {
        let stored = self.stored()?;
        let secret = ServiceTokenSecret::generate(&*stored.random)?;
        let hash = SecretHash::new(secret.reveal());
        let replaced = Mutex::new(None);
        let change = |record: &mut Record, now| {
            *replaced.lock().unwrap_or_else(PoisonError::into_inner) = Some(record.fingerprint());
            record.rotate(hash.clone(), overlap, now);
        };
        let record = self.change(stored, id, "given another secret", change).await?;
        let replaced = replaced.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(fingerprint) = replaced {
            // The previous secret is valid for its overlap only, and never again as a current one.
            let now = stored.clock.now();
            let revoked = RevokedSecret::new(&record.client_id, now, Reason::Rotated);
            stored.state().revoke(fingerprint, revoked);
            stored.write_revoked().await?;
        }
        Ok((record, secret))
    }

    /// Sets the end of a token to one year from now. A token without an end stays as it is.
    ///
    /// # Errors
    ///
    /// If the store has no such token, or is unavailable.
    pub async fn refresh(&self, id: &str) -> Result<ServiceTokenRecord> {
        self.change(self.stored()?, id, "prolonged", Record::refresh).await
    }

    /// Disables a token, and the cookies it was exchanged for: immediately in this process. A previous
    /// secret is removed permanently.
    ///
    /// # Errors
    ///
    /// If the store has no such token, or is unavailable.
    pub async fn disable(&self, id: &str) -> Result<ServiceTokenRecord> {
        let change = |record: &mut Record, _| record.set_enabled(false);
        self.change(self.stored()?, id, "switched off", change).await
    }

    /// Enables a token again.
    ///
    /// # Errors
    ///
    /// If the store has no such token, or is unavailable.
    pub async fn enable(&self, id: &str) -> Result<ServiceTokenRecord> {
        let change = |record: &mut Record, _| record.set_enabled(true);
        self.change(self.stored()?, id, "switched on", change).await
    }

    /// Renames a token. Rules that refer to the previous name no longer match it.
    ///
    /// # Errors
    ///
    /// If the store has no such token, another token has the name, the name is invalid, or the store is
    /// unavailable.
    pub async fn rename(&self, id: &str, name: &str) -> Result<ServiceTokenRecord> {
        let stored = self.stored()?;
        with_reserved_name(stored, name, async {
            let Some((_, mut record)) = stored.read(checked_id(stored, id)?).await? else {
                return Err(missing(stored, id));
            };
            record.name = name.into();
            check_names(stored, &record).await?;
            self.change(stored, id, "renamed", |record, _| record.name = name.into()).await
        })
        .await
    }

    /// Deletes a token, and revokes the cookies it was exchanged for: immediately in this process.
    ///
    /// # Errors
    ///
    /// If the store has no such token, or is unavailable.
    pub async fn delete(&self, id: &str) -> Result<()> {
        let stored = self.stored()?;
        if let Some((_, record)) = stored.read(checked_id(stored, id)?).await? {
            // First: whatever happens after this, the secret never becomes valid again.
            let now = stored.clock.now();
            let revoked = RevokedSecret::new(&record.client_id, now, Reason::Deleted);
            stored.write_one_revoked(&record.fingerprint(), &revoked).await?;
            stored.state().revoked.add(record.fingerprint(), revoked);
        }
        if !stored.delete(id).await? {
            return Err(missing(stored, id));
        }
        self.tokens.forget(stored, id);
        audit::record(&Event::new(EventKind::ServiceTokenDeleted { id }));
        Ok(stored.store.notify(CHANNEL).await?)
    }

    /// Reads the store's tokens now. Each process does so by itself at startup and after every change.
    /// Await this before the first request if machines must be admitted from then on.
    ///
    /// # Errors
    ///
    /// If the store is unavailable: known tokens stay in force.
    pub async fn load(&self) -> Result<()> {
        self.stored()?;
        Ok(self.tokens.reload(ReloadCause::Unknown).await?)
    }

    fn stored(&self) -> Result<&StoredTokens> {
        self.tokens.follow_store();
        self.tokens.stored.as_ref().ok_or_else(|| Kind::NotIssuing.into())
    }

    /// Changes a record with compare-and-set, and retries after concurrent changes.
    async fn change(
        &self,
        stored: &StoredTokens,
        id: &str,
        what: &'static str,
        change: impl Fn(&mut Record, Timestamp),
    ) -> Result<ServiceTokenRecord> {
        for _ in 0..MAX_ATTEMPTS {
            let Some((present, mut record)) = stored.read(checked_id(stored, id)?).await? else {
                return Err(missing(stored, id));
            };
            let now = stored.clock.now();
            change(&mut record, now);
            record.version += 1;
            record.updated_at = now.as_unix_seconds();
            let bytes = record.write().map_err(StoreError::new)?;
            if stored.store.replace(&key(id), &present, bytes, STORED_FOR).await? {
                self.tokens.adopt(stored, record.clone(), false);
                report_change(&record, what);
                stored.store.notify(CHANNEL).await?;
                return Ok(self.describe(&record));
            }
        }
        Err(StoreError::new("other processes keep changing this service token; try again").into())
    }

    fn describe(&self, record: &Record) -> ServiceTokenRecord {
        let table = self.tokens.table.load();
        let in_force = table.entry(&record.client_id);
        let moment = Timestamp::from_unix_seconds;
        ServiceTokenRecord {
            id: record.id.clone(),
            name: record.name.clone(),
            client_id: record.client_id.clone(),
            enabled: record.enabled,
            expires_at: record.end(),
            duration: Some(record.duration),
            secret_version: Some(record.secret_version),
            previous_secret_until: record.previous.as_ref().map(|previous| moment(previous.until)),
            created_at: Some(moment(record.created_at)),
            updated_at: Some(moment(record.updated_at)),
            last_used: None,
            is_in_file: false,
            is_shadowed: in_force.is_none_or(|known| *known.token.token_id() != *record.id),
        }
    }
}

fn file_record(known: &TokenEntry) -> ServiceTokenRecord {
    let token = &known.token;
    ServiceTokenRecord {
        id: token.token_id().into(),
        name: token.name.clone(),
        client_id: token.client_id.clone(),
        enabled: token.enabled,
        expires_at: token.expires_at,
        duration: None,
        secret_version: None,
        previous_secret_until: None,
        created_at: None,
        updated_at: None,
        last_used: None,
        is_in_file: true,
        is_shadowed: false,
    }
}

/// Runs while the name is reserved for this process.
async fn with_reserved_name<T>(
    stored: &StoredTokens,
    name: &str,
    run: impl Future<Output = Result<T>>,
) -> Result<T> {
    let length = name.chars().count();
    if !(1..=MAX_NAME_CHARS).contains(&length) || name.chars().any(char::is_control) {
        return Err(Kind::InvalidName.into());
    }
    let reservation = format!("service-token-name/{}", to_hex(&sha256(name.as_bytes())));
    if !stored.store.insert(&reservation, Bytes::new(), RESERVED_FOR).await? {
        return Err(Kind::Duplicate.into());
    }
    let done = run.await;
    if let Err(error) = stored.store.take(&reservation).await {
        tracing::warn!(%error, "the reservation of a service token name could not be removed; it expires in a minute");
    }
    done
}

/// Checks that no other token has one of this token's names.
async fn check_names(stored: &StoredTokens, record: &Record) -> Result<()> {
    let others = stored.read_all().await?;
    if others.len() >= MAX_TOKENS && !others.contains_key(&record.id) {
        return Err(Kind::Full.into());
    }
    let is_taken = |name: &str| {
        let mut others = others.values().filter(|other| other.id != record.id);
        stored.in_file.has_name(name) || others.any(|other| other.names().contains(&name))
    };
    if record.names().into_iter().any(is_taken) { Err(Kind::Duplicate.into()) } else { Ok(()) }
}

fn report_change(record: &Record, what: &'static str) {
    let (id, name, client_id) = (&record.id, &record.name, &record.client_id);
    audit::record(&Event::new(EventKind::ServiceTokenChanged { id, name, client_id, what }));
}

/// Returns the error for a token that is not in the store.
fn missing(stored: &StoredTokens, id: &str) -> ServiceTokenAdminError {
    if stored.in_file.has_name(id) { Kind::InFile.into() } else { Kind::NotFound.into() }
}

/// Checks that an id can be part of a store key. No stored token has any other id.
fn checked_id<'a>(stored: &StoredTokens, id: &'a str) -> Result<&'a str> {
    let is_valid = (1..=MAX_ID_BYTES).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if is_valid { Ok(id) } else { Err(missing(stored, id)) }
}

/// Returns a random UUID (RFC 9562, version 4).
fn random_uuid(random: &dyn Random) -> Result<String> {
    let mut bytes = [0; 16];
    random.fill(&mut bytes)?;
    Ok(Builder::from_random_bytes(bytes).into_uuid().to_string())
}

/// An operation on a service token failed.
#[derive(Debug, thiserror::Error)]
#[error("{kind}{}", cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
pub struct ServiceTokenAdminError {
    kind: Kind,
    #[source]
    cause: Option<StoreError>,
}

impl ServiceTokenAdminError {
    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ServiceTokenAdminErrorKind {
        self.kind
    }
}

use ServiceTokenAdminErrorKind as Kind;

/// The kinds of [`ServiceTokenAdminError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ServiceTokenAdminErrorKind {
    /// The token does not exist.
    NotFound,
    /// The file defines the token.
    InFile,
    /// Another token has this name or id, or is being created with it.
    Duplicate,
    /// The name is empty, too long, or has control characters.
    InvalidName,
    /// The limit of 1,000 tokens is reached.
    Full,
    /// The store is unavailable, or other processes keep changing the token. The change may be in the
    /// store: read it again.
    Store,
    /// The random number generator failed.
    Randomness,
    /// This engine only verifies; the issuer manages the tokens.
    NotIssuing,
}

impl fmt::Display for ServiceTokenAdminErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "the service token does not exist",
            Self::InFile => "the service token is defined in the file; change it there",
            Self::Duplicate => "another service token has this name or id",
            Self::InvalidName => {
                "invalid service token name; write 1 to 200 characters, without control characters"
            }
            Self::Full => "the limit of 1,000 service tokens is reached; delete one first",
            Self::Store => "the service token could not be read or written",
            Self::Randomness => "the random number generator failed",
            Self::NotIssuing => "this engine only verifies; manage service tokens at the issuer",
        })
    }
}

impl From<Kind> for ServiceTokenAdminError {
    fn from(kind: Kind) -> Self {
        Self { kind, cause: None }
    }
}

impl From<StoreError> for ServiceTokenAdminError {
    fn from(error: StoreError) -> Self {
        Self { kind: Kind::Store, cause: Some(error) }
    }
}

impl From<RandomUnavailable> for ServiceTokenAdminError {
    fn from(_: RandomUnavailable) -> Self {
        Kind::Randomness.into()
    }
}

const MAX_NAME_CHARS: usize = 200;
const MAX_ID_BYTES: usize = 100;
const MAX_TOKENS: usize = 1_000;
const RESERVED_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Countdown;

    impl Random for Countdown {
        fn fill(&self, bytes: &mut [u8]) -> std::result::Result<(), RandomUnavailable> {
            (0..=15).rev().zip(bytes).for_each(|(digit, byte)| *byte = digit * 0x11);
            Ok(())
        }
    }

    #[test]
    fn an_id_has_all_random_bits_but_version_and_variant() {
        let id = random_uuid(&Countdown).unwrap();
        assert_eq!(id, "ffeeddcc-bbaa-4988-b766-554433221100");
    }
}
