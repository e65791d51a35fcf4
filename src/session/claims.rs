//! The claims of user tokens: sections 1.2 to 1.4 of the contract.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::token::{Audiences, Claims, TokenKind};

use super::{Session, TokenLifetime};

impl Session {
    /// Returns the claims of an application token. It never outlives the session.
    pub(crate) fn application_claims(
        &self,
        issuer: &str,
        audience: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Claims {
        let end = now.plus(lifetime).min(self.end());
        self.claims(TokenKind::Application, issuer, audience, (now, end))
    }

    /// Returns the claims of the session token, which proves the global session to the login.
    pub(crate) fn session_claims(&self, issuer: &str, now: Timestamp) -> Claims {
        self.claims(TokenKind::Session, issuer, issuer, (now, self.end()))
    }

    /// Returns the claims of an application's binding cookie: valid with tokens of this session.
    pub(crate) fn binding_claims(&self, issuer: &str, audience: &str, now: Timestamp) -> Claims {
        self.claims(TokenKind::Binding, issuer, audience, (now, self.end()))
    }

    fn claims(
        &self,
        kind: TokenKind,
        issuer: &str,
        audience: &str,
        (now, end): (Timestamp, Timestamp),
    ) -> Claims {
        Claims {
            kind,
            iss: issuer.to_owned(),
            aud: Audiences::single(audience),
            exp: end.as_unix_seconds(),
            iat: now.as_unix_seconds(),
            // Never in the future: some validators allow no clock skew.
            nbf: Some(now.as_unix_seconds()),
            sub: Some(self.user_id.clone()),
            email: Some(self.email.to_string()),
            common_name: None,
            identity_nonce: Some(self.id.clone()),
            country: Some(self.country.clone()),
        }
    }
}

/// Returns the claims of the token that an origin receives when another application forwards a user's
/// token. It has no session id: it is not a login and does not grant access here.
pub(crate) fn linked_claims(
    person: &Identity,
    issuer: &str,
    audience: &str,
    lifetime: TokenLifetime,
    now: Timestamp,
) -> Claims {
    Claims {
        kind: TokenKind::Application,
        iss: issuer.to_owned(),
        aud: Audiences::single(audience),
        exp: now.plus(lifetime.get()).min(person.expires_at()).as_unix_seconds(),
        iat: now.as_unix_seconds(),
        nbf: Some(now.as_unix_seconds()),
        sub: person.user_id().map(str::to_owned),
        email: person.email().map(str::to_owned),
        common_name: None,
        identity_nonce: None,
        country: person.country().map(str::to_owned),
    }
}
