//! One application ready to decide.

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
    /// Whether everybody gets in, whatever is known of them.
    is_open: bool,
}

impl CompiledApplication {
    pub(crate) fn new(
        mut application: Application,
        definitions: &Definitions,
    ) -> Result<Self, PolicyError> {
        // The compiled ones keep them.
        let written = std::mem::take(&mut application.policies);
        let policies = Policies::compile(&written, definitions)?;
        let is_open = policies.evaluate(&Facts::default()).outcome().opens();
        Ok(Self { application, policies, is_open })
    }

    /// Its own audience: whom its tokens are for, and what a login is asked for.
    pub(crate) fn audience(&self) -> &str {
        self.application.audience.as_str()
    }

    /// Names it in audit events.
    pub(crate) fn audited(&self) -> audit::Application<'_> {
        audit::Application { id: &self.application.id, name: &self.application.name }
    }

    /// The audience that a token is for, if it is one of those accepted here.
    pub(crate) fn accepted(&self, is_for: impl Fn(&str) -> bool) -> Option<&Audience> {
        let Application { audience, other_audiences, .. } = &self.application;
        std::iter::once(audience).chain(other_audiences).find(|audience| is_for(audience.as_str()))
    }

    /// Where a browser goes that is refused, knowing this. What a login could have mended was
    /// refused for who somebody is; anything else for other reasons (section 8.4).
    pub(crate) fn deny_url(&self, facts: &Facts<'_>) -> Option<&DenyUrl> {
        let before_login = Facts {
            email: None,
            is_logged_in: false,
            attributes: None,
            linked_application: None,
            evaluations: None,
            ..*facts
        };
        let by_identity = facts.has_person()
            && self.policies.evaluate(&before_login).outcome() == Outcome::LoginRequired;
        if by_identity {
            self.application.custom_deny_url.as_deref()
        } else {
            self.application.custom_non_identity_deny_url.as_deref()
        }
    }

    /// Whether a request that its origin may take for one of another application makes no
    /// difference here. What is open to everybody has nothing to lose.
    pub(super) fn tells_spellings_apart(&self) -> bool {
        self.is_open || self.application.case_sensitive_origin
    }

    /// Whether tokens for this audience are good here.
    pub(crate) fn accepts(&self, audience: &Audience) -> bool {
        self.accepted(|accepted| {
            std::ptr::eq(accepted, audience.as_str()) || accepted == audience.as_str()
        })
        .is_some()
    }
}
