//! What an operator does with service tokens while the program runs.

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

/// The service tokens of a deployment: makes, changes and deletes those that the store defines, and
/// lists those of the file beside them. From [`Access::service_tokens`](crate::Access::service_tokens).
///
/// A change is in the store when a method returns, and in force in this process; every other process
/// that shares the store has it in force within a second. What a token opens is up to the policies:
/// rules `service_token` name it by its id, its name or its client id. Names and ids are unique over
/// the store and the file. There are a thousand tokens at most.
///
/// Whoever calls this decides about access: it asks nobody for permission.
#[derive(Clone, Debug)]
pub struct ServiceTokenAdmin {
    tokens: Arc<LiveServiceTokens>,
}

/// A service token, without its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServiceTokenRecord {
    /// What policies refer to, and the methods of [`ServiceTokenAdmin`].
    pub id: Box<str>,
    /// What people call it.
    pub name: Box<str>,
    /// The public half of what it shows.
    pub client_id: Box<str>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// It is good before this moment; `None`: for ever.
    pub expires_at: Option<Timestamp>,
    /// What it was made for; `None` where the file defines it.
    pub duration: Option<ServiceTokenDuration>,
    /// How often there was another secret, and one; `None` where the file defines it.
    pub secret_version: Option<u64>,
    /// The secret before the present one is good before this moment; `None`: not at all.
    pub previous_secret_until: Option<Timestamp>,
    /// When it was made; `None` where the file defines it.
    pub created_at: Option<Timestamp>,
    /// When it was last changed; `None` where the file defines it.
    pub updated_at: Option<Timestamp>,
    /// When it was last used, to the minute; `None`: not that anybody knows. ListedToken, and `None`
    /// otherwise.
    pub last_used: Option<Timestamp>,
    /// Whether the file defines it, which alone can change it then.
    pub is_in_file: bool,
    /// Whether another token counts in its place that has its id, name or client id: one of the file,
    /// or one before it in the store.
    pub is_shadowed: bool,
}

/// What methods of [`ServiceTokenAdmin`] return.
type Result<T> = std::result::Result<T, ServiceTokenAdminError>;

impl ServiceTokenAdmin {
    pub(crate) fn new(tokens: &Arc<LiveServiceTokens>) -> Self {
        Self { tokens: Arc::clone(tokens) }
    }

    /// Makes a token, and the secret that is shown this once: the store has its hash.
    ///
    /// The name is what people and policies call it: one to 200 characters, none of them a control
    /// character.
    ///
    /// # Errors
    ///
    /// When a token has this name or id already, the name is none, there are a thousand tokens, or
    /// the store does not serve: there is no new token then.
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

    /// All tokens, of the store and of the file, by name; with their last use.
    ///
    /// # Errors
    ///
    /// When the store does not serve.
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

    /// Gives a token another secret. The one before it stays good for `overlap`: 30 days at most,
    /// longer ones are cut to that; not at all where it is zero, or the token is disabled. An older
    /// one that was still good ends with this.
    ///
    /// Cookies that a secret was exchanged for are good while the token is: to end these as well,
    /// delete it.
    ///
    /// # Errors
    ///
    /// When the store has no such token, or does not serve.
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
            // The one before it is good for its overlap as a secret before, and never again as
            // another.
            let now = stored.clock.now();
            let revoked = RevokedSecret::new(&record.client_id, now, Reason::Rotated);
            stored.state().revoke(fingerprint, revoked);
            stored.write_revoked().await?;
        }
        Ok((record, secret))
    }

    /// Gives a token one more year, from now on. One that does not end at all stays as it is.
    ///
    /// # Errors
    ///
    /// When the store has no such token, or does not serve.
    pub async fn refresh(&self, id: &str) -> Result<ServiceTokenRecord> {
        self.change(self.stored()?, id, "prolonged", Record::refresh).await
    }

    /// Switches a token off: at once in this process, with the cookies it was exchanged for. A
    /// secret before the present one is gone for good.
    ///
    /// # Errors
    ///
    /// When the store has no such token, or does not serve.
    pub async fn disable(&self, id: &str) -> Result<ServiceTokenRecord> {
        let change = |record: &mut Record, _| record.set_enabled(false);
        self.change(self.stored()?, id, "switched off", change).await
    }

    /// Switches a token on again.
    ///
    /// # Errors
    ///
    /// When the store has no such token, or does not serve.
    pub async fn enable(&self, id: &str) -> Result<ServiceTokenRecord> {
        let change = |record: &mut Record, _| record.set_enabled(true);
        self.change(self.stored()?, id, "switched on", change).await
    }

    /// Calls a token something else. Rules that name it by its name do not mean it any more.
    ///
    /// # Errors
    ///
    /// When the store has no such token, another has the name already, it is none, or the store does
    /// not serve.
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

    /// Deletes a token: at once in this process, with the cookies it was exchanged for.
    ///
    /// # Errors
    ///
    /// When the store has no such token, or does not serve.
    pub async fn delete(&self, id: &str) -> Result<()> {
        let stored = self.stored()?;
        if let Some((_, record)) = stored.read(checked_id(stored, id)?).await? {
            // First: whatever happens after this, the secret is not good again.
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

    /// Reads the store's tokens now. Each process does that by itself when it starts, and with every
    /// change; a program that is to serve machines from its first request on waits for this.
    ///
    /// # Errors
    ///
    /// When the store does not serve: tokens that are known stay in force.
    pub async fn load(&self) -> Result<()> {
        self.stored()?;
        Ok(self.tokens.reload(ReloadCause::Unknown).await?)
    }

    fn stored(&self) -> Result<&StoredTokens> {
        self.tokens.follow_store();
        self.tokens.stored.as_ref().ok_or_else(|| Kind::NotIssuing.into())
    }

    /// Changes a record, on top of whatever others did to it meanwhile.
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
        Err(StoreError::new("others change this service token all the time").into())
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

/// Runs while nobody else gives the same name. Who comes later finds what this one has made.
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
        tracing::warn!(%error, "the name of a service token stays reserved for a minute");
    }
    done
}

/// Whether nobody else has one of a token's names.
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

/// Why a token is not in the store.
fn missing(stored: &StoredTokens, id: &str) -> ServiceTokenAdminError {
    if stored.in_file.has_name(id) { Kind::InFile.into() } else { Kind::NotFound.into() }
}

/// An id that a store takes as a part of a key. It has no token with any other.
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

/// Something that was not done to a service token.
#[derive(Debug, thiserror::Error)]
#[error("{kind}{}", cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
pub struct ServiceTokenAdminError {
    kind: Kind,
    #[source]
    cause: Option<StoreError>,
}

impl ServiceTokenAdminError {
    /// Why.
    #[must_use]
    pub fn kind(&self) -> ServiceTokenAdminErrorKind {
        self.kind
    }
}

use ServiceTokenAdminErrorKind as Kind;

/// Why something was not done to a service token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ServiceTokenAdminErrorKind {
    /// There is no such token.
    NotFound,
    /// The file defines the token.
    InFile,
    /// Another token has this name or id, or somebody gives it this name at this moment.
    Duplicate,
    /// No name: empty, too long, or with control characters.
    InvalidName,
    /// There are as many tokens as there may be.
    Full,
    /// The store does not serve, or others change the token all the time. What was done up to then
    /// may be in the store: ask again.
    Store,
    /// The source of randomness gave none.
    Randomness,
    /// Somebody else issues, and knows the tokens.
    NotIssuing,
}

impl fmt::Display for ServiceTokenAdminErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no such service token",
            Self::InFile => "the service token is defined in the file, change it there",
            Self::Duplicate => "another service token has this name or id",
            Self::InvalidName => {
                "no name for a service token: write 1 to 200 characters, without control characters"
            }
            Self::Full => "there are a thousand service tokens already",
            Self::Store => "the service token could not be read or written",
            Self::Randomness => "no randomness available",
            Self::NotIssuing => "the issuer has the service tokens, and this engine is none",
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
