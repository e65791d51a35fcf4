//! Renewed tokens, and renewals in progress.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;

use crate::application::{CanonicalHost, CompiledApplication};
use crate::clock::Timestamp;
use crate::issuer::SigningError;
use crate::login::{ApplicationTokens, Login};
use crate::session::{Session, TokenLifetime, TokenSubject};

/// Recently renewed tokens, and renewals in progress.
#[derive(Debug)]
pub(in crate::engine) struct Renewals {
    cached: Cache<RenewalKey, CachedRenewal>,
    in_progress: Mutex<HashSet<RenewalKey>>,
}

/// One session at one application on one host.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in crate::engine) struct RenewalKey {
    session: Box<str>,
    audience: Box<str>,
    host: Box<str>,
}

impl RenewalKey {
    pub(in crate::engine) fn new(
        session: &str,
        application: &CompiledApplication,
        host: &CanonicalHost,
    ) -> Self {
        Self {
            session: session.into(),
            audience: application.audience().into(),
            host: host.as_str().into(),
        }
    }
}

/// The result of a renewal.
#[derive(Clone, Debug)]
pub(super) enum CachedRenewal {
    Tokens(Arc<RenewedTokens>),
    /// No token was made; the next attempt is not before this.
    Nothing {
        until: Timestamp,
    },
}

/// Renewed tokens, with the lifetime and key they were made with.
#[derive(Debug)]
pub(in crate::engine) struct RenewedTokens {
    tokens: ApplicationTokens,
    lifetime: TokenLifetime,
    /// The id of the signing key: tokens of a rotated key, which may have leaked, are not used.
    signer: String,
}

impl RenewedTokens {
    pub(in crate::engine) fn make(
        login: &Login,
        session: &Session,
        here: (&CompiledApplication, &CanonicalHost),
        lifetime: TokenLifetime,
        now: Timestamp,
    ) -> Result<Self, SigningError> {
        let signer = login.issuer.key_id(now);
        let tokens = login.application_tokens(session, here, lifetime, now)?;
        Ok(Self { tokens, lifetime, signer })
    }

    pub(in crate::engine) fn token(&self) -> &str {
        &self.tokens.token.token
    }

    pub(super) fn tokens(&self) -> &ApplicationTokens {
        &self.tokens
    }

    pub(super) fn lifetime(&self) -> TokenLifetime {
        self.lifetime
    }

    /// Returns when they were made.
    pub(super) fn made_at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.tokens.token.claims.iat)
    }

    /// Returns whether they may still be sent to a browser.
    pub(super) fn is_usable(&self, login: &Login, now: Timestamp) -> bool {
        let life = self.tokens.token.end().since(self.made_at());
        now.since(self.made_at()) <= login.lifetimes.renew_after(life)
            && self.signer == login.issuer.key_id(now)
            && !self.is_revoked(login)
    }

    pub(super) fn is_revoked(&self, login: &Login) -> bool {
        let claims = &self.tokens.token.claims;
        claims.aud.iter().any(|audience| {
            login.revocations.is_revoked(TokenSubject {
                session: claims.identity_nonce.as_deref(),
                email: claims.email.as_deref(),
                audience,
                issued_at: Timestamp::from_unix_seconds(claims.iat),
            })
        })
    }
}

impl Renewals {
    pub(in crate::engine) fn new() -> Self {
        Self { cached: Cache::new(MAX_CACHED), in_progress: Mutex::default() }
    }

    /// Returns the cached tokens if they are still usable.
    pub(in crate::engine) fn tokens(
        &self,
        key: &RenewalKey,
        login: &Login,
        now: Timestamp,
    ) -> Option<Arc<RenewedTokens>> {
        match self.cached.get(key) {
            Some(CachedRenewal::Tokens(tokens)) if tokens.is_usable(login, now) => Some(tokens),
            _ => None,
        }
    }

    pub(in crate::engine) fn insert(&self, key: RenewalKey, tokens: Arc<RenewedTokens>) {
        self.cached.insert(key, CachedRenewal::Tokens(tokens));
    }

    /// Returns the result of a renewal that is due, or starts it.
    pub(super) fn look_up(
        self: &Arc<Self>,
        key: &RenewalKey,
        is_wanted: impl Fn(&RenewedTokens) -> bool,
        now: Timestamp,
    ) -> Lookup {
        let cached = || match self.cached.get(key) {
            Some(CachedRenewal::Tokens(tokens)) if is_wanted(&tokens) => {
                Some(Lookup::Renewed(tokens))
            }
            Some(CachedRenewal::Nothing { until }) if now < until => Some(Lookup::Nothing),
            _ => None,
        };
        if let Some(known) = cached() {
            return known;
        }
        if !self.begin(key) {
            return Lookup::Nothing;
        }
        let in_progress = InProgress { renewals: Arc::clone(self), key: key.clone() };
        // Another renewal may have finished since the first look.
        cached().unwrap_or(Lookup::Begun(in_progress))
    }

    /// Returns whether the caller may start this renewal: it is not in progress, and few others are.
    fn begin(&self, key: &RenewalKey) -> bool {
        let mut in_progress = self.in_progress.lock().unwrap_or_else(PoisonError::into_inner);
        in_progress.len() < MAX_IN_PROGRESS && in_progress.insert(key.clone())
    }

    fn end(&self, key: &RenewalKey) {
        self.in_progress.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// The state of a renewal that is due.
pub(super) enum Lookup {
    Renewed(Arc<RenewedTokens>),
    /// It is in progress, or was tried recently.
    Nothing,
    Begun(InProgress),
}

/// Marks a renewal as in progress until it is dropped.
pub(super) struct InProgress {
    renewals: Arc<Renewals>,
    key: RenewalKey,
}

impl InProgress {
    /// Caches the result, for every request that still presents an old token.
    pub(super) fn complete(&self, outcome: CachedRenewal) {
        self.renewals.cached.insert(self.key.clone(), outcome);
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.renewals.end(&self.key);
    }
}

const MAX_CACHED: usize = 4_096;
const MAX_IN_PROGRESS: usize = 1_024;
