//! What the inner service sees of whoever is let in, and what an application asks for besides its
//! policies.

use std::sync::Arc;

use http::Request;
use http::header::{HeaderMap, HeaderValue};

use crate::application::CompiledApplication;
use crate::headers;
use crate::identity::Identity;
use crate::policy::{Outcome, PolicyRef, Verdict};
use crate::session::cookie;
use crate::token::{Signed, TokenKind};

use super::super::assertion::{linked_assertion, service_assertion};
use super::super::authenticate::verify::{self, TokenCheck, Verification};
use super::super::credential::{Credential, HostSession, TokenSource};
use super::super::exchange::exchanged;
use super::super::rejection::RejectionKind;
use super::super::renewal::{RenewalKey, RenewedTokens};
use super::super::request_context::{ApplicationContext, Receipt, RequestContext, Scope};
use super::super::{Engine, Role};
use super::web_socket_origin::is_foreign_upgrade;

/// Replaces a session of the host by a token, where a policy lets the person in. A policy that
/// asks for nobody shows nobody.
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

/// Keeps pages of other origins from sockets: browsers send a cookie along whoever asks them to.
pub(super) fn check_page<B>(
    engine: &Engine,
    request: &Request<B>,
    context: &ApplicationContext,
) -> Result<(), RejectionKind> {
    let is_foreign = context.evidence.credential.is_cookie()
        && is_foreign_upgrade(engine, request, &context.resource.host);
    if is_foreign { Err(RejectionKind::ForeignOrigin) } else { Ok(()) }
}

/// Leaves on a request what the inner service sees: the identity, the assertion, no cookies of
/// ours that are not its business. Behind a `bypass` policy: nothing of this. Returns the cookie
/// that a service token is exchanged for, where it is.
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
        // Without any check an origin looks for itself.
        request.headers_mut().remove(headers::JWT_ASSERTION);
        cookie::withhold(request.headers_mut(), None);
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
    cookie::withhold(request.headers_mut(), Some(judged));
    let at = Scope::new(application, &target.resource.host, receipt);
    match credential {
        Credential::None
        | Credential::Useless(_)
        | Credential::Refused(_)
        | Credential::Session(_) => {}
        Credential::Token { verified, source } => {
            let assertion = match source {
                // It is there already.
                TokenSource::Assertion => None,
                TokenSource::Header | TokenSource::Cookie | TokenSource::Session(_) => {
                    verified.assertion().cloned()
                }
            };
            identify(request.headers_mut(), assertion, verified.email.clone());
        }
        Credential::ServiceToken(presented) => {
            let assertion = service_assertion(engine, presented, at)?;
            let cookie = exchanged(engine, &assertion, at, request.uri().path());
            identify(request.headers_mut(), Some(assertion), None);
            return Ok(cookie);
        }
        Credential::Linked(linked) => {
            // A policy that asks for no token shows nobody in it.
            if !verdict.policy().is_some_and(PolicyRef::asks_for_linked_application) {
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

/// The token that a session of the host gets, now that a policy lets the person in.
fn token_from(
    engine: &Engine,
    session: &HostSession,
    at: Scope<'_>,
    verdict: &Verdict,
) -> Result<Credential, RejectionKind> {
    // Sessions are known where we issue.
    let Role::Issuing(issuing) = &engine.role else { return Ok(Credential::None) };
    let login = &issuing.login;
    let lifetime = login.token_lifetime(at.application, verdict);
    // Every page goes through the login.
    if lifetime.asks_every_time() {
        return Err(RejectionKind::LoginRequired);
    }
    let here = (&**at.application, at.host);
    let tokens = RenewedTokens::make(login, &session.session, here, lifetime, at.now);
    let tokens = Arc::new(tokens.map_err(|error| {
        tracing::error!(%error, "no token could be made for a session");
        RejectionKind::Internal
    })?);
    let token = tokens.token().as_bytes();
    // What was ended meanwhile is not good.
    let Verification::Good(verified) =
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
