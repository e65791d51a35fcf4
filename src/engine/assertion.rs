//! Tokens for origins, made for requests with a service token or another application's token.

use std::time::Duration;

use http::HeaderValue;
use quick_cache::sync::Cache;

use crate::application::CompiledApplication;
use crate::clock::Timestamp;
use crate::login::Login;
use crate::random::to_hex;
use crate::secret::sha256;
use crate::service_token::service_claims;
use crate::session::linked_claims;
use crate::token::{CacheEntry, Claims};

use super::Engine;
use super::credential::{LinkedToken, PresentedServiceToken};
use super::rejection::RejectionKind;
use super::request_context::Scope;

/// A cache of tokens for origins, because signing is slow.
#[derive(Debug)]
pub(super) struct AssertionCache(Cache<AssertionKey, CachedAssertion>);

/// The credential, and the issuer, audience and signing key.
type AssertionKey = (Box<str>, Box<str>);

#[derive(Clone, Debug)]
struct CachedAssertion {
    token: HeaderValue,
    fresh_until: Timestamp,
}

impl AssertionCache {
    pub(super) fn new() -> Self {
        Self(Cache::new(MAX_CACHED_ASSERTIONS))
    }

    fn get(&self, key: &AssertionKey, now: Timestamp) -> Option<HeaderValue> {
        self.0.get(key).filter(|cached| now < cached.fresh_until).map(|cached| cached.token)
    }
}

/// Returns the token for an origin that a service requests, from the cache while it is fresh.
pub(super) fn service_assertion(
    engine: &Engine,
    presented: &PresentedServiceToken,
    at: Scope<'_>,
) -> Result<HeaderValue, RejectionKind> {
    let (client_id, now) = (&*presented.client_id, at.now);
    assertion(engine, client_id.into(), at, |login, issuer_name, application| {
        let lifetime =
            login.lifetimes.token_lifetime(None, application.application.session_duration);
        // Long enough for an origin to verify it, even if the service token expires sooner.
        let end =
            now.plus(lifetime.get()).min(presented.identity.expires_at()).max(now.plus(MIN_LIFE));
        service_claims(client_id, issuer_name, application.audience(), now, end)
    })
}

/// Returns the token for an origin that another application requests on behalf of a user.
pub(super) fn linked_assertion(
    engine: &Engine,
    linked: &LinkedToken,
    at: Scope<'_>,
) -> Result<HeaderValue, RejectionKind> {
    // One for each token of the other application, because it expires no later.
    let key = to_hex(&sha256(linked.verified.token()));
    assertion(engine, key.into(), at, |login, issuer_name, application| {
        let person = &linked.verified.identity;
        let lifetime =
            login.lifetimes.token_lifetime(None, application.application.session_duration);
        linked_claims(person, issuer_name, application.audience(), lifetime, at.now)
    })
}

/// Returns a token for an origin from the cache, or makes one.
fn assertion(
    engine: &Engine,
    credential: Box<str>,
    at: Scope<'_>,
    claims: impl FnOnce(&Login, &str, &CompiledApplication) -> Claims,
) -> Result<HeaderValue, RejectionKind> {
    let issuing = engine.role.issuing().ok_or(RejectionKind::Internal)?;
    issuing.login.issuer.rotate_if_due(at.now);
    let issuer = issuing.issuer_text(at.host);
    // A rotated key may have leaked: its cached tokens are not used any more.
    let signer = issuing.login.issuer.key_id(at.now);
    let audience = at.application.audience();
    let key = (credential, format!("{issuer} {audience} {signer}").into());
    if let Some(assertion) = issuing.assertions.get(&key, at.now) {
        return Ok(assertion);
    }
    let claims = claims(&issuing.login, &issuer, at.application);
    let issued = issuing.login.issuer.issue(claims, at.now).map_err(|error| {
        tracing::error!(%error, "signing a token for an origin failed");
        RejectionKind::Internal
    })?;
    let mut token = HeaderValue::from_str(&issued.token).map_err(|_| RejectionKind::Internal)?;
    token.set_sensitive(true);
    // The origin gets tokens with at least half of their lifetime left.
    let fresh_until = at.now.plus(issued.end().since(at.now) / 2);
    issuing.assertions.0.insert(key, CachedAssertion { token: token.clone(), fresh_until });
    Ok(token)
}

const MAX_CACHED_ASSERTIONS: usize = 4_096;
/// The shortest lifetime of a token for an origin.
const MIN_LIFE: Duration = Duration::from_secs(10);
