//! Service tokens of an engine that issues: their administration, and their exchange for a cookie.

use http::HeaderValue;
use serde::Deserialize;

use super::Access;
use super::Engine;
use super::request_context::Scope;
use crate::application::SameSite;
use crate::clock::Timestamp;
use crate::service_token::ServiceTokenAdmin;
use crate::session::cookie::{AUTHORIZATION, SetCookie};

impl Access {
    /// Returns the administration of service tokens, which creates, rotates, disables and deletes
    /// service tokens of the store at run time.
    ///
    /// In an engine that verifies, every method returns an error: the issuer has the service tokens.
    #[must_use]
    pub fn service_tokens(&self) -> ServiceTokenAdmin {
        ServiceTokenAdmin::new(&self.engine().service_tokens)
    }
}

/// Returns the cookie that a service token is exchanged for; `None` in strict mode, and if the
/// application requires a binding cookie, which only users get.
pub(super) fn exchange_cookie(
    engine: &Engine,
    assertion: &HeaderValue,
    at: Scope<'_>,
    path: &str,
) -> Option<Box<HeaderValue>> {
    let application = &at.application.application;
    if engine.service_tokens.is_strict() || application.binding_cookie {
        return None;
    }
    let token = assertion.to_str().ok()?;
    let cookie = SetCookie {
        http_only: application.http_only_cookie,
        same_site: application.same_site.unwrap_or(SameSite::None),
        path: &application.cookie_path(at.host.as_str(), path),
        ..SetCookie::new(AUTHORIZATION, token, expiry(token)?)
    };
    cookie.header(at.host).map(Box::new)
}

/// Reads `exp` of a token that this engine has just made, without verifying it.
fn expiry(token: &str) -> Option<Timestamp> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }

    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    Some(Timestamp::from_unix_seconds(exp))
}
