//! Verified tokens, and the issuers whose tokens are accepted.

mod issuer_name;
mod packed;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderValue;

use crate::application::{Audience, CompiledApplication};
use crate::clock::Timestamp;
use crate::identity::{Attributes, ClaimValues, Country, Details, Email, Identity, Proof, Subject};
use crate::token::{
    Audiences, CacheEntry, Claims, Lifetime, ThreadCache, TokenError, TokenErrorKind, TokenKind,
    UnusableClaims, custom_claims,
};

pub(super) use self::issuer_name::IssuerName;
use self::packed::PackedToken;

/// A token whose signature has been checked, and its claims.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(super) identity: Identity,
    /// The header line with the email address; shares the memory of the token.
    pub(super) email: Option<HeaderValue>,
    /// The header line with the token, once it was needed.
    assertion: OnceLock<HeaderValue>,
    /// Whether the token contains attributes of the user.
    has_attributes: bool,
    /// They, once they were needed.
    attributes: OnceLock<Option<Arc<Attributes>>>,
    pub(super) kind: TokenKind,
    pub(super) issuer: Arc<str>,
    /// The audience that the first check accepted.
    pub(super) audience: Audience,
    /// All audiences, if the token has several.
    pub(super) all_audiences: Option<Arc<Audiences>>,
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
        let (proof, email) = copied(token.as_bytes(), claimed_email(&subject))?;
        let details = Details {
            country: claims.country.as_deref().and_then(Country::from_code),
            session: claims.identity_nonce.filter(|nonce| !nonce.is_empty()).map(Into::into),
            proof: Some(proof),
        };
        let end = Timestamp::from_unix_seconds(claims.exp);
        Ok(Self {
            identity: Identity::with_details(subject, end, details),
            email,
            assertion: OnceLock::new(),
            has_attributes: false,
            attributes: OnceLock::new(),
            kind,
            issuer,
            audience,
            all_audiences: (claims.aud.len() > 1).then(|| Arc::new(claims.aud)),
            issued_at: Timestamp::from_unix_seconds(claims.iat),
            lifetime,
        })
    }

    /// Adds attributes of the user, from the claim `custom` of the token.
    pub(super) fn set_custom_claims(
        &mut self,
        custom: &serde_json::Map<String, serde_json::Value>,
    ) {
        self.has_attributes = true;
        self.attributes = OnceLock::from(Some(Arc::new(attributes(custom))));
    }

    /// Returns the attributes of the user in the token. The first call parses them again if the token
    /// comes from the cache.
    pub(super) fn attributes(&self) -> Option<&Arc<Attributes>> {
        if !self.has_attributes {
            return None;
        }
        let parse = || {
            let custom = std::str::from_utf8(self.token()).ok().and_then(custom_claims)?;
            custom.as_object().map(|custom| Arc::new(attributes(custom)))
        };
        self.attributes.get_or_init(parse).as_ref()
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
        if self.assertion.get().is_none() {
            let token = self.identity.proof()?.token().clone();
            let mut value = HeaderValue::from_maybe_shared(token).ok()?;
            value.set_sensitive(true);
            // Another thread may have been faster.
            self.assertion.set(value).ok();
        }
        self.assertion.get()
    }
}

impl CacheEntry for Verified {
    type Packed = PackedToken;

    fn token(&self) -> &[u8] {
        self.identity.proof().map(|proof| &**proof.token()).unwrap_or_default()
    }

    fn pack(&self) -> Option<PackedToken> {
        PackedToken::new(self)
    }

    fn unpack(packed: &PackedToken, token: &[u8]) -> Option<Self> {
        packed.unpack(token)
    }
}

fn claimed_email(subject: &Subject) -> Option<&str> {
    match subject {
        Subject::User { email, .. } => Some(email.as_str()),
        Subject::IncompleteUser { email, .. } => email.as_ref().map(Email::as_str),
        Subject::Service { .. } => None,
    }
}

/// Copies a token and an address into one piece of memory: those of the request may be parts of a much
/// larger buffer.
fn copied(token: &[u8], email: Option<&str>) -> Result<(Proof, Option<HeaderValue>), TokenError> {
    let address = email.unwrap_or_default().as_bytes();
    let mut memory = Vec::with_capacity(token.len() + address.len());
    memory.extend_from_slice(token);
    memory.extend_from_slice(address);
    let mut memory = Bytes::from(memory);
    let address = memory.split_off(token.len());
    let line = email.map(|_| HeaderValue::from_maybe_shared(address)).transpose();
    Ok((Proof::new(memory), line.map_err(|_| TokenErrorKind::Subject)?))
}

/// Reads the claim `custom`: OIDC claims or SAML attributes, depending on the login method, which the
/// token does not name.
fn attributes(custom: &serde_json::Map<String, serde_json::Value>) -> Attributes {
    let claims = ClaimValues::from_hints(custom);
    Attributes {
        oidc_claims: Some(claims.clone()),
        saml_attributes: Some(claims),
        ..Attributes::default()
    }
}
