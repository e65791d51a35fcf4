//! From a finished login to the application, the same for all login methods.
//!
//! The user gets a session and returns to the application through `authorized`. The login stores a
//! grant and redirects the browser to the application's host with the grant's name. There the grant
//! is used once and becomes the application's cookie. A grant lives for a minute, and a session gets
//! at most 120 a minute.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use serde::{Deserialize, Serialize};

use crate::application::SameSite;
use crate::audit::{self, Event, EventKind};
use crate::clock::Timestamp;
use crate::identity;
use crate::policy::Outcome;
use crate::random;
use crate::session::{NewSession, Session, cookie};
use crate::util::response::{ResponseBytes, empty, redirect, with, with_cookie};

use super::limits::RateLimited;
use super::long_target::{Return, ReturnKind};
use super::meta::{MetaParameter, hash};
use super::method::{Authenticated, Finished, LoginMethod};
use super::purpose::Purpose;
use super::redirect::{OWN_PREFIX, ReturnTarget};
use super::target_id::TargetId;
use super::{EndpointRequest, Flow, Login, Refusal, browser, read_record, write_record};
use crate::pages::{Page, Problem};

/// A successful login that waits for `authorized`.
#[derive(Debug, Deserialize, Serialize)]
struct Grant {
    session: String,
    flow: Flow,
}

/// The content of the `state` parameter (section 3.2). It is used only to start again if the grant is
/// gone.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct State {
    hostname: String,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
    #[serde(rename = "isSSO")]
    is_sso: bool,
    /// The id of the whole target, if it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl Login {
    /// Starts the session of a user who has logged in, and redirects. Evaluates the policies again,
    /// because they may have changed.
    pub(super) async fn finish(
        &self,
        request: &EndpointRequest,
        method: &dyn LoginMethod,
        finished: Finished,
    ) -> Result<ResponseBytes, Refusal> {
        let Finished { flow, authenticated: Authenticated { email, attributes, account }, cookies } =
            finished;
        let Some(protected) = self.directory.by_audience(&flow.audience) else {
            return Ok(self.unknown_application(request));
        };
        if let Some(account) = &account
            && let Err(limit) =
                self.counters(request.now).count_login(method.id(), &account.subject).await?
        {
            return Ok(self.too_many_logins(&flow, request.now, limit));
        }
        // A new login replaces the browser's previous session.
        for claims in self.session_claims(request) {
            self.end_session(&claims, request.now).await?;
        }
        let issuer = self.issuer_name(&request.host);
        let lifetime = self.lifetimes.session_duration(protected.application.session_duration);
        let start = NewSession {
            email,
            issuer: &issuer,
            login_method: identity::LoginMethod {
                id: method.id().into(),
                kind: method.kind().into(),
            },
            attributes,
            account,
            refresh_interval: method.refresh_interval(),
            address: request.sender.address,
            browser: browser::short_form(&request.headers),
            max_idle: self.lifetimes.max_idle(),
        };
        let session = self.sessions.start(start, request.now, lifetime).await?;
        audit::record(
            &Event::new(EventKind::LoginSucceeded)
                .application(protected.audited())
                .host(flow.host.as_str())
                .email(session.email.as_str())
                .session_id(&session.id)
                .login_method(session.login_method())
                .address(request.sender.address),
        );
        let mut answer = match flow.refreshes_identity {
            true => self.identity_refreshed(&flow),
            false => self.enter(request, &Purpose { protected, flow }, &session).await?,
        };
        for cookie in self.session_cookies(request, &session)? {
            answer = with_cookie(answer, Some(cookie));
        }
        Ok(cookies.into_iter().fold(answer, |answer, cookie| with_cookie(answer, Some(cookie))))
    }

    /// Returns the cookies with the session token.
    fn session_cookies(
        &self,
        request: &EndpointRequest,
        session: &Session,
    ) -> Result<Vec<HeaderValue>, Refusal> {
        let issuer = self.issuer_name(&request.host);
        let claims = session.session_claims(&issuer, request.now);
        let token = self.issuer.issue(claims, request.now)?;
        let of_host = self.directory.has_host(request.host.as_str());
        let own = cookie::SetCookie {
            // On a host with applications, the path hides it from them.
            path: if of_host { cookie::LOGIN_PATH } else { "/" },
            ..cookie::SetCookie::new(cookie::AUTHORIZATION, &token.token, token.end())
        };
        let is_strict = self.directory.has_strict_cookies(request.host.as_str());
        // The host's applications share the login through this one.
        let shared = cookie::SetCookie {
            same_site: if is_strict { SameSite::Strict } else { SameSite::Lax },
            ..cookie::SetCookie::new(cookie::HOST_SESSION, &token.token, token.end())
        };
        let shared = of_host.then_some(shared);
        let cookies = std::iter::once(own).chain(shared);
        Ok(cookies.filter_map(|cookie| cookie.header(&request.host)).collect())
    }

    /// Stores a grant and redirects the browser to use it.
    pub(super) async fn grant(
        &self,
        request: &EndpointRequest,
        flow: &Flow,
        session: &Session,
    ) -> Result<ResponseBytes, Refusal> {
        let now = request.now;
        if let Err(limit) = self.counters(now).count_grant(&session.id).await? {
            return Ok(self.too_many_returns(flow, now, limit));
        }
        let flow = self.fit_for_seal(flow.clone(), request.sender.address, now).await?;
        let nonce = random::hex::<16>(&*self.random)?;
        let grant = Grant { session: session.id.clone(), flow };
        self.store.put(&key(&nonce), write_record(&grant)?, GRANT_LIFETIME).await?;
        let flow = grant.flow;
        let state = State {
            hostname: flow.host.to_string(),
            redirect_url: flow.target.abbreviated().as_str().to_owned(),
            is_sso: false,
            target: flow.stored.as_ref().map(|id| id.as_str().to_owned()),
        };
        let state = STANDARD.encode(serde_json::to_vec(&state).unwrap_or_default());
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("nonce", &nonce)
            .append_pair("state", &state)
            .finish();
        let origin = self.origins.origin(&flow.host);
        Ok(redirect(&format!("{origin}{OWN_PREFIX}/authorized?{query}")))
    }

    /// Handles `authorized`: sets the application's cookie and redirects to the requested page.
    pub(super) async fn authorized(
        &self,
        request: &EndpointRequest,
    ) -> Result<ResponseBytes, Refusal> {
        let fields = request.query()?;
        let nonce = fields.required("nonce")?;
        let origin = self.origins.origin(&request.host);
        let grant = read_record::<Grant>(self.store.take(&key(nonce)).await?);
        let Some(Grant { session, flow }) = grant.filter(|grant| grant.flow.host == request.host)
        else {
            // Used, expired or unknown: starts again at the target in `state`, on this host.
            let target = self.restart(fields.one("state")?, request, &origin).await?;
            let location = format!("{origin}{}", target.as_str());
            return Ok(self.return_to_target(request, (&location, false), Return::default()));
        };
        let (target, is_shortened) = self.whole_target(&flow).await?;
        let location = format!("{origin}{}", target.as_str());
        let return_to_target =
            |onward| self.return_to_target(request, (&location, is_shortened), onward);
        let mut browsers = request.random_cookies(cookie::APP_SESSION).peekable();
        let has_cookie = browsers.peek().is_some();
        match &flow.app_session_hash {
            Some(bound) if browsers.any(|browser| MetaParameter::binds(bound, browser)) => {}
            Some(_) if !has_cookie => return Ok(self.lost_cookie(&location)),
            // Begun by a link that somebody else built, or in another tab: the application redirects
            // the browser to the login once more, now with a cookie. The user is not asked again.
            Some(_) | None => return Ok(return_to_target(Return::default())),
        }
        let Some(protected) = self.directory.by_audience(&flow.audience) else {
            return Ok(self.unknown_application(request));
        };
        let Some(session) = self.seen_session(&session, request.now).await? else {
            return Ok(return_to_target(Return::default()));
        };
        // The accepted methods may have changed since the login began.
        if !protected.application.allows_login_method(session.login_method()) {
            return Ok(return_to_target(Return::default()));
        }
        let application = (&**protected, &request.host);
        let (verdict, request_facts) = self.judge(request, application, &session).await;
        match verdict.outcome() {
            Outcome::Allowed => {}
            // Open to anybody from here: a token is unnecessary and would outlast that.
            Outcome::Bypassed | Outcome::ServiceAllowed => {
                return Ok(return_to_target(Return::default()));
            }
            Outcome::LoginRequired | Outcome::Denied => {
                let facts = request_facts.facts_for(&session.email);
                return Ok(self.denied(protected, &flow, &session, (&facts, &verdict)));
            }
        }
        let here = (&**protected, &request.host);
        let lifetime = self.token_lifetime(protected, &verdict);
        let tokens = self.application_tokens(&session, here, lifetime, request.now)?;
        let kind = match protected.application.same_site {
            Some(SameSite::Strict) => ReturnKind::Page,
            Some(SameSite::None | SameSite::Lax) | None => ReturnKind::Redirect,
        };
        let Some(cookies) = self.cookie_lines(&tokens, here, target.path()) else {
            return Ok(empty(StatusCode::INTERNAL_SERVER_ERROR));
        };
        Ok(return_to_target(Return { cookies, kind }))
    }

    fn too_many_logins(&self, flow: &Flow, now: Timestamp, limit: RateLimited) -> ResponseBytes {
        let start = self.start_url(flow, now);
        let page = Problem::new(
            "Too many logins with this account",
            "This account has logged in too often today. Please try again later.",
        )
        .host(flow.host.as_str())
        .retry(&*start, "Start again");
        let answer = self.page(StatusCode::TOO_MANY_REQUESTS, &Page::Problem(page));
        with(answer, RETRY_AFTER, &limit.retry_after.as_secs().to_string())
    }

    fn too_many_returns(&self, flow: &Flow, now: Timestamp, limit: RateLimited) -> ResponseBytes {
        let start = self.start_url(flow, now);
        let page = Problem::new(
            "Too many pages were opened at once",
            "You are logged in. Please try again in a minute.",
        )
        .host(flow.host.as_str())
        .retry(&*start, "Try again");
        let answer = self.page(StatusCode::TOO_MANY_REQUESTS, &Page::Problem(page));
        with(answer, RETRY_AFTER, &limit.retry_after.as_secs().to_string())
    }

    /// Returns the target in `state`, if it is on this host.
    async fn restart(
        &self,
        state: Option<&str>,
        request: &EndpointRequest,
        origin: &str,
    ) -> Result<ReturnTarget, Refusal> {
        let state = state
            .and_then(|state| STANDARD.decode(state).ok())
            .and_then(|state| serde_json::from_slice::<State>(&state).ok())
            .filter(|state| state.hostname == request.host.as_str());
        let Some(state) = state else { return Ok(ReturnTarget::root()) };
        let stored = match state.target.as_deref().and_then(TargetId::parse) {
            Some(id) => self.stored_target(&id, &request.host).await?,
            None => None,
        };
        Ok(stored.unwrap_or_else(|| ReturnTarget::parse(&state.redirect_url, origin)))
    }

    fn lost_cookie(&self, location: &str) -> ResponseBytes {
        let page = Problem::new(
            "Your browser did not send a cookie back",
            "Logging in needs cookies. Please allow them for this site and try again.",
        )
        .retry(location, "Try again");
        self.page(StatusCode::FORBIDDEN, &Page::Problem(page))
    }
}

fn key(nonce: &str) -> String {
    format!("grant/{}", hash(nonce))
}

/// A redirect takes a second, and seven with command-line clients.
const GRANT_LIFETIME: Duration = Duration::from_secs(60);
