//! An application's cookies, set at the end of a login and at a renewal.

use http::header::HeaderValue;

use crate::application::{CanonicalHost, CompiledApplication, SameSite};
use crate::clock::Timestamp;
use crate::issuer::{IssuedToken, SigningError};
use crate::session::{Session, TokenLifetime, cookie};

use super::Login;

/// The tokens of a user's browser for an application.
#[derive(Debug)]
pub(crate) struct ApplicationTokens {
    pub(crate) token: IssuedToken,
    /// If the application requires one.
    binding: Option<IssuedToken>,
}

impl Login {
    /// Signs an application's tokens for a session: a millisecond or two of work.
    pub(crate) fn application_tokens(
        &self,
        session: &Session,
        (protected, host): (&CompiledApplication, &CanonicalHost),
        lifetime: TokenLifetime,
        now: Timestamp,
    ) -> Result<ApplicationTokens, SigningError> {
        let (issuer, audience) = (self.issuer_name(host), protected.audience());
        let lifetime = self.lifetimes.bounded(lifetime);
        let claims = session.application_claims(&issuer, audience, lifetime, now);
        let token = self.issuer.issue(claims, now)?;
        let asks_for_binding = protected.application.binding_cookie;
        let binding = asks_for_binding
            .then(|| self.issuer.issue(session.binding_claims(&issuer, audience, now), now))
            .transpose()?;
        Ok(ApplicationTokens { token, binding })
    }

    /// Returns the `Set-Cookie` lines for a browser at this path, or `None` if one is not a valid
    /// header value.
    pub(crate) fn cookie_lines(
        &self,
        tokens: &ApplicationTokens,
        (protected, host): (&CompiledApplication, &CanonicalHost),
        target: &str,
    ) -> Option<Vec<HeaderValue>> {
        let application = &protected.application;
        let path = application.cookie_path(host.as_str(), target);
        let same_site = application.same_site.unwrap_or(SameSite::None);
        let token = cookie::SetCookie {
            http_only: application.http_only_cookie,
            same_site,
            path: &path,
            ..cookie::SetCookie::new(cookie::AUTHORIZATION, &tokens.token.token, tokens.token.end())
        };
        let mut lines = vec![token.header(host)?];
        // A logout on this host needs the session's id. (If the login runs on this host, the
        // session's own cookie has it.)
        if path != "/" && self.team_host(host) != host {
            let copy = cookie::SetCookie { http_only: true, path: cookie::LOGIN_PATH, ..token };
            lines.push(copy.header(host)?);
        }
        if let Some(binding) = &tokens.binding {
            let binding = cookie::SetCookie {
                same_site,
                path: &path,
                ..cookie::SetCookie::new(cookie::BINDING, &binding.token, binding.end())
            };
            lines.push(binding.header(host)?);
        }
        Some(lines)
    }
}
