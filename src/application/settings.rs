//! The configuration of an application.

use std::time::Duration;

use http::header::HeaderName;

use crate::policy::Policy;

use super::ambiguity::Ambiguities;
use super::audience::Audience;
use super::cors::CorsHeaders;
use super::deny_url::{DenyUrl, DenyUrlError};
use super::destination::Destination;
use super::destination_error::DestinationError;

/// Hosts and paths under one set of policies: Cloudflare's self-hosted application (section 7.4).
///
/// ```
/// use std::time::Duration;
/// use tower_access::application::Application;
/// use tower_access::policy::{Policy, Rule};
///
/// let wiki = Application::new("Wiki", "wiki.example.com")?
///     .session_duration(Duration::from_secs(8 * 3600))
///     .policy(Policy::allow("staff").include(Rule::email_domain("example.com")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Without a policy nobody is admitted.
#[derive(Clone, Debug)]
pub struct Application {
    pub(crate) id: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) audience: Audience,
    pub(crate) other_audiences: Vec<Audience>,
    pub(crate) binding_cookie: bool,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) session_duration: Option<Duration>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) http_only_cookie: bool,
    pub(crate) same_site: Option<SameSite>,
    pub(crate) custom_deny_message: Option<Box<str>>,
    pub(crate) service_auth_401_redirect: bool,
    pub(crate) ambiguities: Ambiguities,
    pub(crate) case_sensitive_origin: bool,
    pub(crate) allows_shared_caching: bool,
    pub(crate) cors_headers: Option<Box<CorsHeaders>>,
    pub(crate) options_preflight_bypass: bool,
    pub(crate) custom_deny_url: Option<Box<DenyUrl>>,
    pub(crate) custom_non_identity_deny_url: Option<Box<DenyUrl>>,
    pub(crate) path_cookie: bool,
    pub(crate) service_token_header: Option<HeaderName>,
    pub(crate) allowed_login_methods: Vec<Box<str>>,
    pub(crate) skips_interstitial: bool,
    pub(crate) auto_redirect_to_identity: bool,
}

impl Application {
    /// Creates an application for a host and an optional path, both with wildcards if needed; see
    /// [`Destination`]. Its audience is derived from this domain.
    ///
    /// # Errors
    ///
    /// If the domain is invalid or has a port.
    pub fn new(name: impl Into<Box<str>>, domain: &str) -> Result<Self, DestinationError> {
        Ok(Self::with_destinations(name, [Destination::from_domain(domain)?]))
    }

    /// Creates an application for destinations without ports. Its id and its audience come from the
    /// first one.
    pub(crate) fn with_destinations(
        name: impl Into<Box<str>>,
        destinations: impl IntoIterator<Item = Destination>,
    ) -> Self {
        let mut destinations = destinations.into_iter().peekable();
        let first = destinations.peek().map(ToString::to_string).unwrap_or_default();
        let application = Self {
            audience: Audience::derived_from(&first),
            id: first.into(),
            name: name.into(),
            other_audiences: Vec::new(),
            binding_cookie: false,
            destinations: Vec::new(),
            session_duration: None,
            policies: Vec::new(),
            http_only_cookie: true,
            same_site: None,
            custom_deny_message: None,
            service_auth_401_redirect: false,
            ambiguities: Ambiguities::default(),
            case_sensitive_origin: false,
            allows_shared_caching: false,
            cors_headers: None,
            options_preflight_bypass: false,
            custom_deny_url: None,
            custom_non_identity_deny_url: None,
            path_cookie: false,
            service_token_header: None,
            allowed_login_methods: Vec::new(),
            skips_interstitial: false,
            auto_redirect_to_identity: false,
        };
        destinations.fold(application, Self::add)
    }

    fn add(mut self, destination: Destination) -> Self {
        if !self.destinations.contains(&destination) {
            self.destinations.push(destination);
        }
        self
    }

    /// Adds a host and path to the application.
    ///
    /// # Errors
    ///
    /// If the domain is invalid or has a port.
    pub fn also_at(self, domain: &str) -> Result<Self, DestinationError> {
        Destination::from_domain(domain).map(|destination| self.add(destination))
    }

    /// Adds a policy after those that were added before.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policies.push(policy);
        self
    }

    /// Sets the id. Default: the domain.
    #[must_use]
    pub fn id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the audience tag. Behind an issuer it is the tag that the issuer shows.
    #[must_use]
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// Also accepts tokens for this audience: for an origin that serves several applications of its
    /// issuer. Logins and issued tokens use the first audience.
    #[must_use]
    pub fn also_for_audience(mut self, audience: Audience) -> Self {
        if audience != self.audience && !self.other_audiences.contains(&audience) {
            self.other_audiences.push(audience);
        }
        self
    }

    /// Sets the lifetime of an application token, 31 days at most (longer ones are shortened). Default:
    /// the lifetime of the login, which is 24 hours unless it is set. The duration of the policy that
    /// admits the user takes precedence; no token outlives its login.
    ///
    /// With zero each page goes through the login again: a token is valid for the page that was opened,
    /// for some seconds, and the next page gets a new one, without a question while the login lasts.
    #[must_use]
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.session_duration = Some(duration.min(MAX_SESSION_DURATION));
        self
    }

    /// Sets the text of the page for users who are logged in and denied.
    #[must_use]
    pub fn custom_deny_message(mut self, message: impl Into<Box<str>>) -> Self {
        self.custom_deny_message = Some(message.into());
        self
    }

    /// Sets the page to which browsers are redirected when a user is logged in and no policy admits
    /// them: `custom_deny_url`.
    ///
    /// The URL is sent unchanged, with a 302, instead of the page and its message; nothing of the
    /// request is added to it. Scripts, programs and gRPC calls get the plain 403. The URL must be
    /// outside of the application; building an engine fails otherwise.
    ///
    /// # Errors
    ///
    /// If it is not an absolute `https://` URL (`http://` on `localhost`).
    pub fn custom_deny_url(mut self, url: &str) -> Result<Self, DenyUrlError> {
        self.custom_deny_url = Some(Box::new(url.parse()?));
        Ok(self)
    }

    /// As [`custom_deny_url`](Self::custom_deny_url), for requests that no login would help: the
    /// network is refused, or only services are admitted. `custom_non_identity_deny_url`.
    ///
    /// # Errors
    ///
    /// If it is not an absolute `https://` URL (`http://` on `localhost`).
    pub fn custom_non_identity_deny_url(mut self, url: &str) -> Result<Self, DenyUrlError> {
        self.custom_non_identity_deny_url = Some(Box::new(url.parse()?));
        Ok(self)
    }

    /// Lets pages of other origins read responses, and responds to their preflights. Excludes
    /// [`insecure_options_preflight_bypass`](Self::insecure_options_preflight_bypass).
    #[must_use]
    pub fn cors_headers(mut self, cors: CorsHeaders) -> Self {
        self.cors_headers = Some(Box::new(cors));
        self
    }

    /// Passes every `OPTIONS` request to the inner service, so that it responds to preflights itself:
    /// `options_preflight_bypass`. The request carries no identity and no cookie of ours.
    ///
    /// **Weakens the default**: as at Cloudflare, not only preflights but all `OPTIONS` requests pass,
    /// regardless of the policies. An inner service that does more than respond to them does it for
    /// strangers. Requests that ask for another protocol (`Upgrade`) or name another method
    /// (`X-HTTP-Method-Override` and similar headers) are checked like all other requests.
    #[must_use]
    pub fn insecure_options_preflight_bypass(mut self) -> Self {
        self.options_preflight_bypass = true;
        self
    }

    /// Accepts only the login method with this id, and those of further calls: `allowed_idps`. Default:
    /// all methods. The id of the one-time PIN is that of `OneTimePin`.
    ///
    /// Only for engines that issue tokens. The methods must exist.
    #[must_use]
    pub fn allowed_login_method(mut self, id: impl Into<Box<str>>) -> Self {
        self.allowed_login_methods.push(id.into());
        self
    }

    /// Redirects users to the identity provider without a page on which they choose it, if the
    /// application accepts only this login method: `auto_redirect_to_identity`.
    #[must_use]
    pub fn auto_redirect_to_identity(mut self) -> Self {
        self.auto_redirect_to_identity = true;
        self
    }

    /// Admits the command-line client without asking the user who is logged in: `skip_interstitial`.
    ///
    /// **Weakens the default**: an attacker who makes a user open a prepared link, for instance by mail,
    /// is admitted as that user. If the browser states that a page led there, and right after a login,
    /// the user is asked nevertheless.
    #[cfg(feature = "cloudflared")]
    #[must_use]
    pub fn insecure_skip_interstitial(mut self) -> Self {
        self.skips_interstitial = true;
        self
    }

    /// Responds with 401 instead of 403 if only services are admitted and none has authenticated. git
    /// and git-lfs get 403 nevertheless.
    #[must_use]
    pub fn service_auth_401_redirect(mut self) -> Self {
        self.service_auth_401_redirect = true;
        self
    }

    /// Lets shared caches store responses to users, services and networks if the inner service
    /// addresses such caches: by `public` or `s-maxage` in `Cache-Control`, or in a header only for
    /// them, such as `CDN-Cache-Control`, `Surrogate-Control` or `X-Accel-Expires`.
    ///
    /// By default every response that not everybody may get is sent with `private`, or with the inner
    /// service's `no-store`, and without these headers; `max-age` and similar directives stay for the
    /// browser's own cache. Responses behind a `bypass` policy for everyone are never changed.
    ///
    /// **Weakens the default**: a cache in front checks no policy. It serves what it stored to
    /// strangers, and to users whose access was revoked. Needed if a cache checks access itself, or an
    /// application marks the files that strangers may see.
    #[must_use]
    pub fn insecure_allow_shared_caching(mut self) -> Self {
        self.allows_shared_caching = true;
        self
    }

    /// Returns the hosts and paths of the application; the first one is its domain.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// Returns the policies in the order in which they were added.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Returns the name that users see.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Application {
    /// Whether the application accepts logins by this method.
    pub(crate) fn allows_login_method(&self, id: &str) -> bool {
        let allowed = &self.allowed_login_methods;
        allowed.is_empty() || allowed.iter().any(|method| **method == *id)
    }

    /// Returns the pages to which denied browsers are redirected.
    pub(crate) fn deny_urls(&self) -> impl Iterator<Item = &DenyUrl> {
        let urls = [&self.custom_deny_url, &self.custom_non_identity_deny_url];
        urls.into_iter().filter_map(|url| url.as_deref())
    }
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SameSite {
    /// Browsers also send the cookie from other sites.
    None,
    /// Browsers send the cookie from other sites only when a user follows a link.
    Lax,
    /// Browsers never send the cookie from other sites. The first page after a login then redirects once
    /// more.
    Strict,
}

pub(crate) const MAX_SESSION_DURATION: Duration = Duration::from_secs(31 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn app(domain: &str) -> Application {
        Application::new("App", domain).unwrap()
    }

    #[test]
    fn login_methods_are_all_or_those_that_are_named() {
        assert!(app("a.example").allows_login_method("x"));
        let app = app("a.example").allowed_login_method("x").allowed_login_method("y");
        assert!(app.allows_login_method("x") && app.allows_login_method("y"));
        assert!(!app.allows_login_method("z") && !app.allows_login_method(""));
    }
}
