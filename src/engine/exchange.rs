//! Service tokens where we issue: who looks after them, and what one is exchanged for.

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
    /// The service tokens: those that the store defines are made, rotated, switched off and deleted
    /// with it while the program runs.
    ///
    /// Where this engine does not issue the issuer has them, and every method says so.
    #[must_use]
    pub fn service_tokens(&self) -> ServiceTokenAdmin {
        ServiceTokenAdmin::new(&self.engine().service_tokens)
    }
}

impl Engine {
    /// The cookie that a service token is exchanged for; none in strict mode, and none where an
    /// application wants a binding cookie beside it, which only people get.
    pub(super) fn exchanged(
        &self,
        assertion: &HeaderValue,
        at: Scope<'_>,
        path: &str,
    ) -> Option<Box<HeaderValue>> {
        let application = &at.application.application;
        if self.service_tokens.is_strict() || application.binding_cookie {
            return None;
        }
        let token = assertion.to_str().ok()?;
        let cookie = SetCookie {
            http_only: application.http_only_cookie,
            same_site: application.same_site.unwrap_or(SameSite::None),
            path: &application.cookie_path(at.host.as_str(), path),
            ..SetCookie::new(AUTHORIZATION, token, end_of(token)?)
        };
        cookie.header(at.host).map(Box::new)
    }
}

/// When a token ends that was just made here: nothing that needs to be verified.
fn end_of(token: &str) -> Option<Timestamp> {
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
