//! Verified tokens, and the issuers whose tokens are good.

use std::cell::RefCell;
use std::sync::Arc;

use http::HeaderValue;

use crate::application::{Audience, CanonicalHost, CompiledApplication, PublicOrigins};
use crate::clock::Timestamp;
use crate::identity::{Attributes, Details, Identity, Subject, copied};
use crate::token::{
    Audiences, Claims, Lifetime, Near, Signed, TokenError, TokenErrorKind, TokenKind,
    UnusableClaims, is_country_code,
};

/// A token whose signature has been checked, and what follows from it.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(super) identity: Identity,
    pub(super) email: Option<HeaderValue>,
    /// What the token says of the person beside who it is.
    pub(super) attributes: Option<Arc<Attributes>>,
    pub(super) kind: TokenKind,
    pub(super) issuer: Arc<str>,
    /// The one of its audiences that was asked for first.
    pub(super) audience: Audience,
    /// All of them, where there are several.
    pub(super) all_audiences: Option<Box<Audiences>>,
    pub(super) issued_at: Timestamp,
    pub(super) lifetime: Lifetime,
}

thread_local! {
    /// Each thread's copies of the tokens it sees most.
    pub(super) static NEAR: RefCell<Near<Verified>> = const { RefCell::new(Near::new()) };
}

impl Verified {
    pub(super) fn new(
        token: &str,
        (claims, unusable): (Claims, &mut UnusableClaims),
        kind: TokenKind,
        issuer: IssuerName<'_>,
        protected: &CompiledApplication,
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

    /// When it was made.
    pub(super) fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// From when it was made until it ends.
    pub(super) fn life(&self) -> std::time::Duration {
        self.identity.expires_at().since(self.issued_at)
    }

    /// Whether one of its audiences is accepted by an application.
    pub(super) fn is_for(&self, protected: &CompiledApplication) -> bool {
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

/// Whose tokens are good.
#[derive(Clone, Copy, Debug)]
pub(super) enum IssuerName<'a> {
    /// The team domain's, for all hosts.
    Fixed(&'a Arc<str>),
    /// Each host's own.
    OfHost(&'a PublicOrigins, &'a CanonicalHost),
    /// That of any host of an application.
    OfApplication(&'a PublicOrigins, &'a CompiledApplication),
}

impl IssuerName<'_> {
    /// Compared byte for byte.
    pub(super) fn is(self, name: &Arc<str>) -> bool {
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
