//! From one application to another of the same host, without a login in between.
//!
//! All applications of a host share one cookie name, and one application's token is worth nothing
//! at another. Where the host runs the login itself, a person's browser has a cookie for the host
//! as well, that says which session it is in. A request to an application that brings no good token
//! for it is let in by the session, if that still lives and the application's policies allow: it
//! gets a token of its own, and the cookie with the answer. Origins never see the host's cookie, and
//! requests that another site caused are not let in by it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Request;
use http::header::ORIGIN;

use crate::headers;
use crate::policy::Verdict;
use crate::session::Session;
use crate::token::TokenKind;
use crate::token::keys::Refresh;

use super::authenticate::Admission;
use super::carrier::{Brought, Once};
use super::credential::{Credential, Place};
use super::rejection::RejectionKind;
use super::renewal::{Fresh, Key};
use super::verify::{Ask, Verification, Verified};
use super::{Engine, Role};

/// How far a request has come that the host's session may let in.
#[derive(Clone, Debug, Default)]
pub(super) enum Crossing {
    /// It is none, or not to be let in this way.
    #[default]
    None,
    /// The session is looked up; it is here when it is found.
    Asked(Arc<OnceLock<Session>>),
    /// It has tokens.
    Made(Arc<Fresh>),
}

impl Engine {
    /// Lets the session of the host speak for a request that brings nothing good. What has to be
    /// waited for, if anything has.
    pub(super) fn cross<B>(
        &self,
        request: &Request<B>,
        admission: &mut Admission,
        brought: &Brought,
    ) -> Option<Refresh> {
        let Role::Issuing(issuing) = &self.role else { return None };
        let login = &issuing.login;
        if !matches!(admission.credential, Credential::None | Credential::Useless(_))
            || !self.carriers.cookie()
            || !matches!(brought.token, Once::Absent)
            || login.team_host(&admission.host) != &admission.host
            || self.is_caused_elsewhere(request, admission)
        {
            return None;
        }
        let protected = self.protected(admission)?;
        if !protected.policies.has_allow() || !self.admits_people(protected) {
            return None;
        }
        let claims = login.host_session(request.headers(), &admission.host, admission.now)?;
        let id = claims.identity_nonce?;
        let key = Key::new(&id, protected, &admission.host);
        if let Some(fresh) = issuing.renewals.kept(&key, login, admission.now) {
            let ask = Ask { admission, protected, may_wait: false, is_linked: false };
            let token = fresh.token().as_bytes();
            if let Verification::Good(verified) = self.examine(token, TokenKind::Application, ask) {
                admission.credential = Credential::Token { verified, from: Place::Cookie };
                admission.crossing = Crossing::Made(fresh);
                return None;
            }
        }
        let found = Arc::new(OnceLock::new());
        admission.crossing = Crossing::Asked(Arc::clone(&found));
        let (login, now) = (Arc::clone(login), admission.now);
        Some(Refresh::new(async move {
            let looked_up = login.seen_session(&id, now);
            let Ok(looked_up) = tokio::time::timeout(LOOK_UP_TIME_LIMIT, looked_up).await else {
                tracing::warn!("a session could not be looked up: the store does not answer");
                return;
            };
            match looked_up {
                Ok(Some(session)) if Some(session.email.as_str()) == claims.email.as_deref() => {
                    let _ = found.set(session);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a session could not be looked up"),
            }
        }))
    }

    /// Goes on when the session has been looked up.
    pub(super) fn arrive(&self, admission: &mut Admission) {
        let Crossing::Asked(found) = &admission.crossing else { return };
        let Some(session) = found.get() else { return };
        let Some(protected) = self.protected(admission) else { return };
        let counts = protected.application.allows_login_method(session.login_method());
        if counts
            && matches!(admission.credential, Credential::None | Credential::Useless(_))
            && let Role::Issuing(issuing) = &self.role
        {
            let issuer = issuing.issuer_text(&admission.host);
            let verified = Verified::of_session(session, issuer, protected, admission.now);
            let verified = Arc::new(verified);
            admission.credential = Credential::Token { verified, from: Place::Session };
        }
    }

    /// Gives a request that its session lets in a token, now that a policy allows it.
    pub(super) fn settle_crossing(
        &self,
        admission: &mut Admission,
        verdict: &Verdict,
    ) -> Result<(), RejectionKind> {
        let Credential::Token { from: Place::Session, .. } = &admission.credential else {
            return Ok(());
        };
        let (Role::Issuing(issuing), Crossing::Asked(found)) = (&self.role, &admission.crossing)
        else {
            return Err(RejectionKind::Internal);
        };
        let (Some(session), Some(protected)) = (found.get(), self.protected(admission)) else {
            return Err(RejectionKind::Internal);
        };
        let login = &issuing.login;
        let lifetime = login.token_lifetime(protected, verdict);
        // Every page goes through the login.
        if lifetime.asks_every_time() {
            return Err(RejectionKind::LoginRequired);
        }
        let made =
            Fresh::make(login, session, (protected, &admission.host), lifetime, admission.now);
        let fresh = Arc::new(made.map_err(|error| {
            tracing::error!(%error, "no token could be made for a session");
            RejectionKind::Internal
        })?);
        let ask = Ask { admission, protected, may_wait: false, is_linked: false };
        let token = fresh.token().as_bytes();
        // What was ended meanwhile is not good.
        let Verification::Good(verified) = self.examine(token, TokenKind::Application, ask) else {
            return Err(RejectionKind::LoginRequired);
        };
        let key = Key::new(&session.id, protected, &admission.host);
        issuing.renewals.keep(key, Arc::clone(&fresh));
        admission.credential = Credential::Token { verified, from: Place::Cookie };
        admission.crossing = Crossing::Made(fresh);
        Ok(())
    }
}

impl Engine {
    /// Whether the browser says that another site is behind a request, or a socket's page is
    /// unknown.
    fn is_caused_elsewhere<B>(&self, request: &Request<B>, admission: &Admission) -> bool {
        let (method, lines) = (request.method(), request.headers());
        let is_upgrade = headers::is_upgrade(method, lines);
        headers::is_preflight(method, lines)
            || lines.get_all("sec-fetch-site").iter().any(|site| site.as_bytes() == b"cross-site")
            || is_upgrade
                && (!lines.contains_key(ORIGIN) || self.is_foreign_upgrade(request, admission))
    }
}

/// Stores answer, or say that they cannot, within some seconds.
const LOOK_UP_TIME_LIMIT: Duration = Duration::from_secs(15);
