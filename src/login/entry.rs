//! Logins without an application: `login` without a known audience (`kid`).
//!
//! Native applications and bookmarks open such URLs, on an application's own host or on the team
//! domain. The application is that of the return path, on the host in the URL, or else on the
//! requested host.
//!
//! | the URL leads to | response |
//! | --- | --- |
//! | a host and path of an application that requires a login | redirect to the complete login URL |
//! | the same, and the browser has a session | redirect to the path |
//! | a host and path of an application that does not require a login | redirect to the path |
//! | no application: the team domain of several hosts, or a path that none covers | 404, with a hint |
//!
//! This discloses no more than a request for the path itself: the response is the same, or a redirect
//! to the path.

use std::borrow::Cow;

use crate::application::{CanonicalHost, CanonicalPath, CompiledApplication};
use crate::policy::Outcome;
use crate::random;
use crate::session::cookie;
use crate::util::response::{ResponseBytes, redirect, with_cookie};

use super::long_target::Return;
use super::purpose::Purpose;
use super::redirect::ReturnTarget;
use super::{EndpointRequest, Flow, Login, Refusal, meta};

impl Login {
    /// Begins the login for a URL without a known `kid`.
    pub(super) async fn start_without_application(
        &self,
        request: &EndpointRequest,
        app_host: Option<&str>,
    ) -> Result<ResponseBytes, Refusal> {
        let query = request.query()?;
        // Not known, but must not be repeated.
        query.one("kid")?;
        let redirect_url = query.one("redirect_url")?;
        let resolved = self.resolve_host(request, app_host).and_then(|host| {
            let (target, is_shortened) = self.resolve_target(&host, redirect_url)?;
            let protected = self.application_at(&host, &target)?;
            Some((protected, host.into_owned(), target, is_shortened))
        });
        let Some((protected, host, target, is_shortened)) = resolved else {
            return Ok(self.unknown_application(request));
        };
        let flow = Flow {
            audience: protected.audience().to_owned(),
            host,
            target,
            app_session_hash: None,
            stored: None,
            is_shortened,
            refreshes_identity: false,
        };
        self.enter_or_start(request, Purpose { protected, flow }).await
    }

    async fn enter_or_start(
        &self,
        request: &EndpointRequest,
        purpose: Purpose<'_>,
    ) -> Result<ResponseBytes, Refusal> {
        let Purpose { protected, flow } = purpose;
        let runs_login = *self.team_host(&flow.host) == request.host;
        if runs_login
            && let Some(session) = self.session(request).await?
            && protected.application.allows_login_method(session.login_method())
        {
            let flow = self.fit_for_address(flow, request).await?;
            return self.enter(request, &Purpose { protected, flow }, &session).await;
        }
        let facts = self.request_facts(request, protected, None);
        let verdict = protected.policies.evaluate(&facts.facts());
        let asks_for_login = verdict.outcome() == Outcome::LoginRequired
            && self.methods.offers_login(&protected.application);
        // The token is verified at the application. If it is invalid, a login begins there.
        let may_be_in =
            !runs_login && cookie::values(&request.headers, cookie::AUTHORIZATION).next().is_some();
        if !asks_for_login || may_be_in {
            let location = format!("{}{}", self.origins.origin(&flow.host), flow.target.as_str());
            let to = (&*location, flow.is_shortened);
            return Ok(self.return_to_target(request, to, Return::default()));
        }
        if request.host != flow.host {
            let flow = self.fit_for_address(flow, request).await?;
            return Ok(redirect(&self.start_url(&flow, request.now)));
        }
        // On the application's host, binds the browser to the login, as a refusal there does.
        let mut own = request.random_cookies(cookie::APP_SESSION);
        let app_session: Cow<'_, str> = match own.next() {
            Some(value) => value.into(),
            None => random::hex::<16>(&*self.random)?.into(),
        };
        let flow = Flow { app_session_hash: Some(meta::hash(&app_session)), ..flow };
        let flow = self.fit_for_address(flow, request).await?;
        let end = request.now.plus(cookie::APP_SESSION_LIFETIME);
        let cookie = cookie::SetCookie::new(cookie::APP_SESSION, &app_session, end);
        let answer = redirect(&self.start_url(&flow, request.now));
        Ok(with_cookie(answer, cookie.header(&request.host)))
    }

    /// Returns the host of the application, if the requested host may disclose it.
    fn resolve_host<'a>(
        &self,
        request: &'a EndpointRequest,
        app_host: Option<&str>,
    ) -> Option<Cow<'a, CanonicalHost>> {
        let host = match app_host {
            Some(text) => Cow::Owned(text.parse::<CanonicalHost>().ok()?),
            // A wildcard that also covers the team domain does not single it out.
            None if self.team_domain.as_ref().is_none_or(|team| *team.host() != request.host)
                || self.directory.has_exact_host(&request.host) =>
            {
                Cow::Borrowed(&request.host)
            }
            None => Cow::Owned(self.directory.only_host()?),
        };
        let is_own = *host == request.host || *self.team_host(&host) == request.host;
        (is_own && self.directory.has_host(host.as_str())).then_some(host)
    }

    /// Returns the target of a login on a host. Without a `redirect_url`, returns the host's landing
    /// path if it identifies one application.
    fn resolve_target(
        &self,
        host: &CanonicalHost,
        redirect_url: Option<&str>,
    ) -> Option<(ReturnTarget, bool)> {
        let origin = self.origins.origin(host);
        if let Some(text) = redirect_url {
            return Some(ReturnTarget::read(text, &origin));
        }
        let mut audiences = self.directory.audiences_for(host.as_str(), false);
        audiences.dedup();
        let is_told = audiences.len() <= 1 || self.directory.route(host, "/").is_some();
        let entrance = self.directory.landing_path(host).filter(|_| is_told)?;
        Some((ReturnTarget::parse(&entrance, &origin), false))
    }

    /// Returns the application of a path, located as for a request.
    pub(super) fn application_at(
        &self,
        host: &CanonicalHost,
        target: &ReturnTarget,
    ) -> Option<&CompiledApplication> {
        let path = CanonicalPath::parse_with_ambiguities(target.path()).ok()?;
        let id = self.directory.locate(host, &path).ok()?;
        self.directory.get(id).map(|protected| &**protected)
    }
}
