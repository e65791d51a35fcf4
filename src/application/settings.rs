//! An application as it is configured.

use std::time::Duration;

use crate::policy::Policy;

use super::audience::Audience;
use super::pattern::{Destination, DestinationError};

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
    pub(crate) session_duration: Duration,
    pub(crate) policies: Vec<Policy>,
    pub(crate) http_only_cookie: bool,
    pub(crate) same_site: Option<SameSite>,
    pub(crate) custom_deny_message: Option<Box<str>>,
    pub(crate) service_auth_401_redirect: bool,
    pub(crate) allows_encoded_slashes: bool,
}

impl Application {
    /// An application for a host and an optional path, both with wildcards if need be; see
    /// [`Destination`]. Its audience is derived from this domain.
    ///
    /// # Errors
    ///
    /// When the domain is none.
    pub fn new(name: impl Into<Box<str>>, domain: &str) -> Result<Self, DestinationError> {
        let destination: Destination = domain.parse()?;
        Ok(Self {
            id: destination.to_string().into(),
            name: name.into(),
            audience: Audience::derived_from(&destination.to_string()),
            other_audiences: Vec::new(),
            binding_cookie: false,
            destinations: vec![destination],
            session_duration: DEFAULT_SESSION,
            policies: Vec::new(),
            http_only_cookie: true,
            same_site: None,
            custom_deny_message: None,
            service_auth_401_redirect: false,
            allows_encoded_slashes: false,
        })
    }

    /// Adds a host and path that belong to the application as well.
    ///
    /// # Errors
    ///
    /// When the domain is none.
    pub fn also_at(mut self, domain: &str) -> Result<Self, DestinationError> {
        let destination: Destination = domain.parse()?;
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

    /// Asks for a second cookie, `CF_Binding`, with every token of a person: a token that was
    /// stolen alone, from a log or an origin, then opens nothing (`get-identity`, which shows what
    /// stands in the token, answers it all the same). Origins never see this cookie.
    ///
    /// Where tokens are issued only. Programs that carry a token in a header cannot come in any
    /// more, unless they carry the cookie as well; who shows a service token's id and secret can.
    #[must_use]
    pub fn binding_cookie(mut self) -> Self {
        self.binding_cookie = true;
        self
    }

    /// Sets how long an application token lives; 24 hours by default, 31 days at most (longer
    /// ones are cut).
    #[must_use]
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.session_duration = duration.min(LONGEST_SESSION);
        self
    }

    /// Sets `SameSite` of the application's cookie. `None` by default, as at Cloudflare; on
    /// `localhost`, which has no TLS, `Lax`.
    #[must_use]
    pub fn same_site_cookie(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// Lets scripts of the page read the application's cookie.
    ///
    /// **Weakens the default**: a script injected into the application can then steal the token.
    #[must_use]
    pub fn insecure_cookie_for_scripts(mut self) -> Self {
        self.http_only_cookie = false;
        self
    }

    /// Sets the text of the page for people who logged in and may not enter.
    #[must_use]
    pub fn custom_deny_message(mut self, message: impl Into<Box<str>>) -> Self {
        self.custom_deny_message = Some(message.into());
        self
    }

    /// Answers 401 in place of 403 where only services may enter and none has proved itself.
    #[must_use]
    pub fn service_auth_401_redirect(mut self) -> Self {
        self.service_auth_401_redirect = true;
        self
    }

    /// Lets `%2F` through inside a path segment.
    ///
    /// **Weakens the default**, which answers 400: if the upstream takes `%2F` for a slash, it may
    /// serve another path than the one that was judged. Needed by applications that put whole
    /// names into one segment (Argo CD, GitLab); dot segments between encoded slashes are refused
    /// all the same.
    #[must_use]
    pub fn insecure_allow_encoded_slashes(mut self) -> Self {
        self.allows_encoded_slashes = true;
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

const DEFAULT_SESSION: Duration = Duration::from_secs(24 * 3600);
pub(crate) const LONGEST_SESSION: Duration = Duration::from_secs(31 * 86_400);
