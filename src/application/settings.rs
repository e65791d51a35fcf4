//! An application as it is configured.

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
/// Without a policy nobody gets in.
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
}

impl Application {
    /// An application for a host and an optional path, both with wildcards if need be; see
    /// [`Destination`]. Its audience is derived from this domain.
    ///
    /// # Errors
    ///
    /// When the domain is none, or has a port.
    pub fn new(name: impl Into<Box<str>>, domain: &str) -> Result<Self, DestinationError> {
        let destination = Destination::of_domain(domain)?;
        Ok(Self {
            id: destination.to_string().into(),
            name: name.into(),
            audience: Audience::derived_from(&destination.to_string()),
            other_audiences: Vec::new(),
            binding_cookie: false,
            destinations: vec![destination],
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
        })
    }

    /// Adds a host and path that belong to the application as well.
    ///
    /// # Errors
    ///
    /// When the domain is none, or has a port.
    pub fn also_at(mut self, domain: &str) -> Result<Self, DestinationError> {
        let destination = Destination::of_domain(domain)?;
        if !self.destinations.contains(&destination) {
            self.destinations.push(destination);
        }
        Ok(self)
    }

    /// Adds a policy behind those already there.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policies.push(policy);
        self
    }

    /// Sets the id, by default the domain.
    #[must_use]
    pub fn id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the audience tag. Behind an issuer it is the tag the issuer shows.
    #[must_use]
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// Accepts tokens for this audience as well: for an origin that serves several applications of
    /// its issuer. A login is asked for with the first one, and so are tokens issued.
    #[must_use]
    pub fn also_for_audience(mut self, audience: Audience) -> Self {
        if audience != self.audience && !self.other_audiences.contains(&audience) {
            self.other_audiences.push(audience);
        }
        self
    }

    /// Sets how long an application token lives, 31 days at most (longer ones are cut). By default as
    /// long as a login lasts over all applications, 24 hours where that is not set either. What the
    /// policy says that lets somebody in goes before it; no token outlives its login.
    ///
    /// With zero every page is asked for anew: a token serves the page that was opened, for some
    /// seconds, and the next one goes through the login again, without a question while the login
    /// lasts.
    #[must_use]
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.session_duration = Some(duration.min(LONGEST_SESSION));
        self
    }

    /// Sets the text of the page for people who logged in and may not enter.
    #[must_use]
    pub fn custom_deny_message(mut self, message: impl Into<Box<str>>) -> Self {
        self.custom_deny_message = Some(message.into());
        self
    }

    /// Sends browsers here that open a page and are refused for who they are: people who have logged
    /// in, and whom no policy lets in. `custom_deny_url`.
    ///
    /// The address is sent as it stands, with a 302, in place of the page and its message; nothing
    /// of the request is added to it. Scripts, programs and gRPC calls get the plain 403. It must
    /// not lie in the application itself: an engine is not built otherwise.
    ///
    /// # Errors
    ///
    /// When it is no whole `https://` address (`http://` on `localhost`).
    pub fn custom_deny_url(mut self, url: &str) -> Result<Self, DenyUrlError> {
        self.custom_deny_url = Some(Box::new(url.parse()?));
        Ok(self)
    }

    /// As [`custom_deny_url`](Self::custom_deny_url), for those whom no login would help: their
    /// network is refused, or only services may enter. `custom_non_identity_deny_url`.
    ///
    /// # Errors
    ///
    /// When it is no whole `https://` address (`http://` on `localhost`).
    pub fn custom_non_identity_deny_url(mut self, url: &str) -> Result<Self, DenyUrlError> {
        self.custom_non_identity_deny_url = Some(Box::new(url.parse()?));
        Ok(self)
    }

    /// Lets pages of other origins read answers, and answers their preflights. Excludes
    /// [`insecure_options_preflight_bypass`](Self::insecure_options_preflight_bypass).
    #[must_use]
    pub fn cors_headers(mut self, cors: CorsHeaders) -> Self {
        self.cors_headers = Some(Box::new(cors));
        self
    }

    /// Lets every `OPTIONS` request through to the inner service, so that it answers preflights
    /// itself: `options_preflight_bypass`. No identity goes with it and no cookie of ours, whoever
    /// asks.
    ///
    /// **Weakens the default**: not preflights alone but all `OPTIONS` requests are let through, as
    /// at Cloudflare, whatever the policies say. An inner service that does more than answer them
    /// does it for strangers. Those that ask for another protocol (`Upgrade`) or name another method
    /// (`X-HTTP-Method-Override` and its like) are judged as all other requests.
    #[must_use]
    pub fn insecure_options_preflight_bypass(mut self) -> Self {
        self.options_preflight_bypass = true;
        self
    }

    /// Lets people in who have logged in by this method alone, by its id; named again, by these.
    /// `allowed_idps`. By default by all there are: the one-time PIN, whose id is that of
    /// `OneTimePin`.
    ///
    /// Where tokens are issued only; the ids have to be those of methods that exist.
    #[must_use]
    pub fn allowed_login_method(mut self, id: impl Into<Box<str>>) -> Self {
        self.allowed_login_methods.push(id.into());
        self
    }

    /// Lets the command-line client in without asking the person who is logged in:
    /// `skip_interstitial`.
    ///
    /// **Weakens the default**: whoever brings somebody to open an address of their making, by mail
    /// for instance, gets in under that person's name. Where the browser says that a page led there,
    /// and right after a login, the person is asked all the same.
    #[cfg(feature = "cloudflared")]
    #[must_use]
    pub fn insecure_skip_interstitial(mut self) -> Self {
        self.skips_interstitial = true;
        self
    }

    /// Answers 401 in place of 403 where only services may enter and none has proved itself. git and
    /// git-lfs get 403 all the same.
    #[must_use]
    pub fn service_auth_401_redirect(mut self) -> Self {
        self.service_auth_401_redirect = true;
        self
    }

    /// Lets caches that several people share store answers to people, services and networks, where
    /// the inner service names such caches: by `public` or `s-maxage` in `Cache-Control`, or in a
    /// header for them alone, such as `CDN-Cache-Control`, `Surrogate-Control` or `X-Accel-Expires`.
    ///
    /// By default every answer that not everybody would get leaves with `private`, or with the inner
    /// service's `no-store`, and without these headers; `max-age` and its like stay for the
    /// browser's own cache. Answers behind a `bypass` policy for everyone are never changed.
    ///
    /// **Weakens the default**: a cache in front asks no policy. What it stores, it hands to
    /// strangers, and to people whose access has ended. Needed where a cache checks access itself,
    /// or an application marks the files that strangers may see.
    #[must_use]
    pub fn insecure_allow_shared_caching(mut self) -> Self {
        self.allows_shared_caching = true;
        self
    }

    /// Where the application applies; the first is the domain shown.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// The policies, as they were added.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Application {
    /// Whether people may come in who have logged in by this method.
    pub(crate) fn allows_login_method(&self, id: &str) -> bool {
        let allowed = &self.allowed_login_methods;
        allowed.is_empty() || allowed.iter().any(|method| **method == *id)
    }

    /// Where it sends those it refuses.
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
    /// Sent along from other sites as well.
    None,
    /// Sent along when a person follows a link.
    Lax,
    /// Never sent from other sites. The first page after a login then asks once more.
    Strict,
}

pub(crate) const LONGEST_SESSION: Duration = Duration::from_secs(31 * 86_400);

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
