//! The authorization code flow of OAuth 2.0 (RFC 6749, RFC 9700), shared by OpenID Connect and GitHub.
//!
//! The browser carries the pending login: sealed into `state`, bound to the method and to the browser's
//! `CF_Session` cookie. PKCE (RFC 7636, always S256) binds the code to the login, and its verifier is
//! derived from the login's random id: neither the browser nor the store has it. So logins that
//! nobody finishes leave nothing behind.
//!
//! | step | function |
//! | --- | --- |
//! | a login begins | [`AuthorizationCode::begin`], then a redirect to [`Begun::authorization_url`] |
//! | the browser is back | [`AuthorizationCode::recognizes`], [`AuthorizationCode::returned`] |
//! | the code is redeemed | [`AuthorizationCode::redeem`], [`Client::request_tokens`] |
//! | the user is known | [`AuthorizationCode::record_redemption`] |
//! | something failed | [`AuthorizationCode::failed`] |
//!
//! A code is redeemed once, because a provider that sees a code twice may revoke the tokens of the
//! first time. The logins whose code is spent are remembered in memory and, once one has succeeded, in
//! the store, for every node. A reloaded callback leads to the application if the browser has a session
//! by this method.

mod authentication;
mod callback;
mod client;
mod failure;
mod keys;
mod parameters;
mod pending;
mod quoted;
mod spent;
mod tokens;

use http::Method;

pub use self::authentication::ClientAuthentication;
pub(super) use self::callback::Returned;
pub(super) use self::client::{Client, Grant};
pub(super) use self::failure::Failure;
pub(super) use self::keys::AuthorizationKeys;
pub(super) use self::parameters::Callback;
pub(super) use self::pending::{Begun, Pending};
use self::spent::SpentLogins;
pub(super) use self::tokens::{TokenError, Tokens};
use super::{EndpointCall, MethodEndpoint};
use crate::login::redirect::OWN_PREFIX;
use crate::login::{EndpointRequest, Login};

/// The authorization code flow of one login method.
#[derive(Debug)]
pub(super) struct AuthorizationCode {
    /// The id of the method.
    method: Box<str>,
    /// The name that users see.
    name: Box<str>,
    spent: SpentLogins,
}

impl AuthorizationCode {
    pub(super) fn new(method: &str, name: &str) -> Self {
        Self { method: method.into(), name: name.into(), spent: SpentLogins::new() }
    }

    /// Returns whether a call of [`ENDPOINTS`] is the answer to a login of this method. Whether the
    /// login is valid is checked later.
    pub(super) fn recognizes(&self, call: EndpointCall<'_>) -> bool {
        let Ok(query) = call.request.query() else { return false };
        call.name == CALLBACK
            && query.required("state").is_ok_and(|state| pending::is_of_method(state, &self.method))
    }
}

/// Returns the redirect URI to register at the provider.
pub(super) fn redirect_uri(login: &Login, request: &EndpointRequest) -> String {
    format!("{}{OWN_PREFIX}/{CALLBACK}", login.origins.origin(&request.host))
}

const CALLBACK: &str = "callback";

/// The endpoint of a method. A prefetch must not use a code up, and `HEAD` does not either.
pub(super) const ENDPOINTS: &[MethodEndpoint] = &[MethodEndpoint {
    name: CALLBACK,
    takes_host: false,
    methods: &[Method::GET],
    refuses_background: true,
}];
