//! What was decided, and by which policy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::document::Policy;

/// The outcome of one request, with the policy that decided it.
///
/// The layers leave it in the response's extensions: audit, metrics and traces read it there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    outcome: Outcome,
    policy: Option<PolicyRef>,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// A person is let in by an `allow` policy.
    Allowed,
    /// A service, or a network, is let in by a `non_identity` policy.
    ServiceAllowed,
    /// A `bypass` policy opens without a check.
    Bypassed,
    /// Nobody has logged in yet, and a login could help.
    LoginRequired,
    /// Refused: by a `deny` policy, or because no policy applied.
    Denied,
}

impl Outcome {
    /// Whether the inner service may see the request.
    #[must_use]
    pub fn opens(self) -> bool {
        match self {
            Self::Allowed | Self::ServiceAllowed | Self::Bypassed => true,
            Self::LoginRequired | Self::Denied => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::ServiceAllowed => "service allowed",
            Self::Bypassed => "bypassed",
            Self::LoginRequired => "login required",
            Self::Denied => "denied",
        })
    }
}

impl Verdict {
    pub(super) fn decided_by(outcome: Outcome, policy: &PolicyRef) -> Self {
        Self { outcome, policy: Some(policy.clone()) }
    }

    /// A verdict that no policy of its own gave.
    pub(crate) fn undecided(outcome: Outcome) -> Self {
        Self { outcome, policy: None }
    }

    /// What happens to the request.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The policy that decided; `None` when none applied.
    #[must_use]
    pub fn policy(&self) -> Option<&PolicyRef> {
        self.policy.as_ref()
    }
}

/// Which policy it was. Cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyRef(Arc<Named>);

#[derive(Debug, Eq, PartialEq)]
struct Named {
    id: Box<str>,
    name: Box<str>,
    session_duration: Option<Duration>,
}

impl PolicyRef {
    pub(super) fn new(policy: &Policy) -> Self {
        Self(Arc::new(Named {
            id: policy.id().into(),
            name: policy.name.clone(),
            session_duration: policy.session_duration.map(crate::clock::GoDuration::get),
        }))
    }

    /// The policy's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How long an application token lives that this policy allows; `None`: the application's.
    #[must_use]
    pub fn session_duration(&self) -> Option<Duration> {
        self.0.session_duration
    }
}
