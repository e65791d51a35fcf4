//! Logins at a SAML 2.0 identity provider (experimental).
//!
//! | step | module |
//! | --- | --- |
//! | a login begins: a cookie, and a redirect to the provider | [`pending`], [`peer`] |
//! | the provider's answer, posted by the browser | [`answer`] |
//! | its form, before its signature is looked at | [`document`], [`signature`], [`element`] |
//! | its signature, issuer, audience, recipient, times and request | [`peer`] |
//! | its use, once | [`answer`] |
//! | the user | [`user`] |
//!
//! The store has no record of a login that has begun. It has two of each that has ended: the ids of
//! the assertion and of the response, for as long as they could be used again. Only a signed and valid
//! answer creates them.

mod answer;
mod certificate;
mod document;
mod element;
mod failure;
mod peer;
mod pending;
mod settings;
mod signature;
mod user;

use http::{Method, StatusCode};

use self::failure::Failure;
use self::peer::{Expected, Peer, PeerError};
use self::pending::RelayState;
pub(super) use self::pending::SamlKeys;
pub use self::settings::{SamlProvider, SamlProviderError};
use super::{CrossSiteForm, EndpointCall, LoginMethod, MethodEndpoint, Step, StepFuture};
use crate::login::form::Fields;
use crate::login::purpose::Purpose;
use crate::login::redirect::OWN_PREFIX;
use crate::login::{EndpointRequest, Login};
use crate::util::response::{ResponseBytes, redirect, with_cookie, xml};

/// The login method.
#[derive(Debug)]
pub(super) struct SamlMethod {
    settings: SamlProvider,
    peer: Peer,
}

impl SamlMethod {
    fn new(settings: SamlProvider) -> Result<Self, PeerError> {
        Ok(Self { peer: Peer::new(&settings.peer)?, settings })
    }
}

impl LoginMethod for SamlMethod {
    fn id(&self) -> &str {
        &self.settings.id
    }

    fn kind(&self) -> &str {
        settings::KIND
    }

    fn name(&self) -> &str {
        &self.settings.name
    }

    fn start<'a>(
        &'a self,
        login: &'a Login,
        request: &'a EndpointRequest,
        purpose: &'a Purpose<'a>,
        browser: &'a str,
    ) -> StepFuture<'a, ResponseBytes> {
        Box::pin(async move {
            let (relay_state, cookies) =
                pending::begin(self.id(), login, request, (purpose, browser)).await?;
            let expected = Expected {
                acs: &acs(login, request),
                request_id: &relay_state.request_id(),
                relay_state: &relay_state.text(),
                now: request.now,
            };
            Ok(match self.peer.request_url(expected) {
                Ok(url) => cookies.into_iter().fold(redirect(&url), with_cookie),
                Err(error) => self.failed(login, request, &purpose.flow, &Failure::Request(error)),
            })
        })
    }

    fn endpoints(&self) -> &'static [MethodEndpoint] {
        ENDPOINTS
    }

    fn cross_site_form(&self) -> Option<CrossSiteForm> {
        Some(CrossSiteForm { endpoint: CALLBACK, max_bytes: MAX_FORM_BYTES, is_it: is_answer })
    }

    fn recognizes(&self, call: EndpointCall<'_>) -> bool {
        let Ok(form) = call.request.form_within(MAX_FORM_BYTES) else { return false };
        if !is_answer(&form) {
            return false;
        }
        // An answer to no login at all is for any method: it says so.
        let relay_state = form.one(RELAY_STATE).ok().flatten().and_then(RelayState::read);
        relay_state.is_none_or(|relay_state| relay_state.is_of_method(self.id()))
    }

    fn answer<'a>(&'a self, login: &'a Login, call: EndpointCall<'a>) -> StepFuture<'a, Step> {
        Box::pin(self.receive(login, call.request))
    }

    fn provider_document(
        &self,
        login: &Login,
        request: &EndpointRequest,
        name: &str,
    ) -> Option<ResponseBytes> {
        if name != METADATA {
            return None;
        }
        Some(match self.peer.metadata(&acs(login, request)) {
            Ok(text) => xml(StatusCode::OK, text, "application/samlmetadata+xml"),
            Err(error) => {
                tracing::error!(method = self.id(), %error, "SAML metadata cannot be written");
                crate::util::response::empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        })
    }
}

/// Returns the URL to which the provider posts its answers. It is the entity id of this site as well.
fn acs(login: &Login, request: &EndpointRequest) -> String {
    format!("{}{OWN_PREFIX}/{CALLBACK}", login.origins.origin(&request.host))
}

/// Returns whether a form is a provider's answer, and nothing else: not the code of a one-time PIN, which
/// other sites must not post.
fn is_answer(form: &Fields) -> bool {
    let is_absent = |name| matches!(form.one(name), Ok(None));
    form.required(SAML_RESPONSE).is_ok() && OTHERS.iter().all(|name| is_absent(name))
}

const CALLBACK: &str = "callback";
const METADATA: &str = "saml-metadata";
const ENDPOINTS: &[MethodEndpoint] = &[MethodEndpoint {
    name: CALLBACK,
    takes_host: false,
    methods: &[Method::POST],
    refuses_background: false,
}];

const SAML_RESPONSE: &str = "SAMLResponse";
const RELAY_STATE: &str = "RelayState";
/// The fields of other forms for the same endpoint.
const OTHERS: &[&str] = &["nonce", "code", "state"];
/// A form with a document of the [longest](element::MAX_BYTES) kind.
const MAX_FORM_BYTES: usize = 288 * 1024;
