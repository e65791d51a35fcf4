//! Access to another application of the same host without a new login.
//!
//! All applications of a host share one cookie name, and the token of one application is invalid at
//! another. A host that runs its own login also sets a cookie for the host, which names the session. A
//! request without a valid token for the application is judged by that session, if it is live: if the
//! application's policies allow the user, the response sets a token for the application. Origins never
//! see the cookie of the host, and it is ignored in requests that another site caused.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::ORIGIN;

use crate::application::CanonicalHost;
use crate::headers;
use crate::identity::{Country, Details, Identity, Subject};
use crate::session::Session;
use crate::token::TokenKind;
use crate::util::deferred::Deferred;

use super::super::authorize::is_foreign_upgrade;
use super::super::credential::{Credential, HostSession, TokenSource};
use super::super::renewal::RenewalKey;
use super::super::request_context::Scope;
use super::super::session_facts::admits_people;
use super::super::{Engine, Role};
use super::presented::{HeaderField, PresentedCredentials};
use super::verify::{self, TokenCheck, Verification};

/// The result of looking for the session of the host.
#[derive(Debug)]
pub(super) enum SessionLookup {
    /// The request has no session, or must not use it.
    None,
    /// The session already has a token for the application.
    Token(Credential),
    /// The session has to be looked up in the store.
    Deferred(Deferred<Option<Box<Session>>>),
}

/// Looks for the session of the host, for a request without a valid credential.
pub(super) fn host_session<B>(
    engine: &Engine,
    request: &Request<B>,
    presented: &PresentedCredentials,
    at: Scope<'_>,
) -> SessionLookup {
    let Role::Issuing(issuing) = &engine.role else { return SessionLookup::None };
    let login = &issuing.login;
    if !engine.token_locations.cookie()
        || !matches!(presented.token, HeaderField::Absent)
        || login.team_host(at.host) != at.host
        || is_caused_elsewhere(engine, request, at.host)
        || !at.application.policies.has_allow()
        || !admits_people(engine, at.application)
    {
        return SessionLookup::None;
    }
    let Some(claims) = login.host_session(request.headers(), at.host, at.now) else {
        return SessionLookup::None;
    };
    let Some(id) = claims.identity_nonce else { return SessionLookup::None };
    let key = RenewalKey::new(&id, at.application, at.host);
    if let Some(renewed) = issuing.renewals.tokens(&key, login, at.now) {
        let token = renewed.token().as_bytes();
        if let Verification::Valid(verified) =
            verify::examine(engine, token, TokenKind::Application, TokenCheck::now(at))
        {
            let source = TokenSource::Session(renewed);
            return SessionLookup::Token(Credential::Token { verified, source });
        }
    }
    let (login, now) = (Arc::clone(login), at.now);
    SessionLookup::Deferred(Deferred::new(async move {
        let session = login.seen_session(&id, now);
        match tokio::time::timeout(LOOK_UP_TIME_LIMIT, session).await {
            Ok(Ok(session)) => {
                let is_claimed =
                    |session: &Session| Some(session.email.as_str()) == claims.email.as_deref();
                session.filter(is_claimed).map(Box::new)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "a session could not be looked up");
                None
            }
            Err(_) => {
                tracing::warn!("a session could not be looked up: the store does not respond");
                None
            }
        }
    }))
}

/// Returns whether the browser says that another site caused the request, or the page that opens a
/// WebSocket is unknown.
fn is_caused_elsewhere<B>(engine: &Engine, request: &Request<B>, host: &CanonicalHost) -> bool {
    let (method, lines) = (request.method(), request.headers());
    headers::is_preflight(method, lines)
        || lines.get_all("sec-fetch-site").iter().any(|site| site.as_bytes() == b"cross-site")
        || headers::is_upgrade(method, lines)
            && (!lines.contains_key(ORIGIN) || is_foreign_upgrade(engine, request, host))
}

/// Returns the session as a credential, if the application accepts its login method.
pub(super) fn session_credential(session: Session, at: Scope<'_>) -> Option<Credential> {
    if !at.application.application.allows_login_method(session.login_method()) {
        return None;
    }
    let subject =
        Subject::User { email: session.email.clone(), id: session.user_id.as_str().into() };
    let details = Details {
        country: Country::from_code(&session.country),
        session: Some(session.id.as_str().into()),
        proof: None,
    };
    let identity = Identity::with_details(subject, session.end(), details);
    Some(Credential::Session(Box::new(HostSession { session, identity })))
}

/// Longer than any store takes to respond or to fail.
const LOOK_UP_TIME_LIMIT: Duration = Duration::from_secs(15);
