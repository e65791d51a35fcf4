//! `get-identity` at the issuer: facts about a user, fetched with the user's own token.

use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, HeaderValue};
use url::Url;

use crate::clock::Timestamp;
use crate::identity::{Attributes, Email};
use crate::policy::DevicePosture;
use crate::secret::sha256;
use crate::util::deferred::Deferred;
use crate::util::fetch::{Fetch, HttpError, Request};
use crate::util::new_http_client;
use crate::util::refreshing_cache::{Lookup, RefreshingCache, Times, WaitPolicy};

use super::IdentityObject;

/// Fetches identities from an issuer, and caches the responses by token.
#[derive(Debug)]
pub(crate) struct GetIdentity {
    client: Arc<dyn Fetch>,
    url: Url,
    cache: RefreshingCache<TokenDigest, Arc<IssuerFacts>>,
}

/// The issuer's facts about a user, completed from the token.
#[derive(Debug)]
pub(crate) struct IssuerFacts {
    pub(crate) attributes: Arc<Attributes>,
    pub(crate) device_posture: Option<Arc<DevicePosture>>,
}

/// A token, and its own facts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bearer<'a> {
    pub(crate) token: &'a HeaderValue,
    pub(crate) email: &'a Email,
    pub(crate) attributes: Option<&'a Arc<Attributes>>,
}

/// A token by its digest, which no two tokens share.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct TokenDigest([u8; 32]);

impl From<&Self> for TokenDigest {
    fn from(digest: &Self) -> Self {
        digest.clone()
    }
}

impl GetIdentity {
    /// Creates a client for this URL.
    pub(crate) fn new(url: Url) -> Result<Self, HttpError> {
        let cache = RefreshingCache::new(MAX_TOKENS, TIMES);
        Ok(Self { client: new_http_client(TIME_LIMIT)?, url, cache })
    }

    /// Whether the issuer can provide the facts that these policies need.
    pub(crate) fn is_needed_by(policies: &crate::policy::Policies) -> bool {
        policies.uses_fact(crate::policy::Fact::DevicePosture) || policies.uses_login_facts()
    }

    /// Returns the issuer's facts about a bearer; fetches them if none are cached. `may_wait`: the
    /// first request of a token waits.
    pub(crate) fn look(
        &self,
        bearer: Bearer<'_>,
        now: Timestamp,
        may_wait: bool,
    ) -> Result<Option<Arc<IssuerFacts>>, Deferred> {
        let digest = TokenDigest(sha256(bearer.token.as_bytes()));
        let wait = if may_wait { WaitPolicy::IfAbsent } else { WaitPolicy::Never };
        match self.cache.look_up(&digest, now, wait, || self.ask(bearer)) {
            Lookup::Cached(facts) => Ok(Some(facts)),
            Lookup::Pending(wait) => Err(wait),
            Lookup::Absent => Ok(None),
        }
    }

    fn ask(
        &self,
        bearer: Bearer<'_>,
    ) -> impl Future<Output = Option<Arc<IssuerFacts>>> + Send + 'static {
        let cookie = [b"CF_Authorization=".as_slice(), bearer.token.as_bytes()].concat();
        let reply = HeaderValue::from_bytes(&cookie).map(|mut cookie| {
            cookie.set_sensitive(true);
            self.client.send(Request::get(&self.url, MAX_ANSWER_BYTES).header(COOKIE, cookie))
        });
        let (email, claimed) = (bearer.email.clone(), bearer.attributes.cloned());
        async move {
            let reply = match reply.ok()?.await {
                Ok(reply) => reply,
                Err(error) => {
                    tracing::warn!(%error, "the issuer's `get-identity` request failed");
                    return None;
                }
            };
            let object = IdentityObject::parse(&reply.body);
            let Some(object) = object.filter(|object| object.email.as_ref() == Some(&email)) else {
                tracing::warn!(
                    "the issuer's `get-identity` response is not the identity of this user"
                );
                return None;
            };
            let mut attributes = object.attributes;
            if let Some(claimed) = &claimed {
                attributes.fill_missing_from(claimed);
            }
            Some(Arc::new(IssuerFacts {
                attributes: Arc::new(attributes),
                device_posture: object.device_posture.map(Arc::new),
            }))
        }
    }
}

/// Some hundred bytes each, and the issuer's facts.
const MAX_TOKENS: usize = 10_000;
const MAX_ANSWER_BYTES: usize = 256 * 1024;
const TIME_LIMIT: Duration = Duration::from_secs(5);
const TIMES: Times = Times {
    fresh_for: Duration::from_secs(300),
    serve_up_to: Duration::from_secs(3600),
    cool_down: Duration::from_secs(10),
    time_limit: Duration::from_secs(6),
};
