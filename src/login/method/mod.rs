//! The login methods, as values.
//!
//! A login begins at `login/HOST` on the host that runs it. There one of the methods that the
//! application accepts [starts](LoginMethod::start): with a page of its own, or with a redirect to a
//! provider. What the browser does next arrives at the method's [endpoints](LoginMethod::endpoints),
//! until a [step](Step) says who has logged in. Everything after that is in [`finish`](super::finish)
//! and the same for all methods: the session, the policies, the cookies and the way back.
//!
//! A method carries what the login is for ([`Flow`]) from its start to its finish, and binds it to the
//! browser by its `CF_Session` cookie.
//!
//! Methods are registered by id, which rules, applications and sessions name. Several may have one
//! type, such as two OpenID providers, and several may share an endpoint, such as `callback`: then
//! each says whether a request [is for it](LoginMethod::recognizes).

pub(super) mod one_time_pin;
mod registry;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::{HeaderValue, Method};

use self::one_time_pin::PinKeys;
pub(crate) use self::registry::LoginMethods;
pub(crate) use self::settings::MethodSettings;
use super::sign_in::Purpose;
use super::{EndpointRequest, Flow, Login, Refusal};
use crate::identity::{Attributes, Email};
use crate::secret::{MasterSecret, SealError};
use crate::util::response::ResponseBytes;

/// A way to log in.
pub(super) trait LoginMethod: fmt::Debug + Send + Sync {
    /// Returns the id; no two methods have the same.
    fn id(&self) -> &str;

    /// Returns the type, as Cloudflare's identity providers have it: `onetimepin`, `oidc`, `saml`, …
    fn kind(&self) -> &str;

    /// Returns what is known of everybody who logs in by this method, where that is always the same.
    fn usual_attributes(&self) -> Option<&Attributes> {
        None
    }

    /// Begins a login: answers with a page, or with a redirect to a provider. `browser` is the value
    /// of the browser's `CF_Session` cookie.
    fn start<'a>(
        &'a self,
        login: &'a Login,
        request: &'a EndpointRequest,
        purpose: &'a Purpose<'a>,
        browser: &'a str,
    ) -> StepFuture<'a, ResponseBytes>;

    /// Returns the endpoints below `/cdn-cgi/access/`, on the host that runs the login.
    fn endpoints(&self) -> &'static [MethodEndpoint];

    /// Returns whether a call of an endpoint is for this method. Asked before it answers; where
    /// several methods share the endpoint, one of them recognizes the call.
    fn recognizes(&self, call: EndpointCall<'_>) -> bool;

    /// Answers a call of one of the endpoints.
    fn answer<'a>(&'a self, login: &'a Login, call: EndpointCall<'a>) -> StepFuture<'a, Step>;
}

/// What a method does with a request.
pub(super) type StepFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// An endpoint of a method.
#[derive(Clone, Copy, Debug)]
pub(super) struct MethodEndpoint {
    /// The first segment below `/cdn-cgi/access/`.
    pub(super) name: &'static str,
    /// Whether the host of the application follows as the second segment.
    pub(super) takes_host: bool,
    pub(super) methods: &'static [Method],
    /// Whether a browser that asks ahead of a visit, or for a part of a page, is refused.
    pub(super) refuses_background: bool,
}

/// A request to an endpoint of a method.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndpointCall<'a> {
    pub(super) request: &'a EndpointRequest,
    pub(super) name: &'a str,
    pub(super) host: Option<&'a str>,
}

/// How far a method has come.
#[derive(Debug)]
pub(super) enum Step {
    /// The login goes on with this answer, or does not go on.
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
    /// What the login is for.
    pub(super) flow: Flow,
    pub(super) authenticated: Authenticated,
    /// What the method sets or clears in the browser.
    pub(super) cookies: Vec<HeaderValue>,
}

/// Who has logged in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Authenticated {
    /// The address, verified by the method.
    pub(super) email: Email,
    /// What else the method knows of the person. What it does not know is a missing fact.
    pub(super) attributes: Attributes,
}

/// The keys of all methods.
#[derive(Debug)]
pub(super) struct MethodKeys {
    one_time_pin: PinKeys,
}

impl MethodKeys {
    pub(super) fn derive(master: &MasterSecret) -> Result<Self, SealError> {
        Ok(Self { one_time_pin: PinKeys::derive(master)? })
    }
}

const READS: &[Method] = &[Method::GET, Method::HEAD];
const READS_AND_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
