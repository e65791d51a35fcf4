//! The login methods.
//!
//! A login begins at `login/HOST` on the host that runs it. One of the methods that the application
//! accepts [starts](LoginMethod::start) with a page of its own, or with a redirect to a provider. The
//! browser's next requests go to the method's [endpoints](LoginMethod::endpoints), until a
//! [step](Step) authenticates the user. The rest is the same for all methods and is in
//! [`finish`](super::finish): the session, the policies, the cookies and the redirect.
//!
//! A method passes the [`Flow`] from its start to its finish, and binds it to the browser by the
//! `CF_Session` cookie.
//!
//! Methods are registered by id, which rules, applications and sessions refer to. Several may have the
//! same type, such as two OpenID providers. Several may share an endpoint, such as `callback`: then
//! each [recognizes](LoginMethod::recognizes) its own requests.
//!
//! A second step (a TOTP code, a passkey) does not exist yet. It needs no change here: it is a method
//! that wraps another one. When the inner method returns [`Step::Finished`], it seals that into a page
//! for the browser, and returns it from an endpoint of its own once the second proof is right, with
//! `authentication_methods` that name both.

#[cfg(any(feature = "github", feature = "oidc"))]
#[cfg_attr(
    not(all(feature = "github", feature = "oidc")),
    allow(dead_code, unreachable_pub, unused_imports, reason = "nothing uses all of it then")
)]
mod authorization_code;
#[cfg(feature = "github")]
mod github;
mod info;
#[cfg(feature = "oidc")]
pub(super) mod oidc;
pub(super) mod one_time_pin;
mod provider;
mod registry;
#[cfg(feature = "saml")]
pub(super) mod saml;
mod settings;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_accounts;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http::{HeaderValue, Method};

#[cfg(any(feature = "github", feature = "oidc"))]
use self::authorization_code::AuthorizationKeys;
#[cfg(feature = "oidc")]
pub use self::authorization_code::ClientAuthentication;
#[cfg(feature = "github")]
pub use self::github::{GitHubProvider, GitHubProviderError};
pub(crate) use self::info::{MethodInfo, meant_methods, unknown_method};
#[cfg(feature = "config")]
pub(crate) use self::info::{Reach, named_method};
use self::one_time_pin::PinKeys;
pub use self::provider::IdentityProvider;
pub(crate) use self::provider::MethodContext;
#[cfg(test)]
use self::provider::{BuildError, ProviderSettings};
pub(crate) use self::registry::LoginMethods;
pub(crate) use self::settings::MethodSettings;
use super::form::Fields;
use super::purpose::Purpose;
use super::{EndpointRequest, Flow, Login, Refusal};
use crate::clock::Timestamp;
use crate::identity::{Attributes, Email};
use crate::secret::{MasterSecret, SealError};
use crate::session::ProviderAccount;
use crate::util::response::ResponseBytes;

/// A way to log in.
pub(super) trait LoginMethod: fmt::Debug + Send + Sync {
    /// Returns the unique id.
    fn id(&self) -> &str;

    /// Returns the type, as of Cloudflare's identity providers: `onetimepin`, `oidc`, `saml`, …
    fn kind(&self) -> &str;

    /// Returns the name that users see.
    fn name(&self) -> &str {
        self.id()
    }

    /// Returns whether the method starts with a page of its own, which offers the other methods as well.
    /// Others redirect to a provider at once.
    fn has_page(&self) -> bool {
        false
    }

    /// Returns the attributes of all users who log in by this method, if they are always the same.
    fn usual_attributes(&self) -> Option<&Attributes> {
        None
    }

    /// Begins a login with a page, or with a redirect to a provider. `browser` is the value of the
    /// browser's `CF_Session` cookie.
    fn start<'a>(
        &'a self,
        login: &'a Login,
        request: &'a EndpointRequest,
        purpose: &'a Purpose<'a>,
        browser: &'a str,
    ) -> StepFuture<'a, ResponseBytes>;

    /// Returns the endpoints below `/cdn-cgi/access/`, on the host that runs the login.
    fn endpoints(&self) -> &'static [MethodEndpoint];

    /// Returns the form that other sites may post to an endpoint of this method; `None` if none may.
    fn cross_site_form(&self) -> Option<CrossSiteForm> {
        None
    }

    /// Returns a document of this name about this site, for the provider. Served at
    /// `/cdn-cgi/access/NAME` and `/cdn-cgi/access/ID/NAME`, on the host that runs the login.
    fn provider_document(
        &self,
        login: &Login,
        request: &EndpointRequest,
        name: &str,
    ) -> Option<ResponseBytes> {
        let _ = (login, request, name);
        None
    }

    /// Returns whether a call of an endpoint is for this method. Checked before `answer`. If several
    /// methods share the endpoint, only one of them recognizes the call.
    fn recognizes(&self, call: EndpointCall<'_>) -> bool;

    /// Handles a call of one of the endpoints.
    fn answer<'a>(&'a self, login: &'a Login, call: EndpointCall<'a>) -> StepFuture<'a, Step>;

    /// Returns how often the provider is asked again about a user with a session; `None` if never.
    fn refresh_interval(&self) -> Option<Duration> {
        None
    }

    /// Asks the provider again about a user with a session.
    fn refresh<'a>(
        &'a self,
        login: &'a Login,
        account: &'a ProviderAccount,
        now: Timestamp,
    ) -> RefreshFuture<'a> {
        let _ = (login, account, now);
        Box::pin(async { Refreshed::Unavailable })
    }

    /// Returns the URL at the provider that logs the user out there as well, and then redirects to
    /// `back`; `None` if that is not configured or not supported.
    fn sign_out_url(&self, account: &ProviderAccount, back: &str) -> Option<String> {
        let _ = (account, back);
        None
    }

    /// Verifies a token by which the provider tells of a logout there. Returns `None` for a token that is
    /// not for this method, or is refused. Whether the token was used before is not checked.
    fn logout_notice<'a>(&'a self, token: &'a str, now: Timestamp) -> NoticeFuture<'a> {
        let _ = (token, now);
        Box::pin(async { None })
    }
}

/// The future of [`LoginMethod::logout_notice`].
pub(super) type NoticeFuture<'a> = Pin<Box<dyn Future<Output = Option<LogoutNotice>> + Send + 'a>>;

/// A logout at the provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LogoutNotice {
    /// The user ([`ProviderAccount::subject`]). With a session, only that one has ended.
    pub(super) subject: Option<Box<str>>,
    /// The session at the provider ([`ProviderAccount::session`]).
    pub(super) session: Option<Box<str>>,
    /// The id of the notice. A second one with this id is a replay.
    pub(super) id: Box<str>,
    /// From then on the notice is refused.
    pub(super) expires_at: Timestamp,
}

/// The future of [`LoginMethod::refresh`].
pub(super) type RefreshFuture<'a> = Pin<Box<dyn Future<Output = Refreshed> + Send + 'a>>;

/// What a provider says about a user with a session.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "github", feature = "oidc")),
    allow(dead_code, reason = "no method asks a provider then")
)]
pub(super) enum Refreshed {
    /// The user is as described now, with the account's next refresh token.
    User(Box<Authenticated>),
    /// The provider has ended the login, or the user is another one: the session ends.
    Ended,
    /// The provider does not respond, or not with what was asked: it is asked again later.
    Unavailable,
}

/// The future of a method's step.
pub(super) type StepFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// An endpoint of a method.
#[derive(Clone, Copy, Debug)]
pub(super) struct MethodEndpoint {
    /// The first segment below `/cdn-cgi/access/`.
    pub(super) name: &'static str,
    /// Whether the host of the application follows as the second segment.
    pub(super) takes_host: bool,
    pub(super) methods: &'static [Method],
    /// Whether prefetches and requests for parts of a page are refused.
    pub(super) refuses_background: bool,
}

/// A form that a provider's site posts through the browser.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CrossSiteForm {
    pub(super) endpoint: &'static str,
    /// The length of the longest form.
    pub(crate) max_bytes: usize,
    /// Whether fields are those of such a form, and of no other.
    pub(super) is_it: fn(&Fields) -> bool,
}

impl CrossSiteForm {
    /// Returns whether a body is such a form.
    pub(crate) fn is_it(&self, body: &[u8]) -> bool {
        Fields::parse_within(self.max_bytes, body).is_ok_and(|fields| (self.is_it)(&fields))
    }
}

/// A request to an endpoint of a method.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndpointCall<'a> {
    pub(super) request: &'a EndpointRequest,
    pub(super) name: &'a str,
    pub(super) host: Option<&'a str>,
}

/// The result of a method's step.
#[derive(Debug)]
pub(super) enum Step {
    /// The login continues, or fails, with this response.
    Answer(ResponseBytes),
    Finished(Box<Finished>),
}

impl From<ResponseBytes> for Step {
    fn from(answer: ResponseBytes) -> Self {
        Self::Answer(answer)
    }
}

/// A login that a method has finished.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) flow: Flow,
    pub(super) authenticated: Authenticated,
    /// Cookies that the method sets or clears.
    pub(super) cookies: Vec<HeaderValue>,
}

/// The user who has logged in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Authenticated {
    /// The email address, verified by the method.
    pub(super) email: Email,
    /// Further attributes of the user. Those that the method does not provide are missing facts.
    pub(super) attributes: Attributes,
    /// The account at the provider; `None` for a method without accounts.
    pub(super) account: Option<ProviderAccount>,
}

/// The keys of all methods.
#[derive(Debug)]
pub(super) struct MethodKeys {
    #[cfg(any(feature = "github", feature = "oidc"))]
    authorization_code: AuthorizationKeys,
    one_time_pin: PinKeys,
    #[cfg(feature = "saml")]
    saml: saml::SamlKeys,
}

impl MethodKeys {
    pub(super) fn derive(master: &MasterSecret) -> Result<Self, SealError> {
        Ok(Self {
            #[cfg(any(feature = "github", feature = "oidc"))]
            authorization_code: AuthorizationKeys::derive(master)?,
            one_time_pin: PinKeys::derive(master)?,
            #[cfg(feature = "saml")]
            saml: saml::SamlKeys::derive(master)?,
        })
    }
}

const READS: &[Method] = &[Method::GET, Method::HEAD];
const READS_AND_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
