//! Logins that are begun by hand: `login` without the name of an application (`kid`), or with one
//! that is not known any more.
//!
//! Native applications and bookmarks open such addresses, on an application's own host or on the
//! team domain. The application is that of the path to return to, on the host that the address
//! names, otherwise on the host that was asked.
//!
//! | what the address tells | answer |
//! | --- | --- |
//! | a host and path of an application, which asks strangers to log in | the login's complete address |
//! | the same, and the browser has a session | on to the path |
//! | a host and path of an application that asks nobody to log in | on to the path, which says what there is to say |
//! | no application: the team domain of several hosts, or a path that none covers | 404, and where to go |
//!
//! Nobody learns more than by a request for the path itself: whatever is answered is what that would
//! be answered, or leads there.

use std::borrow::Cow;

use crate::application::{CanonicalHost, CanonicalPath, CompiledApplication};
use crate::policy::Outcome;
use crate::random;
use crate::session::cookie;
use crate::util::response::{ResponseBytes, redirect, with_cookie};

use super::long_target::Return;
use super::redirect::ReturnTarget;
use super::sign_in::Purpose;
use super::{EndpointRequest, Flow, Login, Refusal, meta};

impl Login {
    /// Begins the login that an address without a `kid` means.
    pub(super) async fn enter_by_hand(
        &self,
        request: &EndpointRequest,
        app_host: Option<&str>,
    ) -> Result<ResponseBytes, Refusal> {
        let query = request.query()?;
        // It is none that is known, but there is one at most.
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
        };
        self.enter_or_begin(request, Purpose { protected, flow }).await
    }

    async fn enter_or_begin(
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
        let facts = self.circumstances(request, protected, None);
        let verdict = protected.policies.evaluate(&facts.facts());
        let asks_for_login = verdict.outcome() == Outcome::LoginRequired
            && self.methods.offers_login(&protected.application);
        // A token is looked at where it is meant for: a login begins there if it is no good.
        let may_be_in =
            !runs_login && cookie::values(&request.headers, cookie::AUTHORIZATION).next().is_some();
        if !asks_for_login || may_be_in {
            let location = format!("{}{}", self.origins.of(&flow.host), flow.target.as_str());
            let to = (&*location, flow.is_shortened);
            return Ok(self.lead_on(request, to, Return::default()));
        }
        if request.host != flow.host {
            let flow = self.fit_for_address(flow, request).await?;
            return Ok(redirect(&self.start_url(&flow, request.now)));
        }
        // On the application's host the browser is tied to the login, as by a refusal there.
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

    /// The host of an application that an address means, if this host may say anything of it.
    fn resolve_host<'a>(
        &self,
        request: &'a EndpointRequest,
        app_host: Option<&str>,
    ) -> Option<Cow<'a, CanonicalHost>> {
        let host = match app_host {
            Some(text) => Cow::Owned(text.parse::<CanonicalHost>().ok()?),
            // A wildcard that covers the team domain as well does not mean it above all others.
            None if self.team_domain.as_ref().is_none_or(|team| *team.host() != request.host)
                || self.directory.names_host(&request.host) =>
            {
                Cow::Borrowed(&request.host)
            }
            None => Cow::Owned(self.directory.only_host()?),
        };
        let is_own = *host == request.host || *self.team_host(&host) == request.host;
        (is_own && self.directory.knows_host(host.as_str())).then_some(host)
    }

    /// Where a login on a host returns to; without a `redirect_url` where people enter the host, if
    /// that tells one application from all others.
    fn resolve_target(
        &self,
        host: &CanonicalHost,
        redirect_url: Option<&str>,
    ) -> Option<(ReturnTarget, bool)> {
        let origin = self.origins.of(host);
        if let Some(text) = redirect_url {
            return Some(ReturnTarget::read(text, &origin));
        }
        let mut audiences = self.directory.audiences_of(host.as_str(), false);
        audiences.dedup();
        let is_told = audiences.len() <= 1 || self.directory.route(host, "/").is_some();
        let entrance = self.directory.entrance(host).filter(|_| is_told)?;
        Some((ReturnTarget::parse(&entrance, &origin), false))
    }

    /// The application of a path as a request for it would find it.
    fn application_at(
        &self,
        host: &CanonicalHost,
        target: &ReturnTarget,
    ) -> Option<&CompiledApplication> {
        let path = CanonicalPath::parse_with_ambiguities(target.path()).ok()?;
        let id = self.directory.locate(host, &path).ok()?;
        self.directory.get(id).map(|protected| &**protected)
    }
}
