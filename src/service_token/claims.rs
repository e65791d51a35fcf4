//! The claims of service tokens: section 1.5 of the contract.

use crate::clock::Timestamp;
use crate::token::{Audiences, Claims, TokenKind};

/// Returns the claims of the token that an origin receives with a request of a service.
pub(crate) fn service_claims(
    client_id: &str,
    issuer: &str,
    audience: &str,
    now: Timestamp,
    end: Timestamp,
) -> Claims {
    Claims {
        kind: TokenKind::Application,
        iss: issuer.to_owned(),
        aud: Audiences::single(audience),
        exp: end.as_unix_seconds(),
        iat: now.as_unix_seconds(),
        nbf: None,
        sub: Some(String::new()),
        email: None,
        common_name: Some(client_id.to_owned()),
        identity_nonce: None,
        country: None,
    }
}
