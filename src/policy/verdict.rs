//! What was decided, and by which policy.

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
/// The layers leave it in the response's extensions: audit, metrics and traces read it there.
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
    /// A person is let in by an `allow` policy.
    Allowed,
    /// A service, or a network, is let in by a `non_identity` policy.
    ServiceAllowed,
    /// A `bypass` policy opens without a check; or a preflight was let through, or answered, as the
    /// application says, and no policy was asked.
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

impl Outcome {
    /// The outcome's name in JSON.
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

    /// A verdict of policies of which none applied.
    pub(super) fn undecided_by(outcome: Outcome, id: VerdictId, missing: FactSet) -> Self {
        Self { outcome, policy: None, id: Some(id), missing }
    }

    /// A verdict that no policies gave.
    pub(crate) fn undecided(outcome: Outcome) -> Self {
        Self { outcome, policy: None, id: None, missing: FactSet::EMPTY }
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

    /// Which policies decided, and how: an [`Explanation`](super::Explanation) of the same request
    /// under the same policies has the same id. `None` when no policies were asked.
    #[must_use]
    pub fn id(&self) -> Option<VerdictId> {
        self.id
    }

    /// The facts that rules asked for and nobody could tell, where the request was refused.
    #[must_use]
    pub fn missing_facts(&self) -> FactSet {
        self.missing
    }
}

/// Names a verdict: the policies it was given under, the outcome, and the policy that decided.
///
/// Displayed as eight hexadecimal digits for the policies with the groups and lists they may refer
/// to, the position of the policy as written (from one on; zero when none applied), and the outcome:
/// `7c1e93b2-2-denied`. Change a policy, and the digits change.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VerdictId {
    fingerprint: Fingerprint,
    /// From one on.
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

/// Tells policies, with all they may refer to, from others.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Fingerprint(u32);

impl Fingerprint {
    pub(super) fn of(policies: &[Policy], definitions: &Definitions) -> Self {
        let mut bytes = serde_json::to_vec(policies).unwrap_or_default();
        bytes.extend(definitions.digest());
        let [one, two, three, four, ..] = sha256(&bytes);
        Self(u32::from_be_bytes([one, two, three, four]))
    }

    /// `policy` is its position, from zero on.
    pub(super) fn verdict(self, outcome: Outcome, policy: Option<usize>) -> VerdictId {
        let policy = policy.and_then(|position| u32::try_from(position).ok());
        let policy = policy.map_or(0, |position| position.saturating_add(1));
        VerdictId { fingerprint: self, policy, outcome }
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
    asks_for_linked_application: bool,
    is_public: bool,
}

impl PolicyRef {
    pub(super) fn new(policy: &Policy, asks_for_linked_application: bool, is_public: bool) -> Self {
        Self(Arc::new(Named {
            id: policy.id().into(),
            name: policy.name.clone(),
            session_duration: policy.session_duration.map(crate::clock::GoDuration::get),
            asks_for_linked_application,
            is_public,
        }))
    }

    /// Whether one of its rules asks for the token of another application.
    #[must_use]
    pub fn asks_for_linked_application(&self) -> bool {
        self.0.asks_for_linked_application
    }

    /// Returns whether every request gets this verdict, whoever sends it from wherever: a `bypass`
    /// policy for everyone, and no policy ahead of it that could decide otherwise.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.0.is_public
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

    /// How long an application token lives that this policy allows; `None`: as the application says.
    #[must_use]
    pub fn session_duration(&self) -> Option<Duration> {
        self.0.session_duration
    }
}
