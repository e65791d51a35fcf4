//! Tokens for origins, made from service tokens and from tokens of other applications.

use std::time::Duration;

use http::HeaderValue;
use quick_cache::sync::Cache;

use crate::application::Protected;
use crate::clock::Timestamp;
use crate::issuer::{IssueError, IssuedToken};
use crate::login::Login;
use crate::random::to_hex;
use crate::secret::sha256;
use crate::token::Signed;

use super::Engine;
use super::authenticate::Admission;
use super::credential::ShownServiceToken;
use super::linked::Linked;
use super::rejection::RejectionKind;

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

impl Engine {
    /// Returns the token an origin sees when a service asks, from the cache while it is fresh.
    pub(super) fn service_assertion(
        &self,
        shown: &ShownServiceToken,
        admission: &Admission,
    ) -> Result<HeaderValue, RejectionKind> {
        let client_id = &*shown.client_id;
        let now = admission.now;
        self.assertion(client_id.into(), admission, |login, issuer_name, protected| {
            let lifetime = login.lifetimes.of_token(None, protected.application.session_duration);
            // Long enough for an origin that verifies it a moment later, however soon the service
            // token ends.
            let end =
                now.plus(lifetime.get()).min(shown.identity.expires_at()).max(now.plus(MIN_LIFE));
            login.issuer.service_assertion(issuer_name, client_id, protected, now, end)
        })
    }

    /// Returns the token an origin sees when another application asks on behalf of a person.
    pub(super) fn linked_assertion(
        &self,
        linked: &Linked,
        admission: &Admission,
    ) -> Result<HeaderValue, RejectionKind> {
        // One for each token of the other application, whose end bounds it.
        let key = to_hex(&sha256(linked.verified.token()));
        self.assertion(key.into(), admission, |login, issuer_name, protected| {
            let (person, now) = (&linked.verified.identity, admission.now);
            let lifetime = login.lifetimes.of_token(None, protected.application.session_duration);
            login.issuer.linked_assertion(issuer_name, person, protected, lifetime, now)
        })
    }

    /// Returns a token for an origin from the cache, or makes one.
    fn assertion(
        &self,
        made_from: Box<str>,
        admission: &Admission,
        make: impl FnOnce(&Login, &str, &Protected) -> Result<IssuedToken, IssueError>,
    ) -> Result<HeaderValue, RejectionKind> {
        let issuing = self.role.issuing().ok_or(RejectionKind::Internal)?;
        let protected = self.protected(admission).ok_or(RejectionKind::Internal)?;
        issuing.login.issuer.rotate_if_due(admission.now);
        let issuer = issuing.issuer_text(&admission.host);
        // Tokens of a key that was replaced, perhaps after a leak, are not handed out any more.
        let signer = issuing.login.issuer.key_id(admission.now);
        let audience = protected.audience();
        let key = (made_from, format!("{issuer} {audience} {signer}").into());
        if let Some(assertion) = issuing.assertions.get(&key, admission.now) {
            return Ok(assertion);
        }
        let issued = make(&issuing.login, &issuer, protected).map_err(|error| {
            tracing::error!(%error, "no token could be made for an origin");
            RejectionKind::Internal
        })?;
        let mut token =
            HeaderValue::from_str(&issued.token).map_err(|_| RejectionKind::Internal)?;
        token.set_sensitive(true);
        // At least half of its life is left when the origin gets it.
        let fresh_until = admission.now.plus(issued.end().since(admission.now) / 2);
        issuing.assertions.0.insert(key, CachedAssertion { token: token.clone(), fresh_until });
        Ok(token)
    }
}

const MAX_CACHED_ASSERTIONS: usize = 4_096;
/// The shortest life of a token for an origin.
const MIN_LIFE: Duration = Duration::from_secs(10);
