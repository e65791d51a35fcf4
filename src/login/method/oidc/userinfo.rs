//! The userinfo endpoint (OpenID Connect Core, section 5.3).

use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use url::Url;

use super::claims::ClaimSet;
use crate::secret::{SecretText, equal};
use crate::util::fetch::{Fetch, HttpError, Request};

/// Why there are no further claims.
#[derive(Debug, thiserror::Error)]
pub(super) enum UserinfoError {
    #[error("the userinfo endpoint failed: {0}")]
    Http(#[from] HttpError),
    #[error("the userinfo endpoint's response is not a JSON object of claims")]
    Unreadable,
    #[error("the userinfo endpoint's response is about another user (`sub`)")]
    Subject,
    #[error("the access token cannot be sent to the userinfo endpoint")]
    AccessToken,
}

/// Returns the claims about the user of the ID token.
pub(super) async fn fetch(
    client: &dyn Fetch,
    endpoint: &Url,
    access_token: &SecretText,
    subject: &str,
) -> Result<ClaimSet, UserinfoError> {
    let bearer = HeaderValue::try_from(format!("Bearer {}", access_token.expose()));
    let mut bearer = bearer.map_err(|_| UserinfoError::AccessToken)?;
    bearer.set_sensitive(true);
    let request = Request::get(endpoint, MAX_USERINFO_BYTES)
        .header(AUTHORIZATION, bearer)
        .header(ACCEPT, HeaderValue::from_static("application/json"));
    let reply = client.send(request).await?;
    let claims = ClaimSet::read(&reply.body).ok_or(UserinfoError::Unreadable)?;
    let stated = claims.required_text("sub").map_err(|_| UserinfoError::Subject)?;
    if subject.is_empty() || !equal(stated.as_bytes(), subject.as_bytes()) {
        return Err(UserinfoError::Subject);
    }
    Ok(claims)
}

const MAX_USERINFO_BYTES: usize = 256 * 1024;
