//! Whether a token opens an application: from the cache, or by a full check.

use std::cell::RefCell;
use std::sync::Arc;

use http::HeaderValue;

use crate::application::CanonicalHost;
use crate::application::PublicOrigins;
use crate::application::{Audience, Protected};
use crate::clock::Timestamp;
use crate::identity::{Attributes, ClaimValues, Details, Identity, Subject, copied};
use crate::metrics;
use crate::session::Issued;
use crate::token::keys::{KeySet, KeySource, Refresh};
use crate::token::{
    Audiences, ClaimName, Claims, Jws, Lifetime, Near, Signed, TokenError, TokenErrorKind,
    TokenKind, Unusable, UnusableClaims, is_country_code,
};

use super::authenticate::Admission;
use super::{Engine, Role};

/// A token whose signature has been checked, and what follows from it.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(super) identity: Identity,
    pub(super) email: Option<HeaderValue>,
    /// What the token says of the person beside who it is, or the session it stands for.
    pub(super) attributes: Option<Arc<Attributes>>,
    kind: TokenKind,
    issuer: Arc<str>,
    /// The one of its audiences that was asked for first.
    audience: Audience,
    /// All of them, where there are several.
    all_audiences: Option<Box<Audiences>>,
    issued_at: Timestamp,
    lifetime: Lifetime,
}

thread_local! {
    /// Each thread's copies of the tokens it sees most.
    pub(super) static NEAR: RefCell<Near<Verified>> = const { RefCell::new(Near::new()) };
}

/// For what a token is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) admission: &'a Admission,
    pub(super) protected: &'a Protected,
    /// Whether the answer may be to wait for keys.
    pub(super) may_wait: bool,
    /// Whether the token was made for another application than the one that is asked for.
    pub(super) is_linked: bool,
}

/// What is to be said of a token.
#[derive(Debug)]
pub(super) enum Verification {
    Good(Arc<Verified>),
    Bad(TokenErrorKind),
    /// Its key is not known, and a refresh that may bring it is under way.
    Wait(Refresh),
}

impl Engine {
    /// Whether a token of this kind is good for this application.
    pub(super) fn verify(&self, token: &[u8], kind: TokenKind, ask: Ask<'_>) -> Verification {
        let verification = self.examine(token, kind, ask);
        if let Verification::Bad(kind) = &verification {
            metrics::token_refused(kind.as_str());
        }
        verification
    }

    /// As [`verify`](Self::verify), and nothing is counted.
    pub(super) fn examine(&self, token: &[u8], kind: TokenKind, ask: Ask<'_>) -> Verification {
        let Ask { admission, protected, .. } = ask;
        let now = admission.now;
        let keys = self.key_source();
        if let Some(known) = self.lasting.verified.get(token, |id| keys.is_current(id, now))
            && known.kind == kind
        {
            if !known.is_for(protected) {
                return Verification::Bad(TokenErrorKind::Audience);
            }
            return match self.check(&known, ask) {
                Ok(()) => Verification::Good(known),
                Err(error) => Verification::Bad(error.kind()),
            };
        }
        match self.full_check(token, kind, ask) {
            Ok(verified) => Verification::Good(verified),
            Err(Unverified::Wait(refresh)) => Verification::Wait(refresh),
            Err(Unverified::Bad(error)) => Verification::Bad(error.kind()),
        }
    }

    fn full_check(
        &self,
        token: &[u8],
        kind: TokenKind,
        ask: Ask<'_>,
    ) -> Result<Arc<Verified>, Unverified> {
        let Ask { admission, protected, may_wait, .. } = ask;
        let text = std::str::from_utf8(token).map_err(|_| TokenErrorKind::Encoding)?;
        let jws = Jws::parse(text)?;
        let keys = keys_for(&jws, self.key_source(), admission.now, may_wait)?;
        let (claims, mut unusable) = match &self.role {
            Role::Verifying(_) => jws.verify_foreign(&keys)?,
            Role::Issuing(_) => (jws.verify(&keys)?, UnusableClaims::default()),
        };
        let issuer = self.issuer_of(ask);
        let claims = (claims, &mut unusable);
        let mut verified = Verified::new(text, claims, kind, issuer, protected)?;
        // What we issue is complete.
        if !self.role.verifies()
            && matches!(verified.identity.subject(), Subject::IncompleteUser { .. })
        {
            return Err(TokenErrorKind::Subject.into());
        }
        if self.role.verifies() && !verified.identity.is_service() {
            let custom = jws.custom_claims();
            if custom.as_ref().is_some_and(|it| !it.is_object() && !it.is_null()) {
                unusable.push(ClaimName::Custom, Unusable::NoObject);
            }
            let custom = custom.as_ref().and_then(serde_json::Value::as_object);
            verified.attributes = custom.map(|custom| Arc::new(attributes(custom)));
        }
        let verified = Arc::new(verified);
        self.check(&verified, ask)?;
        report_unusable(&unusable, &verified.identity, protected);
        // Only what is good is kept: nobody fills the cache with anything else.
        self.lasting.verified.insert(keys.id(), Arc::clone(&verified));
        Ok(verified)
    }

    /// What may have changed since the signature was checked.
    fn check(&self, verified: &Verified, ask: Ask<'_>) -> Result<(), TokenError> {
        verified.lifetime.check(ask.admission.now, self.leeway)?;
        self.check_standing(verified, ask)
    }

    /// Whether a token counts that was made for this application, however old it is by now.
    pub(super) fn check_standing(
        &self,
        verified: &Verified,
        ask: Ask<'_>,
    ) -> Result<(), TokenError> {
        let Ask { admission, protected, .. } = ask;
        if !self.issuer_of(ask).is(&verified.issuer) {
            return Err(TokenErrorKind::Issuer.into());
        }
        if self.is_for_an_origin(verified) {
            return Err(TokenErrorKind::Subject.into());
        }
        let is_revoked = |audience: &str| {
            self.lasting.revocations.cover(Issued {
                session: verified.identity.session_id(),
                email: verified.identity.email(),
                audience,
                issued_at: verified.issued_at,
            })
        };
        let is_revoked = match verified.all_audiences.as_deref() {
            None => is_revoked(verified.audience.as_str()),
            // Ended for one of those that count here is ended.
            Some(all) => {
                let counts = |it: &&str| protected.accepted(|accepted| accepted == *it).is_some();
                all.iter().filter(counts).any(is_revoked)
            }
        };
        if is_revoked || !self.is_good_subject(verified, admission.now) {
            return Err(TokenErrorKind::Revoked.into());
        }
        Ok(())
    }

    pub(super) fn key_source(&self) -> &dyn KeySource {
        match &self.role {
            Role::Verifying(verifying) => &*verifying.keys,
            Role::Issuing(issuing) => &*issuing.login.issuer,
        }
    }

    fn issuer_of<'a>(&'a self, ask: Ask<'a>) -> IssuerName<'a> {
        match &self.role {
            Role::Verifying(verifying) => {
                let _ = ask.is_linked;
                IssuerName::Fixed(&verifying.issuer)
            }
            Role::Issuing(issuing) => {
                let name = issuing.issuer_name(&ask.admission.host);
                match name {
                    IssuerName::OfHost(origins, _) if ask.is_linked => {
                        IssuerName::OfApplication(origins, ask.protected)
                    }
                    _ => name,
                }
            }
        }
    }

    /// Whether we made it for an origin, of a person who never logged in to this application: that
    /// names no session, and proves nothing here.
    fn is_for_an_origin(&self, verified: &Verified) -> bool {
        !self.role.verifies()
            && verified.kind == TokenKind::Application
            && !verified.identity.is_service()
            && verified.identity.session_id().is_none()
    }

    /// A token made from a service token is good while the service token is: while it is switched
    /// on where it is known, and known where we issue.
    fn is_good_subject(&self, verified: &Verified, now: Timestamp) -> bool {
        let Subject::Service { client_id } = verified.identity.subject() else { return true };
        match (&self.role, self.service_tokens.is_good(client_id, verified.issued_at, now)) {
            (_, Some(is_good)) => is_good,
            (Role::Verifying(_), None) => true,
            (Role::Issuing(_), None) => false,
        }
    }
}

/// Whose tokens are good.
#[derive(Clone, Copy, Debug)]
pub(super) enum IssuerName<'a> {
    /// The team domain's, for all hosts.
    Fixed(&'a Arc<str>),
    /// Each host's own.
    OfHost(&'a PublicOrigins, &'a CanonicalHost),
    /// That of any host of an application.
    OfApplication(&'a PublicOrigins, &'a Protected),
}

impl IssuerName<'_> {
    /// Compared byte for byte.
    fn is(self, name: &Arc<str>) -> bool {
        match self {
            Self::Fixed(issuer) => Arc::ptr_eq(issuer, name) || issuer == name,
            Self::OfHost(origins, host) => origins.is_issuer(name, host),
            Self::OfApplication(origins, protected) => {
                let host = name.split_once("://").and_then(|(_, host)| host.parse().ok());
                host.is_some_and(|host: CanonicalHost| {
                    let mut destinations = protected.application.destinations.iter();
                    origins.is_issuer(name, &host)
                        && destinations.any(|one| one.matches_host(host.as_str()))
                })
            }
        }
    }

    /// The name in a token, if it is this one.
    fn named(self, name: String) -> Option<Arc<str>> {
        match self {
            Self::Fixed(issuer) if **issuer == *name => Some(Arc::clone(issuer)),
            _ => Some(name.into()).filter(|name| self.is(name)),
        }
    }
}

/// Logs which claims of a verified token are unusable, once for each token that enters the cache.
fn report_unusable(unusable: &UnusableClaims, identity: &Identity, protected: &Protected) {
    for (claim, why) in unusable.iter() {
        tracing::info!(
            target: "tower_access::audit",
            application = &*protected.application.name, %claim, %why,
            email = identity.email(), user_id = identity.user_id(),
            "a claim of a good token cannot be used: it counts as not known"
        );
    }
}

/// What the claim `custom` says: OIDC claims or SAML attributes, as the login method has it, which
/// the token does not name.
fn attributes(custom: &serde_json::Map<String, serde_json::Value>) -> Attributes {
    let claims = ClaimValues::of_hints(custom);
    Attributes {
        oidc_claims: Some(claims.clone()),
        saml_attributes: Some(claims),
        ..Attributes::default()
    }
}

/// The keys that hold the token's, now or after a wait.
fn keys_for(
    jws: &Jws<'_>,
    keys: &dyn KeySource,
    now: Timestamp,
    may_wait: bool,
) -> Result<KeySet, Unverified> {
    let with_the_key = || keys.current(now).filter(|set| set.contains(jws.key_id()));
    if let Some(set) = with_the_key() {
        return Ok(set);
    }
    if may_wait && let Some(refresh) = keys.look_for(jws.key_id(), now) {
        return Err(Unverified::Wait(refresh));
    }
    // A refresh may have ended since.
    match (with_the_key(), keys.current(now)) {
        (Some(set), _) => Ok(set),
        (None, Some(_)) => Err(TokenErrorKind::UnknownKey.into()),
        (None, None) => Err(TokenErrorKind::KeysUnavailable.into()),
    }
}

enum Unverified {
    Bad(TokenError),
    Wait(Refresh),
}

impl From<TokenError> for Unverified {
    fn from(error: TokenError) -> Self {
        Self::Bad(error)
    }
}

impl From<TokenErrorKind> for Unverified {
    fn from(kind: TokenErrorKind) -> Self {
        Self::Bad(kind.into())
    }
}

impl Verified {
    fn new(
        token: &str,
        (claims, unusable): (Claims, &mut UnusableClaims),
        kind: TokenKind,
        issuer: IssuerName<'_>,
        protected: &Protected,
    ) -> Result<Self, TokenError> {
        let issuer = issuer.named(claims.iss.clone()).ok_or(TokenErrorKind::Issuer)?;
        if claims.kind != kind {
            return Err(TokenErrorKind::Type.into());
        }
        let audience = protected.accepted(|audience| claims.aud.contains(audience));
        let audience = audience.ok_or(TokenErrorKind::Audience)?.clone();
        let lifetime = Lifetime::of(&claims)?;
        let subject = claims.subject()?;
        if !matches!(subject, Subject::Service { .. }) {
            unusable.examine_person(&claims);
        }
        // A copy: what arrived may be a part of a much larger buffer.
        let mut proof = HeaderValue::from_str(token).map_err(|_| TokenErrorKind::Encoding)?;
        proof.set_sensitive(true);
        let details = Details {
            country: claims.country.filter(|code| is_country_code(code)).map(Into::into),
            session: claims.identity_nonce.filter(|nonce| !nonce.is_empty()).map(Into::into),
            proof: Some(proof),
        };
        let end = Timestamp::from_unix_seconds(claims.exp);
        let identity = Identity::with_details(subject, end, details);
        let email = identity.email().map(HeaderValue::from_str).transpose();
        Ok(Self {
            email: email.map_err(|_| TokenErrorKind::Subject)?,
            attributes: None,
            identity,
            kind,
            issuer,
            audience,
            all_audiences: (claims.aud.len() > 1).then(|| Box::new(claims.aud)),
            issued_at: Timestamp::from_unix_seconds(claims.iat),
            lifetime,
        })
    }

    /// What a token for this application would say that was made from this session now.
    pub(super) fn of_session(
        session: &crate::session::Session,
        issuer: Arc<str>,
        protected: &Protected,
        now: Timestamp,
    ) -> Self {
        let subject =
            Subject::User { email: session.email.clone(), id: session.user_id.as_str().into() };
        let details = Details {
            country: Some(session.country.as_str().into()),
            session: Some(session.id.as_str().into()),
            proof: None,
        };
        let (start, end) = (now.as_unix_seconds(), session.end());
        Self {
            identity: Identity::with_details(subject, end, details),
            email: HeaderValue::from_str(session.email.as_str()).ok(),
            attributes: Some(Arc::clone(session.attributes())),
            kind: TokenKind::Application,
            issuer,
            audience: protected.application.audience.clone(),
            all_audiences: None,
            issued_at: now,
            lifetime: Lifetime::between(start, end.as_unix_seconds()),
        }
    }

    /// When it was made.
    pub(super) fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// From when it was made until it ends.
    pub(super) fn life(&self) -> std::time::Duration {
        self.identity.expires_at().since(self.issued_at)
    }

    /// Whether one of its audiences is accepted by an application.
    pub(super) fn is_for(&self, protected: &Protected) -> bool {
        protected.accepts(&self.audience)
            || self.all_audiences.as_deref().is_some_and(|audiences| {
                protected.accepted(|audience| audiences.contains(audience)).is_some()
            })
    }

    /// Whether both were made for one session of one person.
    pub(super) fn is_of_same_session(&self, other: &Self) -> bool {
        let session = self.identity.session_id();
        session.is_some()
            && session == other.identity.session_id()
            && self.identity.subject() == other.identity.subject()
    }

    /// The token, towards an origin.
    pub(super) fn assertion(&self) -> Option<&HeaderValue> {
        self.identity.proof()
    }
}

impl Signed for Verified {
    const OVERHEAD: usize = 450;

    fn extra(&self) -> usize {
        // Two maps of the token's claims.
        if self.attributes.is_some() { 1_500 + 4 * self.token().len() } else { 0 }
    }

    fn copy(&self) -> Self {
        let email = self.email.as_ref().and_then(copied);
        Self {
            identity: self.identity.copy(),
            email,
            // Read without being counted.
            attributes: self.attributes.clone(),
            kind: self.kind,
            issuer: Arc::clone(&self.issuer),
            audience: self.audience.clone(),
            all_audiences: self.all_audiences.clone(),
            issued_at: self.issued_at,
            lifetime: self.lifetime,
        }
    }

    fn token(&self) -> &[u8] {
        self.assertion().map(HeaderValue::as_bytes).unwrap_or_default()
    }
}
