//! The service tokens in force: those of the file and those of the store.

mod following;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::failed_attempts::{FailedAttempt, FailedAttempts};
use super::secret::is_mistyped;
use super::stored::StoredTokens;
use super::{ServiceTokens, TokenEntry};
use crate::audit::{self, Event, EventKind};
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::random::Random;
use crate::store::{ReloadCause, Store, StoreError, StoreMirror};
use crate::util::changes::Changes;

/// The service tokens in force. Read by every request with a service token, without a lock.
#[derive(Debug)]
pub(crate) struct LiveServiceTokens {
    pub(super) table: ArcSwap<ServiceTokens>,
    is_strict: bool,
    failed_attempts: FailedAttempts,
    /// The tokens of the store; `None` in an engine that only verifies.
    pub(super) stored: Option<StoredTokens>,
}

impl LiveServiceTokens {
    /// Creates the tokens of the file only.
    pub(crate) fn new(tokens: ServiceTokens) -> Arc<Self> {
        Arc::new(Self {
            table: ArcSwap::from_pointee(tokens),
            is_strict: true,
            failed_attempts: FailedAttempts::new(),
            stored: None,
        })
    }

    /// Creates the tokens of the file and of the store. Starts with those that `earlier` knows. The
    /// store is read in the background: immediately in a Tokio runtime, else with the first request.
    pub(crate) fn with_store(
        in_file: ServiceTokens,
        is_strict: bool,
        store: &Arc<dyn Store>,
        (clock, random, changes): (&Arc<dyn Clock>, &Arc<dyn Random>, &Arc<Changes>),
        earlier: Option<&Self>,
    ) -> Arc<Self> {
        let earlier = earlier.and_then(|tokens| tokens.stored.as_ref());
        let stored = StoredTokens::new(in_file.clone(), store, (clock, random, changes), earlier);
        let tokens = Arc::new(Self {
            table: ArcSwap::from_pointee(in_file),
            is_strict,
            failed_attempts: FailedAttempts::new(),
            stored: Some(stored),
        });
        if earlier.is_some() {
            tokens.refresh();
        }
        tokens.follow_store();
        tokens
    }

    /// Returns whether a request with a service token is decided by it alone.
    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Returns all tokens in force.
    pub(crate) fn table(&self) -> Guard<Arc<ServiceTokens>> {
        self.table.load()
    }

    /// Returns the token with this client id, valid or not.
    pub(crate) fn known(&self, client_id: &str) -> Option<Arc<TokenEntry>> {
        self.table.load().entry(client_id).cloned()
    }

    /// Returns whether a token that was issued from this client id is valid; `None` if the client id is
    /// unknown.
    pub(crate) fn is_valid(
        &self,
        client_id: &str,
        made_at: Timestamp,
        now: Timestamp,
    ) -> Option<bool> {
        let table = self.table.load();
        table
            .entry(client_id)
            .map(|known| known.token.is_valid(now) && known.covers_issued_at(made_at))
    }
}

impl LiveServiceTokens {
    /// Reads the tokens of the store.
    pub(crate) async fn load(&self) -> Result<(), StoreError> {
        self.reload(ReloadCause::Unknown).await
    }

    /// Authenticates a client id and secret; on failure returns how the attempt counts against the
    /// limit.
    pub(crate) fn authenticate(
        self: &Arc<Self>,
        (client_id, secret): (&str, &str),
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<TokenEntry>, FailedAttempt> {
        self.follow_store();
        // Computed before the secret is checked, in every case: the response does not depend on it,
        // only the operator's log does.
        let is_mistyped = is_mistyped(secret);
        let table = self.table.load();
        if let Some(known) = table.authenticate(client_id, secret, now) {
            return Ok(Arc::clone(known));
        }
        let guess = self.failed_attempts.count(client_id, address, now);
        // Unknown client ids are not logged, so that clients cannot fill the log.
        if let Some(known) = table.entry(client_id) {
            let name = &*known.token.name;
            match guess {
                FailedAttempt::OverLimit => {}
                FailedAttempt::LimitReached => {
                    let event = Event::new(EventKind::ServiceTokenGuessed);
                    audit::record(&event.service_token(name));
                }
                FailedAttempt::Counted => refused(known, is_mistyped, now),
            }
        } else if guess == FailedAttempt::LimitReached {
            audit::record(&Event::new(EventKind::ServiceTokensUnknown));
        }
        Err(guess)
    }

    /// Records that a token was used.
    pub(crate) fn record_use(&self, known: &Arc<TokenEntry>, now: Timestamp) {
        if let Some(stored) = &self.stored
            && known.usage.record(now)
        {
            stored.write_use(known, now);
        }
    }
}

/// Logs why an existing service token was rejected.
fn refused(known: &TokenEntry, is_mistyped: bool, now: Timestamp) {
    let reason = match () {
        () if !known.token.enabled => "it is switched off",
        () if !known.token.is_valid(now) => "it has expired",
        () if is_mistyped => {
            "the secret does not end in the checksum that secrets made here have: it was mistyped \
             or cut off"
        }
        () => "the secret is wrong, or was replaced",
    };
    let event = Event::new(EventKind::ServiceTokenRefused).service_token(&known.token.name);
    audit::record(&event.reason(&reason));
}
