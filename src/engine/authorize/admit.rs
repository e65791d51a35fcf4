//! What the inner service sees of an allowed request, and checks of an application besides its policies.

use std::sync::Arc;

use http::Request;
use http::header::{HeaderMap, HeaderValue};

use crate::application::CompiledApplication;
use crate::headers;
use crate::identity::Identity;
use crate::policy::{Outcome, PolicyRef, Verdict};
use crate::session::cookie;
use crate::token::{CacheEntry, TokenKind};

use super::super::assertion::{linked_assertion, service_assertion};
use super::super::authenticate::verify::{self, TokenCheck, Verification};
use super::super::credential::{Credential, HostSession, TokenSource};
use super::super::exchange::exchange_cookie;
use super::super::rejection::RejectionKind;
use super::super::renewal::{RenewalKey, RenewedTokens};
use super::super::request_context::{ApplicationContext, Receipt, RequestContext, Scope};
use super::super::{Engine, Role};
use super::web_socket_origin::is_foreign_upgrade;

/// Replaces a session of the host by a token if a policy allows the user. Behind a policy without
/// identity the session is dropped.
pub(super) fn settle_session(
    engine: &Engine,
    context: &mut ApplicationContext,
    (application, receipt): (&Arc<CompiledApplication>, &Receipt),
    verdict: &Verdict,
) -> Result<(), RejectionKind> {
    if let Credential::Session(session) = &context.evidence.credential {
        let at = Scope::new(application, &context.resource.host, receipt);
        let credential = match verdict.outcome() {
            Outcome::Allowed => token_from(engine, session, at, verdict)?,
            _ => Credential::None,
        };
        context.replace_credential(credential);
    }
    Ok(())
}

/// Refuses WebSockets to pages of other origins: browsers add the cookie whichever page asks.
pub(super) fn check_page<B>(
    engine: &Engine,
    request: &Request<B>,
    context: &ApplicationContext,
) -> Result<(), RejectionKind> {
    let is_foreign = context.evidence.credential.is_cookie()
        && is_foreign_upgrade(engine, request, &context.resource.host);
    if is_foreign { Err(RejectionKind::ForeignOrigin) } else { Ok(()) }
}

/// Prepares an allowed request for the inner service: adds the identity and the assertion, and removes
/// our cookies that the service must not see. Behind a `bypass` policy it adds nothing. Returns the
/// cookie that a service token is exchanged for, if any.
pub(super) fn admit<B>(
    engine: &Engine,
    request: &mut Request<B>,
    context: &mut RequestContext,
    application: &Arc<CompiledApplication>,
    verdict: &Verdict,
) -> Result<Option<Box<HeaderValue>>, RejectionKind> {
    let RequestContext { target, receipt, .. } = context;
    settle_session(engine, target, (application, receipt), verdict)?;
    let credential = &target.evidence.credential;
    if verdict.outcome() == Outcome::Bypassed {
        // No credential was judged: no identity is added, and all cookies stay.
        request.headers_mut().remove(headers::JWT_ASSERTION);
        cookie::remove_own_cookies(request.headers_mut(), None);
        request.extensions_mut().remove::<Identity>();
        return Ok(None);
    }
    check_page(engine, request, target)?;
    if target.is_replaced {
        request.extensions_mut().remove::<Identity>();
        if let Some(identity) = credential.identity().cloned() {
            request.extensions_mut().insert(identity);
        }
    }
    let judged = match credential {
        Credential::Token { verified, .. } => verified.token(),
        _ => b"".as_slice(),
    };
    cookie::remove_own_cookies(request.headers_mut(), Some(judged));
    let at = Scope::new(application, &target.resource.host, receipt);
    match credential {
        Credential::None
        | Credential::InvalidToken(_)
        | Credential::Refused(_)
        | Credential::Session(_) => {}
        Credential::Token { verified, source } => {
            let assertion = match source {
                // It is among the headers already.
                TokenSource::Assertion => None,
                TokenSource::Header | TokenSource::Cookie | TokenSource::Session(_) => {
                    verified.assertion().cloned()
                }
            };
            identify(request.headers_mut(), assertion, verified.email.clone());
        }
        Credential::ServiceToken(presented) => {
            let assertion = service_assertion(engine, presented, at)?;
            let cookie = exchange_cookie(engine, &assertion, at, request.uri().path());
            identify(request.headers_mut(), Some(assertion), None);
            return Ok(cookie);
        }
        Credential::Linked(linked) => {
            // A policy without a `linked_app_token` rule does not reveal the user.
            if !verdict.policy().is_some_and(PolicyRef::uses_linked_application) {
                return Ok(None);
            }
            let assertion = linked_assertion(engine, linked, at)?;
            request.extensions_mut().insert(linked.identity(&assertion));
            let email = linked.verified.email.clone();
            identify(request.headers_mut(), Some(assertion), email);
        }
    }
    Ok(None)
}

/// Makes a token from a session of the host, after a policy has allowed the user.
fn token_from(
    engine: &Engine,
    session: &HostSession,
    at: Scope<'_>,
    verdict: &Verdict,
) -> Result<Credential, RejectionKind> {
    // Only an engine that issues has sessions.
    let Role::Issuing(issuing) = &engine.role else { return Ok(Credential::None) };
    let login = &issuing.login;
    let lifetime = login.token_lifetime(at.application, verdict);
    // The application requires a login for every page.
    if lifetime.expires_immediately() {
        return Err(RejectionKind::LoginRequired);
    }
    let here = (&**at.application, at.host);
    let tokens = RenewedTokens::make(login, &session.session, here, lifetime, at.now);
    let tokens = Arc::new(tokens.map_err(|error| {
        tracing::error!(%error, "signing a token for a session failed");
        RejectionKind::Internal
    })?);
    let token = tokens.token().as_bytes();
    // The session may have been revoked in the meantime.
    let Verification::Valid(verified) =
        verify::examine(engine, token, TokenKind::Application, TokenCheck::now(at))
    else {
        return Err(RejectionKind::LoginRequired);
    };
    let key = RenewalKey::new(&session.session.id, at.application, at.host);
    issuing.renewals.insert(key, Arc::clone(&tokens));
    Ok(Credential::Token { verified, source: TokenSource::Session(tokens) })
}

fn identify(headers: &mut HeaderMap, assertion: Option<HeaderValue>, email: Option<HeaderValue>) {
    if let Some(assertion) = assertion {
        headers.insert(headers::JWT_ASSERTION, assertion);
    }
    if let Some(email) = email {
        headers.insert(headers::AUTHENTICATED_USER_EMAIL, email);
    }
}
