//! An application with compiled policies.

use http::HeaderValue;

use crate::audit;
use crate::policy::{Definitions, Facts, Outcome, Policies, PolicyError};

use super::audience::Audience;
use super::deny_url::DenyUrl;
use super::settings::Application;

/// An application with its compiled policies.
#[derive(Debug)]
pub(crate) struct CompiledApplication {
    pub(crate) application: Application,
    pub(crate) policies: Policies,
    /// Whether every request is granted access, whatever the facts.
    is_open: bool,
    audience_header: Option<HeaderValue>,
}

impl CompiledApplication {
    pub(crate) fn new(
        mut application: Application,
        definitions: &Definitions,
    ) -> Result<Self, PolicyError> {
        // The compiled policies store them.
        let written = std::mem::take(&mut application.policies);
        let policies = Policies::compile(&written, definitions)?;
        let is_open = policies.evaluate(&Facts::default()).outcome().grants_access();
        let audience_header = HeaderValue::from_str(application.audience.as_str()).ok();
        Ok(Self { application, policies, is_open, audience_header })
    }

    /// Returns its own audience: that of its tokens and logins.
    pub(crate) fn audience(&self) -> &str {
        self.application.audience.as_str()
    }

    /// Returns its own audience as a header.
    pub(crate) fn audience_header(&self) -> Option<&HeaderValue> {
        self.audience_header.as_ref()
    }

    /// Returns its name for audit events.
    pub(crate) fn audited(&self) -> audit::Application<'_> {
        audit::Application { id: &self.application.id, name: &self.application.name }
    }

    /// Returns the audience of a token, if it is accepted here.
    pub(crate) fn accepted(&self, is_for: impl Fn(&str) -> bool) -> Option<&Audience> {
        let Application { audience, other_audiences, .. } = &self.application;
        std::iter::once(audience).chain(other_audiences).find(|audience| is_for(audience.as_str()))
    }

    /// Returns the URL that a refused browser is redirected to. A refusal counts as one for identity if a
    /// login could have changed it (section 8.4).
    pub(crate) fn deny_url(&self, facts: &Facts<'_>) -> Option<&DenyUrl> {
        let before_login = Facts {
            email: None,
            is_logged_in: false,
            attributes: None,
            linked_application: None,
            evaluations: None,
            ..*facts
        };
        let by_identity = facts.has_user()
            && self.policies.evaluate(&before_login).outcome() == Outcome::LoginRequired;
        if by_identity {
            self.application.custom_deny_url.as_deref()
        } else {
            self.application.custom_non_identity_deny_url.as_deref()
        }
    }

    /// Returns whether spellings that case-insensitive origins confuse are safe here: the origin is case
    /// sensitive, or the application is open to everyone.
    pub(super) fn is_case_sensitive(&self) -> bool {
        self.is_open || self.application.case_sensitive_origin
    }

    /// Returns whether tokens for this audience are accepted here.
    pub(crate) fn accepts(&self, audience: &Audience) -> bool {
        self.accepted(|accepted| {
            std::ptr::eq(accepted, audience.as_str()) || accepted == audience.as_str()
        })
        .is_some()
    }
}
