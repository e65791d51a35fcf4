//! `login/HOST`: the first page, or a redirect for a user with a session.

use http::StatusCode;

use crate::application::{CanonicalHost, CompiledApplication};
use crate::audit::{self, Event, EventKind};
use crate::facts::report_missing;
use crate::headers;
use crate::policy::{Facts, Outcome, Verdict};
use crate::random;
use crate::session::{Session, cookie};
use crate::util::response::{ResponseBytes, redirect, with, with_cookie};

use super::form::Fields;
use super::long_target::{Return, SHORTENED};
use super::meta::MetaParameter;
use super::method::LoginMethod;
use super::purpose::Purpose;
use super::redirect::{OWN_PREFIX, ReturnTarget};
use super::target_id::TargetId;
use super::{EndpointRequest, Flow, Login, Refusal};
use crate::pages::{ChooseMethod, Denied, Forbidden, MethodLink, Page, Problem};

impl Login {
    pub(super) async fn sign_in(
        &self,
        request: &EndpointRequest,
        app_host: &str,
    ) -> Result<ResponseBytes, Refusal> {
        let query = request.query()?;
        let Some(mut purpose) = self.purpose(&query, app_host, request)? else {
            return self.start_without_application(request, Some(app_host)).await;
        };
        purpose.flow = self.fit_for_address(purpose.flow, request).await?;
        if let Some(session) = self.session(request).await?
            && purpose.protected.application.allows_login_method(session.login_method())
        {
            return self.enter(request, &purpose, &session).await;
        }
        let request_facts = self.request_facts(request, purpose.protected, None);
        let facts = request_facts.facts();
        let verdict = purpose.protected.policies.evaluate(&facts);
        if verdict.outcome() == Outcome::Denied {
            let reference = self.reference();
            let application = purpose.protected.audited();
            audit::record(
                &Event::new(EventKind::LoginRefused)
                    .reference(&reference)
                    .application(application)
                    .host(purpose.flow.host.as_str())
                    .address(request.sender.address),
            );
            report_missing(verdict.missing_facts(), &reference, Some(application));
            if let Some(url) = purpose.protected.deny_url(&facts) {
                return Ok(describe(redirect(url.as_str()), &purpose));
            }
            let page = Page::Forbidden(Forbidden {
                host: Some(purpose.flow.host.as_str()),
                reference: &reference,
                sign_out_url: None,
                home_url: None,
            });
            return Ok(describe(self.page(StatusCode::FORBIDDEN, &page), &purpose));
        }
        let application = &purpose.protected.application;
        let Ok(chosen) = self.methods.choose(application, query.one("connector_id")?) else {
            return Ok(self.no_login_method(request, &purpose));
        };
        let flow = &mut purpose.flow;
        if let Some(id) = &flow.stored
            && self.stored_target(id, &flow.host).await?.is_none()
        {
            // This page says so, so later ones do not.
            (flow.stored, flow.is_shortened) = (None, true);
        }
        let Some(method) = chosen else {
            return Ok(describe(self.method_choice(request, &purpose), &purpose));
        };
        self.begin(request, &purpose, method).await
    }

    /// Begins a login by a method, bound to the browser.
    pub(super) async fn begin(
        &self,
        request: &EndpointRequest,
        purpose: &Purpose<'_>,
        method: &dyn LoginMethod,
    ) -> Result<ResponseBytes, Refusal> {
        if let Some(browser) = request.random_cookies(cookie::SESSION).next() {
            let answer = method.start(self, request, purpose, browser).await?;
            return Ok(describe(answer, purpose));
        }
        let browser = random::hex::<16>(&*self.random)?;
        let answer = describe(method.start(self, request, purpose, &browser).await?, purpose);
        let end = request.now.plus(cookie::SESSION_LIFETIME);
        let cookie = cookie::SetCookie::new(cookie::SESSION, &browser, end);
        Ok(with_cookie(answer, cookie.header(&request.host)))
    }

    /// Returns the page on which the user chooses a login method.
    fn method_choice(&self, request: &EndpointRequest, purpose: &Purpose<'_>) -> ResponseBytes {
        let links = self.method_links(request, purpose, None);
        let page = Page::ChooseMethod(ChooseMethod {
            application: &purpose.protected.application.name,
            host: purpose.flow.host.as_str(),
            methods: &links.iter().map(MethodLink::from).collect::<Vec<_>>(),
            notice: purpose.flow.is_shortened.then_some(SHORTENED),
        });
        self.page(StatusCode::OK, &page)
    }

    /// Returns the names of the methods that an application accepts, and the URLs that start them.
    pub(super) fn method_links(
        &self,
        request: &EndpointRequest,
        purpose: &Purpose<'_>,
        except: Option<&str>,
    ) -> Vec<(String, String)> {
        let start = self.start_url(&purpose.flow, request.now);
        let link = |(id, name): (&str, &str)| {
            let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
            (name.to_owned(), format!("{start}&connector_id={id}"))
        };
        self.methods.besides(&purpose.protected.application, except).map(link).collect()
    }

    /// Refuses a login to an application that accepts none of the configured login methods.
    pub(super) fn no_login_method(
        &self,
        request: &EndpointRequest,
        purpose: &Purpose<'_>,
    ) -> ResponseBytes {
        let event = Event::new(EventKind::LoginImpossible);
        audit::record(&event.application(purpose.protected.audited()));
        let answer = self.problem(
            request,
            StatusCode::FORBIDDEN,
            "There is no way to log in here",
            "This application accepts only login methods that are not configured. Please contact \
             your system administrator.",
        );
        describe(answer, purpose)
    }

    /// Returns the page for a browser without a cookie, or with that of another login.
    pub(super) fn invalid_session(
        &self,
        request: &EndpointRequest,
        flow: Option<&Flow>,
    ) -> ResponseBytes {
        let start = flow
            .map(|flow| self.start_url(flow, request.now))
            .or_else(|| self.directory.landing_path(&request.host));
        self.page(
            StatusCode::FORBIDDEN,
            &Page::Problem(Problem {
                title: "Invalid session. Please try logging in again.",
                message: "The login took too long, was started in another browser, or cookies are blocked.",
                host: Some(flow.map_or(&request.host, |flow| &flow.host).as_str()),
                reference: None,
                retry_url: start.as_deref(),
                retry_label: "Log in again",
                home_url: None,
            }),
        )
    }

    /// Redirects a user with a session to the application, if its policies allow it.
    pub(super) async fn enter(
        &self,
        request: &EndpointRequest,
        purpose: &Purpose<'_>,
        session: &Session,
    ) -> Result<ResponseBytes, Refusal> {
        let application = (purpose.protected, &purpose.flow.host);
        let (verdict, request_facts) = self.judge(request, application, session).await;
        match verdict.outcome() {
            Outcome::Allowed => {
                return self.grant(request, &purpose.flow, session).await;
            }
            // Open to anybody from here: a token is unnecessary and would outlast that.
            Outcome::Bypassed | Outcome::ServiceAllowed => {
                let origin = self.origins.origin(&purpose.flow.host);
                let (target, is_shortened) = self.whole_target(&purpose.flow).await?;
                let location = format!("{origin}{}", target.as_str());
                let onward = Return::default();
                return Ok(self.return_to_target(request, (&location, is_shortened), onward));
            }
            Outcome::LoginRequired | Outcome::Denied => {}
        }
        let decided = (&request_facts.facts_for(&session.email), &verdict);
        let answer = self.denied(purpose.protected, &purpose.flow, session, decided);
        Ok(describe(answer, purpose))
    }

    /// Returns the page for a user who has logged in but is denied, or a redirect to the configured one.
    pub(super) fn denied(
        &self,
        protected: &CompiledApplication,
        flow: &Flow,
        session: &Session,
        (facts, verdict): (&Facts<'_>, &Verdict),
    ) -> ResponseBytes {
        let reference = self.reference();
        let application = protected.audited();
        audit::record(
            &Event::new(EventKind::LoginDenied)
                .reference(&reference)
                .application(application)
                .host(flow.host.as_str())
                .email(session.email.as_str())
                .session_id(&session.id)
                .login_method(session.login_method())
                .verdict(verdict.id().as_ref()),
        );
        report_missing(verdict.missing_facts(), &reference, Some(application));
        if let Some(url) = protected.deny_url(facts) {
            return redirect(url.as_str());
        }
        let retry = format!("{}{}", self.origins.origin(&flow.host), flow.target.as_str());
        // A stored target is found only through the login, which does not ask users with a session.
        let again = flow.stored.as_ref().map(|_| self.public_start_url(flow));
        // The host that has the session's cookie.
        let team = self.origins.origin(self.team_host(&flow.host));
        let sign_out = url::form_urlencoded::Serializer::new(format!("{team}{OWN_PREFIX}/logout?"))
            .append_pair("returnTo", &retry)
            .finish();
        self.page(
            StatusCode::FORBIDDEN,
            &Page::Denied(Denied {
                application: &protected.application.name,
                host: Some(flow.host.as_str()),
                email: Some(session.email.as_str()),
                message: protected.application.custom_deny_message.as_deref(),
                reference: &reference,
                sign_out_url: Some(&sign_out),
                retry_url: Some(again.as_ref().unwrap_or(&retry)),
                sessions_url: Some(&format!("{team}{OWN_PREFIX}/sessions")),
            }),
        )
    }

    /// Returns the stored session of the browser.
    pub(super) async fn session(
        &self,
        request: &EndpointRequest,
    ) -> Result<Option<Session>, Refusal> {
        for claims in self.session_claims(request) {
            let id = claims.identity_nonce.as_deref().unwrap_or_default();
            let session = self.live_session(id, request.now).await?;
            let is_theirs =
                |session: &Session| Some(session.email.as_str()) == claims.email.as_deref();
            if let Some(session) = session.filter(is_theirs) {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    /// Reads the query of a login URL. Returns `None` if the application does not exist.
    pub(super) fn purpose(
        &self,
        query: &Fields,
        app_host: &str,
        request: &EndpointRequest,
    ) -> Result<Option<Purpose<'_>>, Refusal> {
        let Ok(host) = app_host.parse::<CanonicalHost>() else { return Ok(None) };
        let redirect_url = query.one("redirect_url")?.unwrap_or("/");
        let (target, is_shortened) = ReturnTarget::read(redirect_url, &self.origins.origin(&host));
        let stored = query.one("target")?.and_then(TargetId::parse);
        let is_shortened = is_shortened || query.one("shortened")? == Some("true");
        let meta = query.one("meta")?;
        let Some(audience) = query.one("kid")? else { return Ok(None) };
        let Some(protected) = self.directory.by_audience(audience) else { return Ok(None) };
        let covers_host = protected
            .application
            .destinations
            .iter()
            .any(|destination| destination.matches_host(host.as_str()));
        // Without a team domain, each host runs the login only for itself.
        if !covers_host || self.team_host(&host) != &request.host {
            return Ok(None);
        }
        let known = meta
            .and_then(|meta| MetaParameter::read(meta, &self.keys.meta, request.now))
            .filter(|known| known.aud == audience && known.hostname == host.as_str());
        let flow = Flow {
            audience: audience.to_owned(),
            host,
            target,
            app_session_hash: known.map(|known| known.app_session_hash),
            stored,
            is_shortened,
            refreshes_identity: false,
        };
        Ok(Some(Purpose { protected, flow }))
    }

    pub(super) fn unknown_application(&self, request: &EndpointRequest) -> ResponseBytes {
        self.problem(
            request,
            StatusCode::NOT_FOUND,
            "Unable to find your Access application!",
            "The application in this link does not exist here. Open the address of the application \
             that you want to use. It redirects you to the login.",
        )
    }
}

/// Adds the headers from which command-line clients read the application's host.
pub(super) fn describe(answer: ResponseBytes, purpose: &Purpose<'_>) -> ResponseBytes {
    let answer = with(answer, headers::DOMAIN, purpose.flow.host.as_str());
    with(answer, headers::AUD, purpose.protected.audience())
}
