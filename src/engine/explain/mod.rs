//! Explanations of decisions: the application, every policy, every rule.
//!
//! [`Access::explain`](crate::Access::explain) and the command line take a [`Question`] and return a
//! [`RequestExplanation`], from the same policies that decide about live requests. Nothing changes: no
//! key is fetched, no service is asked, and nothing is written.

mod decide;
mod question;
mod text;

use serde::Serialize;

use crate::application::NotSelectedReason;
use crate::policy::{Explanation, Outcome, PolicyExplanation, VerdictId};

pub(crate) use self::decide::RequestExplainer;
pub(crate) use self::question::KnownLogins;
pub use self::question::{
    Question, Rfc3339Time, Rfc3339TimeError, SimulatedCertificate, SimulatedIdentity,
    SimulatedRequest,
};
#[cfg(feature = "config")]
pub(crate) use super::linked_applications::linked_application as linked;

/// The explanation of a decision. `Display` writes it for people; in JSON, a stable format, the fields
/// have these names.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RequestExplanation {
    /// The version of this format: 1.
    pub version: u32,
    /// The outcome of the request.
    pub outcome: Outcome,
    /// The reason in one sentence.
    pub reason: String,
    /// The id of the verdict of such a request; `None` if no policies were evaluated.
    pub id: Option<VerdictId>,
    /// The question.
    pub question: Question,
    /// The host in canonical form; `None` if it is ambiguous.
    pub host: Option<String>,
    /// The path in canonical form; `None` if it is ambiguous.
    pub path: Option<String>,
    /// The application that decides; `None` if no application covers the request, which is refused.
    pub application: Option<ExplainedApplication>,
    /// The other applications, and why they do not decide.
    pub other_applications: Vec<OtherApplication>,
    /// Notes about the decision.
    pub notes: Vec<String>,
    /// The result of every policy and every rule.
    pub explanation: Option<Explanation>,
}

impl RequestExplanation {
    /// Returns the policy that decided, with the results of its rules.
    #[must_use]
    pub fn deciding_policy(&self) -> Option<&PolicyExplanation> {
        let explanation = self.explanation.as_ref()?;
        let decided = explanation.policy.as_deref()?;
        explanation.policies.iter().find(|policy| *policy.id == *decided)
    }
}

/// An application, with the host and path that cover a request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedApplication {
    /// The application's id.
    pub id: String,
    /// The application's name.
    pub name: String,
    /// The host and path of its definition.
    pub domain: String,
}

/// An application that does not decide.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OtherApplication {
    /// The application, and one of its hosts and paths.
    #[serde(flatten)]
    pub application: ExplainedApplication,
    /// The reason.
    pub why: NotSelectedReason,
}
