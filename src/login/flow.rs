//! The purpose of a login, and the URLs of its steps.

use crate::application::{CanonicalHost, CompiledApplication};
use crate::clock::Timestamp;

use super::Login;
use super::meta::{self, MetaParameter};
use super::redirect::{OWN_PREFIX, ReturnTarget};
use super::target_id::{MAX_URL_BYTES, TargetId};

/// The application, host and return target of a login, from its first step to its last.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
pub(super) struct Flow {
    pub(super) audience: String,
    pub(super) host: CanonicalHost,
    pub(super) target: ReturnTarget,
    /// The hash of the cookie of the browser that was refused at the application; `None` for links
    /// that others have built.
    pub(super) app_session_hash: Option<String>,
    /// The id of the stored target, if `target` is only a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stored: Option<TargetId>,
    /// Whether the target was shortened and the user has not been informed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_shortened: bool,
    /// Whether the login refreshes the identity of a user who has a session, and ends on a page of the
    /// login; see [`refresh_identity`](super::refresh_identity).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) refreshes_identity: bool,
}

impl Login {
    /// Returns the login URL for a request without a credential (section 3.3), bound to the browser if
    /// it has a cookie. Shortens a target that is too long and not stored.
    pub(crate) fn login_url(
        &self,
        (host, protected): (&CanonicalHost, &CompiledApplication),
        (path_and_query, stored): (&str, Option<&TargetId>),
        app_session: Option<&str>,
        now: Timestamp,
    ) -> String {
        let flow = self.flow_to((host, protected), path_and_query, app_session);
        let flow = match stored {
            Some(id) => flow.with_stored_target(id.clone()),
            None if self.fits_address(&flow, now) => flow,
            None => flow.shortened(MAX_URL_BYTES / 3),
        };
        self.start_url(&flow, now)
    }

    /// Returns the return target of a request, if it is too long for the login URL.
    pub(crate) fn long_target(
        &self,
        (host, protected): (&CanonicalHost, &CompiledApplication),
        path_and_query: &str,
        now: Timestamp,
    ) -> Option<ReturnTarget> {
        // The common case: short enough with any escaping.
        if path_and_query.len() < MAX_URL_BYTES / 8 {
            return None;
        }
        let any_browser = Some("");
        let flow = self.flow_to((host, protected), path_and_query, any_browser);
        (!self.fits_address(&flow, now)).then_some(flow.target)
    }

    fn flow_to(
        &self,
        (host, protected): (&CanonicalHost, &CompiledApplication),
        path_and_query: &str,
        app_session: Option<&str>,
    ) -> Flow {
        let (target, is_shortened) = ReturnTarget::read(path_and_query, &self.origins.origin(host));
        Flow {
            audience: protected.audience().to_owned(),
            host: host.clone(),
            target,
            app_session_hash: app_session.map(meta::hash),
            stored: None,
            is_shortened,
            refreshes_identity: false,
        }
    }

    /// Returns the URL at which a login starts.
    pub(super) fn start_url(&self, flow: &Flow, now: Timestamp) -> String {
        self.step_url("login", flow, now)
    }

    /// As `start_url`, without a binding to a browser.
    pub(super) fn public_start_url(&self, flow: &Flow) -> String {
        let flow = Flow { app_session_hash: None, ..flow.clone() };
        self.start_url(&flow, Timestamp::from_unix_seconds(0))
    }

    /// Returns the URL of a step on the team domain, with the flow in its query.
    pub(super) fn step_url(&self, step: &str, flow: &Flow, now: Timestamp) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("kid", &flow.audience);
        if let Some(app_session_hash) = &flow.app_session_hash {
            let meta =
                MetaParameter::new(&flow.audience, flow.host.as_str(), app_session_hash, now);
            query.append_pair("meta", &meta.sign(&self.keys.meta));
        }
        query.append_pair("redirect_url", flow.target.as_str());
        if let Some(id) = &flow.stored {
            query.append_pair("target", id.as_str());
        }
        if flow.is_shortened {
            query.append_pair("shortened", "true");
        }
        let team = self.origins.origin(self.team_host(&flow.host));
        format!("{team}{OWN_PREFIX}/{step}/{}?{}", flow.host, query.finish())
    }
}
