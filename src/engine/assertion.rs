//! Tokens that origins see of those who present a service token, or another application's token.

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
use crate::token::{Claims, Signed};

use super::Engine;
use super::credential::{LinkedToken, PresentedServiceToken};
use super::rejection::RejectionKind;
use super::request_context::Scope;

/// Tokens for origins, by what they were made from: signing takes long.
#[derive(Debug)]
pub(super) struct AssertionCache(Cache<AssertionKey, CachedAssertion>);

/// What a token was made from, and the issuer, audience and signing key.
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

/// Returns the token an origin sees when a service asks, from the cache while it is fresh.
pub(super) fn service_assertion(
    engine: &Engine,
    presented: &PresentedServiceToken,
    at: Scope<'_>,
) -> Result<HeaderValue, RejectionKind> {
    let (client_id, now) = (&*presented.client_id, at.now);
    assertion(engine, client_id.into(), at, |login, issuer_name, application| {
        let lifetime = login.lifetimes.of_token(None, application.application.session_duration);
        // Long enough for an origin that verifies it a moment later, however soon the service
        // token ends.
        let end =
            now.plus(lifetime.get()).min(presented.identity.expires_at()).max(now.plus(MIN_LIFE));
        service_claims(client_id, issuer_name, application.audience(), now, end)
    })
}

/// Returns the token an origin sees when another application asks on behalf of a person.
pub(super) fn linked_assertion(
    engine: &Engine,
    linked: &LinkedToken,
    at: Scope<'_>,
) -> Result<HeaderValue, RejectionKind> {
    // One for each token of the other application, whose end bounds it.
    let key = to_hex(&sha256(linked.verified.token()));
    assertion(engine, key.into(), at, |login, issuer_name, application| {
        let person = &linked.verified.identity;
        let lifetime = login.lifetimes.of_token(None, application.application.session_duration);
        linked_claims(person, issuer_name, application.audience(), lifetime, at.now)
    })
}

/// Returns a token for an origin from the cache, or makes one.
fn assertion(
    engine: &Engine,
    made_from: Box<str>,
    at: Scope<'_>,
    claims: impl FnOnce(&Login, &str, &CompiledApplication) -> Claims,
) -> Result<HeaderValue, RejectionKind> {
    let issuing = engine.role.issuing().ok_or(RejectionKind::Internal)?;
    issuing.login.issuer.rotate_if_due(at.now);
    let issuer = issuing.issuer_text(at.host);
    // Tokens of a key that was replaced, perhaps after a leak, are not handed out any more.
    let signer = issuing.login.issuer.key_id(at.now);
    let audience = at.application.audience();
    let key = (made_from, format!("{issuer} {audience} {signer}").into());
    if let Some(assertion) = issuing.assertions.get(&key, at.now) {
        return Ok(assertion);
    }
    let claims = claims(&issuing.login, &issuer, at.application);
    let issued = issuing.login.issuer.issue(claims, at.now).map_err(|error| {
        tracing::error!(%error, "no token could be made for an origin");
        RejectionKind::Internal
    })?;
    let mut token = HeaderValue::from_str(&issued.token).map_err(|_| RejectionKind::Internal)?;
    token.set_sensitive(true);
    // At least half of its life is left when the origin gets it.
    let fresh_until = at.now.plus(issued.end().since(at.now) / 2);
    issuing.assertions.0.insert(key, CachedAssertion { token: token.clone(), fresh_until });
    Ok(token)
}

const MAX_CACHED_ASSERTIONS: usize = 4_096;
/// The shortest life of a token for an origin.
const MIN_LIFE: Duration = Duration::from_secs(10);
