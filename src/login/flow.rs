//! What a login is for, and the addresses of its steps.

use crate::application::{CanonicalHost, CompiledApplication};
use crate::clock::Timestamp;

use super::Login;
use super::meta::{self, MetaParameter};
use super::redirect::{OWN_PREFIX, ReturnTarget};
use super::target_id::{LONGEST_ADDRESS, TargetId};

/// What a login is for, from its first step to its last.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
pub(super) struct Flow {
    pub(super) audience: String,
    pub(super) host: CanonicalHost,
    pub(super) target: ReturnTarget,
    /// The browser that was refused at the application, by the hash of its cookie; unknown for
    /// links others have built.
    pub(super) app_session_hash: Option<String>,
    /// Where the whole target is, if `target` is only a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stored: Option<TargetId>,
    /// Whether the target is not whole, and the person has not been told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_shortened: bool,
}

impl Login {
    /// Where a request without a credential is sent: section 3.3. Tied to a browser where it has a
    /// cookie for that. A target that is too long for it, and is not stored, is shortened.
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
            None => flow.shortened(LONGEST_ADDRESS / 3),
        };
        self.start_url(&flow, now)
    }

    /// The target of a request that is sent to the login, if it has to be stored for that.
    pub(crate) fn long_target(
        &self,
        (host, protected): (&CanonicalHost, &CompiledApplication),
        path_and_query: &str,
        now: Timestamp,
    ) -> Option<ReturnTarget> {
        // Nearly all are shorter, however they are escaped.
        if path_and_query.len() < LONGEST_ADDRESS / 8 {
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
        let (target, is_shortened) = ReturnTarget::read(path_and_query, &self.origins.of(host));
        Flow {
            audience: protected.audience().to_owned(),
            host: host.clone(),
            target,
            app_session_hash: app_session.map(meta::hash),
            stored: None,
            is_shortened,
        }
    }

    /// Where a login begins, or begins again.
    pub(super) fn start_url(&self, flow: &Flow, now: Timestamp) -> String {
        self.step_url("login", flow, now)
    }

    /// The same for a browser that is not known at the application.
    pub(super) fn start_url_for_anybody(&self, flow: &Flow) -> String {
        let flow = Flow { app_session_hash: None, ..flow.clone() };
        self.start_url(&flow, Timestamp::from_unix_seconds(0))
    }

    /// The address of a step on the team domain, with what the login is for.
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
        let team = self.origins.of(self.team_host(&flow.host));
        format!("{team}{OWN_PREFIX}/{step}/{}?{}", flow.host, query.finish())
    }
}
