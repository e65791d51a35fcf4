//! Verdicts and the policies that gave them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::audit::Disclosed;
use crate::secret::sha256;

use super::definitions::Definitions;
use super::document::Policy;
use super::facts::FactSet;

/// The outcome of one request, with the policy that decided it.
///
/// The layers put it into the response's extensions for audit, metrics and traces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    outcome: Outcome,
    policy: Option<PolicyRef>,
    id: Option<VerdictId>,
    missing: FactSet,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// An `allow` policy grants access to a user.
    Allowed,
    /// A `non_identity` policy grants access to a service or a network.
    ServiceAllowed,
    /// A `bypass` policy grants access without a check; or a preflight was passed on or answered as the
    /// application's settings say, without evaluating policies.
    Bypassed,
    /// The request has no login, and a login could grant access.
    LoginRequired,
    /// Access is refused, by a `deny` policy or because no policy applied.
    Denied,
}

impl Outcome {
    /// Returns whether the request is passed on to the inner service.
    #[must_use]
    pub fn grants_access(self) -> bool {
        match self {
            Self::Allowed | Self::ServiceAllowed | Self::Bypassed => true,
            Self::LoginRequired | Self::Denied => false,
        }
    }
}

impl Outcome {
    /// Returns the outcome's name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ServiceAllowed => "service_allowed",
            Self::Bypassed => "bypassed",
            Self::LoginRequired => "login_required",
            Self::Denied => "denied",
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
    pub(super) fn decided_by(
        outcome: Outcome,
        policy: &PolicyRef,
        id: VerdictId,
        missing: FactSet,
    ) -> Self {
        Self { outcome, policy: Some(policy.clone()), id: Some(id), missing }
    }

    /// Creates the verdict of policies of which none applied.
    pub(super) fn undecided_by(outcome: Outcome, id: VerdictId, missing: FactSet) -> Self {
        Self { outcome, policy: None, id: Some(id), missing }
    }

    /// Creates a verdict for which no policies were evaluated.
    pub(crate) fn undecided(outcome: Outcome) -> Self {
        Self { outcome, policy: None, id: None, missing: FactSet::EMPTY }
    }

    /// Returns what happens to the request.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the policy that decided; `None` if no policy applied.
    #[must_use]
    pub fn policy(&self) -> Option<&PolicyRef> {
        self.policy.as_ref()
    }

    /// Returns the id of the verdict: an [`Explanation`](super::Explanation) of the same request under
    /// the same policies has the same id. `None` if no policies were evaluated.
    #[must_use]
    pub fn id(&self) -> Option<VerdictId> {
        self.id
    }

    /// Returns the facts that rules needed and that were missing, if the request was refused.
    #[must_use]
    pub fn missing_facts(&self) -> FactSet {
        self.missing
    }
}

/// Identifies a verdict: the policies, the outcome, and the policy that decided.
///
/// Displayed as eight hexadecimal digits for the policies with the groups and lists they may refer
/// to, the position of the policy as written (starting at one; zero if none applied), and the outcome:
/// `7c1e93b2-2-denied`. The digits change if a policy changes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VerdictId {
    fingerprint: Fingerprint,
    /// Starts at one.
    policy: u32,
    outcome: Outcome,
}

impl Disclosed for VerdictId {}

impl fmt::Display for VerdictId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fingerprint: Fingerprint(digits), policy, outcome } = self;
        write!(f, "{digits:08x}-{policy}-{}", outcome.as_str())
    }
}

impl Serialize for VerdictId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Identifies policies together with all groups and lists.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Fingerprint(u32);

impl Fingerprint {
    pub(super) fn new(policies: &[Policy], definitions: &Definitions) -> Self {
        let mut bytes = serde_json::to_vec(policies).unwrap_or_default();
        bytes.extend(definitions.digest());
        let [one, two, three, four, ..] = sha256(&bytes);
        Self(u32::from_be_bytes([one, two, three, four]))
    }

    /// Returns the id of a verdict. `policy` is the zero-based position.
    pub(super) fn verdict(self, outcome: Outcome, policy: Option<usize>) -> VerdictId {
        let policy = policy.and_then(|position| u32::try_from(position).ok());
        let policy = policy.map_or(0, |position| position.saturating_add(1));
        VerdictId { fingerprint: self, policy, outcome }
    }
}

/// A reference to a policy. Cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyRef(Arc<Named>);

#[derive(Debug, Eq, PartialEq)]
struct Named {
    id: Box<str>,
    name: Box<str>,
    session_duration: Option<Duration>,
    uses_linked_application: bool,
    is_public: bool,
}

impl PolicyRef {
    pub(super) fn new(policy: &Policy, uses_linked_application: bool, is_public: bool) -> Self {
        Self(Arc::new(Named {
            id: policy.id().into(),
            name: policy.name.clone(),
            session_duration: policy.session_duration.map(crate::clock::GoDuration::get),
            uses_linked_application,
            is_public,
        }))
    }

    /// Returns whether one of its rules needs the token of another application.
    #[must_use]
    pub fn uses_linked_application(&self) -> bool {
        self.0.uses_linked_application
    }

    /// Returns whether every request gets this verdict, whatever the facts: a `bypass` policy for
    /// everyone, with no earlier policy that could decide otherwise.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.0.is_public
    }

    /// Returns the policy's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Returns the policy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the lifetime of application tokens that this policy allows; `None`: that of the
    /// application.
    #[must_use]
    pub fn session_duration(&self) -> Option<Duration> {
        self.0.session_duration
    }
}
