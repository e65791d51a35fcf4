//! Verified tokens, and the issuers whose tokens are accepted.

use std::cell::RefCell;
use std::sync::Arc;

use http::HeaderValue;

use crate::application::{Audience, CanonicalHost, CompiledApplication, PublicOrigins};
use crate::clock::Timestamp;
use crate::identity::{Attributes, Details, Identity, Subject, copied};
use crate::token::{
    Audiences, CacheEntry, Claims, Lifetime, ThreadCache, TokenError, TokenErrorKind, TokenKind,
    UnusableClaims, is_country_code,
};

/// A token whose signature has been checked, and its claims.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(super) identity: Identity,
    pub(super) email: Option<HeaderValue>,
    /// Attributes of the user in the token.
    pub(super) attributes: Option<Arc<Attributes>>,
    pub(super) kind: TokenKind,
    pub(super) issuer: Arc<str>,
    /// The audience that the first check accepted.
    pub(super) audience: Audience,
    /// All audiences, if the token has several.
    pub(super) all_audiences: Option<Box<Audiences>>,
    pub(super) issued_at: Timestamp,
    pub(super) lifetime: Lifetime,
}

thread_local! {
    /// Each thread's copies of its most frequent tokens.
    pub(super) static NEAR: RefCell<ThreadCache<Verified>> = const { RefCell::new(ThreadCache::new()) };
}

impl Verified {
    pub(super) fn new(
        token: &str,
        (claims, unusable): (Claims, &mut UnusableClaims),
        kind: TokenKind,
        issuer: IssuerName<'_>,
        application: &CompiledApplication,
    ) -> Result<Self, TokenError> {
        let issuer = issuer.accept(claims.iss.clone()).ok_or(TokenErrorKind::Issuer)?;
        if claims.kind != kind {
            return Err(TokenErrorKind::Type.into());
        }
        let audience = application.accepted(|audience| claims.aud.contains(audience));
        let audience = audience.ok_or(TokenErrorKind::Audience)?.clone();
        let lifetime = Lifetime::from_claims(&claims)?;
        let subject = claims.subject()?;
        if !matches!(subject, Subject::Service { .. }) {
            unusable.examine_user(&claims);
        }
        // A copy: the header may be a part of a much larger buffer.
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

    /// When it was made.
    pub(super) fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// Returns the time between issue and expiry.
    pub(super) fn life(&self) -> std::time::Duration {
        self.identity.expires_at().since(self.issued_at)
    }

    /// Returns whether an application accepts one of its audiences.
    pub(super) fn is_for(&self, application: &CompiledApplication) -> bool {
        application.accepts(&self.audience)
            || self.all_audiences.as_deref().is_some_and(|audiences| {
                application.accepted(|audience| audiences.contains(audience)).is_some()
            })
    }

    /// Returns whether both were made for one session of one user.
    pub(super) fn is_of_same_session(&self, other: &Self) -> bool {
        let session = self.identity.session_id();
        session.is_some()
            && session == other.identity.session_id()
            && self.identity.subject() == other.identity.subject()
    }

    /// Returns the token, for an origin.
    pub(super) fn assertion(&self) -> Option<&HeaderValue> {
        self.identity.proof()
    }
}

impl CacheEntry for Verified {
    const OVERHEAD: usize = 450;

    fn extra(&self) -> usize {
        // Two maps with the claims of the token.
        if self.attributes.is_some() { 1_500 + 4 * self.token().len() } else { 0 }
    }

    fn copy(&self) -> Self {
        let email = self.email.as_ref().and_then(copied);
        Self {
            identity: self.identity.copy(),
            email,
            // Shared: it is read without touching the reference count.
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

/// The issuers whose tokens are accepted.
#[derive(Clone, Copy, Debug)]
pub(super) enum IssuerName<'a> {
    /// The team domain, for all hosts.
    Fixed(&'a Arc<str>),
    /// The host of the request.
    OfHost(&'a PublicOrigins, &'a CanonicalHost),
    /// Any host of an application.
    OfApplication(&'a PublicOrigins, &'a CompiledApplication),
}

impl IssuerName<'_> {
    /// Compares names byte for byte.
    pub(super) fn is(self, name: &Arc<str>) -> bool {
        match self {
            Self::Fixed(issuer) => Arc::ptr_eq(issuer, name) || issuer == name,
            Self::OfHost(origins, host) => origins.is_issuer(name, host),
            Self::OfApplication(origins, application) => {
                let host = name.split_once("://").and_then(|(_, host)| host.parse().ok());
                host.is_some_and(|host: CanonicalHost| {
                    let mut destinations = application.application.destinations.iter();
                    origins.is_issuer(name, &host)
                        && destinations.any(|one| one.matches_host(host.as_str()))
                })
            }
        }
    }

    /// Returns the name in a token if it is accepted.
    fn accept(self, name: String) -> Option<Arc<str>> {
        match self {
            Self::Fixed(issuer) if **issuer == *name => Some(Arc::clone(issuer)),
            _ => Some(name.into()).filter(|name| self.is(name)),
        }
    }
}
