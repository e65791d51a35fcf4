//! `refresh-identity`: a new login of a user who has a session, by the same method.
//!
//! The provider is asked for the user's groups and claims as of now. The new session replaces the old
//! one, and the browser ends at `refresh-identity?success=true&on_success=callback`, or returns to the
//! application that `returnTo` names. A session by one-time PIN has nothing to refresh. A browser without
//! a session is sent to the login. Prefetches begin nothing.

use http::StatusCode;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::application::{CanonicalHost, CompiledApplication, Destination};
use crate::pages::{Page, Problem};
use crate::util::response::{ResponseBytes, redirect};

use super::purpose::Purpose;
use super::redirect::{OWN_PREFIX, ReturnTarget};
use super::{EndpointRequest, Flow, Login, Refusal};

impl Login {
    /// Handles the endpoint on the host that runs the login.
    pub(super) async fn refresh_identity(
        &self,
        request: &EndpointRequest,
    ) -> Result<ResponseBytes, Refusal> {
        let query = request.query()?;
        let return_to = query.one("returnTo")?;
        if query.one("success")? == Some("true") {
            return Ok(self.refreshed_page(request, return_to));
        }
        let Some(session) = self.session(request).await? else {
            return self.start_without_application(request, None).await;
        };
        let has_account = session.account().is_some();
        let method = self.methods.get(session.login_method()).filter(|_| has_account);
        let Some(method) = method else {
            return Ok(redirect(&self.success_url(&request.host, return_to)));
        };
        let accepts = |protected: &CompiledApplication| {
            protected.application.allows_login_method(method.id())
        };
        // The application decides how long the new session lasts.
        let named = self.named_application(return_to).filter(|(protected, ..)| accepts(protected));
        let (protected, host, target) = match named {
            Some(named) => named,
            None => {
                let first = self
                    .directory
                    .all()
                    .find(|protected| accepts(protected) && protected.policies.has_allow());
                let Some(first) = first else { return Ok(self.unknown_application(request)) };
                let hosts = first.application.destinations.iter().map(Destination::host);
                let mut exact = hosts.filter(|host| host.is_exact());
                let host = exact.find_map(|host| host.text().parse().ok());
                (&**first, host.unwrap_or_else(|| request.host.clone()), ReturnTarget::root())
            }
        };
        let flow = Flow {
            audience: protected.audience().to_owned(),
            host,
            target,
            app_session_hash: None,
            stored: None,
            is_shortened: false,
            refreshes_identity: true,
        };
        self.begin(request, &Purpose { protected, flow }, method).await
    }

    /// Redirects to the endpoint from a host that does not run the login.
    pub(super) fn to_refresh_identity(&self, request: &EndpointRequest) -> ResponseBytes {
        let team = self.origins.origin(self.team_host(&request.host));
        let back = format!("{}/", self.origins.origin(&request.host));
        let url = format!("{team}{OWN_PREFIX}/refresh-identity?");
        redirect(&Serializer::new(url).append_pair("returnTo", &back).finish())
    }

    /// Returns the response at the end of a login that has refreshed the identity of a user.
    pub(super) fn identity_refreshed(&self, flow: &Flow) -> ResponseBytes {
        let return_to = self
            .directory
            .has_host(flow.host.as_str())
            .then(|| format!("{}{}", self.origins.origin(&flow.host), flow.target.as_str()));
        redirect(&self.success_url(self.team_host(&flow.host), return_to.as_deref()))
    }

    fn success_url(&self, team: &CanonicalHost, return_to: Option<&str>) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("success", "true").append_pair("on_success", "callback");
        if let Some(return_to) = return_to {
            query.append_pair("returnTo", return_to);
        }
        let team = self.origins.origin(team);
        format!("{team}{OWN_PREFIX}/refresh-identity?{}", query.finish())
    }

    fn refreshed_page(&self, request: &EndpointRequest, return_to: Option<&str>) -> ResponseBytes {
        let back =
            self.return_url(return_to).or_else(|| self.directory.landing_path(&request.host));
        let page = Problem::new(
            "Your identity is up to date",
            "Applications now see the groups that your identity provider reports.",
        )
        .host(request.host.as_str())
        .retry(back.as_deref(), "Open the application");
        self.page(StatusCode::OK, &Page::Problem(page))
    }

    /// Returns the application that a URL on one of our hosts leads to.
    fn named_application(
        &self,
        url: Option<&str>,
    ) -> Option<(&CompiledApplication, CanonicalHost, ReturnTarget)> {
        let url = self.return_url(url)?;
        let host: CanonicalHost = Url::parse(&url).ok()?.host_str()?.parse().ok()?;
        let target = ReturnTarget::parse(&url, &self.origins.origin(&host));
        Some((self.application_at(&host, &target)?, host, target))
    }
}
