//! The service tokens that are in force at this moment: those of the file, and beside them those of
//! the store.

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

/// The service tokens that are in force. Read on the way of every request that shows one, without a
/// lock.
#[derive(Debug)]
pub(crate) struct LiveServiceTokens {
    pub(super) table: ArcSwap<ServiceTokens>,
    is_strict: bool,
    failed_attempts: FailedAttempts,
    /// Where this process issues: those the store defines.
    pub(super) stored: Option<StoredTokens>,
}

impl LiveServiceTokens {
    /// Those of the file, and no others.
    pub(crate) fn new(tokens: ServiceTokens) -> Arc<Self> {
        Arc::new(Self {
            table: ArcSwap::from_pointee(tokens),
            is_strict: true,
            failed_attempts: FailedAttempts::new(),
            stored: None,
        })
    }

    /// Those of the file, and those of the store: what is known of them already, and whatever else
    /// there is as soon as it is read, at once where a Tokio runtime is there, with the first request
    /// otherwise.
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

    /// Whether a request that shows a service token is judged by it alone.
    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// All that are in force.
    pub(crate) fn table(&self) -> Guard<Arc<ServiceTokens>> {
        self.table.load()
    }

    /// The token with this client id, good or not.
    pub(crate) fn known(&self, client_id: &str) -> Option<Arc<TokenEntry>> {
        self.table.load().entry(client_id).cloned()
    }

    /// Whether what was made from the token with this client id is good; `None` where there is no
    /// such token.
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
    /// Reads those of the store.
    pub(crate) async fn load(&self) -> Result<(), StoreError> {
        self.reload(ReloadCause::Unknown).await
    }

    /// The token that these two prove, or what is to be done about it that they prove none.
    pub(crate) fn authenticate(
        self: &Arc<Self>,
        (client_id, secret): (&str, &str),
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<TokenEntry>, FailedAttempt> {
        self.follow_store();
        // Found out before the secret is looked at, and of no influence on that: the answer is the
        // same, only the operator hears of it.
        let is_mistyped = is_mistyped(secret);
        let table = self.table.load();
        if let Some(known) = table.authenticate_entry(client_id, secret, now) {
            return Ok(Arc::clone(known));
        }
        let guess = self.failed_attempts.count(client_id, address, now);
        // Nobody fills the log with names of their own.
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

    /// Notes that a token was used.
    pub(crate) fn record_use(&self, known: &Arc<TokenEntry>, now: Timestamp) {
        if let Some(stored) = &self.stored
            && known.usage.record(now)
        {
            stored.write_use(known, now);
        }
    }
}

/// What an operator finds of a service token that exists and was refused.
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
