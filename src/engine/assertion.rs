//! What an engine that issues has beyond one that verifies: the login, and tokens for origins.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use quick_cache::sync::Cache;

use crate::application::{CanonicalHost, Protected};
use crate::clock::Timestamp;
use crate::issuer::KeyRotation;
use crate::login::Login;
use crate::random::to_hex;
use crate::secret::sha256;
use crate::service_token::service_claims;
use crate::session::linked_claims;
use crate::token::{Claims, Signed};

use super::credential::{LinkedToken, PresentedServiceToken};
use super::linked_applications::LinkedApplications;
use super::rejection::RejectionKind;
use super::renewal::Renewals;
use super::request_context::Scope;
use super::verified::IssuerName;
use super::{Engine, Role};

/// What an engine that issues has beyond one that verifies.
#[derive(Debug)]
pub(super) struct Issuing {
    pub(super) login: Arc<Login>,
    /// The team domain's issuer name; `None` where each host runs its own login.
    issuer: Option<Arc<str>>,
    pub(super) linked_applications: LinkedApplications,
    pub(super) renewals: Arc<Renewals>,
    pub(super) key_rotation: KeyRotation,
    /// Tokens for origins, made from service tokens and tokens of other applications, by what they
    /// were made from: signing takes long.
    assertions: Cache<(Box<str>, Box<str>), (HeaderValue, Timestamp)>,
}

impl Issuing {
    pub(super) fn new(
        login: Login,
        linked_applications: LinkedApplications,
        key_rotation: KeyRotation,
    ) -> Self {
        Self {
            key_rotation,
            issuer: login
                .team_domain
                .as_ref()
                .map(|domain| login.origins.issuer(domain.host()).into()),
            login: Arc::new(login),
            linked_applications,
            renewals: Arc::new(Renewals::new()),
            assertions: Cache::new(KEPT_ASSERTIONS),
        }
    }

    pub(super) fn issuer_name<'a>(&'a self, host: &'a CanonicalHost) -> IssuerName<'a> {
        match &self.issuer {
            Some(issuer) => IssuerName::Fixed(issuer),
            None => IssuerName::OfHost(&self.login.origins, host),
        }
    }

    pub(super) fn issuer_text(&self, host: &CanonicalHost) -> Arc<str> {
        match &self.issuer {
            Some(issuer) => Arc::clone(issuer),
            None => self.login.origins.issuer(host).into(),
        }
    }
}

impl Engine {
    /// The login, where we run one.
    pub(crate) fn login(&self) -> Option<&Arc<Login>> {
        match &self.role {
            Role::Issuing(issuing) => Some(&issuing.login),
            Role::Verifying(_) => None,
        }
    }

    /// The token an origin sees when a service asks; made once and used while it is fresh.
    pub(super) fn service_assertion(
        &self,
        presented: &PresentedServiceToken,
        at: Scope<'_>,
    ) -> Result<HeaderValue, RejectionKind> {
        let (client_id, now) = (&*presented.client_id, at.now);
        self.assertion(client_id.into(), at, |login, issuer_name, application| {
            let lifetime = login.lifetimes.of_token(None, application.application.session_duration);
            // For an origin that looks a moment later, however soon the service token ends.
            let end =
                now.plus(lifetime.get()).min(presented.identity.expires_at()).max(now.plus(LEAST));
            service_claims(client_id, issuer_name, application.audience(), now, end)
        })
    }

    /// The token an origin sees when another application asks on behalf of a person.
    pub(super) fn linked_assertion(
        &self,
        linked: &LinkedToken,
        at: Scope<'_>,
    ) -> Result<HeaderValue, RejectionKind> {
        // One for each token that is presented: no longer good than that.
        let key = to_hex(&sha256(linked.verified.token()));
        self.assertion(key.into(), at, |login, issuer_name, application| {
            let person = &linked.verified.identity;
            let lifetime = login.lifetimes.of_token(None, application.application.session_duration);
            linked_claims(person, issuer_name, application.audience(), lifetime, at.now)
        })
    }

    /// A token for an origin, from the cache or made anew.
    fn assertion(
        &self,
        holder: Box<str>,
        at: Scope<'_>,
        claims: impl FnOnce(&Login, &str, &Protected) -> Claims,
    ) -> Result<HeaderValue, RejectionKind> {
        let Role::Issuing(issuing) = &self.role else { return Err(RejectionKind::Internal) };
        issuing.login.issuer.rotate_if_due(at.now);
        let issuer = issuing.issuer_text(at.host);
        // A key that was replaced, perhaps on a suspicion, is handed on no longer.
        let signer = issuing.login.issuer.key_id(at.now);
        let audience = at.application.audience();
        let key = (holder, format!("{issuer} {audience} {signer}").into());
        if let Some((assertion, fresh_until)) = issuing.assertions.get(&key)
            && at.now < fresh_until
        {
            return Ok(assertion);
        }
        let claims = claims(&issuing.login, &issuer, at.application);
        let issued = issuing.login.issuer.issue(claims, at.now).map_err(|error| {
            tracing::error!(%error, "no token could be made for an origin");
            RejectionKind::Internal
        })?;
        let mut assertion =
            HeaderValue::from_str(&issued.token).map_err(|_| RejectionKind::Internal)?;
        assertion.set_sensitive(true);
        // The origin gets a token that is good for half of its life at least.
        let fresh_until = at.now.plus(issued.end().since(at.now) / 2);
        issuing.assertions.insert(key, (assertion.clone(), fresh_until));
        Ok(assertion)
    }
}

const KEPT_ASSERTIONS: usize = 4_096;
/// The shortest life of a token for an origin.
const LEAST: Duration = Duration::from_secs(10);
